"""Quantising, applying and reading a model as machine code: the bits of their NumPy definitions, in one pass.

Whoever calls these has looked at shapes and bounds. Importing this module compiles or loads them;
`fl_chain.aggregation.native` decides when that pays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fl_chain.commitment.kernels import compiled, turned

_ABSOLUTE = np.uint32(0x7FFFFFFF)
_INFINITE = np.uint32(0x7F800000)  # float32 bits from here on, without the sign, are infinite or no number


@compiled(
    "boolean(Array(float32, 1, 'C', readonly=True), Array(float32, 1, 'C', readonly=True), "
    "float64, float64, float64, uint32[::1])"
)
def quantise(  # noqa: PLR0917 - compiled functions take no keywords
    local: Any, base: Any, scale: float, clip: float, weight: float, lanes: Any
) -> bool:
    """Write ``rint(clip((local - base) * scale, -clip, clip) * weight)`` as big-endian lanes.

    Every operation is float64, and no product is followed by a sum that it could be fused with.

    Args:
        local: shape (n,), float32.
        base: shape (n,), float32.
        scale: a power of two.
        clip: above 0.
        weight: clip * weight fits int32.
        lanes: shape (n,), uint32 of this machine; takes the lanes in wire order.

    Returns:
        Whether all values are finite; otherwise the lanes mean nothing.
    """
    local_bits, base_bits = local.view(np.uint32), base.view(np.uint32)
    highest: Any = np.uint32(0)
    for lane in range(lanes.size):
        highest = max(highest, local_bits[lane] & _ABSOLUTE, base_bits[lane] & _ABSOLUTE)
        change: Any = (np.float64(local[lane]) - np.float64(base[lane])) * scale
        change = min(max(change, -clip), clip) * weight
        lanes[lane] = turned(np.uint32(np.int32(np.rint(change))))
    return bool(highest < _INFINITE)


@compiled(
    "int64(Array(uint32, 1, 'C', readonly=True), Array(uint32, 1, 'C', readonly=True), "
    "int64, int64, int64, uint32[::1])"
)
def apply(  # noqa: PLR0917
    base: Any, total: Any, factor: int, divisor: int, weight_bits: int, model: Any
) -> int:
    """Write ``clamp(base + floor((total * factor + divisor * 2**bits) / (2 * divisor * 2**bits)))``.

    A floor of a floor is the floor of the whole, so the power of two is shifted out before the division.

    Args:
        base: shape (n,), big-endian lanes.
        total: shape (n,), big-endian lanes.
        factor: what the total is multiplied by.
        divisor: the total weight, above 0.
        weight_bits: bits of the power of two that the weight is multiplied by.
        model: shape (n,), uint32; takes the lanes in wire order.

    Returns:
        How many lanes were clamped.
    """
    half = divisor << weight_bits
    inverse = 1.0 / np.float64(divisor)
    clamped = 0
    for lane in range(model.size):
        shifted = (np.int64(np.int32(turned(total[lane]))) * factor + half) >> (weight_bits + 1)
        # A division takes ten times as long. Below 2^33 the product is off by less than one, which the
        # remainder shows; above, by less than 2^5, and the lane is clamped either way.
        quotient = np.int64(np.floor(np.float64(shifted) * inverse))
        remainder = shifted - quotient * divisor
        quotient += np.int64(remainder >= divisor) - np.int64(remainder < 0)
        value = quotient + np.int64(np.int32(turned(base[lane])))
        inside: Any = min(max(value, -(2**31)), 2**31 - 1)
        clamped += inside != value
        model[lane] = turned(np.uint32(np.int32(inside)))
    return clamped


@compiled("boolean(Array(uint32, 1, 'C', readonly=True), int64)")
def is_within(lanes: Any, bound: int) -> bool:
    """Return whether every lane, as a signed number, is from -bound to bound.

    Args:
        lanes: shape (n,), big-endian.
        bound: at least 0.
    """
    highest: Any = np.int32(0)
    lowest: Any = np.int32(0)
    for lane in range(lanes.size):
        word = lanes[lane]
        signed = np.int32(turned(word))
        highest = max(highest, signed)
        lowest = min(lowest, signed)
    return bool(highest <= bound and lowest >= -bound)


@compiled("void(Array(uint32, 1, 'C', readonly=True), float32, float32[::1])")
def read_values(lanes: Any, scale: float, values: Any) -> None:
    """Write lanes, each rounded to float32 and then scaled.

    Args:
        lanes: shape (n,), big-endian.
        scale: a power of two, float32.
        values: shape (n,), float32.
    """
    for lane in range(values.size):
        values[lane] = np.float32(np.int32(turned(lanes[lane]))) * scale
