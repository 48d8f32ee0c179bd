"""One stripe of a whole round: the same few chunks of every vector, hashed, checked, summed and applied.

A stripe of an update is hashed and added up while it lies in the core's own cache. What is hashed is what is
summed: the bytes are read once, into private memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.apply import apply_sum
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, depth
from fl_chain.commitment.merkle import hash_chunks, subtree_root
from fl_chain.commitment.native import Kernels, Octets
from fl_chain.commitment.partial_sums import FAN_IN, level_sizes
from fl_chain.commitment.sizes import CHUNK_BYTES, HASH_BYTES
from fl_chain.records import Quantisation

STRIPE_LEVEL = 6  # 64 chunks, 256 KiB: a stripe of an update stays in the core's own cache


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
    model: Lanes  # shape (dimension,); takes the new model
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


Look = Callable[[int, int, Octets], None]  # which update, its first lane here, and the lanes from there on


def stripe_roots(files: RoundFiles, number: int, kernels: Kernels, look: Look | None = None) -> StripeRoots:
    """Return the roots of one stripe, and write its lanes of the new model.

    Args:
        files: the round.
        number: of the stripe, from 0.
        kernels: the compiled loops.
        look: is shown the stripe of each included update, in order, while it lies in the core's cache; what
            it is shown is valid during the call only.

    Raises:
        OSError: if a file cannot be read, or is shorter than it was.
    """
    with _workspace(files, number) as space:
        stripe = _Stripe(files, number, kernels, space)
        roots = [stripe.add(index, update, look) for index, update in enumerate(files.updates)]
        base_root = stripe.apply()
        return StripeRoots(
            updates=tuple(root for root in roots if root is not None),
            sums=stripe.sum_roots,
            base=base_root,
            model=stripe.model_root(),
            clamped=stripe.clamped,
            is_in_range=stripe.is_in_range,
        )


@dataclass(frozen=True, slots=True)
class _Workspace:
    """Memory for one stripe, used again: fresh pages cost more than what is done with them."""

    content: Octets  # shape (chunks * 4096,)
    wire: Lanes  # shape (chunks * 1024,)
    hashes: Octets  # shape (chunks, 32)
    sums: tuple[npt.NDArray[np.uint32], ...]  # for each level, shape (chunks * 1024,)


_idle: deque[_Workspace] = deque(maxlen=8)  # its methods are atomic: threads share it


@contextmanager
def _workspace(files: RoundFiles, number: int) -> Iterator[_Workspace]:
    chunks, levels = -(-_stripe_lanes(files, number) // CHUNK_LANES), len(level_sizes(len(files.updates)))
    try:
        space = _idle.pop()
    except IndexError:
        space = _new_workspace(chunks, levels)
    if space.hashes.shape[0] != chunks or len(space.sums) != levels:
        space = _new_workspace(chunks, levels)
    for group in space.sums:
        group[:] = 0
    yield space
    _idle.append(space)


def _new_workspace(chunks: int, levels: int) -> _Workspace:
    lanes = chunks * CHUNK_LANES
    return _Workspace(
        np.empty(chunks * CHUNK_BYTES, dtype=np.uint8),
        np.empty(lanes, dtype=LANE),
        np.empty((chunks, HASH_BYTES), dtype=np.uint8),
        tuple(np.empty(lanes, dtype=np.uint32) for _ in range(levels)),
    )


def _stripe_lanes(files: RoundFiles, number: int) -> int:
    lanes = CHUNK_LANES << stripe_height(files.dimension)
    return min(lanes, files.dimension - number * lanes)


class _Stripe:
    def __init__(self, files: RoundFiles, number: int, kernels: Kernels, space: _Workspace) -> None:
        self._files = files
        self._kernels = kernels
        self._height = stripe_height(files.dimension)
        self._first = number * (CHUNK_LANES << self._height)
        self._lanes = _stripe_lanes(files, number)
        self._content, self._wire, self._hashes = space.content, space.wire, space.hashes
        self._sums = space.sums
        sizes = level_sizes(len(files.updates))
        self._below = (len(files.updates), *sizes[:-1])
        self._added = [0] * len(sizes)
        self._roots: list[list[bytes]] = [[] for _ in sizes]
        self.clamped = 0
        self.is_in_range = True

    @property
    def sum_roots(self) -> tuple[bytes, ...]:
        return tuple(root for level in self._roots for root in level)

    def add(self, index: int, update: UpdateFile | None, look: Look | None) -> bytes | None:
        root = None
        if update is not None:
            self._read(update.path, update.offset)
            if self._content[self._lanes * LANE.itemsize :].any():
                self.is_in_range = False
            if not self._kernels.hash_and_add(self._content, self._sums[0], update.bound, self._hashes):
                self.is_in_range = False
            root = self._root()
            if look is not None:
                look(index, self._first, self._content[: self._lanes * LANE.itemsize])
        self._count(0)
        return root

    def apply(self) -> bytes:
        """Write the new model's lanes; return the root of the base model's stripe."""
        files = self._files
        self._read(files.base, 0)
        base_root = self._hashed(self._content)
        base = self._content.view(LANE)[: self._lanes]
        total = self._sums[-1][: self._lanes].astype(LANE)
        model, self.clamped = apply_sum(base, total, files.included_weight, files.quantisation)
        files.model[self._first : self._first + self._lanes] = model
        self._wire[: self._lanes] = model
        self._wire[self._lanes :] = 0
        return base_root

    def model_root(self) -> bytes:
        """Return the root of the new model's stripe, which is cut off after the dimension."""
        return self._hashed(self._wire.view(np.uint8))

    def _count(self, level: int) -> None:
        """Note that a summand of a level is in; close the group that it completes."""
        self._added[level] += 1
        if self._added[level] % FAN_IN and self._added[level] < self._below[level]:
            return
        group = self._sums[level]
        self._wire[:] = group
        self._roots[level].append(self._hashed(self._wire.view(np.uint8)))
        if level + 1 < len(self._sums):
            np.add(self._sums[level + 1], group, out=self._sums[level + 1])
            group[:] = 0
            self._count(level + 1)

    def _hashed(self, content: Octets) -> bytes:
        return subtree_root(hash_chunks(content.data), 0, self._height)

    def _root(self) -> bytes:
        return subtree_root(self._hashes.tobytes(), 0, self._height)

    def _read(self, path: str, offset: int) -> None:
        """Fill the buffer from a file; behind the end of a vector that is cut off stand zeros."""
        start, filled = offset + self._first * LANE.itemsize, 0
        descriptor = os.open(path, os.O_RDONLY)  # for every stripe: no file object to build
        try:
            while filled < self._content.size:
                piece = os.preadv(descriptor, [self._content[filled:].data], start + filled)
                if not piece:
                    break
                filled += piece
        finally:
            os.close(descriptor)
        if filled < self._lanes * LANE.itemsize:
            raise OSError(f"{path} is shorter than it was")
        self._content[filled:] = 0
