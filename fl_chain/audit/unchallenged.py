"""Postings that stand: challenges that are possible or were missed, and objections that had no effect."""

from __future__ import annotations

from dataclasses import replace

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection, Finding
from fl_chain.audit.kinds import RULES, Kind
from fl_chain.audit.results import standing_posting
from fl_chain.ledger.history import History
from fl_chain.records import Posting, RoundStatus

_WRONG = (
    Kind.UPDATE_OUT_OF_RANGE,
    Kind.MASK_SEED_DIFFERS,
    Kind.MASK_TERM_DIFFERS,
    Kind.PARTIAL_SUM_DIFFERS,
    Kind.MODEL_DIFFERS,
)
_HIDDEN = (
    Kind.SUM_BLOB_MISSING,
    Kind.SUM_BLOB_ALTERED,
    Kind.MODEL_BLOB_MISSING,
    Kind.MODEL_BLOB_ALTERED,
    Kind.UPDATE_MISSING,
    Kind.UPDATE_ALTERED,
)


def audit_standing(history: History, now: int, notes: Collection, *, from_round: int) -> None:
    """Look for what could still be done, or could have been done, about the postings that stand.

    Args:
        history: of the run.
        now: chain time of the block that everything is of, seconds.
        notes: holds what was found in the rounds, and takes the warnings.
        from_round: earlier rounds were not looked at.
    """
    by_round: dict[int | None, set[Kind]] = {}
    for finding in notes.findings:
        by_round.setdefault(finding.round, set()).add(finding.kind)
    for round_id in range(from_round, history.state.latest + 1):
        posting = standing_posting(history, round_id)
        if posting is None:
            continue
        notes.count(CheckId.UNCHALLENGED)
        _audit_challenges(history, now, notes, posting, by_round.get(round_id, set()))
    _audit_objections(history, notes)
    notes.findings[:] = [_advised(finding, history, now) for finding in notes.findings]


def _audit_challenges(
    history: History, now: int, notes: Collection, posting: Posting, kinds: set[Kind]
) -> None:
    wrong = kinds.intersection(_WRONG)
    if not wrong:
        return
    number, is_hidden = posting.round, bool(kinds.intersection(_HIDDEN))
    is_on_chain = bool(wrong.intersection((Kind.UPDATE_OUT_OF_RANGE, Kind.MASK_SEED_DIFFERS)))
    can_be_proven = is_on_chain or (not is_hidden and not _is_result(history))
    if _is_in_window(history, posting, now):
        notes.add(
            Kind.CHALLENGE_POSSIBLE,
            f"the posting of {posting.poster} is wrong, and can be taken down until chain "
            f"time {posting.finalizable_at}",
            round=number,
            advice=_way_out(number, can_be_proven=can_be_proven),
        )
    else:
        what = "challenged it" if can_be_proven else "could prove it, and too few objected"
        notes.add(
            Kind.CHALLENGE_MISSED,
            f"the posting of {posting.poster} is wrong, and nobody {what} until chain "
            f"time {posting.finalizable_at}",
            round=number,
        )


def _audit_objections(history: History, notes: Collection) -> None:
    for (round_id, posting_number), objectors in history.objections.items():
        current, posting = history.rounds[round_id], standing_posting(history, round_id)
        if posting is None or posting.posting_number != posting_number:
            continue  # it fell: the audit of falls has it
        notes.count(CheckId.OBJECTIONS)
        notes.add(
            Kind.POSTING_OBJECTED,
            f"{len(objectors)} of the round's {current.submissions} submitters object to the posting of "
            f"{posting.poster}, and it stands: {', '.join(objectors)}",
            round=round_id,
        )


def _advised(finding: Finding, history: History, now: int) -> Finding:
    """Return a finding about a wrong posting with what can be done about it at this block."""
    if finding.kind not in (*_WRONG, Kind.WRONGFUL_EXCLUSION) or finding.round not in history.rounds:
        return finding
    posting, advice = standing_posting(history, finding.round), RULES[finding.kind].advice
    if posting is None:
        return finding
    if finding.kind is Kind.WRONGFUL_EXCLUSION:
        return replace(finding, advice=advice.replace("--round N", f"--round {finding.round}"))
    if _is_in_window(history, posting, now):
        is_provable = finding.kind is Kind.UPDATE_OUT_OF_RANGE or not _is_result(history)
        remedy = (
            f"Take the posting down before it becomes final: `fl-chain challenge --round {finding.round}`."
            if is_provable
            else f"Its submitters can reject the posting: `fl-chain object --round {finding.round}`."
        )
    else:
        remedy = "Nobody challenged the posting in time: the ledger alone cannot undo it."
    return replace(finding, advice=f"{advice} {remedy}")


def _is_in_window(history: History, posting: Posting, now: int) -> bool:
    is_posted = history.rounds[posting.round].status is RoundStatus.POSTED
    return is_posted and now < posting.finalizable_at


def _way_out(round_id: int, *, can_be_proven: bool) -> str:
    if can_be_proven:
        return f"Take it down now: `fl-chain challenge --round {round_id}`."
    return (
        "No proof can be made without the blobs that are missing, or of a rule's result: its submitters can "
        f"reject the posting, `fl-chain object --round {round_id}`."
    )


def _is_result(history: History) -> bool:
    """Return whether a model follows from a rule's result, so that no proof shows a wrong one."""
    return history.policy.aggregation.has_result
