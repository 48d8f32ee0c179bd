"""Random groups of a masked round: each shares masks among itself, and has a sum of its own.

A sum of everybody lets one liar say what it likes, since nobody can look at its update. The sums of groups
can be compared: whoever lies spoils the sum of its group, and a rule outvotes it. What it costs is how much a
sum hides: it is of the members of a group and no longer of the round.

The order of the participants is that of `fl_chain.masking.graph`, drawn on the ledger before anybody joins a
round; consecutive places make a group, so that no two groups differ by more than one. Inside a group
everybody shares masks and seeds with everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fl_chain.errors import TooFewInGroups
from fl_chain.masking.graph import ring_order
from fl_chain.masking.shares import threshold
from fl_chain.masking.unmasking import UnmaskingTerm, ring_terms
from fl_chain.records import Address

LEAST_GROUPS = 3
"""Of fewer groups one that is wrong is not outvoted."""
LEAST_IN_GROUP = 3
"""A sum of fewer gives its summands away."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one round; vertices are participants by the order of their identity keys, from 0."""

    vertices: int
    count: int  # groups
    seed: bytes  # 16 bytes

    @property
    def reach(self) -> int:
        """What the ledger keeps where a graph has its neighbours on each side: how many groups there are."""
        return self.count

    def group(self, vertex: int) -> int:
        """Return which group a vertex is in.

        Raises:
            IndexError: if there is no such vertex.
        """
        _, places = ring_order(self.seed, self.vertices)
        return places[vertex] * self.count // self.vertices

    def neighbours(self, vertex: int) -> tuple[int, ...]:
        """Return whom a vertex shares masks with: the others of its group, in the order of their places.

        Raises:
            IndexError: if there is no such vertex.
        """
        order, _ = ring_order(self.seed, self.vertices)
        own = self.group(vertex)
        return tuple(one for one in order if one != vertex and self.group(one) == own)


@dataclass(frozen=True, slots=True)
class MaskedGroup:
    """The members of one group that set up keys for a round."""

    survivors: tuple[Address, ...]  # in the order of their submissions
    departed: tuple[Address, ...]  # the others, as `ring_terms` has them

    @property
    def members(self) -> tuple[Address, ...]:
        """Everybody of the group who set up keys."""
        return self.survivors + self.departed

    @property
    def may_stay(self) -> bool:
        """Whether so many are left that masks can be taken off, and the sum hides each of them."""
        return len(self.survivors) >= least_in_group(len(self.members))

    def terms(self) -> list[UnmaskingTerm]:
        """Return the terms that take the masks off the group's sum."""
        return ring_terms(self.survivors, self.departed)


def least_in_group(members: int) -> int:
    """Return how many of a group's members have to stay so that it has a sum; else nobody of it stays."""
    return max(LEAST_IN_GROUP, threshold(members)) if members else LEAST_IN_GROUP


def least_groups(count: int) -> int:
    """Return how many of so many groups a round has to keep: more than half."""
    return count // 2 + 1


def least_quorum(count: int) -> int:
    """Return the smallest quorum of a run with so many groups."""
    return LEAST_IN_GROUP * least_groups(count)


def divided(
    groups: Groups,
    vertices: Mapping[Address, int],
    survivors: Iterable[Address],
    departed: Iterable[Address],
) -> list[MaskedGroup]:
    """Return a round's members by their groups, in the order of the places.

    Args:
        groups: the round's.
        vertices: of the members.
        survivors: in the order of their submissions.
        departed: the other members, in the order of the terms.
    """
    stayed: list[list[Address]] = [[] for _ in range(groups.count)]
    gone: list[list[Address]] = [[] for _ in range(groups.count)]
    for who in survivors:
        stayed[groups.group(vertices[who])].append(who)
    for who in departed:
        gone[groups.group(vertices[who])].append(who)
    return [MaskedGroup(tuple(one), tuple(two)) for one, two in zip(stayed, gone, strict=True)]


def staying(parts: Sequence[MaskedGroup]) -> list[MaskedGroup]:
    """Return the groups that somebody stays of."""
    return [one for one in parts if one.survivors]


def verify_groups(parts: Sequence[MaskedGroup]) -> None:
    """Check that of every group enough stay or nobody, and that more than half of the groups do.

    Raises:
        TooFewInGroups: if a sum would hide too little, or too few sums could be compared.
    """
    for number, one in enumerate(parts):
        if one.survivors and not one.may_stay:
            raise TooFewInGroups(
                f"of the {len(one.members)} members of group {number} only {len(one.survivors)} stay, and it "
                f"takes {least_in_group(len(one.members))}, or nobody of it stays: no share of it is released"
            )
    there, needed = len(staying(parts)), least_groups(len(parts))
    if there < needed:
        raise TooFewInGroups(
            f"{there} of {len(parts)} groups stay, and it takes {needed} to outvote what is wrong: the round "
            "ends without a model"
        )
