"""The hot loops, compiled by Numba, with OpenSSL's own SHA-256 inside them.

A chunk of 4 KiB takes SHA-256 three microseconds, and the interpreter's calls around it as long again. Here
the loop over chunks is machine code without the interpreter's lock, so that threads share the work. Importing
this module costs half a second; `fl_chain.commitment.native` decides when that pays.
"""

from __future__ import annotations

import _hashlib
import ctypes
from collections.abc import Callable
from ctypes.util import find_library
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import types

from fl_chain.commitment.merkle import CHUNK_BYTES, HASH_BYTES

_CONTEXT_WORDS = 32  # of 8 bytes; OpenSSL's SHA256_CTX has 112 bytes
_LEAF_TAG = np.zeros(1, dtype=np.uint8)
_NODE_TAG = np.ones(1, dtype=np.uint8)


def _name_openssl(names: tuple[str, ...]) -> None:
    """Make functions of the OpenSSL that `hashlib` uses known to compiled code by their names.

    Raises:
        OSError: if that library cannot be opened.
        AttributeError: if it does not have them.
    """
    path = getattr(_hashlib, "__file__", None) or find_library("crypto")
    if path is None:
        raise OSError("no OpenSSL to call: Python has one of its own that it does not share")
    library = ctypes.CDLL(path)
    for name in names:
        llvm.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)


def compiled(signature: str) -> Callable[[Any], Any]:
    """Compile a function for one signature when it is defined; the machine code is kept on disk."""

    def compile_now(function: Any) -> Any:
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)
        except RuntimeError:  # no folder to keep compiled code in
            return numba.njit(signature, nogil=True)(function)

    return compile_now


_name_openssl(("SHA256_Init", "SHA256_Update", "SHA256_Final"))
_init: Any = types.ExternalFunction("SHA256_Init", types.int32(types.voidptr))
_update: Any = types.ExternalFunction("SHA256_Update", types.int32(types.voidptr, types.voidptr, types.uintp))
_final: Any = types.ExternalFunction("SHA256_Final", types.int32(types.voidptr, types.voidptr))


@numba.njit(inline="always")
def turned(word: Any) -> Any:
    """Return a big-endian 32-bit word in this machine's order, which is the other one."""
    return (
        (word >> np.uint32(24))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | ((word << np.uint32(8)) & np.uint32(0xFF0000))
        | (word << np.uint32(24))
    )


@compiled("void(Array(uint8, 1, 'C', readonly=True), uint8[:, ::1])")
def hash_chunks(content: Any, hashes: Any) -> None:
    """Hash chunk by chunk.

    Args:
        content: shape (n,), uint8; the last chunk may be incomplete.
        hashes: shape (ceil(n / 4096), 32), uint8; takes the hashes.
    """
    context = np.empty(_CONTEXT_WORDS, dtype=np.uint64)
    whole = content.size // CHUNK_BYTES
    for number in range(whole):
        _init(context.ctypes)
        _update(context.ctypes, _LEAF_TAG.ctypes, 1)
        _update(context.ctypes, content[number * CHUNK_BYTES :].ctypes, CHUNK_BYTES)
        _final(hashes[number].ctypes, context.ctypes)
    if whole < hashes.shape[0]:
        padded = np.zeros(CHUNK_BYTES, dtype=np.uint8)
        padded[: content.size - whole * CHUNK_BYTES] = content[whole * CHUNK_BYTES :]
        _init(context.ctypes)
        _update(context.ctypes, _LEAF_TAG.ctypes, 1)
        _update(context.ctypes, padded.ctypes, CHUNK_BYTES)
        _final(hashes[whole].ctypes, context.ctypes)


