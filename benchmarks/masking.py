"""Masks on a vector of 10 million lanes, each pair's cost, against Flower's way of making one.

Ours expands the keys of 15 peers by ChaCha20 and adds their streams modulo 2^32, as one of 16 participants
does. The peer is the generator that Flower's
SecAgg+ uses for each pair (``pseudo_rand_gen`` of flwr 1.42): NumPy's legacy one, seeded by the shared key's
words folded into 32 bits, drawing 64-bit integers below the modulus. Adding what it draws is left out.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

import numpy as np

from benchmarks.harness import Result, interleaved_medians, throughput
from fl_chain.commitment.native import kernels
from fl_chain.masking.masks import Mask, add_masks

DIMENSION = 10_000_000
MODULUS = 1 << 32
PEERS = 15
KEYS = [bytes([peer]) * 32 for peer in range(PEERS)]


def results() -> list[Result]:
    """Return the comparison, in bytes of the vector."""
    kernels()  # a worker that masks has loaded them
    lanes = np.zeros(DIMENSION, dtype=np.uint32)
    masks = [Mask(key) for key in KEYS]

    def flower() -> None:
        for key in KEYS:
            words = [int.from_bytes(key[at : at + 4], "little") for at in range(0, len(key), 4)]
            seed = reduce(xor, words)
            np.random.RandomState(seed).randint(0, MODULUS - 1, DIMENSION, dtype=np.int64)

    seconds = interleaved_medians([lambda: add_masks(lanes, masks), flower])
    masked_gb = PEERS * DIMENSION * 4 / 1e9
    return [throughput("masking", "Flower's pseudo-random generator", masked_gb, seconds, "GB/s")]
