"""What the ledger accepted: weights against the caps of their time, and digests against submissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.commitment.seals import round_digest
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.records import Address


def audit_submissions(history: History, notes: Collection) -> None:
    """Check the submissions of every round."""
    for round_id, current in history.rounds.items():
        submissions = history.submissions[round_id]
        for submission in submissions:
            notes.count(CheckId.SUBMISSIONS)
            cap = history.weight_cap_at(submission)
            if not 1 <= submission.weight <= cap:
                notes.add(
                    Kind.WEIGHT_OVER_CAP,
                    "the ledger shows a weight that it should have refused",
                    round=round_id,
                    participant=submission.participant,
                    expected=f"1 to {cap}",
                    actual=str(submission.weight),
                )
        base = history.base_model_roots[round_id]
        expected = round_digest(history.run, round_id, base, [s.leaf for s in submissions])
        notes.count(CheckId.ROUND_DIGESTS)
        if expected != current.digest:
            notes.add(
                Kind.DIGEST_DIFFERS,
                "the digest is not the fold of the submissions",
                round=round_id,
                expected="0x" + expected.hex(),
                actual="0x" + current.digest.hex(),
            )


def cap_history(events: Sequence[e.Event], who: Address) -> list[dict[str, Any]]:
    """Return the weight caps that the operator gave a participant, with the block of each."""
    return [
        {"block_number": event.place.block_number, "weight_cap": event.weight_cap}
        for event in events
        if isinstance(event, e.ParticipantAdmitted) and event.participant == who
    ]
