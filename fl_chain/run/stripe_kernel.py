"""A group of updates, one stripe of each: read, hashed, checked, summed and looked at in one compiled call.

Nothing of it holds the interpreter's lock, so that threads that derive rounds and whatever else a process
does leave one another alone; see `fl_chain.run.stripes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from fl_chain.aggregation.observation_kernel import observe
from fl_chain.commitment.kernels import compiled, hash_and_add, hash_pieces, turned
from fl_chain.commitment.sizes import CHUNK_BYTES, HASH_BYTES, PIECE_BYTES
from fl_chain.run.stripe_flags import OUT_OF_RANGE, SHORT

_pread: Any = types.ExternalFunction(
    "pread", types.intp(types.int32, types.voidptr, types.uintp, types.int64)
)


@compiled
def add_group(  # noqa: PLR0917 - compiled functions take no keywords
    descriptors: Any,
    offset: int,
    bounds: Any,
    first: int,
    lanes: int,
    height: int,
    zero_roots: Any,
    content: Any,
    sums: Any,
    hashes: Any,
    pair: Any,
    roots: Any,
    places: Any,
    signs: Any,
    earlier: Any,
    rows: int,
    crossed: int,
    sketches: Any,
    figures: Any,
) -> int:
    """Add updates up, in order.

    Args:
        descriptors: shape (members,), int64, of open files.
        offset: of the updates' first lane in each, bytes.
        bounds: shape (members,), int64: the largest absolute value of each one's lanes.
        first: the number of the stripe's first lane.
        lanes: of the stripe.
        height: of the stripe's tree.
        zero_roots: shape (levels, 32): the root of a tree of zero chunks for each level.
        content: shape (chunks * 4096,), uint8: room for a stripe.
        sums: shape (chunks * 1024,), uint32 of this machine; takes the sum modulo 2^32.
        hashes: shape (chunks, 32): room for a stripe's hashes.
        pair: shape (64,): room for two hashes.
        roots: shape (members, 32): takes the roots of the stripe.
        places: shape (members,), int64: where in the last two each update's figures stand.
        signs: shape (dimension,), int8; empty where nobody looks.
        earlier: as `observe` has it, of the whole dimension.
        rows: as `observe` has it.
        crossed: as `observe` has it.
        sketches: shape (updates, 3, buckets); see `observe`.
        figures: shape (updates, 5); see `observe`.

    Returns:
        What is wrong, of `fl_chain.run.stripe_flags`; sums and roots mean nothing where a file is short.
    """
    wrong = 0
    for member in range(descriptors.size):
        start, filled = offset + 4 * first, 0
        while filled < content.size:
            piece = _pread(
                np.int32(descriptors[member]),
                content[filled:].ctypes,
                np.uintp(content.size - filled),
                start + filled,
            )
            if piece <= 0:
                break
            filled += piece
        if filled < 4 * lanes:
            return SHORT
        content[filled:] = 0
        for at in range(4 * lanes, content.size):
            if content[at] != 0:
                wrong = OUT_OF_RANGE
        if not hash_and_add(content, sums, bounds[member], hashes):
            wrong = OUT_OF_RANGE
        if signs.size:
            former = earlier[first : first + lanes] if earlier.size else earlier
            place = places[member]
            observe(
                first,
                content[: 4 * lanes],
                signs[first : first + lanes],
                former,
                rows,
                crossed,
                sketches[place],
                figures[place],
            )
        _reduce(hashes, zero_roots, height, pair)
        _copy_hash(hashes[0], roots[member])
    return wrong


@compiled
def close_group(  # noqa: PLR0917
    sums: Any, wire: Any, height: int, zero_roots: Any, hashes: Any, pair: Any, root: Any, upper: Any
) -> None:
    """Find the root of a sum's stripe; add the sum to the one above it, and begin it anew.

    Args:
        sums: shape (chunks * 1024,), uint32 of this machine.
        wire: shape (chunks * 4096,), uint8: takes the sum in wire order.
        height: as `add_group` has it.
        zero_roots: the same.
        hashes: the same.
        pair: the same.
        root: shape (32,); takes the root.
        upper: the sum above, of the same shape; empty where there is none, and the sum is kept then.
    """
    words = wire.view(np.uint32)
    for lane in range(sums.size):
        word = sums[lane]
        words[lane] = turned(word)
    find_root(wire, height, zero_roots, hashes, pair, root)
    if upper.size:
        for lane in range(sums.size):
            upper[lane] += sums[lane]
        sums[:] = 0


@compiled
def find_root(  # noqa: PLR0917
    content: Any, height: int, zero_roots: Any, hashes: Any, pair: Any, root: Any
) -> None:
    """Find the root of a stripe; the arguments are those of `close_group`."""
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
def _copy_hash(source: Any, target: Any) -> None:
    """Copy 32 bytes; an assignment would first make room for a copy, in case both overlap."""
    for at in range(HASH_BYTES):
        target[at] = source[at]
