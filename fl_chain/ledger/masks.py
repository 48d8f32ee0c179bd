"""What the ledger of a masked run knows of a round's masks: keys, survivors and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fl_chain.masking.graph import COMPLETE_UP_TO, Graph
from fl_chain.masking.groups import Groups, MaskedGroup, divided, staying
from fl_chain.masking.setup import ring_digest, set_up_digest
from fl_chain.masking.unmasking import UnmaskingTerm, ring_terms, unmasking_terms
from fl_chain.records import (
    Address,
    AggregationKind,
    Digest,
    Exclusion,
    ExclusionReason,
    PublishedKeys,
    Submission,
)

KEYS_SHARE = 4
"""The part of the submission period in which keys are set up is one over this."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What is known of a participant beside its rounds."""

    keyed_in: int = 0  # newest round that it set up keys for
    submitted_to: int = 0  # newest round that it submitted to under masks
    is_awaited: bool = False  # counted among those of the ring whom the round expects


@dataclass(frozen=True, slots=True)
class RoundMasks:
    """A round's masks.

    Attributes:
        graph: who shares masks with whom, or the groups; None where everybody does with everybody.
        keys: in the order of the ring.
        joined: how many of them the round expected.
        is_complete: everybody whom it expected has joined, so nobody else does.
        close_at: chain time from which on nobody joins either; 0 before the first one.
        exclusions: as the survivors were fixed; None before.
        absentees: members that never submitted, ascending.
        survivors: submissions that stay.
        terms: vectors that a posting lists before its partial sums.
        fixed_by: who fixed the survivors.
        seeds: what each poster published last: of each survivor, in the order of submissions, then of each of
            the departed, 16 bytes each.
    """

    graph: Graph | Groups | None = None
    keys: tuple[PublishedKeys, ...] = ()
    joined: int = 0
    is_complete: bool = False
    close_at: int = 0
    exclusions: tuple[Exclusion, ...] | None = None
    absentees: tuple[Address, ...] = ()
    survivors: int = 0
    terms: int = 0
    fixed_by: Address | None = None
    seeds: Mapping[Address, tuple[bytes, ...]] = field(default_factory=dict)

    @property
    def members(self) -> tuple[Address, ...]:
        """Who may submit, in the order of the ring."""
        return tuple(one.participant for one in self.keys)

    @property
    def by_member(self) -> dict[Address, PublishedKeys]:
        """The keys by participant."""
        return {one.participant: one for one in self.keys}

    def is_closed(self, now: int) -> bool:
        """Return whether nobody joins any more at a chain time, so that masked updates can be submitted."""
        return bool(self.keys) and (self.is_complete or now >= self.close_at)

    def ring_digest(self) -> Digest:
        """Return what the contract keeps of the set-ups."""
        return ring_digest(map(set_up_digest, self.keys))

    def stayed(self, submissions: Sequence[Submission]) -> list[Address]:
        """Return the survivors in the order of their submissions; all of the round's are given."""
        excluded = {one.index for one in self.exclusions or ()}
        return [one.participant for one in submissions if one.index not in excluded]

    def departed(self, submissions: Sequence[Submission]) -> list[Address]:
        """Return who left the round: whose submissions are left out, in their order, then the absentees."""
        return [submissions[one.index].participant for one in self.exclusions or ()] + list(self.absentees)


def is_graph_needed(kind: AggregationKind, vertices: int) -> bool:
    """Return whether nobody joins a round's masks before its graph or its groups are drawn.

    Args:
        kind: of the run.
        vertices: participants with an identity key.
    """
    return vertices > (0 if kind is AggregationKind.MASKED_RESULT else COMPLETE_UP_TO)


def absentees(masks: RoundMasks, submissions: Sequence[Submission]) -> list[Address]:
    """Return the members of a round's ring that did not submit, ascending."""
    return sorted(set(masks.members) - {one.participant for one in submissions})


