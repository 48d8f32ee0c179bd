"""Centred clipping around the last result.

Source: Karimireddy, He, Jaggi 2021, *Learning from History for Byzantine Robust
Optimization*, https://arxiv.org/abs/2012.10333, algorithm 2: from the last round's result v, several times,
``v = v + 1/n sum (x_i - v) min(1, radius / |x_i - v|)``.

In whole numbers: norms are exact; the factor is rounded down to 30 fraction bits; each clipped difference and
the mean are rounded to the nearest lane, half upwards. What is carried on is the result itself.

Proof level: re-executable. Memory: a block of all updates, and their lanes in a file; time: two passes over
all updates for each iteration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.rules.norm_bound import norm_lanes
from fl_chain.aggregation.rules.rule import (
    LaneMatrix,
    Result,
    ResultRule,
    column_blocks,
    signed,
    sums_of_squares,
)
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.records import Quantisation

Signed = npt.NDArray[np.int64]

FACTOR_BITS = 30


@dataclass(frozen=True, slots=True)
class CentredClipping(ResultRule):
    """Clips updates around the last result."""

    name = "centred_clipping"

    radius: float  # in the model's own units
    iterations: int

    def carried_lanes(self, dimension: int) -> int:
        """The result's."""
        return dimension

    def result(self, updates: LaneMatrix, carried: Lanes, quantisation: Quantisation) -> Result:
        """Return the clipped mean; see `ResultRule.result`."""
        radius = norm_lanes(self.radius, quantisation)
        centre = signed(carried).astype(np.int64)
        for _ in range(self.iterations):
            factors = [clip_factor(norm, radius) for norm in _squared_differences(updates, centre)]
            centre = _moved(updates, centre, factors)
        return Result(centre.astype(np.int32).view(np.uint32).astype(LANE), 1)


def clip_factor(squared_norm: int, radius: int) -> int:
    """Return ``min(1, radius / norm)`` times 2^30, rounded down."""
    if squared_norm <= radius * radius:
        return 1 << FACTOR_BITS
    return math.isqrt((radius * radius << 2 * FACTOR_BITS) // squared_norm)


def _squared_differences(updates: LaneMatrix, centre: Signed) -> list[int]:
    norms = [0] * updates.shape[0]
    for columns in column_blocks(updates):
        differences = signed(updates[:, columns]) - centre[columns]
        for row, part in enumerate(sums_of_squares(differences)):
            norms[row] += part
    return norms


def _moved(updates: LaneMatrix, centre: Signed, factors: list[int]) -> Signed:
    count = updates.shape[0]
    moved = np.empty_like(centre)
    columns_of_factors = np.asarray(factors, dtype=np.int64)[:, np.newaxis]
    for columns in column_blocks(updates):
        differences = signed(updates[:, columns]) - centre[columns]
        differences *= columns_of_factors
        differences += 1 << (FACTOR_BITS - 1)
        differences >>= FACTOR_BITS
        total = differences.sum(axis=0, dtype=np.int64)
        moved[columns] = centre[columns] + (2 * total + count) // (2 * count)
    return moved
