"""What the blobs of one round gave: everything of its audit that later blocks do not change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fl_chain.audit.falls import fallen_summaries
from fl_chain.audit.findings import Collection, RoundSummary
from fl_chain.ledger.history import History
from fl_chain.records import Posting, RoundStatus

PUBLISHED = (RoundStatus.POSTED, RoundStatus.FINAL)


@dataclass(slots=True, kw_only=True)
class RoundResult(Collection):
    """One round's updates, sums and model, looked at."""

    round: int
    clamped_lanes: int | None = None  # of the model; None where it was not derived
    is_verified: bool = False  # every partial sum and the model were derived again and are the same
    has_model: bool = False  # later rounds can be derived from what it made
    founded: list[bool | None] = field(default_factory=list)  # for each posting that fell
    statistics: dict[int, dict[str, Any]] = field(default_factory=dict)  # by the submission's index


def standing_posting(history: History, round_id: int) -> Posting | None:
    """Return a round's posting; None where none stands."""
    is_published = history.rounds[round_id].status in PUBLISHED
    return history.postings.get(round_id) if is_published else None


def round_summary(history: History, round_id: int, result: RoundResult | None) -> RoundSummary:
    """Return a round as the report has it.

    Args:
        history: of the run.
        round_id: the round.
        result: of its blobs; None where they were not looked at.
    """
    current, posting = history.rounds[round_id], standing_posting(history, round_id)
    fallen = sum(one.posting.round == round_id for one in history.fallen)
    founded = [None] * fallen if result is None else result.founded
    return RoundSummary(
        round=round_id,
        status=current.status.name.lower(),
        void_reason=history.voids[round_id].name.lower() if round_id in history.voids else None,
        step=current.step,
        base_round=current.base_round,
        submissions=current.submissions,
        included=posting.included if posting else None,
        total_weight=current.total_weight,
        included_weight=posting.included_weight if posting else None,
        posting_number=current.posting_number,
        poster=posting.poster if posting else None,
        model_root="0x" + posting.model_root.hex() if posting else None,
        fallen=fallen_summaries(history, round_id, founded),
        objections=len(history.objections_to(round_id)),
        bonus_wei=history.bonus_wei(round_id),
        clamped_lanes=result.clamped_lanes if result else None,
        verified=result is not None and result.is_verified,
        participants=_participants(history, round_id, posting, result),
        base_model_root="0x" + history.model_root(current.base_round).hex(),
        partial_sum_roots=["0x" + root.hex() for root in posting.partial_sum_roots] if posting else [],
        audited=result is not None,
        terms=history.round_masks(round_id).terms if posting else 0,
    )


def _participants(
    history: History, round_id: int, posting: Posting | None, result: RoundResult | None
) -> list[dict[str, object]]:
    excluded = {e.index: e.reason.name.lower() for e in posting.exclusions} if posting else {}
    return [
        {
            "participant": s.participant,
            "weight": s.weight,
            "sealed_root": "0x" + s.sealed_root.hex(),
            "excluded": excluded.get(s.index),
            "statistics": result.statistics.get(s.index) if result else None,
        }
        for s in history.submissions[round_id]
    ]
