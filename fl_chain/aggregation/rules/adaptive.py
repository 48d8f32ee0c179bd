"""Adaptive server optimisers: FedAdagrad, FedYogi, FedAdam.

Source: Reddi et al. 2021, *Adaptive Federated Optimization*,
https://arxiv.org/abs/2003.00295, algorithm 2: FedAdagrad, FedYogi, FedAdam.

With the average change d of a round, element by element: ``m = b1 m + (1 - b1) d``, v as the variant says,
and ``w = w + learning_rate * m / (sqrt(v) + tau)``; at first ``m = 0`` and ``v = tau^2``.

In float64 with ``+ - * / sqrt rint min max`` and comparisons alone, each a NumPy function of its own in the
order below, so that every machine gets the same bits. Values nearer to zero than `TINY` become zero: no
result is ever subnormal, and so none depends on whether a processor was told to flush those. The state is m,
then v: the bits of each float64, big-endian, two lanes a coordinate.

Proof level: sums provable on chain, model and state re-executable. Memory: six vectors; time: a dozen float
operations a lane.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.apply import HIGHEST_LANE, LOWEST_LANE
from fl_chain.aggregation.bounds import verify_weight
from fl_chain.aggregation.quantise import BLOCK_LANES, SIGNED_LANE
from fl_chain.aggregation.rules.fedavgm import verify_sizes
from fl_chain.aggregation.rules.rule import StateRule, Step
from fl_chain.commitment.chunks import LANE, Lanes, lane_blocks
from fl_chain.records import Quantisation

Floats = npt.NDArray[np.float64]

TINY = 2.0**-400
STEP_LIMIT = 2.0**33  # lanes; twice a lane's whole range, so that what is clamped stays clamped
STATE = np.dtype(">f8")


@dataclass(frozen=True, slots=True)
class AdaptiveRule(StateRule):
    """What the three have in common."""

    learning_rate: float
    beta1: float
    tau: float

    @abstractmethod
    def _second_moment(self, v: Floats, squares: Floats) -> Floats:
        """Return the next v from the last one and the squares of the average change."""

    def carried_lanes(self, dimension: int) -> int:
        """Two lanes a coordinate, for m and for v."""
        return 4 * dimension

    def initial(self, dimension: int) -> Lanes:
        """Return m = 0 and v = tau^2."""
        state = np.zeros(2 * dimension, dtype=STATE)
        state[dimension:] = self.tau * self.tau
        return state.view(LANE)

    def step(
        self, base: Lanes, total: Lanes, total_weight: int, state: Lanes, quantisation: Quantisation
    ) -> Step:
        """Return the next model and moments; see `StateRule.step`."""
        verify_weight(total_weight, quantisation)
        verify_sizes(base, total, state, self.carried_lanes(base.size))
        divisor = float(total_weight << quantisation.scale_bits)  # exact: 31 bits and a power of two
        scale = float(1 << quantisation.fraction_bits)
        before, after = state.view(STATE).reshape(2, -1), np.empty((2, base.size), dtype=STATE)
        model = np.empty(base.size, dtype=LANE)
        clamped = 0
        for block in lane_blocks(base.size, BLOCK_LANES):
            change = np.divide(total.view(SIGNED_LANE)[block].astype(np.float64), divisor)
            m = np.multiply(before[0, block].astype(np.float64), self.beta1)
            m = _flushed(np.add(m, np.multiply(change, 1.0 - self.beta1)))
            v = self._second_moment(before[1, block].astype(np.float64), np.multiply(change, change))
            v = _flushed(v)
            after[0, block], after[1, block] = m, v
            step = np.divide(m, np.add(np.sqrt(v), self.tau))
            step = np.multiply(np.multiply(step, self.learning_rate), scale)
            step = np.rint(np.minimum(np.maximum(step, -STEP_LIMIT), STEP_LIMIT))
            lanes = step.astype(np.int64)
            lanes += base.view(SIGNED_LANE)[block]
            clamped += int(np.count_nonzero((lanes < LOWEST_LANE) | (lanes > HIGHEST_LANE)))
            np.clip(lanes, LOWEST_LANE, HIGHEST_LANE, out=lanes)
            model[block] = lanes.astype(np.int32).view(np.uint32)
        return Step(model, after.reshape(-1).view(LANE), clamped)


@dataclass(frozen=True, slots=True)
class FedAdagrad(AdaptiveRule):
    """``v = v + d^2``."""

    name = "fedadagrad"

    def _second_moment(self, v: Floats, squares: Floats) -> Floats:
        return np.add(v, squares)


@dataclass(frozen=True, slots=True)
class FedAdam(AdaptiveRule):
    """``v = b2 v + (1 - b2) d^2``."""

    name = "fedadam"

    beta2: float

    def _second_moment(self, v: Floats, squares: Floats) -> Floats:
        return np.add(np.multiply(v, self.beta2), np.multiply(squares, 1.0 - self.beta2))


@dataclass(frozen=True, slots=True)
class FedYogi(AdaptiveRule):
    """``v = v - (1 - b2) d^2 sign(v - d^2)``."""

    name = "fedyogi"

    beta2: float

    def _second_moment(self, v: Floats, squares: Floats) -> Floats:
        sign = np.subtract(np.greater(v, squares).astype(np.float64), np.less(v, squares).astype(np.float64))
        return np.subtract(v, np.multiply(np.multiply(squares, 1.0 - self.beta2), sign))


def _flushed(values: Floats) -> Floats:
    values[np.logical_and(np.less(values, TINY), np.greater(values, -TINY))] = 0.0
    return values
