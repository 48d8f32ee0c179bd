"""What the audit of a round's blobs rests on, as one digest a round.

Two audits have the same fingerprint of a round only where the ledger says the same of it and of every round
before it, in the same blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.records import Digest

# What else happens to a round changes nothing of what its blobs give.
_DECISIVE = (
    e.RoundOpened,
    e.UpdateSubmitted,
    e.RoundClosed,
    e.RoundPosted,
    e.PostingFell,
    e.RoundVoided,
    e.GraphDrawn,
    e.KeysSetUp,
    e.SurvivorsFixed,
    e.SeedsPublished,
)


def round_fingerprints(history: History, events: Sequence[e.Event]) -> list[Digest]:
    """Return the fingerprint of every round, from the first.

    Args:
        history: of the events.
        events: of the whole run, in the chain's order.
    """
    own: dict[int, list[e.Event]] = {round_id: [] for round_id in history.rounds}
    objections: dict[int, int] = {}
    for event in events:
        if isinstance(event, _DECISIVE):
            own[event.round].append(event)
            if isinstance(event, e.PostingFell):
                fallen = (event.round, event.posting_number)
                objections[event.round] = len(history.objections.get(fallen, ()))
    start = repr((history.run, history.definition, history.policy))
    digest = Digest(hashlib.sha256(start.encode()).digest())
    found = []
    for round_id in history.rounds:
        # From whom a cohort is drawn decides who is outside it.
        registered = history.registered_at[round_id] if history.policy.close_at else ()
        content = repr((own[round_id], objections.get(round_id, 0), registered))
        digest = Digest(hashlib.sha256(digest + content.encode()).digest())
        found.append(digest)
    return found
