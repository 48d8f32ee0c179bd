"""Multi-Krum: the sum of the updates that lie nearest to others.

Source: Blanchard et al. 2017, *Machine Learning with Adversaries: Byzantine Tolerant Gradient
Descent*, https://arxiv.org/abs/1703.02757, sections 4 and 5.

The score of an update is the sum of its squared distances to the ``n - byzantine - 2`` others nearest to it;
the ``n - byzantine`` updates with the lowest scores are kept, or as many as `keep` says. Of equal scores the
earlier submission's is lower. The others are excluded by rule; the sum of what is kept is applied as FedAvg
applies it.

Proof level: sums provable on chain, selection re-executable. Memory: a block of all updates, and their lanes
in a file; time: ``n^2 / 2`` subtractions and products a lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_chain.aggregation.rules.rule import LaneMatrix, ProofLevel, SumRule
from fl_chain.aggregation.rules.selection import squared_distances
from fl_chain.records import Quantisation


@dataclass(frozen=True, slots=True)
class MultiKrum(SumRule):
    """Keeps the updates that lie nearest to others."""

    name = "multi_krum"
    proof_level = ProofLevel.SELECTION
    selects = True

    byzantine: int  # updates that may be anything
    keep: int  # updates that are kept; 0: all but `byzantine`

    def kept(
        self, updates: LaneMatrix, weights: Sequence[int], quantisation: Quantisation
    ) -> tuple[int, ...]:
        """Return the rows with the lowest scores; see `SumRule.kept`."""
        del quantisation
        count = updates.shape[0]
        neighbours = max(1, count - self.byzantine - 2)
        table = squared_distances(updates, weights)
        scores = [
            sum(sorted(distance for other, distance in enumerate(row) if other != one)[:neighbours])
            for one, row in enumerate(table)
        ]
        ranked = sorted(range(count), key=lambda row: (scores[row], row))
        return tuple(sorted(ranked[: self.keep or max(1, count - self.byzantine)]))
