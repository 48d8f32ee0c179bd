"""The sums of a round's groups: unmasked, checked, and made into what the rule compares.

Everybody derives them from the published updates and seeds: aggregator, workers and audit. A sum that is out
of its range is noise, and so is one of a group in which a key seed does not give the round key that was
published: the rule sees the other groups alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fl_chain.aggregation.rules.grouped import group_means
from fl_chain.aggregation.rules.rule import LaneMatrix
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.errors import SpoiltRound
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import round_groups
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.groups import MaskedGroup, least_groups, staying
from fl_chain.masking.unmasking import term_lanes
from fl_chain.records import Address, PublishedKeys, Quantisation
from fl_chain.run.masked_rounds import masking_context, verify_sum


@dataclass(frozen=True, slots=True)
class SpoiltGroup:
    """A group whose sum is none of honest updates."""

    group: MaskedGroup
    why: str


@dataclass(frozen=True, slots=True)
class GroupSums:
    """What the updates of a round give, group by group."""

    kept: tuple[MaskedGroup, ...]
    means: LaneMatrix  # of those, one a row: shape (len(kept), dimension)
    spoilt: tuple[SpoiltGroup, ...]

    def verify_majority(self, count: int) -> None:
        """Check that of so many groups of a round more than half have a sum.

        Raises:
            SpoiltRound: if too few have.
        """
        if len(self.kept) < least_groups(count):
            reasons = "; ".join(one.why for one in self.spoilt)
            raise SpoiltRound(
                f"of {count} groups {len(self.kept)} have a sum, and it takes {least_groups(count)}, so the "
                f"round ends without a model: {reasons}"
            )


@dataclass(frozen=True, slots=True)
class GroupedRound:
    """A round whose survivors are fixed, with the seeds that take its masks off."""

    groups: tuple[MaskedGroup, ...]  # that stay, in the order of the places
    keys: Mapping[Address, PublishedKeys]
    seeds: Mapping[Address, bytes]
    weights: Mapping[Address, int]  # of the survivors
    context: MaskingContext
    dimension: int
    quantisation: Quantisation

    def sums(self, updates: Iterable[tuple[Address, Lanes]]) -> GroupSums:
        """Return what the updates of the survivors give; memory holds a vector a group.

        Args:
            updates: of each survivor, masked: shape (dimension,), big-endian.

        Raises:
            DigestMismatch: if a seed is not the one committed to.
            Exception: whatever reading an update raises.
        """
        totals = np.zeros((len(self.groups), self.dimension), dtype=np.uint32)
        rows = {who: row for row, one in enumerate(self.groups) for who in one.survivors}
        for who, lanes in updates:
            totals[rows[who]] += lanes
        spoilt = {row: why for row, why in enumerate(map(self._unmask, self.groups, totals)) if why}
        kept = [row for row in range(len(self.groups)) if row not in spoilt]
        weights = [self._weight(self.groups[row]) for row in kept]
        sums = totals[kept].astype(LANE)
        return GroupSums(
            kept=tuple(self.groups[row] for row in kept),
            means=group_means(sums, weights) if kept else sums,
            spoilt=tuple(SpoiltGroup(self.groups[row], why) for row, why in spoilt.items()),
        )

    def _unmask(self, group: MaskedGroup, total: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]) -> str:
        """Take the masks off a total in its place; return what is wrong with it, or nothing."""
        try:
            for term in group.terms():
                seed = self.seeds[term.owner]
                total += term_lanes(term, seed, self.context, self.keys, self.dimension)
            verify_sum(total.astype(LANE), self._weight(group), self.quantisation)
        except SpoiltRound as error:
            return f"group of {', '.join(group.survivors)}: {error}"
        return ""

    def _weight(self, group: MaskedGroup) -> int:
        return sum(self.weights[who] for who in group.survivors)


def grouped_round(history: History, round_id: int, seeds: Mapping[Address, bytes]) -> GroupedRound:
    """Return a round of a run with groups, whose survivors are fixed.

    Args:
        history: of the run.
        round_id: the round.
        seeds: that were published for it, by whose they are.
    """
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    return GroupedRound(
        groups=tuple(staying(round_groups(masks, history.vertices, submissions))),
        keys=masks.by_member,
        seeds=seeds,
        weights={one.participant: one.weight for one in submissions},
        context=masking_context(history, round_id),
        dimension=history.definition.dimension,
        quantisation=history.policy.quantisation,
    )
