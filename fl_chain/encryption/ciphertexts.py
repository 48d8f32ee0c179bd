"""Ciphertexts as vectors of lanes, and their sums: integers modulo a prime, with nothing but NumPy.

A ciphertext's bytes are its numbers and nothing else: for each block of 4096 lanes the two polynomials'
coefficients, big-endian 64-bit words below `MODULUS`. There is one form for each ciphertext, whatever library
and version made it, so that a sum has one digest in every order and on every machine. Read as lanes, 16
chunks a block, a ciphertext is committed to like any other vector.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.chunks import LANE, Lanes, lanes_from_bytes, verify_lanes
from fl_chain.commitment.tree import vector_root
from fl_chain.encryption.scheme import DEGREE, MODULUS, block_count, verify_summands
from fl_chain.errors import MalformedBlob
from fl_chain.records import Digest

WORD = np.dtype(">u8")
BLOCK_WORDS = 2 * DEGREE
_WORD_LANES = WORD.itemsize // LANE.itemsize
_MODULUS = np.uint64(MODULUS)

Residues = npt.NDArray[np.uint64]
"""Numbers below `MODULUS` in this machine's order, shape (blocks, 2, `DEGREE`)."""


@dataclass(frozen=True, slots=True)
class CiphertextSum:
    """What a round's ciphertexts add up to."""

    total: Lanes  # a ciphertext, shape (ciphertext_lanes(dimension),)
    root: Digest  # vector root of the total
    summands: int  # how many ciphertexts are in it; excluded ones are not


def ciphertext_lanes(dimension: int) -> int:
    """Return how many lanes the ciphertext of a vector has.

    Args:
        dimension: lanes of the vector.

    Raises:
        ValueError: if it has none.
    """
    return block_count(dimension) * BLOCK_WORDS * _WORD_LANES


def ciphertext_from_bytes(content: bytes | bytearray | memoryview, dimension: int) -> Lanes:
    """Return the ciphertext of a vector over bytes that were read, without copying them.

    Args:
        content: 16 bytes a lane, for whole blocks.
        dimension: lanes of the vector.

    Raises:
        MalformedBlob: if the length is another, or a number is not below `MODULUS`.
    """
    lanes = lanes_from_bytes(content, ciphertext_lanes(dimension))
    residues(lanes, dimension)
    return lanes


def residues(ciphertext: Lanes, dimension: int) -> Residues:
    """Return a ciphertext's numbers, checked.

    Args:
        ciphertext: shape (ciphertext_lanes(dimension),), big-endian.
        dimension: lanes of the vector.

    Raises:
        MalformedBlob: if it is of another length, as that of another vector or a product of two is, or if a
            number is not below `MODULUS`.
        ValueError: if it is not a vector of lanes.
    """
    verify_lanes(ciphertext)
    expected = ciphertext_lanes(dimension)
    if ciphertext.size != expected:
        raise MalformedBlob(
            f"a ciphertext of {ciphertext.size} lanes; that of {dimension} encrypted lanes has {expected}"
        )
    words = ciphertext.view(WORD).astype(np.uint64)
    if words.max() >= _MODULUS:
        at = int(np.argmax(words >= _MODULUS))
        raise MalformedBlob(f"word {at} of a ciphertext is {int(words[at])}, not below the modulus {MODULUS}")
    return words.reshape(-1, 2, DEGREE)


def wire(numbers: Residues) -> Lanes:
    """Return numbers below `MODULUS` as a ciphertext; the inverse of `residues`."""
    return numbers.astype(WORD).reshape(-1).view(LANE)


def sum_ciphertexts(ciphertexts: Iterable[Lanes | None], dimension: int) -> CiphertextSum:
    """Return the sum of a round's ciphertexts.

    Addition modulo a prime is associative: any order gives the same bytes.

    Args:
        ciphertexts: in the ledger's order, None for a submission that is excluded; each is read once.
        dimension: lanes of the encrypted vectors.

    Raises:
        MalformedBlob: if one is not of the form.
        ValueError: if there are none, or too many to decrypt their sum exactly.
    """
    sum_of_all = np.zeros((block_count(dimension), 2, DEGREE), dtype=np.uint64)
    summands = 0
    for ciphertext in ciphertexts:
        if ciphertext is not None:
            summands += 1
            _add(sum_of_all, residues(ciphertext, dimension))
    verify_summands(summands)
    total = wire(sum_of_all)
    return CiphertextSum(total, vector_root(total), summands)


def total_residues(group: Iterable[Residues]) -> Residues:
    """Return the sum of numbers below the modulus, all of one shape.

    Raises:
        ValueError: if there are none.
    """
    total: Residues | None = None
    for numbers in group:
        if total is None:
            total = numbers.copy()
        else:
            _add(total, numbers)
    if total is None:
        raise ValueError("there is nothing to add")
    return total


def _add(total: Residues, numbers: Residues) -> None:
    """Add modulo the prime, in place."""
    total += numbers  # below 2^61: both are below the prime
    np.minimum(total, total - _MODULUS, out=total)  # where there is nothing to take off, the difference wraps
