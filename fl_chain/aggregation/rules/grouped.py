"""A robust rule across the sums of groups: for runs in which nobody sees a single update.

Each group's sum becomes a mean, lane by lane: divided by the group's weight, rounded half upwards, as
`fl_chain.aggregation.apply.apply_sum` divides a round's sum. The rule takes the means as it takes updates of
weight 1, so a small group counts as much as a large one.

Proof level: re-executable, by whoever has the seeds that take the masks off, which are on the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fl_chain.aggregation.rules.multi_krum import MultiKrum
from fl_chain.aggregation.rules.order import Median, TrimmedMean
from fl_chain.aggregation.rules.rule import (
    LaneMatrix,
    ProofLevel,
    Result,
    ResultRule,
    changes,
    column_blocks,
    signed,
)
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.records import AggregationKind, Quantisation

AcrossGroups = Median | TrimmedMean | MultiKrum


@dataclass(frozen=True, slots=True)
class Grouped(ResultRule):
    """Another rule, across the means of groups."""

    name = "grouped"
    kind = AggregationKind.MASKED_RESULT
    proof_level = ProofLevel.GROUPED

    across: AcrossGroups
    groups: int  # of a round

    def result(self, updates: LaneMatrix, carried: Lanes, quantisation: Quantisation) -> Result:
        """Return what the means of groups give; see `ResultRule.result`."""
        if not isinstance(self.across, MultiKrum):
            return self.across.result(updates, carried, quantisation)
        kept = self.across.kept(updates, [1] * updates.shape[0], quantisation)
        lanes = np.empty(updates.shape[1], dtype=LANE)
        for columns in column_blocks(updates):
            rows = signed(updates[:, columns])[list(kept)]
            lanes[columns] = rows.sum(axis=0, dtype=np.int64).astype(np.int32).view(np.uint32)
        return Result(lanes, len(kept))


def group_means(sums: LaneMatrix, weights: Sequence[int]) -> LaneMatrix:
    """Return the mean of each group.

    Args:
        sums: of the groups, one a row, each within its bound: shape (n_groups, dimension).
        weights: of each, at least 1.

    Returns:
        Of the same shape; half a lane is rounded upwards.
    """
    means = np.empty_like(sums)
    for columns in column_blocks(sums):
        means[:, columns] = changes(sums, weights, columns).astype(np.int32).view(np.uint32)
    return means
