"""Vectors of lanes and how they are cut into chunks.

A lane is an unsigned 32-bit integer, big-endian in memory and on the wire, so that a vector's bytes are
hashed where they lie. 1024 lanes make a chunk of 4096 bytes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.encoding import U64_LIMIT
from fl_chain.commitment.sizes import CHUNK_BYTES
from fl_chain.errors import MalformedBlob

LANE = np.dtype(">u4")
CHUNK_LANES = CHUNK_BYTES // LANE.itemsize

Lanes = npt.NDArray[np.uint32]
"""A contiguous one-dimensional array of `LANE`."""


def chunk_count(dimension: int) -> int:
    """Return how many chunks hold ``dimension`` lanes.

    Raises:
        ValueError: if the dimension is not from 1 to 2^64 - 1.
    """
    if not 1 <= dimension < U64_LIMIT:
        raise ValueError(f"the dimension is {dimension}; a vector has from 1 to 2^64 - 1 lanes")
    return -(-dimension // CHUNK_LANES)


def depth(dimension: int) -> int:
    """Return the levels of the tree above its chunks; 0 for a single chunk.

    Raises:
        ValueError: if the dimension is not from 1 to 2^64 - 1.
    """
    return (chunk_count(dimension) - 1).bit_length()


def padded_chunk_count(dimension: int) -> int:
    """Return the number of chunks after padding with zero chunks to a power of two.

    Raises:
        ValueError: if the dimension is not from 1 to 2^64 - 1.
    """
    return 1 << depth(dimension)


def verify_lanes(lanes: Lanes) -> None:
    """Check that an array is a vector that can be hashed where it lies.

    Raises:
        ValueError: if it is empty, not big-endian uint32, not one-dimensional or not contiguous.
    """
    if lanes.dtype != LANE:
        raise ValueError(f"lanes are big-endian uint32, not {lanes.dtype.str}; see lanes_from_native")
    if lanes.ndim != 1 or lanes.size == 0 or not lanes.flags.c_contiguous:
        raise ValueError(f"lanes are one contiguous row of at least one lane, not of shape {lanes.shape}")


def lane_bytes(lanes: Lanes) -> memoryview:
    """Return a vector's bytes without copying them.

    Raises:
        ValueError: as for `verify_lanes`.
    """
    verify_lanes(lanes)
    return lanes.view(np.uint8).data


def lanes_from_native(values: npt.NDArray[Any]) -> Lanes:
    """Return a new big-endian vector from 32-bit integers in this machine's order, signed or not.

    Args:
        values: shape (dimension,), uint32 or int32.

    Raises:
        ValueError: if the element type or the shape is another.
    """
    if values.dtype not in (np.dtype(np.uint32), np.dtype(np.int32)) or values.ndim != 1:
        raise ValueError(f"need one row of uint32 or int32, not {values.dtype.str} of shape {values.shape}")
    return values.view(np.uint32).astype(LANE)


def lanes_from_bytes(content: bytes | bytearray | memoryview, dimension: int) -> Lanes:
    """Return a vector over bytes that were read, without copying them.

    Args:
        content: 4 bytes a lane.
        dimension: how many lanes it has to hold.

    Returns:
        An array that shares the memory of ``content``; read-only where that is.

    Raises:
        MalformedBlob: if the length is another.
    """
    if len(content) != dimension * LANE.itemsize:
        raise MalformedBlob(
            f"{len(content)} bytes instead of the {dimension * LANE.itemsize} of {dimension} lanes"
        )
    return np.frombuffer(content, dtype=LANE)


def padded_chunk(lanes: Lanes, index: int) -> bytes:
    """Return one chunk of a vector, padded with zeros; a chunk that is all padding has an index too.

    Args:
        lanes: shape (dimension,).
        index: 0 to ``padded_chunk_count(dimension) - 1``.

    Raises:
        ValueError: if the tree has no such chunk.
    """
    verify_chunk_index(index, lanes.size)
    view = lane_bytes(lanes)
    return bytes(view[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]).ljust(CHUNK_BYTES, b"\x00")


def verify_chunk_index(index: int, dimension: int) -> None:
    """Check that the tree over ``dimension`` lanes has a chunk of this index, padding included.

    Raises:
        ValueError: if it has not.
    """
    if not 0 <= index < padded_chunk_count(dimension):
        raise ValueError(
            f"chunk {index} is outside the {padded_chunk_count(dimension)} chunks of {dimension} lanes"
        )


def lane_blocks(dimension: int, block_lanes: int) -> list[slice]:
    """Return slices that cut a vector into blocks which stay in a processor's cache."""
    count = math.ceil(dimension / block_lanes)
    return [slice(i * block_lanes, min((i + 1) * block_lanes, dimension)) for i in range(count)]
