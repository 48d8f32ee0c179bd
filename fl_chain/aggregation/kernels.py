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
    "float64, float64, float64, uint32[::1])"
)
def apply(  # noqa: PLR0917
    base: Any, total: Any, factor: float, half: float, divisor: float, model: Any
) -> int:
    """Write ``clamp(base + floor((total * factor + half) / divisor))`` as big-endian lanes.

    All numbers are integers in float64. Where the dividend is below 2^53, its quotient by an integer is never
    rounded up to the next whole number, so that its floor is exact.

    Args:
        base: shape (n,), big-endian lanes.
        total: shape (n,), big-endian lanes.
        factor: what the total is multiplied by.
        half: half the divisor.
        divisor: above 0.
        model: shape (n,), uint32; takes the lanes in wire order.

    Returns:
        How many lanes were clamped.
    """
    clamped = 0
    for lane in range(model.size):
        base_word, word = base[lane], total[lane]
        quotient = np.floor((np.float64(np.int32(turned(word))) * factor + half) / divisor)
        value = quotient + np.float64(np.int32(turned(base_word)))
        inside: Any = min(max(value, -2147483648.0), 2147483647.0)
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
