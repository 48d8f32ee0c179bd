"""From lanes to a ciphertext, and from a sum of ciphertexts back to the exact sum of the lanes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.chunks import LANE, Lanes, verify_lanes
from fl_chain.encryption import seal
from fl_chain.encryption.ciphertexts import residues, wire
from fl_chain.encryption.keys import PublicKey, SecretKey
from fl_chain.encryption.scheme import (
    DEGREE,
    LANE_LIMIT,
    block_count,
    least_noise_budget_bits,
    verify_summands,
)
from fl_chain.errors import Undecryptable

ExactSum = npt.NDArray[np.int64]
"""Signed sums of lanes, shape (dimension,): not reduced modulo 2^32."""


def encrypt(lanes: Lanes, key: PublicKey) -> Lanes:
    """Return the ciphertext of a vector; another one each time, so keep what is to be published.

    Args:
        lanes: shape (dimension,), big-endian, each a signed number in two's complement.
        key: of the cohort.

    Returns:
        Shape (ciphertext_lanes(dimension),).

    Raises:
        ExtraMissing: if TenSEAL is not installed.
        ValueError: if the lanes are of another form.
    """
    verify_lanes(lanes)
    values = np.zeros((block_count(lanes.size), DEGREE), dtype=np.int64)
    values.reshape(-1)[: lanes.size] = lanes.view(">i4")
    encryptor = seal.Encryptor(key.numbers)
    return wire(np.stack([encryptor.encrypted(block) for block in values]))


def decrypt(ciphertext: Lanes, key: SecretKey, dimension: int, *, summands: int = 1) -> ExactSum:
    """Return what a sum of ciphertexts holds, exactly.

    Args:
        ciphertext: shape (ciphertext_lanes(dimension),).
        key: of the cohort.
        dimension: lanes of the vectors.
        summands: how many ciphertexts are in the sum.

    Raises:
        MalformedBlob: if it is not a ciphertext of so many lanes.
        Undecryptable: if it is not the sum of so many ciphertexts under this key: more noise than they can
            have, numbers past the dimension, or sums that so many lanes cannot have.
        ExtraMissing: if TenSEAL is not installed.
        ValueError: if that number is out of range.
    """
    verify_summands(summands)
    least_bits = least_noise_budget_bits(summands)
    decryptor = seal.Decryptor(key.numbers, key.public.numbers)
    found = np.empty((block_count(dimension), DEGREE), dtype=np.int64)
    for index, block in enumerate(residues(ciphertext, dimension)):
        found[index], budget_bits = decryptor.decrypted(block)
        if budget_bits < least_bits:
            raise Undecryptable(
                f"block {index} has {budget_bits} bits left for noise, and {summands} ciphertexts under this "
                f"key leave at least {least_bits}: one was multiplied, altered, or made with another key"
            )
    exact, past = np.split(found.reshape(-1), [dimension])
    if past.any():
        raise Undecryptable(
            f"a number is set past the {dimension} lanes: one of the ciphertexts was not made of lanes"
        )
    if exact.min() < -LANE_LIMIT * summands or exact.max() >= LANE_LIMIT * summands:
        raise Undecryptable(
            f"a sum is larger than {summands} lanes can give: one ciphertext was not made of lanes"
        )
    return exact


def wrapped(exact: ExactSum) -> Lanes:
    """Return exact sums as lanes, modulo 2^32: what the plain sum of the same lanes is."""
    return exact.astype(np.uint32).astype(LANE)
