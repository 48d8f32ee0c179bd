"""Whether compiled hashing and the compiled loops can be used here, and when they pay."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.sizes import CHUNK_BYTES, HASH_BYTES, PIECE_BYTES

WORTHWHILE_BYTES = 64 << 20  # below, loading takes longer than it saves

Octets = npt.NDArray[np.uint8]
HashPieces = Callable[[int, int, int, int, int], None]


_LOOPS = {
    "add_to_group": "u1[] =u4[] b1 b1",
}


class Hashing:
    """SHA-256 over chunks and nodes as machine code; see `fl_chain.machine.sha256`."""

    def __init__(self, hash_pieces: HashPieces) -> None:
        self.hash_pieces = hash_pieces

    def hash_chunks(self, content: Octets, hashes: Octets) -> None:
        """Hash chunk by chunk.

        Args:
            content: shape (n,), uint8; the last chunk may be incomplete.
            hashes: shape (ceil(n / 4096), 32), uint8; takes the hashes.
        """
        whole, rest = divmod(content.size, CHUNK_BYTES)
        self.hash_pieces(content.ctypes.data, whole, CHUNK_BYTES // PIECE_BYTES, 0, hashes.ctypes.data)
        if rest:
            padded = np.zeros(CHUNK_BYTES, dtype=np.uint8)
            padded[:rest] = content[whole * CHUNK_BYTES :]
            place = hashes[whole:].ctypes.data
            self.hash_pieces(padded.ctypes.data, 1, CHUNK_BYTES // PIECE_BYTES, 0, place)

    def reduce_nodes(self, nodes: Octets, zero_roots: Octets, level: int, height: int) -> None:
        """Hash nodes in place up to a root, which is left in ``nodes[0]``.

        Args:
            nodes: shape (n, 32), uint8, of one level; overwritten.
            zero_roots: shape (levels, 32): the root of a tree of zero chunks for each level.
            level: of the nodes.
            height: the level of the root.
        """
        count, place = nodes.shape[0], nodes.ctypes.data
        for at in range(level, height):
            above, rest = divmod(count, 2)
            pair = np.concatenate((nodes[count - 1], zero_roots[at])) if rest else None
            self.hash_pieces(place, above, 1, 1, place)
            if pair is not None:
                self.hash_pieces(pair.ctypes.data, 1, 1, 1, place + above * HASH_BYTES)
            count = above + rest


class Kernels(Protocol):
    """What `fl_chain.commitment.kernels` has; see there."""

    def add_to_group(
        self, content: Octets, sums: npt.NDArray[np.uint32], is_first: bool, is_last: bool
    ) -> None:
        """Add an update to a group's sum."""
        ...


@cache
def hashing() -> Hashing | None:
    """Load the compiled hashing; it is compiled first where nobody has done that on this machine.

    Returns:
        None where it does not work: without llvmlite, on a processor that LLVM does not know, or without
        both SHA instructions and an OpenSSL to call. `hashlib` hashes everything then, in one thread.
    """
    try:
        loaded = importlib.import_module("fl_chain.machine.sha256").load_hashing()
    except (ImportError, OSError, AttributeError, RuntimeError):
        return None
    found = Hashing(loaded.hash_pieces)
    return found if _is_right(found) else None


@cache
def kernels() -> Kernels | None:
    """Load this package's compiled loops; None as `load_compiled`. NumPy computes the same then."""
    return cast(Kernels | None, load_compiled("fl_chain.commitment.kernels", _LOOPS))


def load_compiled(module: str, forms: Mapping[str, str]) -> object | None:
    """Load a module's loops; see `fl_chain.machine.objects.load_loops`. Whoever calls this keeps them.

    Returns:
        None where there are none: on a big-endian machine, without compiled hashing, or without Numba where
        they have to be compiled.
    """
    if sys.byteorder != "little" or hashing() is None:
        return None
    try:
        return cast(object, importlib.import_module("fl_chain.machine.objects").load_loops(module, forms))
    except (ImportError, OSError):
        return None


def hashing_in_use() -> Hashing | None:
    """Return the compiled hashing if it is loaded."""
    return hashing() if hashing.cache_info().currsize else None


def hashing_for(size_bytes: int) -> Hashing | None:
    """Return the compiled hashing if it is loaded, or if so much is to be hashed that loading it pays."""
    return hashing() if size_bytes >= WORTHWHILE_BYTES else hashing_in_use()


def kernels_for(size_bytes: int) -> Kernels | None:
    """Return the compiled loops if they are loaded, or if there is so much to do that loading them pays."""
    if size_bytes >= WORTHWHILE_BYTES:
        return kernels()
    return kernels() if kernels.cache_info().currsize else None


def _is_right(found: Hashing) -> bool:
    """Compare with `hashlib` once: nobody may trust a hash that comes out of the wrong library."""
    content = np.arange(5000, dtype=np.uint32).view(np.uint8)[: 4096 * 2 + 100].copy()
    hashes = np.empty((3, 32), dtype=np.uint8)
    found.hash_chunks(content, hashes)
    padded = content.tobytes().ljust(3 * 4096, b"\x00")
    expected = [hashlib.sha256(b"\x00" + padded[at : at + 4096]).digest() for at in range(0, 3 * 4096, 4096)]
    return hashes.tobytes() == b"".join(expected)