def least_survivors(masks: RoundMasks, quorum: int) -> int:
    """Return how many have to stay so that masks can be taken off, and the sum does not give them away.

    Where there are groups, more is asked of each of them: see `fl_chain.masking.groups.verify_groups`.
    """
    if isinstance(masks.graph, Groups):
        return quorum
    return max(quorum, 2 * (len(masks.keys) - 1) // 3 + 1)


def neighbours(masks: RoundMasks, vertices: Mapping[Address, int], who: Address) -> tuple[Address, ...]:
    """Return the members of a round with whom a participant shares masks, in the order of the terms.

    Args:
        masks: the round's.
        vertices: of the run's participants.
        who: one of them.
    """
    if masks.graph is None:
        return tuple(one for one in masks.members if one != who)
    members = {vertices[one]: one for one in masks.members}
    return tuple(members[one] for one in masks.graph.neighbours(vertices[who]) if one in members)


def round_terms(
    masks: RoundMasks, vertices: Mapping[Address, int], submissions: Sequence[Submission]
) -> list[UnmaskingTerm]:
    """Return the terms of a round whose survivors are fixed, in the order of the posted list.

    Of groups they are in no list: group by group.
    """
    stayed, departed = masks.stayed(submissions), masks.departed(submissions)
    if masks.graph is None:
        return ring_terms(stayed, departed)
    if isinstance(masks.graph, Groups):
        return [term for one in staying(round_groups(masks, vertices, submissions)) for term in one.terms()]
    return unmasking_terms({who: neighbours(masks, vertices, who) for who in departed}, stayed, departed)


def round_groups(
    masks: RoundMasks, vertices: Mapping[Address, int], submissions: Sequence[Submission]
) -> list[MaskedGroup]:
    """Return the groups of a round in the order of the places; none where everybody has one sum.

    Args:
        masks: the round's; before its survivors are fixed every submission counts as staying.
        vertices: of the run's participants.
        submissions: all of the round.
    """
    if not isinstance(masks.graph, Groups):
        return []
    stayed = masks.stayed(submissions)
    departed = masks.departed(submissions)
    if masks.exclusions is None:
        departed = absentees(masks, submissions)
    return divided(masks.graph, vertices, stayed, departed)


def left_with_group(
    masks: RoundMasks, vertices: Mapping[Address, int], submissions: Sequence[Submission]
) -> frozenset[Address]:
    """Return the members of groups of which nobody stays: no seed of theirs is put together."""
    parts = round_groups(masks, vertices, submissions)
    return frozenset(who for one in parts if not one.survivors for who in one.members)


def left_out_with_group(
    masks: RoundMasks,
    vertices: Mapping[Address, int],
    submissions: Sequence[Submission],
    exclusions: Iterable[Exclusion],
) -> frozenset[int]:
    """Return the submissions, by index, that are left out since too few of their groups are there.

    Args:
        masks: the round's, with or without survivors.
        vertices: of the run's participants.
        submissions: all of the round.
        exclusions: what nobody can use; those that are left out by rule may be among them.
    """
    unusable = tuple(one for one in exclusions if one.reason is not ExclusionReason.BY_RULE)
    there = replace(masks, exclusions=unusable, absentees=tuple(absentees(masks, submissions)))
    parts = round_groups(there, vertices, submissions)
    gone = {who for one in parts if not one.may_stay for who in one.members}
    taken = {one.index for one in unusable}
    return frozenset(one.index for one in submissions if one.participant in gone and one.index not in taken)


def term_count(masks: RoundMasks, vertices: Mapping[Address, int], submissions: Sequence[Submission]) -> int:
    """Return how many terms a posting lists of a round whose survivors are fixed."""
    if isinstance(masks.graph, Groups):
        return 0
    if masks.graph is None:  # without a list, since in large rounds it is a long one
        return masks.survivors * (1 + len(masks.departed(submissions)))
    return len(round_terms(masks, vertices, submissions))


def seeds_by_owner(
    masks: RoundMasks, poster: Address, submissions: Sequence[Submission]
) -> Iterator[tuple[Address, bytes]]:
    """Yield whose each of the seeds is that a poster published, with the seed."""
    owners = masks.stayed(submissions) + masks.departed(submissions)
    yield from zip(owners, masks.seeds[poster], strict=True)
