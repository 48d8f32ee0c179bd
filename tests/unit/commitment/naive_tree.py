"""The chunk tree by plain recursion, to compare the package with."""

import hashlib

import numpy as np

from fl_chain.commitment.chunks import LANE, Lanes


def random_lanes(dimension: int, seed: int = 0) -> Lanes:
    return np.random.default_rng(seed).integers(0, 2**32, dimension, dtype=np.uint32).astype(LANE)


def naive_root(content: bytes) -> bytes:
    chunks = 1
    while chunks * 4096 < len(content):
        chunks *= 2
    return _root(content.ljust(chunks * 4096, b"\x00"))


def _root(content: bytes) -> bytes:
    if len(content) == 4096:
        return hashlib.sha256(b"\x00" + content).digest()
    half = len(content) // 2
    return hashlib.sha256(b"\x01" + _root(content[:half]) + _root(content[half:])).digest()
