"""Small pictures of large vectors, from which the angle between two vectors can be told.

A signed sum of every 4093rd lane is a random projection (Charikar, Chen and Farach-Colton 2002, with the
buckets in a row instead of drawn): linear, so that the sketch of a sum is the sum of the sketches, and of
the same size whatever the dimension. The cosine of two sketches is that of the vectors, with a standard
error of about 1/sqrt(4093) = 0.016 where the vectors are at right angles, and much less near 1: two vectors
whose sketches have a cosine above 0.999 are not 0.99 apart. Up to 4093 lanes the sketch holds the vector
itself. The number of buckets is prime, so that no layer of a usual width has its columns in one bucket.

The signs follow from a seed that nobody could know when the updates were committed to; who knows the signs
beforehand can make a vector whose sketch points where the vector does not.

All arithmetic is on integers, or on integers in float64 below 2^53 where every order of additions gives the
same, so two machines get the same figures.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from fl_chain.commitment.chunks import Lanes

BUCKETS = 4093
ROWS = 16  # of buckets that are added up at once: 256 KiB of lanes, which stay in a core's own cache
ENTRY_BITS = 20  # of a scaled sketch: 4093 products of two stay below 2^53
MILLION = 1_000_000

Sketch = npt.NDArray[np.int64]


def lane_signs(seed: bytes, dimension: int) -> npt.NDArray[np.int8]:
    """Return +1 or -1 for each lane, from SHAKE-128 of a seed."""
    drawn = hashlib.shake_128(seed).digest(-(-dimension // 8))
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8), count=dimension)
    signs = bits.view(np.int8)
    signs *= 2
    signs -= 1
    return signs


def signed_blocks(lanes: Lanes) -> Iterator[tuple[slice, npt.NDArray[np.int32]]]:
    """Yield a vector's lanes as signed integers, a few rows of buckets at a time."""
    signed = lanes.view(">i4")
    for start in range(0, lanes.size, BUCKETS * ROWS):
        block = slice(start, min(start + BUCKETS * ROWS, lanes.size))
        yield block, signed[block].astype(np.int32)


def add_to_sketch(sketch: Sketch, values: npt.NDArray[np.int32], signs: npt.NDArray[np.int8]) -> None:
    """Add a block of lanes that starts at a multiple of `BUCKETS`."""
    turned = values * signs  # -2^31, which is out of range for any update, stays itself
    whole = turned.size - turned.size % BUCKETS
    if whole:
        sketch += np.add.reduce(turned[:whole].reshape(-1, BUCKETS), axis=0, dtype=np.int64)
    sketch[: turned.size - whole] += turned[whole:]


def sum_of_squares(values: npt.NDArray[np.int32], largest: int) -> int:
    """Return the exact sum of a block's squares.

    Args:
        values: at most `BUCKETS` times `ROWS` of them.
        largest: no magnitude is greater.
    """
    wide = values.astype(np.int64)
    if largest * largest * values.size < 2**63:
        return int(np.einsum("i,i", wide, wide))
    wide *= wide  # up to 2^62 each: the halves are summed apart
    return (int((wide >> 32).sum()) << 32) + int((wide & 0xFFFFFFFF).sum())


def scaled(sketch: Sketch) -> npt.NDArray[np.int32]:
    """Return a sketch shifted to at most 2^20 in magnitude, which keeps its direction to six digits."""
    most = int(np.abs(sketch).max(initial=0))
    excess = max(0, most.bit_length() - ENTRY_BITS)
    if excess == 0:
        return sketch.astype(np.int32)
    # In magnitude, so that a sign that is drawn otherwise changes nothing but the sign.
    magnitudes = (np.abs(sketch) + (1 << (excess - 1))) >> excess
    found: npt.NDArray[np.int32] = (np.sign(sketch) * magnitudes).astype(np.int32)
    return found


def products(rows: npt.NDArray[np.int32], columns: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return the inner products of scaled sketches, exact.

    Args:
        rows: shape (m, `BUCKETS`).
        columns: shape (n, `BUCKETS`).

    Returns:
        Shape (m, n), integers.
    """
    # One thread: beside threads that hash, those of the BLAS would wait for one another.
    with _blas().limit(limits=1, user_api="blas"):
        found: npt.NDArray[np.float64] = rows.astype(np.float64) @ columns.astype(np.float64).T
    return found


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def cosine_millionths(inner: int, square: int, other_square: int) -> int | None:
    """Return a cosine in millionths, rounded down in magnitude; None where a vector is zero.

    Args:
        inner: the inner product.
        square: of the first vector with itself.
        other_square: of the second.
    """
    if square == 0 or other_square == 0:
        return None
    magnitude = min(MILLION, math.isqrt(inner * inner * MILLION * MILLION // (square * other_square)))
    return magnitude if inner >= 0 else -magnitude
