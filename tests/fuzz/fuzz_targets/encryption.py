"""What participants publish under encryption: ciphertexts, and the cohort's public key."""

from __future__ import annotations

import numpy as np

from fl_chain.commitment.chunks import lane_bytes
from fl_chain.encryption.ciphertexts import ciphertext_from_bytes, residues, sum_ciphertexts, wire
from fl_chain.encryption.keys import parse_public_key
from fl_chain.encryption.scheme import DEGREE, MODULUS
from fl_chain.errors import MalformedBlob, SecretKeyExposed
from fl_chain.records import Address, Digest
from fl_chain.run.encrypted_blobs import OpenedSum, SpoiltSum, opening_bytes, parse_opening
from fl_chain.store import Signed, SignedBlob, SignedFolder

COVERS = ("fl_chain.encryption.keys", "fl_chain.run.encrypted_blobs", "fl_chain.store.signed_blobs")

PUBLIC_TAG, SECRET_TAG = b"fl_chain/encryption/public/1", b"fl_chain/encryption/secret/1"
DIMENSION = 5
AUTHOR, NAME = Address("0x" + "0a" * 20), Digest(bytes(32))


def fuzz(data: bytes) -> None:
    """Read a ciphertext (c) or a public key (p), whole or filled up with zeros to its length (C, P).

    Or what a participant has opened (o), or anything else that it has signed (s).
    """
    kind, rest = data[:1], data[1:]
    if kind in (b"c", b"C"):
        _ciphertext(rest.ljust(16 * DEGREE, b"\0") if kind == b"C" else rest)
    elif kind in (b"p", b"P"):
        _public_key(rest.ljust(28 + 32 * DEGREE, b"\0") if kind == b"P" else rest)
    elif kind == b"o":
        _opening(rest)
    elif kind == b"s":
        _signed(rest)


def _ciphertext(content: bytes) -> None:
    try:
        ciphertext = ciphertext_from_bytes(content, DIMENSION)
    except MalformedBlob:
        return
    numbers = residues(ciphertext, DIMENSION)
    assert numbers.max() < MODULUS
    assert lane_bytes(wire(numbers)) == content
    total = residues(sum_ciphertexts([ciphertext, ciphertext], DIMENSION).total, DIMENSION)
    assert np.array_equal(total, (numbers.astype(object) * 2 % MODULUS).astype(np.uint64))


def _public_key(content: bytes) -> None:
    try:
        key = parse_public_key(content)
    except SecretKeyExposed:
        assert SECRET_TAG in content
        return
    except MalformedBlob:
        return
    assert SECRET_TAG not in content
    assert key.numbers.shape == (2, 2, DEGREE)
    assert key.numbers.max() < MODULUS


def _opening(content: bytes) -> None:
    try:
        opening = parse_opening(content, DIMENSION)
    except MalformedBlob:
        return
    assert opening_bytes(opening) == content
    assert isinstance(opening, OpenedSum | SpoiltSum)


def _signed(body: bytes) -> None:
    checked: list[Signed] = []
    blob = SignedBlob(SignedFolder.OPENING, AUTHOR, NAME, (0, len(body)), checked.append)
    if len(body) < blob.sizes[0]:
        return  # the store reads no blob of another size
    found = blob.decode(np.frombuffer(body, dtype=np.uint8), "fuzz")
    assert checked == [found]
    assert b"".join(blob.encode(found)) == body


def seeds() -> list[bytes]:
    last = (MODULUS - 1).to_bytes(8, "big")
    return [
        b"c" + last * 2 * DEGREE,
        b"C" + last,
        b"C" + b"\xff" * 8,
        b"P" + PUBLIC_TAG + last,
        b"P" + PUBLIC_TAG + b"\xff" * 8,
        b"P" + SECRET_TAG,
        b"p" + PUBLIC_TAG,
        b"o\x00" + bytes(4 * DIMENSION),
        b"o\x01" + bytes(40),
        b"s" + bytes(65) + b"\x00",
    ]
