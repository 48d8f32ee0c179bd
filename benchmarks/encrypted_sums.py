"""The sum of eight encrypted updates of 100,000 lanes, from bytes to bytes, against TenSEAL's own.

Ours reads ciphertexts in their one form and adds them modulo the prime with NumPy, which is all that
aggregator and audit do; hashing is left out. The peer is TenSEAL 0.3.18: it loads what it serialised itself
of the same updates under the same parameters, adds, and serialises the sum.
"""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np

from benchmarks.harness import Result, interleaved_medians, throughput
from fl_chain.commitment.chunks import LANE, lane_bytes
from fl_chain.encryption.ciphertexts import ciphertext_from_bytes, residues, total_residues, wire
from fl_chain.encryption.keys import new_secret_key
from fl_chain.encryption.lanes import encrypt
from fl_chain.encryption.scheme import DEGREE, KEY_PRIME_BITS, PLAIN_MODULUS, block_count

DIMENSION = 100_000
UPDATES = 8


def results() -> list[Result]:
    """Return the comparison, in lanes of the updates.

    Raises:
        ExtraMissing: if TenSEAL is not installed.
    """
    key = new_secret_key()  # says how to install TenSEAL
    import tenseal

    lanes = np.random.default_rng(1).integers(0, 2**32, DIMENSION, dtype=np.uint32).astype(LANE)
    published = [bytes(lane_bytes(encrypt(lanes, key.public))) for _ in range(UPDATES)]
    context = tenseal.context(
        tenseal.SCHEME_TYPE.BFV,
        DEGREE,
        PLAIN_MODULUS,
        coeff_mod_bit_sizes=list(KEY_PRIME_BITS),
        n_threads=1,
    )
    blocks = np.zeros((block_count(DIMENSION), DEGREE), dtype=np.int64)
    blocks.reshape(-1)[:DIMENSION] = lanes.view(">i4")
    serialized = [
        [tenseal.bfv_vector(context, block.tolist()).serialize() for _ in range(UPDATES)] for block in blocks
    ]

    def ours() -> None:
        numbers = (residues(ciphertext_from_bytes(one, DIMENSION), DIMENSION) for one in published)
        lane_bytes(wire(total_residues(numbers)))

    def theirs() -> None:
        for block in serialized:
            reduce(add, (tenseal.bfv_vector_from(context, one) for one in block)).serialize()

    seconds = interleaved_medians([ours, theirs])
    work = UPDATES * DIMENSION / 1e6
    peer = "TenSEAL, same updates, one thread"
    return [throughput("encrypted_sums", peer, work, seconds, "million lanes/s")]
