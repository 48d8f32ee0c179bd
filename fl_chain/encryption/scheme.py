"""The constants of the encryption, and why a sum decrypts exactly.

A plaintext block is 4096 integers modulo `PLAIN_MODULUS`, one a lane, by the batching of Smart and
Vercauteren. A ciphertext block is two polynomials of 4096 coefficients modulo `MODULUS`, one prime of 60
bits: 64-bit words, 16 bytes for a lane of four. Keys have one more prime, `KEY_PRIME`. The primes have 109
bits together, the most that 4096 coefficients and a ternary secret allow for 128 bits of security
(Homomorphic Encryption Standard, 2018, table 1); SEAL refuses larger ones.

**Integers do not wrap.** A lane is a signed number of 32 bits, so at most 2^31 in absolute value; a sum of
`MAX_SUMMANDS` of them stays below half of `PLAIN_MODULUS`, and its sign is not lost.

**Noise does not reach a plaintext.** A secret and SEAL's ephemeral polynomial have coefficients of -1, 0, 1,
and its errors are at most 21 in absolute value (a centred binomial distribution of 42 bits). So an encryption
under both primes has a noise of at most ``21 * (2 * 4096 + 1) < 2^18``. Dividing by `KEY_PRIME`, of 49 bits,
leaves less than 1 of it and adds at most ``(4096 + 1) / 2`` by rounding; the message's own rounding adds 1/2.
`NOISE_BOUND` is about twice that. A sum of n ciphertexts has at most n times as much, and it decrypts exactly
while that is below ``MODULUS / (2 * PLAIN_MODULUS)``, about 2^20. These are worst cases, not likelihoods.
"""

from __future__ import annotations

DEGREE = 4096
MODULUS = 0x0FFFFFFFFFFFC001  # of ciphertexts
KEY_PRIME = 0x0001FFFFFFFCE001
PLAIN_MODULUS = 0x0000007FFFFEC001
KEY_PRIME_BITS = (MODULUS.bit_length(), KEY_PRIME.bit_length())

LANE_LIMIT = 2**31  # the largest absolute value of a lane
NOISE_BOUND = 4096  # of one encryption; what it proves to be is at most 2050
MAX_SUMMANDS = min(
    (PLAIN_MODULUS - 1) // 2 // LANE_LIMIT,
    (MODULUS // (2 * PLAIN_MODULUS) - 1) // NOISE_BOUND,
)


def least_noise_budget_bits(summands: int) -> int:
    """Return what a sum's noise budget, SEAL's measure, is at least if every summand was properly encrypted.

    Args:
        summands: 1 to `MAX_SUMMANDS`.

    Raises:
        ValueError: if there are more of them, or none.
    """
    verify_summands(summands)
    noise = PLAIN_MODULUS * NOISE_BOUND * summands
    return MODULUS.bit_length() - noise.bit_length() - 1


def verify_summands(summands: int) -> None:
    """Check that a sum of so many ciphertexts decrypts exactly.

    Raises:
        ValueError: if it is none, or more than `MAX_SUMMANDS`.
    """
    if not 1 <= summands <= MAX_SUMMANDS:
        raise ValueError(
            f"{summands} ciphertexts in a sum; it takes from 1 to {MAX_SUMMANDS}. Secure aggregation has no "
            "such limit"
        )


def block_count(dimension: int) -> int:
    """Return how many ciphertext blocks a vector takes.

    Args:
        dimension: lanes of the vector, at least 1.

    Raises:
        ValueError: if there is no lane.
    """
    if dimension < 1:
        raise ValueError(f"the dimension is {dimension}; a vector has at least one lane")
    return -(-dimension // DEGREE)
