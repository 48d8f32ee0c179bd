"""One stripe of a whole round in one compiled call: read, hashed, checked, summed, looked at and applied.

Nothing of it holds the interpreter's lock, so that threads that derive rounds and whatever else a process
does leave one another alone; see `fl_chain.run.stripes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from fl_chain.aggregation.kernels import apply
from fl_chain.aggregation.observation_kernel import observe
from fl_chain.commitment.kernels import compiled, hash_and_add, hash_pieces, turned
from fl_chain.commitment.sizes import CHUNK_BYTES, HASH_BYTES, PIECE_BYTES
from fl_chain.run.stripe_flags import OUT_OF_RANGE, SHORT

_pread: Any = types.ExternalFunction(
    "pread", types.intp(types.int32, types.voidptr, types.uintp, types.int64)
)


@compiled
def derive_stripe(  # noqa: PLR0917 - compiled functions take no keywords
    descriptors: Any,
    base_descriptor: int,
    offset: int,
    bounds: Any,
    first: int,
    lanes: int,
    height: int,
    zero_roots: Any,
    content: Any,
    wire: Any,
    sums: Any,
    hashes: Any,
    pair: Any,
    fan_in: int,
    below: Any,
    added: Any,
    places: Any,
    update_roots: Any,
    sum_roots: Any,
    sum_hashes: Any,
    total: Any,
    ends: Any,
    factor: float,
    half: float,
    divisor: float,
    model: Any,
    clamped: Any,
    signs: Any,
    earlier: Any,
    rows: int,
    crossed: int,
    sketches: Any,
    figures: Any,
) -> int:
    """Derive one stripe of a round.

    Args:
        descriptors: shape (submissions,), int64, of the updates' open files; -1 for one that is left out.
        base_descriptor: of the base model's open file.
        offset: of the first lane in an update's file, bytes.
        bounds: shape (submissions,), int64: the largest absolute value of each one's lanes.
        first: the number of the stripe's first lane.
        lanes: of the stripe.
        height: of the stripe's tree.
        zero_roots: shape (levels, 32): the root of a tree of zero chunks for each level of a tree.
        content: shape (chunks * 4096,), uint8; holds the base model's lanes in the end.
        wire: of the same shape; holds the model's lanes in the end, or the total's where nothing is applied.
        sums: shape (levels of sums, chunks * 1024), uint32: room for a sum of each level.
        hashes: shape (chunks, 32): room for a stripe's hashes.
        pair: shape (64,): room for two hashes.
        fan_in: how many summands a whole group has.
        below: shape (levels of sums,), int64: the summands of each level.
        added: of the same shape: room for counts.
        places: of the same shape: where in ``sum_roots`` those of each level begin; is counted up.
        update_roots: shape (submissions, 32): takes the roots of the updates' stripes.
        sum_roots: shape (sums, 32): takes those of the sums, in the order of a posting.
        sum_hashes: shape (sums, chunks of a vector, 32): takes the sums' chunk hashes; empty: nobody wants
            them.
        total: shape (dimension,), uint32: takes the total's lanes in wire order; empty: nobody wants them.
        ends: shape (2, 32): takes those of the base and of the model.
        factor: as `apply` has it; 0: the total is not applied.
        half: the same.
        divisor: the same.
        model: shape (dimension,), uint32: takes the model's lanes in wire order.
        clamped: shape (1,), int64: takes how many of them were clamped.
        signs: shape (dimension,), int8; empty where nobody looks.
        earlier: as `observe` has it, of the whole dimension.
        rows: as `observe` has it.
        crossed: as `observe` has it.
        sketches: shape (submissions, 3, buckets); see `observe`.
        figures: shape (submissions, 5); see `observe`.

    Returns:
        What is wrong, of `fl_chain.run.stripe_flags`; nothing else means anything where a file is short.
    """
    wrong = 0
    clamped[0] = 0
    for level in range(sums.shape[0]):
        added[level] = 0
        sums[level][:] = 0
    for index in range(descriptors.size):
        if descriptors[index] >= 0:
            if not _read(descriptors[index], offset + 4 * first, 4 * lanes, content):
                return SHORT
            is_within = hash_and_add(content, sums[0], bounds[index], hashes)
            if not is_within or _any_set(content[4 * lanes :]):
                wrong = OUT_OF_RANGE
            _reduce(hashes, zero_roots, height, pair)
            _copy_hash(hashes[0], update_roots[index])
            if signs.size:
                own_signs = signs[first : first + lanes]
                former = earlier[first : first + lanes] if earlier.size else earlier
                seen = sketches[index], figures[index]
                observe(first, content[: 4 * lanes], own_signs, former, rows, crossed, seen[0], seen[1])
        level = 0
        while _is_group_complete(added, below, level, fan_in):
            is_last = level + 1 == sums.shape[0]
            _close_group(sums[level], wire, sums[level][:0] if is_last else sums[level + 1])
            hash_pieces(wire.ctypes, hashes.shape[0], CHUNK_BYTES // PIECE_BYTES, 0, hashes.ctypes)
            _keep_hashes(hashes, sum_hashes, places[level], 4 * first // CHUNK_BYTES)
            _reduce(hashes, zero_roots, height, pair)
            _copy_hash(hashes[0], sum_roots[places[level]])
            places[level] += 1
            if is_last:
                _copy_lanes(wire.view(np.uint32), total[first : first + lanes])
                break
            level += 1
    if not _read(base_descriptor, 4 * first, 4 * lanes, content):
        return SHORT
    find_root(content, height, zero_roots, hashes, pair, ends[0])
    if factor > 0:
        words = wire.view(np.uint32)
        own_model = model[first : first + lanes]
        own_base = content.view(np.uint32)[:lanes]
        clamped[0] = apply(own_base, words[:lanes], factor, half, divisor, own_model)
        for lane in range(lanes):
            words[lane] = own_model[lane]
        words[lanes:] = 0
        find_root(wire, height, zero_roots, hashes, pair, ends[1])
    return wrong


@compiled
def _read(descriptor: int, start: int, needed: int, content: Any) -> bool:
    """Fill a buffer from a file; behind the end of a vector that is cut off stand zeros."""
    filled = 0
    while filled < content.size:
        room = np.uintp(content.size - filled)
        piece = _pread(np.int32(descriptor), content[filled:].ctypes, room, start + filled)
        if piece <= 0:
            break
        filled += piece
    content[filled:] = 0
    return filled >= needed


@compiled
def _any_set(octets: Any) -> bool:
    bits: Any = np.uint8(0)
    for at in range(octets.size):
        bits |= octets[at]
    return bool(bits != 0)


@compiled
def _is_group_complete(added: Any, below: Any, level: int, fan_in: int) -> bool:
    """Count a summand of a level; return whether it completes a group."""
    added[level] += 1
    return bool(added[level] % fan_in == 0 or added[level] == below[level])


@compiled
def _close_group(sums: Any, wire: Any, upper: Any) -> None:
    """Write a sum in wire order; add it to the one above, where there is one, and begin it anew."""
    words = wire.view(np.uint32)
    for lane in range(sums.size):
        word = sums[lane]
        words[lane] = turned(word)
    if upper.size:
        for lane in range(sums.size):
            upper[lane] += sums[lane]
        sums[:] = 0


@compiled
def find_root(  # noqa: PLR0917
    content: Any, height: int, zero_roots: Any, hashes: Any, pair: Any, root: Any
) -> None:
    """Find the root of a stripe; the arguments are those of `derive_stripe`, and where the root goes."""
    hash_pieces(content.ctypes, hashes.shape[0], CHUNK_BYTES // PIECE_BYTES, 0, hashes.ctypes)
    _reduce(hashes, zero_roots, height, pair)
    _copy_hash(hashes[0], root)


@compiled
def _reduce(nodes: Any, zero_roots: Any, height: int, pair: Any) -> None:
    """Hash nodes in place up to a root, which is left in ``nodes[0]``; a pair is room for two of them."""
    count = nodes.shape[0]
    for level in range(height):
        above = count // 2
        is_odd = count % 2
        if is_odd:
            _copy_hash(nodes[count - 1], pair[:HASH_BYTES])
            _copy_hash(zero_roots[level], pair[HASH_BYTES:])
        hash_pieces(nodes.ctypes, above, 1, 1, nodes.ctypes)
        if is_odd:
            hash_pieces(pair.ctypes, 1, 1, 1, nodes[above:].ctypes)
        count = above + is_odd


@compiled
def _keep_hashes(hashes: Any, kept: Any, place: int, first: int) -> None:
    """Copy a stripe's chunk hashes to those of a sum, where there is room for them."""
    if kept.size:
        own = kept[place][first:]
        for chunk in range(hashes.shape[0]):
            _copy_hash(hashes[chunk], own[chunk])


@compiled
def _copy_lanes(words: Any, target: Any) -> None:
    for lane in range(target.size):
        target[lane] = words[lane]


@compiled
def _copy_hash(source: Any, target: Any) -> None:
    """Copy 32 bytes; an assignment would first make room for a copy, in case both overlap."""
    for at in range(HASH_BYTES):
        target[at] = source[at]
