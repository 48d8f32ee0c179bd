"""The hot loops that are more than hashing, compiled by Numba.

They run without the interpreter's lock, so that threads share the work. Here is what they do; what calls them
is `fl_chain.commitment.native`, and `fl_chain.machine.objects` has them compiled once on a machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types

from fl_chain.commitment.sizes import CHUNK_BYTES, HASHING_SYMBOL, PIECE_BYTES

_CHUNK_BLOCKS = CHUNK_BYTES // PIECE_BYTES
_LANES = CHUNK_BYTES // 4


# A division by zero gives what the processor gives: nothing here may raise, for nobody is there to catch it.
compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(error_model="numpy")


hash_pieces: Any = types.ExternalFunction(
    HASHING_SYMBOL, types.void(types.voidptr, types.int64, types.int64, types.uint8, types.voidptr)
)


@numba.njit(inline="always")
def turned(word: Any) -> Any:
    """Return a big-endian 32-bit word in this machine's order, which is the other one."""
    return (
        (word >> np.uint32(24))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | ((word << np.uint32(8)) & np.uint32(0xFF0000))
        | (word << np.uint32(24))
    )


@compiled
def hash_and_add(content: Any, sums: Any, bound: int, hashes: Any) -> bool:
    """Hash an update chunk by chunk and add each up while it lies in the core's nearest cache.

    Args:
        content: shape (n,), uint8: big-endian lanes, a whole number of chunks.
        sums: shape (n / 4,), uint32 of this machine; takes the sum modulo 2^32.
        bound: the largest absolute value of a lane.
        hashes: shape (n / 4096, 32), uint8; takes the hashes.

    Returns:
        Whether every lane, as a signed number, is within the bound.
    """
    words = content.view(np.uint32)
    highest: Any = np.int32(0)
    lowest: Any = np.int32(0)
    count = hashes.shape[0]
    for number in range(0, count, 2):  # as many as are hashed at a time
        taken = min(2, count - number)
        hash_pieces(content[number * CHUNK_BYTES :].ctypes, taken, _CHUNK_BLOCKS, 0, hashes[number:].ctypes)
        summands = words[number * _LANES : (number + taken) * _LANES]
        totals = sums[number * _LANES : (number + taken) * _LANES]
        for lane in range(
            taken * _LANES
        ):  # from 0 up: only then is this loop made one of vector instructions
            word = summands[lane]
            value = turned(word)
            totals[lane] += value
            signed = np.int32(value)
            highest = max(highest, signed)
            lowest = min(lowest, signed)
    return bool(highest <= bound and lowest >= -bound)


@compiled
def add_to_group(content: Any, sums: Any, is_first: bool, is_last: bool) -> None:
    """Add big-endian lanes to a sum that begins with the first vector and is big-endian after the last.

    Args:
        content: shape (4 n,), uint8.
        sums: shape (n,), uint32 of this machine between the first and the last.
        is_first: what the sum holds does not count.
        is_last: leave the sum in wire order.
    """
    words = content.view(np.uint32)
    kept = np.uint32(0) if is_first else np.uint32(0xFFFFFFFF)
    if is_last:
        for lane in range(words.size):
            word = words[lane]
            value = np.uint32(turned(word) + (sums[lane] & kept))
            sums[lane] = turned(value)
    else:
        for lane in range(words.size):
            word = words[lane]
            sums[lane] = turned(word) + (sums[lane] & kept)
