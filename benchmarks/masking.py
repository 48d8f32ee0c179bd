"""One pair's mask on a vector of 10 million lanes against Flower's way of making one.

Ours expands a key by ChaCha20 and adds the stream modulo 2^32. The peer is the generator that Flower's
SecAgg+ uses for each pair (``pseudo_rand_gen`` of flwr 1.42): NumPy's legacy one, seeded by the shared key's
words folded into 32 bits, drawing 64-bit integers below the modulus. Adding what it draws is left out.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

import numpy as np

from benchmarks.harness import Result, interleaved_medians, throughput
from fl_chain.commitment.native import kernels
from fl_chain.masking.masks import add_mask

DIMENSION = 10_000_000
MODULUS = 1 << 32
KEY = bytes(range(32))


def results() -> list[Result]:
    """Return the comparison, in bytes of the vector."""
    kernels()  # a worker that masks has loaded them
    lanes = np.zeros(DIMENSION, dtype=np.uint32)
    words = [int.from_bytes(KEY[at : at + 4], "little") for at in range(0, len(KEY), 4)]
    seed = reduce(xor, words)

    def flower() -> object:
        return np.random.RandomState(seed).randint(0, MODULUS - 1, DIMENSION, dtype=np.int64)

    seconds = interleaved_medians([lambda: add_mask(lanes, KEY), flower])
    return [throughput("masking", "Flower's pseudo-random generator", DIMENSION * 4 / 1e9, seconds, "GB/s")]
