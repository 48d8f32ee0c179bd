"""Between floating point and lanes, where a participant or an evaluation crosses it.

Only additions, multiplications, rounding and comparisons in float64, which IEEE 754 fixes to the last bit,
so that every machine gets the same lanes from the same floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.bounds import verify_weight
from fl_chain.aggregation.native import arithmetic_for
from fl_chain.commitment.chunks import (
    CHUNK_LANES,
    LANE,
    Lanes,
    chunk_count,
    lane_blocks,
    verify_lanes,
)
from fl_chain.commitment.sizes import HASH_BYTES
from fl_chain.commitment.tree import root_of_chunk_hashes, vector_root
from fl_chain.errors import (
    ConfigError,
    InputDataError,
    MalformedBlob,
    NonFiniteValue,
    UpdateOutOfRange,
    ValueOutOfRange,
)
from fl_chain.records import Digest, Quantisation

SIGNED_LANE = np.dtype(">i4")
BLOCK_LANES = 1 << 16  # float64 temporaries of a block, 512 KiB, stay in a core's own cache

Floats = npt.NDArray[np.floating[Any]]


def declared_weight(n_examples: int, examples_per_weight: int, weight_cap: int) -> int:
    """Return the weight that a participant declares: a unit for every ``examples_per_weight``, rounded up.

    Args:
        n_examples: that it trained on, at least 1.
        examples_per_weight: examples that make one unit of weight.
        weight_cap: the most that the operator allows it.

    Raises:
        InputDataError: if there is no example.
        ConfigError: if the other two are not positive.
    """
    if n_examples < 1:
        raise InputDataError("there is no example to train on, so there is nothing to weigh an update by")
    if examples_per_weight < 1 or weight_cap < 1:
        raise ConfigError(
            f"examples_per_weight is {examples_per_weight}, the weight cap {weight_cap}; both are at least 1"
        )
    return min(weight_cap, -(-n_examples // examples_per_weight))


def model_lanes(values: Floats, fraction_bits: int) -> Lanes:
    """Return a model in fixed point: ``rint(value * 2**fraction_bits)``.

    Args:
        values: shape (dimension,), floating point.
        fraction_bits: binary digits after the point.

    Returns:
        Big-endian lanes, shape (dimension,), two's complement.

    Raises:
        NonFiniteValue: if one is NaN or infinite; carries its index.
        ValueOutOfRange: if one does not fit 32 bits; carries its index.
    """
    lanes = np.empty(values.size, dtype=LANE)
    for block in lane_blocks(values.size, BLOCK_LANES):
        _verify_finite(values[block], block.start)
        scaled = values[block].astype(np.float64)
        with np.errstate(over="ignore"):
            scaled *= 2.0**fraction_bits
        np.rint(scaled, out=scaled)
        fits = (scaled >= -(2.0**31)) & (scaled <= 2.0**31 - 1)
        if not fits.all():
            index = block.start + int(np.argmin(fits))
            raise ValueOutOfRange(
                f"value {index} is {values[index]}, beyond the +-{2.0 ** (31 - fraction_bits):g} that "
                f"fraction_bits = {fraction_bits} leaves; take fewer, or keep the model's values smaller",
                index=index,
            )
        lanes[block] = scaled.astype(np.int32).view(np.uint32)
    return lanes


def model_values(lanes: Lanes, fraction_bits: int) -> npt.NDArray[np.float32]:
    """Return the float32 image of a model, from which training starts.

    Each lane is rounded to float32, half to even, and then scaled, which is exact.

    Args:
        lanes: shape (dimension,), big-endian.
        fraction_bits: binary digits after the point.

    Returns:
        Shape (dimension,).

    Raises:
        ValueError: if the lanes are of another form.
    """
    verify_lanes(lanes)
    scale = np.float32(2.0**-fraction_bits)
    compiled = arithmetic_for(lanes.nbytes)
    if compiled is not None:
        values = np.empty(lanes.size, dtype=np.float32)
        compiled.read_values(lanes.view(np.uint32), scale, values)
        return values
    values = lanes.view(SIGNED_LANE).astype(np.float32)
    values *= scale
    return values


def quantise_update(local: Floats, base: Floats, weight: int, quantisation: Quantisation) -> Lanes:
    """Return a participant's weighted update: ``rint(clip((local - base) * 2**s, -B, B) * weight)``.

    Args:
        local: the trained model, shape (dimension,).
        base: the model that the training started from, shape (dimension,).
        weight: the declared weight.
        quantisation: s is ``scale_bits``, B is ``clip_lanes``.

    Returns:
        Big-endian lanes, shape (dimension,), two's complement.

    Raises:
        NonFiniteValue: if a value is NaN or infinite; carries its index.
        ValueError: if the shapes differ or the weight is out of range.
    """
    verify_weight(weight, quantisation)
    if local.shape != base.shape or local.ndim != 1:
        raise ValueError(f"the trained model has the shape {local.shape}, its base {base.shape}")
    scale, clip = 2.0**quantisation.scale_bits, float(quantisation.clip_lanes)
    lanes = np.empty(local.size, dtype=LANE)
    compiled = arithmetic_for(lanes.nbytes) if _are_plain(local, base) else None
    if compiled is not None and compiled.quantise(local, base, scale, clip, weight, lanes.view(np.uint32)):
        return lanes
    for block in lane_blocks(local.size, BLOCK_LANES):
        _verify_finite(local[block], block.start)
        _verify_finite(base[block], block.start)
        change = local[block].astype(np.float64)
        with np.errstate(over="ignore"):
            change -= base[block].astype(np.float64)
            change *= scale
        np.clip(change, -clip, clip, out=change)
        change *= weight
        np.rint(change, out=change)
        lanes[block] = change.astype(np.int32).view(np.uint32)
    return lanes


def committed_update(
    local: Floats, base: Floats, weight: int, quantisation: Quantisation
) -> tuple[Lanes, Digest]:
    """Return a participant's weighted update and its vector root, made in one pass where that is compiled.

    Args:
        local: as `quantise_update` has it.
        base: the same.
        weight: the same.
        quantisation: the same.

    Raises:
        NonFiniteValue, ValueError: as `quantise_update`.
    """
    verify_weight(weight, quantisation)
    compiled = arithmetic_for(local.nbytes) if local.size and _are_plain(local, base) else None
    if compiled is not None and local.shape == base.shape and local.ndim == 1:
        scale, clip = 2.0**quantisation.scale_bits, float(quantisation.clip_lanes)
        lanes = np.empty(local.size, dtype=LANE)
        hashes = np.empty((chunk_count(local.size), HASH_BYTES), dtype=np.uint8)
        last = np.empty(CHUNK_LANES, dtype=np.uint32)
        words = lanes.view(np.uint32)
        if compiled.quantise_and_hash(local, base, scale, clip, weight, words, hashes, last):
            return lanes, root_of_chunk_hashes(hashes.tobytes(), local.size)
    lanes = quantise_update(local, base, weight, quantisation)
    return lanes, vector_root(lanes)


def requantise_update(
    lanes: Lanes, weight: int, new_weight: int, factor: float, quantisation: Quantisation
) -> Lanes:
    """Return an update for another round: the same change, scaled, at a new weight.

    An update is a change, so on another base it makes ``base + factor * change``. Discounting what is stale
    by a power of its age is the polynomial staleness of Xie, Koyejo, Gupta, "Asynchronous Federated
    Optimization", OPT 2020, in its exponential form.

    Args:
        lanes: of the update, shape (dimension,), big-endian.
        weight: that it was made with.
        new_weight: that it is declared with now.
        factor: what the change is worth, in (0, 1].
        quantisation: the run's constants.

    Raises:
        ValueError: if the lanes are of another form, or a weight or the factor is out of range.
    """
    verify_weight(weight, quantisation)
    verify_weight(new_weight, quantisation)
    verify_lanes(lanes)
    if not 0 < factor <= 1:
        raise ValueError(f"the factor is {factor}; a stale change is worth more than nothing and at most all")
    clip = float(quantisation.clip_lanes)
    scaled = np.empty(lanes.size, dtype=LANE)
    for block in lane_blocks(lanes.size, BLOCK_LANES):
        change = lanes.view(SIGNED_LANE)[block].astype(np.float64)
        change /= weight
        change *= factor
        np.clip(change, -clip, clip, out=change)
        change *= new_weight
        np.rint(change, out=change)
        scaled[block] = change.astype(np.int32).view(np.uint32)
    return scaled


def verify_update(lanes: Lanes, weight: int, quantisation: Quantisation, dimension: int) -> None:
    """Check that an update is one that an honest participant can have made with its weight.

    Args:
        lanes: shape (dimension,), or longer up to the end of the last chunk.
        weight: the declared weight.
        quantisation: the run's constants.
        dimension: lanes of the model.

    Raises:
        UpdateOutOfRange: if a lane is beyond ``clip_lanes * weight``, or set past the dimension.
        MalformedBlob: if there are fewer lanes, or more than the chunks hold.
        ValueError: if the lanes are of another form or the weight is out of range.
    """
    verify_weight(weight, quantisation)
    verify_lanes(lanes)
    longest = chunk_count(dimension) * CHUNK_LANES
    if not dimension <= lanes.size <= longest:
        raise MalformedBlob(f"an update has {lanes.size} lanes, not from {dimension} to {longest}")
    bound = quantisation.clip_lanes * weight
    signed = lanes.view(SIGNED_LANE)
    compiled = arithmetic_for(lanes.nbytes)
    is_within = compiled is not None and compiled.is_within(lanes.view(np.uint32)[:dimension], bound)
    for block in [] if is_within else lane_blocks(dimension, BLOCK_LANES):
        values = signed[block].astype(np.int32)
        if values.max() > bound or values.min() < -bound:
            index = int(np.argmax((values > bound) | (values < -bound)))
            raise UpdateOutOfRange(lane=block.start + index, value=int(values[index]), bound=bound)
    _verify_padding(signed, dimension)


def verify_masked_update(lanes: Lanes, dimension: int) -> None:
    """Check the form of an update under masks, whose lanes may be anything.

    Args:
        lanes: shape (dimension,), or longer up to the end of the last chunk.
        dimension: lanes of the model.

    Raises:
        UpdateOutOfRange: if a lane is set past the dimension, where no mask is.
        MalformedBlob: if there are fewer lanes, or more than the chunks hold.
        ValueError: if the lanes are of another form.
    """
    verify_lanes(lanes)
    longest = chunk_count(dimension) * CHUNK_LANES
    if not dimension <= lanes.size <= longest:
        raise MalformedBlob(f"an update has {lanes.size} lanes, not from {dimension} to {longest}")
    _verify_padding(lanes.view(SIGNED_LANE), dimension)


def _verify_padding(signed: npt.NDArray[np.int32], dimension: int) -> None:
    past = np.flatnonzero(signed[dimension:])
    if past.size:
        lane = dimension + int(past[0])
        raise UpdateOutOfRange(lane=lane, value=int(signed[lane]), bound=0)


def _are_plain(*vectors: Floats) -> bool:
    """Return whether these are float32 of this machine without gaps, as models are."""
    return all(one.dtype == np.float32 and one.dtype.isnative and one.flags.c_contiguous for one in vectors)


def _verify_finite(values: Floats, first: int) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        index = int(np.argmin(finite))
        raise NonFiniteValue(
            f"value {first + index} is {values[index]}; a model holds finite numbers only",
            index=first + index,
        )
