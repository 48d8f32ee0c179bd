"""What a round's sum does to the model, in integers: the step that the ledger's contract can repeat."""

from __future__ import annotations

import numpy as np

from fl_chain.aggregation.bounds import verify_weight
from fl_chain.aggregation.native import arithmetic_for
from fl_chain.aggregation.quantise import BLOCK_LANES, SIGNED_LANE
from fl_chain.commitment.chunks import LANE, Lanes, lane_blocks, verify_lanes
from fl_chain.records import Quantisation

LOWEST_LANE = -(2**31)
HIGHEST_LANE = 2**31 - 1
EXACT_FLOAT = 2**53  # whole numbers below are exact in float64


def apply_sum(base: Lanes, total: Lanes, total_weight: int, quantisation: Quantisation) -> tuple[Lanes, int]:
    """Return the model after a round of weighted averaging (FedAvg, McMahan et al. 2017).

    Each lane becomes ``clamp(base + floor((2 * total * 2**f + d) / (2 * d)))`` with ``d = total_weight *
    2**s``: the average change rounded to the nearest lane, half upwards. Within the bounds of the policy
    every intermediate value fits int64.

    Args:
        base: the model that the round started from, shape (dimension,), big-endian.
        total: the sum of the included updates, of the same shape.
        total_weight: of the included updates.
        quantisation: f is ``fraction_bits``, s is ``scale_bits``.

    Returns:
        The new model, and how many lanes did not fit 32 bits and were clamped.

    Raises:
        ValueError: if the lanes are of another form or the weight is out of range.
    """
    verify_weight(total_weight, quantisation)
    verify_lanes(base)
    verify_lanes(total)
    if base.size != total.size:
        raise ValueError(f"the base model has {base.size} lanes, the sum {total.size}")
    model = np.empty(base.size, dtype=LANE)
    constants = floating_constants(total_weight, quantisation)
    compiled = None if constants is None else arithmetic_for(base.nbytes)
    if constants is not None and compiled is not None:
        words = base.view(np.uint32), total.view(np.uint32)
        return model, compiled.apply(*words, *constants, model.view(np.uint32))
    divisor = total_weight << quantisation.scale_bits
    factor = 2 << quantisation.fraction_bits
    clamped = 0
    for block in lane_blocks(base.size, BLOCK_LANES):
        lanes = total.view(SIGNED_LANE)[block].astype(np.int64)
        lanes *= factor
        lanes += divisor
        lanes //= 2 * divisor
        lanes += base.view(SIGNED_LANE)[block]
        if lanes.min() < LOWEST_LANE or lanes.max() > HIGHEST_LANE:
            clamped += int(np.count_nonzero((lanes < LOWEST_LANE) | (lanes > HIGHEST_LANE)))
            np.clip(lanes, LOWEST_LANE, HIGHEST_LANE, out=lanes)
        model[block] = lanes.astype(np.int32).view(np.uint32)
    return model, clamped


def floating_constants(total_weight: int, quantisation: Quantisation) -> tuple[float, float, float] | None:
    """Return factor, half divisor and divisor with which floating point computes `apply_sum` exactly.

    Args:
        total_weight: of the included updates, in range.
        quantisation: as `apply_sum` has it.

    Returns:
        None where an intermediate value may be beyond what float64 holds exactly.
    """
    factor, half = 2 << quantisation.fraction_bits, total_weight << quantisation.scale_bits
    common = min(quantisation.scale_bits, quantisation.fraction_bits + 1)  # bits that both are divisible by
    factor, half = factor >> common, half >> common
    return (factor, half, 2 * half) if (factor << 31) + half < EXACT_FLOAT else None
