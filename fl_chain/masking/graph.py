"""Who shares masks with whom.

Everyone with everyone up to 64 participants; above, a Harary graph over a random order (Bell et al. 2020,
section 3): each has k neighbours, and k grows with the logarithm of their number. The order is drawn from a
seed that is fixed after the commitments to the round's keys, so nobody can choose its neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from math import comb

from fl_chain.commitment.encoding import address_bytes, bytes32
from fl_chain.masking.shares import threshold
from fl_chain.records import Address

COMPLETE_UP_TO = 64
_TAG = b"fl_chain/masking/order\x00"


def neighbours(participants: Sequence[Address], seed: bytes) -> dict[Address, tuple[Address, ...]]:
    """Return for each participant whom it shares masks with, sorted.

    Args:
        participants: each once, in any order.
        seed: 32 bytes.

    Raises:
        ValueError: if one stands twice, or the seed has another length.
    """
    ordered = sorted(participants)
    if len(set(ordered)) != len(ordered):
        raise ValueError("a participant stands twice in the list")
    if len(ordered) <= COMPLETE_UP_TO:
        return {one: tuple(other for other in ordered if other != one) for one in ordered}
    bytes32(seed, "the seed of the graph")
    ring = sorted(
        ordered, key=lambda one: hashlib.sha256(_TAG + seed + address_bytes(one, "a participant")).digest()
    )
    half = degree(len(ring)) // 2
    found = {}
    for place, one in enumerate(ring):
        around = [ring[(place + step) % len(ring)] for step in range(-half, half + 1) if step]
        found[one] = tuple(sorted(around))
    return found


@cache
def degree(participants: int) -> int:
    """Return how many neighbours each has: all others up to 64 participants, else an even number.

    It is the smallest for which, whoever drops out, with a fifth of the participants colluding with the
    aggregator and a tenth dropping out (after Bell et al. 2020, section 3.2, by union bounds in integers):

    - with probability 1 - 2^-40 nobody's seeds can be put together by those who collude;
    - with probability 1 - 2^-40 the graph of the honest ones who stay is connected, so that only the sum of
      all of them can be unmasked;
    - with probability 1 - 2^-20 everybody keeps enough neighbours for the round to be unmasked.
    """
    if participants <= COMPLETE_UP_TO:
        return participants - 1
    colluding, dropped = participants // 5, participants // 10
    for neighbour_count in range(2, participants - 1, 2):
        needed = threshold(neighbour_count)
        is_secret = _tail(participants, colluding, neighbour_count, needed) << 40 <= comb(
            participants - 1, neighbour_count
        )
        half = neighbour_count // 2
        is_connected = participants * (colluding + dropped) ** half << 40 <= participants**half
        lost = _tail(participants, dropped, neighbour_count, neighbour_count - needed + 1)
        is_lasting = lost << 20 <= comb(participants - 1, neighbour_count)
        if is_secret and is_connected and is_lasting:
            return neighbour_count
    return (participants - 1) // 2 * 2


def _tail(participants: int, marked: int, drawn: int, least: int) -> int:
    """Return ``participants`` times the number of draws that hold at least so many marked ones."""
    others = participants - 1 - marked
    draws = sum(comb(marked, hit) * comb(others, drawn - hit) for hit in range(least, drawn + 1))
    return participants * draws
