"""Order statistics, coordinate by coordinate: median and trimmed mean.

Source: Yin et al. 2018, *Byzantine-Robust Distributed Learning:
Towards Optimal Statistical Rates*, https://arxiv.org/abs/1803.01498, definitions 1 and 2.

The median is the middle value of an odd number, and the mean of the middle two of an even number: the result
holds their sum, which is divided by 2 as it is applied. The trimmed mean leaves out the ``floor(trim * n)``
lowest and as many highest values and takes the mean of the others. Equal values are equal, so ties change
nothing.

Proof level: re-executable. Memory: a block of all updates, and their lanes in a file; time: about ``n log^2
n`` comparisons a lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.rules.rule import LaneMatrix, Result, ResultRule, column_blocks, signed
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.records import Quantisation

NETWORK_ROWS = 128  # above, sorting column by column is faster than comparing whole rows


@dataclass(frozen=True, slots=True)
class Median(ResultRule):
    """Coordinate-wise median."""

    name = "median"

    def result(self, updates: LaneMatrix, carried: Lanes, quantisation: Quantisation) -> Result:
        """Return the middle values; see `ResultRule.result`."""
        del carried, quantisation
        count = updates.shape[0]
        return _middle(updates, (count - 1) // 2)


@dataclass(frozen=True, slots=True)
class TrimmedMean(ResultRule):
    """Coordinate-wise trimmed mean."""

    name = "trimmed_mean"

    trim: Fraction  # of the updates, at each end; below 1/2

    def result(self, updates: LaneMatrix, carried: Lanes, quantisation: Quantisation) -> Result:
        """Return the sum of what is not trimmed; see `ResultRule.result`."""
        del carried, quantisation
        return _middle(updates, int(self.trim * updates.shape[0]))


def _middle(updates: LaneMatrix, trimmed: int) -> Result:
    """Return the sum of the sorted values without some at each end."""
    blocks = column_blocks(updates)
    count, dimension = updates.shape
    lanes = np.empty(dimension, dtype=LANE)
    for columns in blocks:
        rows = sorted_rows(signed(updates[:, columns]))
        kept = rows[trimmed : count - trimmed]
        lanes[columns] = kept.sum(axis=0, dtype=np.int64).astype(np.int32).view(np.uint32)
    return Result(lanes, count - 2 * trimmed)


def sorted_rows(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return values sorted down each column.

    Few rows go through a sorting network (Batcher 1968, *Sorting networks and their applications*): each
    comparison is one minimum and one maximum of whole rows.

    Args:
        values: shape (n_rows, n_columns); may be overwritten.
    """
    if values.shape[0] > NETWORK_ROWS:
        values.sort(axis=0)
        return values
    lower = np.empty_like(values[0])
    for low, high in comparators(values.shape[0]):
        np.minimum(values[low], values[high], out=lower)
        np.maximum(values[low], values[high], out=values[high])
        values[low] = lower
    return values


def comparators(count: int) -> list[tuple[int, int]]:
    """Return the comparisons of Batcher's odd-even merge sort of so many values, in their order."""
    found = []
    merged = 1
    while merged < count:
        distance = merged
        while distance >= 1:
            for start in range(distance % merged, count - distance, 2 * distance):
                for low in range(start, min(start + distance, count - distance)):
                    if low // (2 * merged) == (low + distance) // (2 * merged):
                        found.append((low, low + distance))
            distance //= 2
        merged *= 2
    return found
