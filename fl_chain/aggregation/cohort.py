"""Who trains in a round: a draw that everybody repeats from public values.

Sampling a fraction of the clients in each round is FedAvg's ``C`` (McMahan et al., AISTATS 2017). Here nobody
is asked to believe the draw: participants are ranked by a hash of a seed that none of them chooses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from fl_chain.commitment.encoding import address_bytes, u64
from fl_chain.records import Address

_TAG = b"fl_chain/cohort\x00"


def cohort_rank(seed: bytes, round_id: int, participant: Address) -> bytes:
    """Return ``SHA-256(tag || seed || round u64 || participant(20))``: the lowest ranks train."""
    return hashlib.sha256(
        _TAG + seed + u64(round_id, "round") + address_bytes(participant, "participant")
    ).digest()


def draw_cohort(
    registered: Iterable[Address], size: int, *, seed: bytes, round_id: int
) -> frozenset[Address]:
    """Return the cohort of a round.

    Args:
        registered: the identities to draw from, in any order.
        size: how many; everyone where there are fewer.
        seed: 32 bytes of the ledger's, or 8 bytes of the run's seed.
        round_id: of the round.
    """
    ranked = sorted(registered, key=lambda participant: cohort_rank(seed, round_id, participant))
    return frozenset(ranked[:size])
