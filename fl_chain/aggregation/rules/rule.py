"""What an aggregation rule is: a pure function of public inputs, in one of three forms.

| form | posted | the function |
|---|---|---|
| `SumRule` | partial sums | which updates are kept; their sum is applied as FedAvg applies it |
| `StateRule` | partial sums, state root | ``(base, total, weight, state) -> (model, state)`` |
| `ResultRule` | result root | ``(updates, carried) -> result``, which is applied as a sum of that weight |

Vectors between rounds are lanes, so that they have roots, blobs and sizes as models have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.quantise import SIGNED_LANE
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.records import AggregationKind, Quantisation

LaneMatrix = npt.NDArray[np.uint32]
"""Updates, one a row: shape (n_updates, dimension), `LANE`; in memory or mapped from a file."""

BLOCK_VALUES = 1 << 18  # of all updates together in one block: 2 MiB as int64


class ProofLevel(StrEnum):
    """Who can show that a rule was not followed, and how."""

    PROVABLE = "provable on chain"
    SELECTION = "sums provable on chain, selection re-executable"
    STATE = "sums provable on chain, model and state re-executable"
    RE_EXECUTABLE = "re-executable"
    GROUPED = "re-executable from group sums and masks, single updates hidden"
    MASKED = "sums, masks and model provable on chain, single updates hidden"


@dataclass(frozen=True, slots=True)
class Rule(ABC):
    """A rule with its parameters."""

    name: ClassVar[str]
    kind: ClassVar[AggregationKind]
    proof_level: ClassVar[ProofLevel]

    def carried_lanes(self, dimension: int) -> int:
        """Return the lanes of what a round leaves to the next besides the model; 0 for nothing."""
        del dimension
        return 0

    def initial(self, dimension: int) -> Lanes:
        """Return what the first round carries on from."""
        return np.zeros(self.carried_lanes(dimension), dtype=LANE)


@dataclass(frozen=True, slots=True)
class SumRule(Rule):
    """The model follows from the sum of the updates that are kept."""

    kind = AggregationKind.SUMS
    selects: ClassVar[bool] = False

    def kept(
        self, updates: LaneMatrix, weights: Sequence[int], quantisation: Quantisation
    ) -> tuple[int, ...]:
        """Return the rows that the sum is to have, ascending; may be empty where none is fit.

        Args:
            updates: the usable ones of a round, in the ledger's order.
            weights: of each.
            quantisation: the run's constants.
        """
        del weights, quantisation
        return tuple(range(updates.shape[0]))


@dataclass(frozen=True, slots=True)
class Step:
    """What a server optimiser makes of a round."""

    model: Lanes  # shape (dimension,)
    state: Lanes  # shape (carried_lanes(dimension),)
    clamped: int  # lanes of the model that did not fit 32 bits


@dataclass(frozen=True, slots=True)
class StateRule(Rule):
    """The model follows from the sum and from a state that the rule carries from round to round."""

    kind = AggregationKind.SUMS_WITH_STATE
    proof_level = ProofLevel.STATE

    @abstractmethod
    def step(
        self, base: Lanes, total: Lanes, total_weight: int, state: Lanes, quantisation: Quantisation
    ) -> Step:
        """Return the next model and state.

        Args:
            base: the model that the round started from, shape (dimension,).
            total: the sum of the included updates, of the same shape.
            total_weight: of the included updates.
            state: what the base's round left, shape (carried_lanes(dimension),).
            quantisation: the run's constants.

        Raises:
            ValueError: if the lanes are of another form or the weight is out of range.
        """


@dataclass(frozen=True, slots=True)
class Result:
    """What takes the place of a sum."""

    lanes: Lanes  # shape (dimension,)
    weight: int  # by which they are divided when they are applied


@dataclass(frozen=True, slots=True)
class ResultRule(Rule):
    """The model follows from a result that takes all updates at once; every weight is 1."""

    kind = AggregationKind.RESULT
    proof_level = ProofLevel.RE_EXECUTABLE

    @abstractmethod
    def result(self, updates: LaneMatrix, carried: Lanes, quantisation: Quantisation) -> Result:
        """Return what the updates give.

        Args:
            updates: the included ones, in the ledger's order; at least one.
            carried: what the base's round left, shape (carried_lanes(dimension),).
            quantisation: the run's constants.
        """


def column_blocks(updates: LaneMatrix) -> list[slice]:
    """Return slices that cut all updates into blocks of `BLOCK_VALUES` values.

    Raises:
        ValueError: if there is no update, or the lanes are of another form; NumPy's own ways to stack vectors
            turn big-endian lanes round.
    """
    if updates.dtype != LANE or updates.ndim != 2 or 0 in updates.shape:
        raise ValueError(
            f"updates are rows of big-endian uint32, at least one, not {updates.dtype.str} of {updates.shape}"
        )
    count, dimension = updates.shape
    lanes = max(1, BLOCK_VALUES // count)
    return [slice(start, min(start + lanes, dimension)) for start in range(0, dimension, lanes)]


def signed(lanes: LaneMatrix) -> npt.NDArray[np.int32]:
    """Return lanes as signed integers of this machine."""
    return lanes.view(SIGNED_LANE).astype(np.int32)


def changes(updates: LaneMatrix, weights: Sequence[int], columns: slice) -> npt.NDArray[np.int64]:
    """Return a block of the updates without their weights: each lane over the weight, half upwards.

    Returns:
        Shape (n_updates, lanes of the block); each at most ``clip_lanes`` from zero.
    """
    values = signed(updates[:, columns]).astype(np.int64)
    divisors = np.asarray(weights, dtype=np.int64)[:, np.newaxis]
    if (divisors != 1).any():
        values += values
        values += divisors
        values //= 2 * divisors
    return values


def sums_of_squares(rows: npt.NDArray[np.int64]) -> list[int]:
    """Return the sum of the squares of each row, in whole numbers of any size.

    Args:
        rows: shape (n_rows, n) with n at most 2^32; each value below 2^32 in magnitude.
    """
    largest = max(int(rows.max()), -int(rows.min()))
    if largest * largest * rows.shape[1] < 2**63:
        return [int(total) for total in np.einsum("ij,ij->i", rows, rows)]  # 64-bit integers: exact
    magnitude = np.abs(rows).view(np.uint64)
    magnitude *= magnitude
    low = (magnitude & np.uint64(0xFFFFFFFF)).sum(axis=1, dtype=np.uint64)
    magnitude >>= np.uint64(32)
    high = magnitude.sum(axis=1, dtype=np.uint64)
    return [(int(one) << 32) + int(two) for one, two in zip(high, low, strict=True)]
