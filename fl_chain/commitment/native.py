"""Whether the compiled loops can be used here, and when they pay."""

from __future__ import annotations

import hashlib
import importlib
import sys
from functools import cache
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

WORTHWHILE_BYTES = 64 << 20  # loading takes as long as the interpreter takes to hash a few hundred MB

Octets = npt.NDArray[np.uint8]


class Kernels(Protocol):
    """What `fl_chain.commitment.kernels` has; see there."""

    def hash_chunks(self, content: Octets, hashes: Octets) -> None:
        """Hash chunk by chunk."""
        ...

    def reduce_nodes(self, nodes: Octets, zero_roots: Octets, level: int, height: int) -> None:
        """Hash nodes up to a root."""
        ...

    def hash_and_add(self, content: Octets, sums: npt.NDArray[np.uint32], bound: int, hashes: Octets) -> bool:
        """Hash an update and add it up."""
        ...

    def add_to_group(
        self, content: Octets, sums: npt.NDArray[np.uint32], is_first: bool, is_last: bool
    ) -> None:
        """Add an update to a group's sum."""
        ...

    def add_stream(self, content: Octets, sums: npt.NDArray[np.uint32], is_negative: bool) -> None:
        """Add big-endian lanes, or take them off."""
        ...


@cache
def kernels() -> Kernels | None:
    """Load the compiled loops, which takes about half a second the first time.

    Returns:
        None where they do not work: without Numba, where Python does not share its OpenSSL, on a big-endian
        machine. Everything is hashed by `hashlib` then, in one thread.
    """
    if sys.byteorder != "little":
        return None
    try:
        found = cast(Kernels, importlib.import_module("fl_chain.commitment.kernels"))
    except (ImportError, OSError, AttributeError):
        return None
    return found if _is_right(found) else None


def kernels_in_use() -> Kernels | None:
    """Return the compiled loops if they are loaded."""
    return kernels() if kernels.cache_info().currsize else None


def kernels_for(size_bytes: int) -> Kernels | None:
    """Return the compiled loops if they are loaded, or if so much is to be hashed that loading them pays."""
    return kernels() if size_bytes >= WORTHWHILE_BYTES else kernels_in_use()


def _is_right(found: Kernels) -> bool:
    """Compare with `hashlib` once: nobody may trust a hash that comes out of the wrong library."""
    content = np.arange(5000, dtype=np.uint32).view(np.uint8)[: 4096 * 2 + 100].copy()
    hashes = np.empty((3, 32), dtype=np.uint8)
    found.hash_chunks(content, hashes)
    padded = content.tobytes().ljust(3 * 4096, b"\x00")
    expected = [hashlib.sha256(b"\x00" + padded[at : at + 4096]).digest() for at in range(0, 3 * 4096, 4096)]
    return hashes.tobytes() == b"".join(expected)