@compiled("void(uint8[:, ::1], Array(uint8, 2, 'C', readonly=True), int64, int64)")
def reduce_nodes(nodes: Any, zero_roots: Any, level: int, height: int) -> None:
    """Hash nodes in place up to a root, which is left in ``nodes[0]``.

    Args:
        nodes: shape (n, 32), uint8, of one level; overwritten.
        zero_roots: shape (levels, 32): the root of a tree of zero chunks for each level.
        level: of the nodes.
        height: the level of the root.
    """
    context = np.empty(_CONTEXT_WORDS, dtype=np.uint64)
    pair = np.empty(2 * HASH_BYTES, dtype=np.uint8)
    count = nodes.shape[0]
    while level < height:
        above = (count + 1) // 2
        for number in range(above):
            pair[:HASH_BYTES] = nodes[2 * number]
            pair[HASH_BYTES:] = nodes[2 * number + 1] if 2 * number + 1 < count else zero_roots[level]
            _init(context.ctypes)
            _update(context.ctypes, _NODE_TAG.ctypes, 1)
            _update(context.ctypes, pair.ctypes, 2 * HASH_BYTES)
            _final(nodes[number].ctypes, context.ctypes)
        count = above
        level += 1


@compiled("boolean(uint8[::1], uint32[::1], int64, uint8[:, ::1])")
def hash_and_add(content: Any, sums: Any, bound: int, hashes: Any) -> bool:
    """Hash an update chunk by chunk and add each up while it lies in the core's nearest cache.

    Args:
        content: shape (n,), uint8: big-endian lanes, a whole number of chunks.
        sums: shape (n / 4,), uint32 of this machine; takes the sum modulo 2^32.
        bound: the largest absolute value of a lane.
        hashes: shape (n / 4096, 32), uint8; takes the hashes.

    Returns:
        Whether every lane, as a signed number, is within the bound.
    """
    context = np.empty(_CONTEXT_WORDS, dtype=np.uint64)
    words = content.view(np.uint32)
    lanes = CHUNK_BYTES // 4
    highest: Any = np.int32(0)
    lowest: Any = np.int32(0)
    for number in range(hashes.shape[0]):
        _init(context.ctypes)
        _update(context.ctypes, _LEAF_TAG.ctypes, 1)
        _update(context.ctypes, content[number * CHUNK_BYTES :].ctypes, CHUNK_BYTES)
        _final(hashes[number].ctypes, context.ctypes)
        summands = words[number * lanes : (number + 1) * lanes]
        totals = sums[number * lanes : (number + 1) * lanes]
        for lane in range(lanes):  # from 0 up: only then is this loop made one of vector instructions
            word = summands[lane]
            value = turned(word)
            totals[lane] += value
            signed = np.int32(value)
            highest = max(highest, signed)
            lowest = min(lowest, signed)
    return bool(highest <= bound and lowest >= -bound)


@compiled("void(Array(uint8, 1, 'C', readonly=True), uint32[::1], boolean)")
def add_stream(content: Any, sums: Any, is_negative: bool) -> None:
    """Add big-endian lanes to a sum modulo 2^32, or take them off.

    Args:
        content: shape (4 n,), uint8.
        sums: shape (n,), uint32 of this machine.
        is_negative: take them off.
    """
    words = content.view(np.uint32)
    sign = np.uint32(0xFFFFFFFF) if is_negative else np.uint32(1)
    for lane in range(words.size):
        word = words[lane]
        value = turned(word)
        sums[lane] += value * sign


@compiled("void(Array(uint8, 1, 'C', readonly=True), uint32[::1], boolean, boolean)")
def add_to_group(content: Any, sums: Any, is_first: bool, is_last: bool) -> None:
    """Add big-endian lanes to a sum that begins with the first vector and is big-endian after the last.

    Args:
        content: shape (4 n,), uint8.
        sums: shape (n,), uint32 of this machine between the first and the last.
        is_first: what the sum holds does not count.
        is_last: leave the sum in wire order.
    """
    words = content.view(np.uint32)
    kept = np.uint32(0) if is_first else np.uint32(0xFFFFFFFF)
    if is_last:
        for lane in range(words.size):
            word = words[lane]
            value = np.uint32(turned(word) + (sums[lane] & kept))
            sums[lane] = turned(value)
    else:
        for lane in range(words.size):
            word = words[lane]
            sums[lane] = turned(word) + (sums[lane] & kept)
