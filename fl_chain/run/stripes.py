"""One stripe of a whole round: the same few chunks of every vector, hashed, checked, summed and applied.

A stripe of an update is hashed and added up while it lies in the core's own cache. What is hashed is what is
summed: the bytes are read once, into private memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.apply import apply_sum, floating_constants
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, depth
from fl_chain.commitment.merkle import ZERO_ROOTS
from fl_chain.commitment.native import Octets, load_compiled
from fl_chain.commitment.partial_sums import FAN_IN, level_sizes
from fl_chain.commitment.sizes import CHUNK_BYTES, HASH_BYTES
from fl_chain.records import Quantisation
from fl_chain.run.sight import Sight
from fl_chain.run.stripe_flags import OUT_OF_RANGE, SHORT
from fl_chain.store.blobs import OPENING_BYTES

_SHORT = "a file of the round cannot be read, or is shorter than it was"
STRIPE_LEVEL = 7  # 128 chunks, 512 KiB: a stripe of an update stays in the core's own cache


_LOOPS = {
    "derive_stripe": "i8[] i8 i8 i8[] i8 i8 i8 u1[,] =u1[] =u1[] =u4[,] =u1[,] =u1[] i8 i8[] =i8[] =i8[] "
    "=u1[,] =u1[,] =u1[,,] =u4[] =u1[,] f8 f8 f8 =u4[] =i8[] i1[] i1[] i8 i8 =i8[,,] =i8[,] -> i8",
    "find_root": "u1[] i8 u1[,] =u1[,] =u1[] =u1[]",
}


@cache
def compiled_stripes() -> Any:
    """Load the compiled pass over a stripe; see `fl_chain.run.stripe_kernel`.

    Returns:
        None where there is none.
    """
    return load_compiled("fl_chain.run.stripe_kernel", _LOOPS) if hasattr(os, "pread") else None


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
    sum_hashes: Octets  # shape (sums, chunks, 32); takes the sums' chunk hashes; empty: nobody wants them
    total: Lanes  # shape (dimension,); takes the total; empty: nobody wants it


class OpenFiles:
    """The same files, opened.

    Args:
        files: of a round.

    Raises:
        OSError: if one cannot be opened, or there are more than a process may have open.
    """

    def __init__(self, files: RoundFiles) -> None:
        self._stack = ExitStack()
        with ExitStack() as stack:
            updates = [-1 if one is None else _descriptor(stack, one.path) for one in files.updates]
            self.updates = np.array(updates, dtype=np.int64)  # -1: left out
            self.base = _descriptor(stack, files.base)
            self._stack = stack.pop_all()

    def opening(self, index: int) -> bytes:
        """Return the first bytes of an update's file, before its lanes.

        Raises:
            OSError: if it cannot be read, or is shorter than it was.
        """
        found = os.pread(int(self.updates[index]), OPENING_BYTES, 0)
        if len(found) < OPENING_BYTES:
            raise OSError(_SHORT)
        return found

    def close(self) -> None:
        """Close them."""
        self._stack.close()


def _descriptor(stack: ExitStack, path: str) -> int:
    found = os.open(path, os.O_RDONLY)
    stack.callback(os.close, found)
    return found


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


def stripe_roots(files: RoundFiles, opened: OpenFiles, number: int, sight: Sight) -> StripeRoots:
    """Return the roots of one stripe, and write its lanes of the new model.

    Args:
        files: the round.
        opened: its files.
        number: of the stripe, from 0.
        sight: takes what is seen of the included updates.

    Raises:
        OSError: if a file cannot be read, or is shorter than it was.
    """
    height = stripe_height(files.dimension)
    first, lanes = number * (CHUNK_LANES << height), _stripe_lanes(files, number)
    sizes = level_sizes(len(files.updates))
    update_roots = np.empty((len(files.updates), HASH_BYTES), dtype=np.uint8)
    sum_roots = np.empty((sum(sizes), HASH_BYTES), dtype=np.uint8)
    ends = np.empty((2, HASH_BYTES), dtype=np.uint8)
    clamped = np.empty(1, dtype=np.int64)
    constants = floating_constants(files.included_weight, files.quantisation)
    seen, loops = sight.mine(), compiled_stripes()
    with _workspace(files, number) as space:
        wrong = loops.derive_stripe(
            opened.updates,
            opened.base,
            OPENING_BYTES,
            np.array([0 if one is None else one.bound for one in files.updates], dtype=np.int64),
            first,
            lanes,
            height,
            ZERO_ROOTS,
            space.content,
            space.wire.view(np.uint8),
            space.sums,
            space.hashes,
            space.pair,
            FAN_IN,
            np.array((len(files.updates), *sizes[:-1]), dtype=np.int64),
            np.empty(len(sizes), dtype=np.int64),
            np.array([sum(sizes[:level]) for level in range(len(sizes))], dtype=np.int64),
            update_roots,
            sum_roots,
            files.sum_hashes,
            files.total.view(np.uint32),
            ends,
            *(constants or (0.0, 0.0, 0.0)),
            files.model.view(np.uint32),
            clamped,
            sight.signs,
            sight.earlier,
            sight.rows,
            sight.crossed,
            seen.sketches,
            seen.figures,
        )
        if wrong == SHORT:
            raise OSError(_SHORT)
        if constants is None:
            base, total = space.content.view(LANE)[:lanes], space.wire[:lanes]
            model, clamped[0] = apply_sum(base, total, files.included_weight, files.quantisation)
            files.model[first : first + lanes] = space.wire[:lanes] = model
            space.wire[lanes:] = 0
            words = space.wire.view(np.uint8)
            loops.find_root(words, height, ZERO_ROOTS, space.hashes, space.pair, ends[1])
    included = [bytes(root) for root, one in zip(update_roots, files.updates, strict=True) if one is not None]
    base_root, model_root = map(bytes, ends)
    is_in_range = wrong != OUT_OF_RANGE
    return StripeRoots(
        tuple(included), tuple(map(bytes, sum_roots)), base_root, model_root, int(clamped[0]), is_in_range
    )


@dataclass(frozen=True, slots=True)
class _Workspace:
    """Memory for one stripe, used again: fresh pages cost more than what is done with them."""

    content: Octets  # shape (chunks * 4096,)
    wire: Lanes  # shape (chunks * 1024,)
    hashes: Octets  # shape (chunks, 32)
    pair: Octets  # shape (64,)
    sums: npt.NDArray[np.uint32]  # shape (levels, chunks * 1024)


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
    yield space
    _idle.append(space)


def _new_workspace(chunks: int, levels: int) -> _Workspace:
    lanes = chunks * CHUNK_LANES
    return _Workspace(
        np.empty(chunks * CHUNK_BYTES, dtype=np.uint8),
        np.empty(lanes, dtype=LANE),
        np.empty((chunks, HASH_BYTES), dtype=np.uint8),
        np.empty(2 * HASH_BYTES, dtype=np.uint8),
        np.empty((levels, lanes), dtype=np.uint32),
    )


def _stripe_lanes(files: RoundFiles, number: int) -> int:
    lanes = CHUNK_LANES << stripe_height(files.dimension)
    return min(lanes, files.dimension - number * lanes)
