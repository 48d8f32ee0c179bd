"""Norm bounding: the sum of the updates that did not go too far.

Source: Sun et al. 2019, *Can You Really Backdoor Federated Learning?*,
https://arxiv.org/abs/1911.07963, section 4, by exclusion: an update whose Euclidean norm, over its weight, is
above the bound is excluded by rule.

Where no update is within the bound nothing can be posted, and the round becomes void.

Proof level: sums provable on chain, selection re-executable. Memory: a block of all updates, and their lanes
in a file; time: one product a lane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fl_chain.aggregation.rules.rule import LaneMatrix, ProofLevel, SumRule
from fl_chain.aggregation.rules.selection import squared_norms
from fl_chain.records import Quantisation


@dataclass(frozen=True, slots=True)
class NormBound(SumRule):
    """Keeps the updates that did not go too far."""

    name = "norm_bound"
    proof_level = ProofLevel.SELECTION
    selects = True

    max_norm: float  # in the model's own units

    def kept(
        self, updates: LaneMatrix, weights: Sequence[int], quantisation: Quantisation
    ) -> tuple[int, ...]:
        """Return the rows within the bound; see `SumRule.kept`."""
        bound = norm_lanes(self.max_norm, quantisation)
        norms = squared_norms(updates, weights)
        return tuple(row for row, norm in enumerate(norms) if norm <= bound * bound)


def norm_lanes(norm: float, quantisation: Quantisation) -> int:
    """Return a norm in whole lanes of an update of weight 1, rounded down."""
    return math.floor(math.ldexp(norm, quantisation.scale_bits))
