"""Server momentum in whole numbers.

Source: Hsu, Qi, Brown 2019, *Measuring the Effects of Non-Identical Data Distribution for
Federated Visual Classification*, https://arxiv.org/abs/1909.06335: ``u = beta * u + average``, ``w = w +
learning_rate * u``.

In whole numbers. The momentum u has `MOMENTUM_BITS` more fraction bits than the model, ``beta`` and
``learning_rate`` are numerators over 2^16, and every division rounds to the nearest, half upwards. The state
is u: 64-bit two's complement, big-endian, two lanes a coordinate.

Proof level: sums provable on chain, model and state re-executable. Memory: four vectors; time: a dozen
integer operations a lane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fl_chain.aggregation.apply import HIGHEST_LANE, LOWEST_LANE
from fl_chain.aggregation.bounds import verify_weight
from fl_chain.aggregation.quantise import BLOCK_LANES, SIGNED_LANE
from fl_chain.aggregation.rules.rule import StateRule, Step
from fl_chain.commitment.chunks import LANE, Lanes, lane_blocks
from fl_chain.records import Quantisation

MOMENTUM_BITS = 6  # 2 * total * 2^(fraction_bits + 6) < 2^62
FACTOR_BITS = 16
MOMENTUM_LIMIT = 2**45  # 2^15 times the whole range of a model's lane: only an absurd policy comes near
STATE = np.dtype(">i8")


def factor(value: float) -> int:
    """Return a factor's numerator over 2^16."""
    return round(value * (1 << FACTOR_BITS))


@dataclass(frozen=True, slots=True)
class FedAvgM(StateRule):
    """Momentum of the averaged change."""

    name = "fedavgm"

    momentum: int  # numerator over 2^16, below 2^16
    learning_rate: int  # numerator over 2^16, 1 to 2^16

    def carried_lanes(self, dimension: int) -> int:
        """Two lanes a coordinate."""
        return 2 * dimension

    def step(
        self, base: Lanes, total: Lanes, total_weight: int, state: Lanes, quantisation: Quantisation
    ) -> Step:
        """Return the next model and momentum; see `StateRule.step`."""
        verify_weight(total_weight, quantisation)
        verify_sizes(base, total, state, self.carried_lanes(base.size))
        divisor = total_weight << quantisation.scale_bits
        numerator = 2 << (quantisation.fraction_bits + MOMENTUM_BITS)
        shift = FACTOR_BITS + MOMENTUM_BITS
        before = state.view(STATE)
        after = np.empty(base.size, dtype=STATE)
        model = np.empty(base.size, dtype=LANE)
        clamped = 0
        for block in lane_blocks(base.size, BLOCK_LANES):
            average = total.view(SIGNED_LANE)[block].astype(np.int64)
            average *= numerator
            average += divisor
            average //= 2 * divisor
            np.clip(average, -MOMENTUM_LIMIT, MOMENTUM_LIMIT, out=average)
            momentum = before[block].astype(np.int64)
            momentum *= self.momentum
            momentum += 1 << (FACTOR_BITS - 1)
            momentum >>= FACTOR_BITS
            momentum += average
            np.clip(momentum, -MOMENTUM_LIMIT, MOMENTUM_LIMIT, out=momentum)
            after[block] = momentum
            momentum *= self.learning_rate
            momentum += 1 << (shift - 1)
            momentum >>= shift
            momentum += base.view(SIGNED_LANE)[block]
            clamped += int(np.count_nonzero((momentum < LOWEST_LANE) | (momentum > HIGHEST_LANE)))
            np.clip(momentum, LOWEST_LANE, HIGHEST_LANE, out=momentum)
            model[block] = momentum.astype(np.int32).view(np.uint32)
        return Step(model, after.view(LANE), clamped)


def verify_sizes(base: Lanes, total: Lanes, state: Lanes, state_lanes: int) -> None:
    """Check that a model, a sum and a state belong together.

    Raises:
        ValueError: if they do not.
    """
    if base.size != total.size or state.size != state_lanes:
        raise ValueError(
            f"the base model has {base.size} lanes, the sum {total.size}, "
            f"the state {state.size} of {state_lanes}"
        )
