"""Who shares masks with whom.

Everyone with everyone up to 64 participants; above, a Harary graph over a random order of them (Bell et al.
2020, section 3): everyone with the ``reach`` nearest on each side of a ring, so that masks and shares grow
with the logarithm of their number. The order is drawn from the chain's randomness after it is fixed who is in
it, so nobody can choose its neighbours; the contract has it as `SecureAggregation.sol` and `Graphs.sol` say.

Bell et al. let nobody choose who drops out. Here an aggregator names who is left out of a sum once the graph
is known, so two rules of the participants keep a sum whole, whatever it names:

- Nobody shares its seeds among fewer than `least_holders`: so many that those of them who collude do not
  reach the threshold.
- Nobody releases a share for survivors that leave a gap: of any ``reach`` places in a row `least_staying`
  stay, so many that one of them is honest in all such rows but one at most. Two honest survivors who follow
  one another around the ring are at most ``reach`` apart but once, so all of them hang together by masks of
  which nobody knows one: only the sum of all can be unmasked.

Both hold but once in 2^50 draws where a fifth of a round's members collude, whoever they are. Forty bits
would do; a block producer may throw draws away until it likes one, and has to throw away a thousand to gain
ten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, lru_cache
from math import comb

from fl_chain.commitment.encoding import u64
from fl_chain.masking.keys import seed16
from fl_chain.masking.shares import threshold

COMPLETE_UP_TO = 64
SECRECY_BITS = 50
COLLUDING = 5
"""One in so many of a round's members may collude with the aggregator."""

_TAG = b"\x0a"
_DRAWS_A_HASH = 8


@dataclass(frozen=True, slots=True)
class Graph:
    """The graph of one round; its vertices are participants by the order of their identity keys, from 0."""

    vertices: int
    reach: int  # neighbours on each side of the ring
    seed: bytes  # 16 bytes

    def neighbours(self, vertex: int) -> tuple[int, ...]:
        """Return whom a vertex shares masks with, in the order of their places around the ring.

        Raises:
            IndexError: if the graph has no such vertex.
        """
        ring, places = ring_order(self.seed, self.vertices)
        place = places[vertex]
        steps = (step for step in range(-self.reach, self.reach + 1) if step)
        return tuple(ring[(place + step) % self.vertices] for step in steps)

    def is_complete(self) -> bool:
        """Return whether everyone is everyone's neighbour, so that there are no gaps."""
        return 2 * self.reach + 1 >= self.vertices

    def gap(self, staying: Collection[int], members: int) -> tuple[int, int] | None:
        """Return the first place of a row of which too few stay, and how many do; None where there is none.

        Args:
            staying: the vertices that stay in the round's sum.
            members: of the round, of whom a fifth may collude.
        """
        if self.is_complete():
            return None
        needed = least_staying(self.vertices, members, self.reach)
        ring, _ = ring_order(self.seed, self.vertices)
        stays = [vertex in staying for vertex in ring]
        count = sum(stays[: self.reach])
        for first in range(self.vertices):
            if count < needed:
                return first, count
            count += stays[(first + self.reach) % self.vertices] - stays[first]
        return None


@lru_cache(maxsize=16)
def ring_order(seed: bytes, vertices: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the vertices in their order around the ring, and the place of each.

    Args:
        seed: 16 bytes.
        vertices: how many there are.
    """
    ring = list(range(vertices))
    seed16(seed)
    drawn = 0
    for number in range(vertices - 1):
        if number % _DRAWS_A_HASH == 0:
            block = hashlib.sha256(_TAG + seed + u64(number, "a draw"))
            drawn = int.from_bytes(block.digest(), "big")
        last = vertices - 1 - number
        chosen = (drawn & 0xFFFFFFFF) % (last + 1)
        ring[chosen], ring[last] = ring[last], ring[chosen]
        drawn >>= 32
    places = [0] * vertices
    for place, vertex in enumerate(ring):
        places[vertex] = place
    return tuple(ring), tuple(places)


def reach(vertices: int, expected: int) -> int:
    """Return how many neighbours the contract gives a vertex on each side; see `Graphs.reach`.

    So many that a round of 65 and more goes on where a tenth of its members leave it, but once in 500 times
    at most (`is_lasting`), or where a tenth of the vertices is not expected and a twentieth leaves.

    Args:
        vertices: participants with an identity key, at least 2.
        expected: of them, in the round.
    """
    side = 6 * (vertices.bit_length() - 1) - 7
    if expected < vertices:
        square = max(1, expected * expected)
        side = -(-side * vertices * vertices // square)
    return min(side, (vertices - 1) // 2)


@cache
def least_holders(expected: int) -> int:
    """Return among how many others at least a participant shares its seeds where a graph is drawn.

    With fewer, those of them who collude could reach the threshold for somebody once in 2^50 draws. The draw
    is hypergeometric: which of those whom a round expects are around a participant is no other's choice.
    """
    colluding, in_a_row = expected // COLLUDING, 0
    for holders in range(3, expected):
        draws = _tail(expected - 1, colluding, holders, threshold(holders + 1))
        is_secret = expected * draws << SECRECY_BITS <= comb(expected - 1, holders)
        in_a_row = in_a_row + 1 if is_secret else 0
        if in_a_row == 3:  # the threshold goes up twice in three steps: any larger number does as well
            return holders - 2
    return max(1, expected - 1)


@cache
def least_staying(vertices: int, members: int, side: int) -> int:
    """Return how many of any ``side`` places in a row have to stay in a sum; one more where all are too few.

    A sum falls apart only between two rows without an honest survivor. With this many survivors in each, all
    of them would collude; the union bound is over all pairs of rows, which are drawn without replacement.
    """
    colluding, draws = members // COLLUDING, comb(vertices, side)
    for least in range(1, side + 1):
        rows = vertices * _tail(vertices, colluding, side, least)
        if rows * rows << SECRECY_BITS <= 2 * draws * draws:
            return least
    return side + 1


def is_lasting(vertices: int, expected: int, side: int, missing: int, bits: int) -> bool:
    """Return whether a round goes on but once in ``2^bits`` times, where so many vertices are not in its sum.

    Args:
        vertices: of the graph.
        expected: of the round.
        side: neighbours on each side.
        missing: vertices that are not expected, or leave.
        bits: of certainty, by a union bound over all rows.
    """
    needed = least_staying(vertices, expected, side)
    draws = vertices * _tail(vertices, missing, side, max(0, side - needed + 1))
    return draws << bits <= comb(vertices, side)


def _tail(population: int, marked: int, drawn: int, least: int) -> int:
    """Return the number of draws without replacement that hold at least so many marked ones."""
    others = population - marked
    return sum(comb(marked, hit) * comb(others, drawn - hit) for hit in range(least, min(drawn, marked) + 1))
