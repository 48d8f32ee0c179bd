"""Quantising, applying and reading a model as machine code: the bits of their NumPy definitions, in one pass.

Whoever calls these has looked at shapes and bounds. `fl_chain.aggregation.native` decides when they pay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fl_chain.commitment.kernels import compiled, hash_pieces, turned
from fl_chain.commitment.sizes import CHUNK_BYTES, PIECE_BYTES

_CHUNK_BLOCKS = CHUNK_BYTES // PIECE_BYTES
_CHUNK_LANES = CHUNK_BYTES // 4
_BLOCK_LANES = 16 * _CHUNK_LANES  # 64 KiB of each vector: they stay in the core's own cache
_ABSOLUTE = np.uint32(0x7FFFFFFF)
_INFINITE = np.uint32(0x7F800000)  # float32 bits from here on, without the sign, are infinite or no number


@compiled
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


@compiled
def quantise_and_hash(  # noqa: PLR0917
    local: Any, base: Any, scale: float, clip: float, weight: float, lanes: Any, hashes: Any, last: Any
) -> bool:
    """Do what `quantise` does, and hash the lanes chunk by chunk while they lie in the core's own cache.

    Args:
        local: as `quantise` has it.
        base: the same.
        scale: the same.
        clip: the same.
        weight: the same.
        lanes: the same.
        hashes: shape (ceil(n / 1024), 32), uint8; takes the hashes.
        last: shape (1024,), uint32: room for a chunk.

    Returns:
        Whether all values are finite; otherwise lanes and hashes mean nothing.
    """
    is_finite = True
    for start in range(0, lanes.size, _BLOCK_LANES):
        end = min(start + _BLOCK_LANES, lanes.size)
        own = lanes[start:end]
        is_finite &= quantise(local[start:end], base[start:end], scale, clip, weight, own)
        own_hashes = hashes[start // _CHUNK_LANES :]
        whole, rest = own.size // _CHUNK_LANES, own.size % _CHUNK_LANES
        hash_pieces(own.ctypes, whole, _CHUNK_BLOCKS, 0, own_hashes.ctypes)
        if rest:
            for lane in range(_CHUNK_LANES):
                last[lane] = own[whole * _CHUNK_LANES + lane] if lane < rest else 0
            hash_pieces(last.ctypes, 1, _CHUNK_BLOCKS, 0, own_hashes[whole:].ctypes)
    return is_finite


@compiled
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


@compiled
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


@compiled
def read_values(lanes: Any, scale: float, values: Any) -> None:
    """Write lanes, each rounded to float32 and then scaled.

    Args:
        lanes: shape (n,), big-endian.
        scale: a power of two, float32.
        values: shape (n,), float32.
    """
    for lane in range(values.size):
        values[lane] = np.float32(np.int32(turned(lanes[lane]))) * scale
