"""One stripe of a whole round: the same few chunks of every vector, hashed, checked, summed and applied.

A stripe of an update is hashed and added up while it lies in the core's own cache, and nothing but roots
leaves the process. What is hashed is what is summed: the bytes are read once, into private memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from fl_chain.aggregation.apply import apply_sum
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, depth, lane_bytes
from fl_chain.commitment.merkle import CHUNK_BYTES, hash_chunk_views, subtree_root
from fl_chain.commitment.partial_sums import FAN_IN, level_sizes
from fl_chain.records import Quantisation

STRIPE_LEVEL = 7  # 128 chunks, 512 KiB: a stripe of an update and of each sum stay in the cache
_SIGNED = np.dtype(np.int32)


@dataclass(frozen=True, slots=True)
class UpdateFile:
    """Where an update's lanes lie."""

    path: str
    offset: int  # bytes before the first lane
    bound: int  # largest absolute value of a lane


@dataclass(frozen=True, slots=True)
class RoundFiles:
    """A round on the disk of this machine."""

    dimension: int
    updates: tuple[UpdateFile | None, ...]  # in order; None: left out
    base: str  # path of the base model's lanes
    model: str  # path of a file that takes the new model's lanes
    included_weight: int
    quantisation: Quantisation


@dataclass(frozen=True, slots=True)
class StripeRoots:
    """What a stripe gives: for each vector the root of the subtree over it."""

    updates: tuple[bytes, ...]  # of the included ones
    sums: tuple[bytes, ...]  # as a posting lists them
    base: bytes
    model: bytes
    clamped: int
    is_in_range: bool


def stripe_height(dimension: int) -> int:
    """Return the level at which the roots of stripes stand in a vector's tree."""
    return min(STRIPE_LEVEL, depth(dimension))


def stripe_roots(files: RoundFiles, number: int) -> StripeRoots:
    """Return the roots of one stripe, and write its lanes of the new model.

    Args:
        files: the round.
        number: of the stripe, from 0.

    Raises:
        OSError: if a file cannot be read, or is shorter than it was.
    """
    stripe = _Stripe(files, number)
    roots = [stripe.add(update) for update in files.updates]
    model, clamped, base_root = stripe.applied()
    return StripeRoots(
        updates=tuple(root for root in roots if root is not None),
        sums=stripe.sum_roots,
        base=base_root,
        model=stripe.applied_root(model),
        clamped=clamped,
        is_in_range=stripe.is_in_range,
    )


class _Stripe:
    def __init__(self, files: RoundFiles, number: int) -> None:
        self._files = files
        self._height = stripe_height(files.dimension)
        lanes = CHUNK_LANES << self._height
        self._first = number * lanes
        self._lanes = min(lanes, files.dimension - self._first)
        chunks = -(-self._lanes // CHUNK_LANES)
        self._buffer, self._chunks, self._read_lanes = _cut(chunks)
        _, self._wire_chunks, self._wire = _cut(chunks)
        self._native = np.empty(self._read_lanes.size, dtype=np.uint32)
        sizes = level_sizes(len(files.updates))
        self._below = (len(files.updates), *sizes[:-1])
        self._sums = [np.zeros_like(self._native) for _ in sizes]
        self._added = [0] * len(sizes)
        self._roots: list[list[bytes]] = [[] for _ in sizes]
        self.is_in_range = True

    @property
    def sum_roots(self) -> tuple[bytes, ...]:
        return tuple(root for level in self._roots for root in level)

    def root(self, hashes: bytes) -> bytes:
        return subtree_root(hashes, 0, self._height)

    def add(self, update: UpdateFile | None) -> bytes | None:
        root = None
        if update is not None:
            self._read(update.path, update.offset)
            root = self.root(hash_chunk_views(self._chunks))
            self._native[:] = self._read_lanes
            signed = self._native.view(_SIGNED)
            if int(signed.max()) > update.bound or int(signed.min()) < -update.bound:
                self.is_in_range = False
            if signed[self._lanes :].any():
                self.is_in_range = False
            self._sums[0] += self._native
        self._count(0)
        return root

    def applied(self) -> tuple[Lanes, int, bytes]:
        """Return the new model's lanes, how many were clamped, and the root of the base model's stripe."""
        files = self._files
        self._read(files.base, 0)
        base_root = self.root(hash_chunk_views(self._chunks))
        base = self._read_lanes[: self._lanes]
        total = self._sums[-1][: self._lanes].astype(LANE)
        model, clamped = apply_sum(base, total, files.included_weight, files.quantisation)
        descriptor = os.open(files.model, os.O_WRONLY)
        try:
            os.pwrite(descriptor, lane_bytes(model), self._first * LANE.itemsize)
        finally:
            os.close(descriptor)
        return model, clamped, base_root

    def _count(self, level: int) -> None:
        """Note that a summand of a level is in; close the group that it completes."""
        self._added[level] += 1
        if self._added[level] % FAN_IN and self._added[level] < self._below[level]:
            return
        group = self._sums[level]
        self._wire[:] = group
        self._roots[level].append(self.root(hash_chunk_views(self._wire_chunks)))
        if level + 1 < len(self._sums):
            self._sums[level + 1] += group
            group[:] = 0
            self._count(level + 1)

    def applied_root(self, model: Lanes) -> bytes:
        """Return the root of a stripe of the new model, which is cut off after the dimension."""
        self._wire[: self._lanes] = model
        self._wire[self._lanes :] = 0
        return self.root(hash_chunk_views(self._wire_chunks))

    def _read(self, path: str, offset: int) -> None:
        """Fill the buffer from a file; behind the end of a vector that is cut off stand zeros."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            start = offset + self._first * LANE.itemsize
            filled = os.preadv(descriptor, [self._buffer], start)
        finally:
            os.close(descriptor)
        if filled < self._lanes * LANE.itemsize:
            raise OSError(f"{path} is shorter than it was")
        self._buffer[filled:] = bytes(len(self._buffer) - filled)


def _cut(chunks: int) -> tuple[memoryview, list[memoryview], Lanes]:
    """Return memory for some chunks, a view of each, and its lanes: cut once, used for every vector."""
    memory = memoryview(bytearray(chunks * CHUNK_BYTES))
    views = [memory[at : at + CHUNK_BYTES] for at in range(0, len(memory), CHUNK_BYTES)]
    return memory, views, np.frombuffer(memory, dtype=LANE)
