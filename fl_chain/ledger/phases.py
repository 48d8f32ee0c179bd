"""How long each phase of a round took by the chain's clock."""

from __future__ import annotations

from collections.abc import Iterable

from fl_chain.ledger.events import Event, RoundClosed, RoundFinalized, RoundOpened, RoundPosted

PHASES: tuple[tuple[str, type[Event], type[Event]], ...] = (
    ("submission", RoundOpened, RoundClosed),
    ("posting", RoundClosed, RoundPosted),  # publication, aggregation, and whatever fell before
    ("finality", RoundPosted, RoundFinalized),
)


def phase_seconds(events: Iterable[Event]) -> dict[int, dict[str, int]]:
    """Return the seconds of chain time of every phase that a round has gone through.

    Args:
        events: of one ledger, in the chain's order; of several postings of a round the last one counts.

    Returns:
        By round, and by the phase's name in the order of a round.
    """
    at: dict[int, dict[type[Event], int]] = {}
    for event in events:
        if isinstance(event, RoundOpened | RoundClosed | RoundPosted | RoundFinalized):
            at.setdefault(event.round, {})[type(event)] = event.place.timestamp
    return {
        round_id: {name: own[end] - own[start] for name, start, end in PHASES if start in own and end in own}
        for round_id, own in sorted(at.items())
    }
