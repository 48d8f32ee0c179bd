"""Golden vectors of masks: what the contract computes of a published seed, by a library of its own.

Nothing here comes from fl_chain.
"""

from __future__ import annotations

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CASES = 12
CHUNK_BYTES = 4096
# The first block of the last chunk that a vector of 2^32 lanes has is 2^28 - 64.
CHUNKS = (0, 1, 2, 3, 255, 1 << 16, (1 << 22) - 1)


def drawn(what: str, number: int, length: int = 32) -> bytes:
    """Some bytes that look random, the same for the same arguments."""
    return hashlib.shake_256(f"{what} {number}".encode()).digest(length)


def masking() -> dict[str, Any]:
    """What ``masking.json`` holds."""
    return {
        "commitments": [commitment(number) for number in range(CASES)],
        "hkdf": [derivation(number) for number in range(CASES)],
        "x25519": [agreement(number) for number in range(CASES)],
        "chacha20": [stream(number, chunk) for number, chunk in enumerate(CHUNKS)],
    }


def commitment(number: int) -> dict[str, str]:
    """A seed and the commitment to it."""
    seed = drawn("seed", number, 16)
    digest = hashlib.sha256(b"fl_chain/masking/seed\x00" + seed).hexdigest()
    return {"seed": "0x" + seed.hex(), "commitment": "0x" + digest}


def derivation(number: int) -> dict[str, str]:
    """32 bytes by HKDF-SHA-256 from a secret of 16 or 32 bytes, under a salt of 32."""
    secret, salt = drawn("secret", number, 16 if number % 2 else 32), drawn("salt", number)
    info = drawn("info", number, 9 * number)
    key = HKDF(SHA256(), 32, salt, info).derive(secret)
    return {
        "secret": "0x" + secret.hex(),
        "salt": "0x" + salt.hex(),
        "info": "0x" + info.hex(),
        "key": "0x" + key.hex(),
    }


def agreement(number: int) -> dict[str, str]:
    """A private key, a public key of another and their secret; one in four is no number of the field."""
    private, point = drawn("private", number), drawn("point", number)
    if number % 4 == 3:  # above 2^255 - 19, which is taken off
        point = (2**255 - 17 + number).to_bytes(32, "little")
    secret = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(point))
    return {"private": "0x" + private.hex(), "point": "0x" + point.hex(), "secret": "0x" + secret.hex()}


def stream(number: int, chunk: int) -> dict[str, Any]:
    """A chunk of a key's stream, and its first lanes with their sign turned; the nonce is zero."""
    key = drawn("key", number)
    counter = (chunk * CHUNK_BYTES // 64).to_bytes(4, "little")
    content = Cipher(ChaCha20(key, counter + bytes(12)), None).encryptor().update(bytes(CHUNK_BYTES))
    count = 1 + (number * 409) % 1024
    lanes = [int.from_bytes(content[at : at + 4], "big") for at in range(0, 4 * count, 4)]
    turned = b"".join((-lane % 2**32).to_bytes(4, "big") for lane in lanes).ljust(CHUNK_BYTES, b"\x00")
    return {
        "key": "0x" + key.hex(),
        "chunk": chunk,
        "hash": "0x" + hashlib.sha256(b"\x00" + content).hexdigest(),
        "count": count,
        "turned_hash": "0x" + hashlib.sha256(b"\x00" + turned).hexdigest(),
    }
