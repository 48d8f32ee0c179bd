"""A round whose updates are all in memory, added up and applied in one pass by several threads.

What it gives is what `fl_chain.aggregation.sums.PartialSums` and `fl_chain.aggregation.apply.apply_sum` give
one after the other, bit for bit; they read and write each sum again for every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.apply import apply_sum, floating_constants
from fl_chain.aggregation.bounds import verify_weight
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, chunk_count, verify_lanes
from fl_chain.commitment.native import kernels_for, load_compiled
from fl_chain.commitment.partial_sums import FAN_IN, level_sizes
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.sizes import HASH_BYTES
from fl_chain.commitment.tree import vector_tree
from fl_chain.records import Quantisation

BLOCK_CHUNKS = 8  # 32 KiB of a vector: one of a sum and one of an update lie in a core's nearest caches

_LOOPS = {
    "add_round": "i8[] i8 i8 i8 i8[] i8[] =i8[,] =u4[,] =u4[] =u1[,,] u4[] f8 f8 f8 =u4[] =u4[] -> i8",
}


@dataclass(frozen=True, slots=True)
class SummedRound:
    """What a round's updates give."""

    total: Lanes  # shape (dimension,); empty where nobody asked
    model: Lanes  # shape (dimension,)
    clamped: int  # lanes of the model that did not fit 32 bits
    sum_hashes: tuple[bytes, ...]  # chunk hashes of the partial sums, as a posting lists them
    model_hashes: bytes  # of the model; empty, as those of the sums, where nobody asked


def whole_round(
    base: Lanes,
    updates: Sequence[Lanes | None],
    included_weight: int,
    quantisation: Quantisation,
    *,
    pool: HashingPool | None = None,
    is_hashed: bool = True,
    keeps_total: bool = True,
) -> SummedRound | None:
    """Add up a round and apply its total to the model.

    Args:
        base: the model that the round started from, shape (dimension,), big-endian.
        updates: in the ledger's order, None for a submission that is excluded; none may change meanwhile.
        included_weight: the sum of the included submissions' weights.
        quantisation: the run's constants.
        pool: threads to share the work with.
        is_hashed: whether sums and model are hashed.
        keeps_total: whether the total is returned.

    Returns:
        None where there are no compiled loops, or so little to do that loading them does not pay.

    Raises:
        ValueError: if there is no submission, a vector is of another form, or the weight is out of range.
    """
    sizes = level_sizes(len(updates))
    verify_weight(included_weight, quantisation)
    verify_lanes(base)
    for update in updates:
        if update is not None:
            verify_lanes(update)
            if update.size != base.size:
                raise ValueError(f"an update has {update.size} lanes, the sum {base.size}")
    loops = None if kernels_for(base.nbytes * len(updates)) is None else compiled_rounds()
    if loops is None:
        return None
    rows = sum(sizes) + 1 if is_hashed else 0
    hashes = np.empty((rows, chunk_count(base.size), HASH_BYTES), dtype=np.uint8)
    addresses = [0 if update is None else update.ctypes.data for update in updates]
    constants = floating_constants(included_weight, quantisation)
    is_kept = keeps_total or constants is None  # without constants the total is applied afterwards
    total, model = np.empty(base.size if is_kept else 0, dtype=LANE), np.empty(base.size, dtype=LANE)
    levels = (
        np.array((len(updates), *sizes[:-1]), dtype=np.int64),
        np.array([sum(sizes[:level]) for level in range(len(sizes))], dtype=np.int64),
    )

    def added(lanes: tuple[int, int]) -> int:
        return int(
            loops.add_round(
                np.array(addresses, dtype=np.int64),
                *lanes,
                FAN_IN,
                *levels,
                np.empty((2, len(sizes)), dtype=np.int64),
                *_room(len(sizes)),
                hashes,
                base.view(np.uint32),
                *(constants or (0.0, 0.0, 0.0)),
                total.view(np.uint32),
                model.view(np.uint32),
            )
        )

    is_shared = pool is not None and pool.is_worthwhile(base.nbytes * len(updates))
    pieces = _pieces(base.size, pool.threads if is_shared and pool is not None else 1)
    found = pool.map(added, pieces) if is_shared and pool is not None else [added(one) for one in pieces]
    clamped = sum(found)
    if constants is None:  # float64 does not hold every intermediate value
        model, clamped = apply_sum(base, total, included_weight, quantisation)
        if is_hashed:
            own = np.frombuffer(vector_tree(model, pool=pool).chunk_hashes, dtype=np.uint8)
            hashes[-1] = own.reshape(-1, HASH_BYTES)
    parts = tuple(one.tobytes() for one in hashes) or (b"",)
    return SummedRound(total, model, clamped, parts[:-1], parts[-1])


@cache
def compiled_rounds() -> Any:
    """Load the compiled pass over a round; see `fl_chain.aggregation.round_kernel`.

    Returns:
        None where there is none.
    """
    return load_compiled("fl_chain.aggregation.round_kernel", _LOOPS)


def _room(levels: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    lanes = BLOCK_CHUNKS * CHUNK_LANES
    return np.empty((levels, lanes), dtype=np.uint32), np.empty(lanes, dtype=np.uint32)


def _pieces(dimension: int, count: int) -> list[tuple[int, int]]:
    """Return first lane and end of about so many pieces of a vector, each but the last of whole blocks."""
    block = BLOCK_CHUNKS * CHUNK_LANES
    lanes = -(-dimension // (count * block)) * block
    return [(start, min(start + lanes, dimension)) for start in range(0, dimension, lanes)]
