"""A round's sums and its model in one compiled pass over the updates where they lie in memory.

A block of every update is added up, closed, hashed and applied before the next block is looked at: each
update is read once, and partial sums never leave the core's own cache. Nothing holds the interpreter's lock.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.extending import intrinsic

from fl_chain.aggregation.kernels import apply
from fl_chain.commitment.kernels import compiled, hash_pieces, turned
from fl_chain.commitment.sizes import CHUNK_BYTES, PIECE_BYTES

_CHUNK_LANES = CHUNK_BYTES // 4
_WORD_POINTER: Any = types.CPointer(types.uint32)  # type: ignore[no-untyped-call]
_words: Any = numba.carray  # type: ignore[attr-defined]


def _to_pointer(_: Any, address: Any) -> Any:
    """Type and code of a cast from an address to a pointer to 32-bit words."""

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(_WORD_POINTER))

    return _WORD_POINTER(types.int64), code


_pointer: Any = intrinsic(_to_pointer)


@compiled
def add_round(  # noqa: PLR0917 - compiled functions take no keywords
    addresses: Any,
    first: int,
    end: int,
    fan_in: int,
    below: Any,
    begin: Any,
    counts: Any,
    sums: Any,
    wire: Any,
    hashes: Any,
    base: Any,
    factor: float,
    half: float,
    divisor: float,
    total: Any,
    model: Any,
) -> int:
    """Add up a range of lanes of a round's updates, level by level.

    Args:
        addresses: shape (submissions,), int64: where each update's big-endian lanes begin; 0 for one that is
            left out.
        first: the range's first lane; a chunk begins there.
        end: behind its last one; a chunk or the vector ends there.
        fan_in: how many summands a whole group has.
        below: shape (levels of sums,), int64: the summands of each level.
        begin: of the same shape: the place of each level's first sum in the order of a posting.
        counts: shape (2, levels of sums): room for counts.
        sums: shape (levels of sums, block), uint32: room for a sum of each level.
        wire: shape (block,), uint32: room for a sum in wire order. A block is a whole number of chunks.
        hashes: shape (sums + 1, chunks of a vector, 32): takes the chunk hashes of the sums, and then of the
            model; empty: nobody wants them.
        base: shape (dimension,), big-endian lanes of the base model.
        factor: as `apply` has it; 0: the total is not applied.
        half: the same.
        divisor: the same.
        total: shape (dimension,), uint32: takes the total's lanes in wire order; empty: nobody wants them.
        model: shape (dimension,), uint32: takes the model's lanes in wire order.

    Returns:
        How many of the model's lanes were clamped.
    """
    clamped = 0
    for start in range(first, end, wire.size):
        lanes = min(wire.size, end - start)
        counts[:] = 0
        for number in range(addresses.size):
            _add(addresses[number], start, sums[0][:lanes], counts[0, 0] % fan_in == 0)
            counts[0, 0] += 1
            level = 0
            while counts[0, level] % fan_in == 0 or counts[0, level] == below[level]:
                place = begin[level] + counts[1, level]
                counts[1, level] += 1
                is_last = level + 1 == begin.size
                if is_last or hashes.size:
                    _write(sums[level][:lanes], wire)
                if hashes.size:
                    _hash(wire, start, lanes, hashes[place])
                if is_last:
                    break
                _carry(sums[level][:lanes], sums[level + 1][:lanes], counts[0, level + 1] % fan_in == 0)
                counts[0, level + 1] += 1
                level += 1
        if total.size:
            _copy(wire[:lanes], total[start : start + lanes])
        if factor > 0:
            own_base, own_model = base[start : start + lanes], model[start : start + lanes]
            clamped += apply(own_base, wire[:lanes], factor, half, divisor, own_model)
            if hashes.size:
                _copy(own_model, wire[:lanes])
                _hash(wire, start, lanes, hashes[hashes.shape[0] - 1])
    return clamped


@compiled
def _add(address: int, start: int, sums: Any, is_first: bool) -> None:
    """Add an update's lanes to a sum, or begin one with them."""
    if address == 0:
        if is_first:
            sums[:] = 0
        return
    words = _words(_pointer(address + 4 * start), (sums.size,))
    if is_first:
        for lane in range(sums.size):
            word = words[lane]
            sums[lane] = turned(word)
    else:
        for lane in range(sums.size):
            word = words[lane]
            sums[lane] += turned(word)


@compiled
def _write(sums: Any, wire: Any) -> None:
    """Write a sum in wire order; behind it stand zeros."""
    for lane in range(sums.size):
        word = sums[lane]
        wire[lane] = turned(word)
    wire[sums.size :] = 0


@compiled
def _carry(sums: Any, upper: Any, is_first: bool) -> None:
    """Add a sum to the one above, or begin that one with it."""
    if is_first:
        for lane in range(sums.size):
            upper[lane] = sums[lane]
    else:
        for lane in range(sums.size):
            upper[lane] += sums[lane]


@compiled
def _copy(source: Any, target: Any) -> None:
    for lane in range(target.size):
        target[lane] = source[lane]


@compiled
def _hash(wire: Any, start: int, lanes: int, hashes: Any) -> None:
    """Hash a block's chunks; behind its lanes stand zeros."""
    chunks = (lanes + _CHUNK_LANES - 1) // _CHUNK_LANES
    target = hashes[start // _CHUNK_LANES :]
    hash_pieces(wire.ctypes, chunks, CHUNK_BYTES // PIECE_BYTES, 0, target.ctypes)
