"""The keys of a cohort: a public one to encrypt with, and a secret one for those who may read sums.

A key's bytes are a tag and the key's numbers, so that neither can be taken for the other, and each key has
one form.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fl_chain.encryption import seal
from fl_chain.encryption.ciphertexts import WORD, Residues
from fl_chain.encryption.scheme import DEGREE, KEY_PRIME, MODULUS, least_noise_budget_bits
from fl_chain.errors import MalformedBlob, SecretKeyExposed, Undecryptable
from fl_chain.records import Digest

_PUBLIC_TAG = b"fl_chain/encryption/public/1"
_SECRET_TAG = b"fl_chain/encryption/secret/1"
_PRIMES: npt.NDArray[np.uint64] = np.array([MODULUS, KEY_PRIME], dtype=np.uint64)[:, np.newaxis]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What participants encrypt with; the aggregator may know it, and has no use for it."""

    content: bytes = field(repr=False)  # the tag and 2 polynomials under 2 primes; see `parse_public_key`

    def digest(self) -> Digest:
        """Return what names the key: SHA-256 of its bytes."""
        return Digest(hashlib.sha256(self.content).digest())

    @property
    def numbers(self) -> Residues:
        """Shape (2, 2, `DEGREE`): polynomials, primes, coefficients."""
        return _numbers(self.content, _PUBLIC_TAG).reshape(2, 2, DEGREE)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """What decrypts every ciphertext of the cohort, single ones too: for its holders only."""

    content: bytes = field(repr=False)  # the tag and a polynomial under 2 primes; see `parse_secret_key`
    public: PublicKey

    @property
    def numbers(self) -> Residues:
        """Shape (2, `DEGREE`): primes, coefficients."""
        return _numbers(self.content, _SECRET_TAG).reshape(2, DEGREE)


def new_secret_key() -> SecretKey:
    """Return a new key of a cohort, its public key within, drawn from the operating system's randomness.

    Raises:
        ExtraMissing: if TenSEAL is not installed.
    """
    secret, public = seal.new_keys()
    return SecretKey(_SECRET_TAG + _content(secret), PublicKey(_PUBLIC_TAG + _content(public)))


def parse_public_key(content: bytes) -> PublicKey:
    """Return a public key that somebody published.

    Args:
        content: a tag of 28 bytes, then big-endian 64-bit words, each below its prime: two polynomials, of
            each the values of its number-theoretic transform under `MODULUS`, then under `KEY_PRIME`.

    Raises:
        SecretKeyExposed: if it is a secret key.
        MalformedBlob: if it is of another form.
    """
    if _SECRET_TAG in content:
        raise SecretKeyExposed(
            "a secret key stands where a public one belongs: whoever read it can read every update. Make a "
            "new key, and publish its public part only"
        )
    _verify_content(content, _PUBLIC_TAG, 4)
    return PublicKey(content)


def parse_secret_key(content: bytes, public: PublicKey) -> SecretKey:
    """Return a secret key from a participant's own disk, or that a peer has given to it.

    Args:
        content: as `parse_public_key` describes, of one polynomial and with another tag.
        public: the public key that the cohort encrypts with.

    Raises:
        MalformedBlob: if it is of another form.
        Undecryptable: if it is not the key of that public key.
        ExtraMissing: if TenSEAL is not installed.
    """
    _verify_content(content, _SECRET_TAG, 2)
    secret = SecretKey(content, public)
    verify_key_pair(secret)
    return secret


def verify_key_pair(secret: SecretKey) -> None:
    """Check that a secret key reads what is encrypted with its public key, on one block.

    Raises:
        Undecryptable: if it does not.
        ExtraMissing: if TenSEAL is not installed.
    """
    values = np.arange(DEGREE, dtype=np.int64) - DEGREE // 2
    block = seal.Encryptor(secret.public.numbers).encrypted(values)
    found, budget_bits = seal.Decryptor(secret.numbers, secret.public.numbers).decrypted(block)
    if budget_bits < least_noise_budget_bits(1) or not np.array_equal(found, values):
        raise Undecryptable(
            f"the secret key does not belong to the public key 0x{secret.public.digest().hex()}: ask another "
            "holder of the cohort's key for it"
        )


def _verify_content(content: bytes, tag: bytes, polynomials: int) -> None:
    size = len(tag) + polynomials * DEGREE * WORD.itemsize
    if len(content) != size or not content.startswith(tag):
        raise MalformedBlob(
            f"{len(content)} bytes are no key: it has {size} bytes and begins with {tag.decode()!r}"
        )
    words = _numbers(content, tag).reshape(-1, 2, DEGREE)
    if (words >= _PRIMES).any():
        raise MalformedBlob("a key holds a number that is not below its prime")


def _numbers(content: bytes, tag: bytes) -> Residues:
    return np.frombuffer(content, dtype=WORD, offset=len(tag)).astype(np.uint64)


def _content(numbers: Residues) -> bytes:
    return numbers.astype(WORD).tobytes()
