"""Masks on a vector of 10 million lanes, each pair's cost, against Flower's way of making one.

Ours expands the keys of 15 peers by ChaCha20 and adds their streams modulo 2^32, as one of 16 participants
does. The peer is the generator that Flower's
SecAgg+ uses for each pair (``pseudo_rand_gen`` of flwr 1.42): NumPy's legacy one, seeded by the shared key's
words folded into 32 bits, drawing 64-bit integers below the modulus. Adding what it draws is left out.
``masking_cipher`` is OpenSSL's ChaCha20 over as many bytes, into the core's cache and added to nothing: masks
of this cipher can come near it and not above.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from benchmarks.harness import Result, interleaved_medians, throughput
from fl_chain.masking.masks import BLOCK_BYTES, Mask, add_masks

DIMENSION = 10_000_000
MODULUS = 1 << 32
PEERS = 15
KEYS = [bytes([peer]) * 32 for peer in range(PEERS)]


def results() -> list[Result]:
    """Return the comparison, in bytes of the vector."""
    lanes = np.zeros(DIMENSION, dtype=np.uint32)
    masks = [Mask(key) for key in KEYS]

    def flower() -> None:
        for key in KEYS:
            words = [int.from_bytes(key[at : at + 4], "little") for at in range(0, len(key), 4)]
            seed = reduce(xor, words)
            np.random.RandomState(seed).randint(0, MODULUS - 1, DIMENSION, dtype=np.int64)

    zeros, block = bytes(BLOCK_BYTES), bytearray(BLOCK_BYTES)

    def cipher() -> None:
        for key in KEYS:
            stream = Cipher(ChaCha20(key, bytes(16)), None).encryptor()
            for _ in range(-(-DIMENSION * 4 // BLOCK_BYTES)):
                stream.update_into(zeros, block)

    ours, alone, theirs = interleaved_medians([lambda: add_masks(lanes, masks), cipher, flower])
    masked_gb = PEERS * DIMENSION * 4 / 1e9
    peer = "Flower's pseudo-random generator"
    return [
        throughput("masking", peer, masked_gb, [ours, theirs], "GB/s"),
        throughput("masking_cipher", peer, masked_gb, [alone, theirs], "GB/s"),
    ]
