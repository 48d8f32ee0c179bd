"""How a round's submissions are grouped, and what the ledger keeps of the sums.

Submissions in order are grouped by eight: each group has one sum at level 1, eight of those one at level 2,
and so on until one is left. A posting lists level 1 first, left to right, and the total last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fl_chain.commitment.encoding import bytes32
from fl_chain.records import Digest

FAN_IN = 8

_SUMS_TAG = b"\x03"


def level_sizes(submissions: int) -> tuple[int, ...]:
    """Return how many partial sums each level has, level 1 first; the last is always 1.

    Raises:
        ValueError: if there is no submission.
    """
    if submissions < 1:
        raise ValueError(f"{submissions} submissions have no sum; a round that closes has at least one")
    sizes = [-(-submissions // FAN_IN)]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // FAN_IN))
    return tuple(sizes)


def partial_sum_count(submissions: int) -> int:
    """Return how many roots a posting lists.

    Raises:
        ValueError: if there is no submission.
    """
    return sum(level_sizes(submissions))


def list_index(level: int, position: int, submissions: int) -> int:
    """Return where a posting lists a partial sum.

    Args:
        level: from 1.
        position: from 0 in its level.
        submissions: of the round.

    Raises:
        ValueError: if there is no such partial sum.
    """
    sizes = _verified_sizes(level, position, submissions)
    return sum(sizes[: level - 1]) + position


def place_of(index: int, submissions: int) -> tuple[int, int]:
    """Return level and position of the sum at a place of a posted list; the inverse of `list_index`.

    Args:
        index: from 0 in the list.
        submissions: of the round.

    Raises:
        ValueError: if the list has no such place.
    """
    position = index
    for level, size in enumerate(level_sizes(submissions), start=1):
        if 0 <= position < size:
            return level, position
        position -= size
    raise ValueError(f"the list for {submissions} submissions has no place {index}")


def children(level: int, position: int, submissions: int) -> range:
    """Return what a partial sum adds up.

    Args:
        level: from 1.
        position: from 0 in its level.
        submissions: of the round.

    Returns:
        Indices of submissions at level 1, positions in the level below at any other; one to eight of them.

    Raises:
        ValueError: if there is no such partial sum.
    """
    sizes = _verified_sizes(level, position, submissions)
    below = submissions if level == 1 else sizes[level - 2]
    return range(position * FAN_IN, min((position + 1) * FAN_IN, below))


def sums_hash(roots: Sequence[Digest]) -> Digest:
    """Return what the ledger keeps of a posted list of partial-sum roots; empty where a rule has no sums.

    Raises:
        ValueError: if one is not 32 bytes.
    """
    context = hashlib.sha256(_SUMS_TAG)
    for root in roots:
        context.update(bytes32(root, "a partial-sum root"))
    return Digest(context.digest())


def _verified_sizes(level: int, position: int, submissions: int) -> tuple[int, ...]:
    sizes = level_sizes(submissions)
    if not 1 <= level <= len(sizes) or not 0 <= position < sizes[level - 1]:
        raise ValueError(
            f"{submissions} submissions have no partial sum at level {level}, position {position}"
        )
    return sizes
