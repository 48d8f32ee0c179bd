"""One stripe of a whole round: the same few chunks of every vector, hashed, checked, summed and applied.

A stripe of an update is hashed and added up while it lies in the core's own cache. What is hashed is what is
summed: the bytes are read once, into private memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.apply import apply_sum
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, depth
from fl_chain.commitment.merkle import ZERO_ROOTS
from fl_chain.commitment.native import Octets, load_compiled
from fl_chain.commitment.partial_sums import FAN_IN, level_sizes
from fl_chain.commitment.sizes import CHUNK_BYTES, HASH_BYTES
from fl_chain.records import Quantisation
from fl_chain.run.sight import Sight
from fl_chain.run.stripe_flags import OUT_OF_RANGE, SHORT
from fl_chain.store.blobs import OPENING_BYTES

MOST_OPEN = 256  # files; a process may have 1024, as a rule
_NOTHING_ABOVE = np.empty(0, dtype=np.uint32)
STRIPE_LEVEL = 7  # 128 chunks, 512 KiB: a stripe of an update stays in the core's own cache


_LOOPS = {
    "add_group": "i8[] i8 i8[] i8 i8 i8 u1[,] =u1[] =u4[] =u1[,] =u1[] =u1[,] i8[] i1[] i1[] i8 i8 =i8[,,] "
    "=i8[,] -> i8",
    "close_group": "=u4[] =u1[] i8 u1[,] =u1[,] =u1[] =u1[] =u4[]",
    "find_root": "u1[] i8 u1[,] =u1[,] =u1[] =u1[]",
}


@cache
def compiled_stripes() -> Any:
    """Load the compiled pass over a group; see `fl_chain.run.stripe_kernel`.

    Returns:
        None where there is none.
    """
    return load_compiled("fl_chain.run.stripe_kernel", _LOOPS) if hasattr(os, "preadv") else None


@dataclass(frozen=True, slots=True)
class UpdateFile:
    """Where an update lies."""

    path: str
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
    descriptors: tuple[int | None, ...] = ()  # of the updates' files, where they stay open


@contextmanager
def kept_open(files: RoundFiles) -> Iterator[RoundFiles]:
    """Open the updates' files of a round once, where they are not too many.

    Raises:
        OSError: if one cannot be opened.
    """
    if len(files.updates) > MOST_OPEN:
        yield files
        return
    with ExitStack() as stack:
        opened = [None if one is None else _opened(stack, one) for one in files.updates]
        yield replace(files, descriptors=tuple(opened))


def _opened(stack: ExitStack, file: UpdateFile) -> int:
    descriptor = os.open(file.path, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return descriptor


@contextmanager
def _descriptors(files: RoundFiles, indices: Sequence[int]) -> Iterator[list[int]]:
    with ExitStack() as stack:
        found = []
        for index in indices:
            file = files.updates[index]
            assert file is not None  # noqa: S101 - it is included
            kept = files.descriptors[index] if files.descriptors else None
            found.append(_opened(stack, file) if kept is None else kept)
        yield found


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


def stripe_roots(files: RoundFiles, number: int, sight: Sight) -> StripeRoots:
    """Return the roots of one stripe, and write its lanes of the new model.

    Args:
        files: the round.
        number: of the stripe, from 0.
        sight: takes what is seen of the included updates.

    Raises:
        OSError: if a file cannot be read, or is shorter than it was.
    """
    with _workspace(files, number) as space:
        stripe = _Stripe(files, number, space)
        roots = [
            root
            for start in range(0, len(files.updates), FAN_IN)
            for root in stripe.add_group(start, files.updates[start : start + FAN_IN], sight)
        ]
        base_root = stripe.apply()
        return StripeRoots(
            updates=tuple(roots),
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
    pair: Octets  # shape (64,)
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
        np.empty(2 * HASH_BYTES, dtype=np.uint8),
        tuple(np.empty(lanes, dtype=np.uint32) for _ in range(levels)),
    )


def _stripe_lanes(files: RoundFiles, number: int) -> int:
    lanes = CHUNK_LANES << stripe_height(files.dimension)
    return min(lanes, files.dimension - number * lanes)


class _Stripe:
    def __init__(self, files: RoundFiles, number: int, space: _Workspace) -> None:
        self._files = files
        self._height = stripe_height(files.dimension)
        self._first = number * (CHUNK_LANES << self._height)
        self._lanes = _stripe_lanes(files, number)
        self._content, self._wire = space.content, space.wire
        self._hashes, self._pair = space.hashes, space.pair
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

    def add_group(self, start: int, members: Sequence[UpdateFile | None], sight: Sight) -> Iterator[bytes]:
        """Add the members of one sum of the lowest level; yield the root of each one's stripe.

        Raises:
            OSError: if a file cannot be read, or is shorter than it was.
        """
        included = [(start + at, one) for at, one in enumerate(members) if one is not None]
        roots = np.empty((len(included), HASH_BYTES), dtype=np.uint8)
        seen = sight.mine()
        with _descriptors(self._files, [index for index, _ in included]) as descriptors:
            wrong = compiled_stripes().add_group(
                np.array(descriptors, dtype=np.int64),
                OPENING_BYTES,
                np.array([one.bound for _, one in included], dtype=np.int64),
                self._first,
                self._lanes,
                self._height,
                ZERO_ROOTS,
                self._content,
                self._sums[0],
                self._hashes,
                self._pair,
                roots,
                np.array([index for index, _ in included], dtype=np.int64),
                sight.signs,
                sight.earlier,
                sight.rows,
                sight.crossed,
                seen.sketches,
                seen.figures,
            )
        if wrong == SHORT:
            raise OSError("an update's file is shorter than it was")
        if wrong == OUT_OF_RANGE:
            self.is_in_range = False
        self._close(0, len(members))
        return map(bytes, roots)

    def apply(self) -> bytes:
        """Write the new model's lanes; return the root of the base model's stripe."""
        files = self._files
        self._read(files.base)
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

    def _close(self, level: int, added: int) -> None:
        """Note that summands of a level are in; close the group that they complete."""
        self._added[level] += added
        if self._added[level] % FAN_IN and self._added[level] < self._below[level]:
            return
        root = np.empty(HASH_BYTES, dtype=np.uint8)
        is_last = level + 1 == len(self._sums)
        compiled_stripes().close_group(
            self._sums[level],
            self._wire.view(np.uint8),
            self._height,
            ZERO_ROOTS,
            self._hashes,
            self._pair,
            root,
            _NOTHING_ABOVE if is_last else self._sums[level + 1],
        )
        self._roots[level].append(root.tobytes())
        if not is_last:
            self._close(level + 1, 1)

    def _hashed(self, content: Octets) -> bytes:
        root = np.empty(HASH_BYTES, dtype=np.uint8)
        space = self._hashes, self._pair
        compiled_stripes().find_root(content, self._height, ZERO_ROOTS, *space, root)
        return root.tobytes()

    def _read(self, path: str) -> None:
        """Fill the buffer from a file; behind the end of a vector that is cut off stand zeros."""
        start, filled = self._first * LANE.itemsize, 0
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
