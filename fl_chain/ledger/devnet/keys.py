"""Funded accounts of a development chain. Their keys are public: never use them elsewhere."""

from __future__ import annotations

import hashlib

SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def dev_keys(count: int = 10, seed: bytes | None = None) -> tuple[bytes, ...]:
    """Return the private keys of a development chain's funded accounts.

    Args:
        count: how many.
        seed: what they are derived from; None gives eth-tester's keys, the numbers from 1 on.

    Returns:
        Private keys of 32 bytes, the same for the same arguments; more keys begin with the fewer.
    """
    if seed is None:
        return tuple(number.to_bytes(32, "big") for number in range(1, count + 1))
    return tuple(_derived_key(seed, index) for index in range(count))


def _derived_key(seed: bytes, index: int) -> bytes:
    raw = hashlib.sha256(
        b"fl_chain devnet account" + hashlib.sha256(seed).digest() + index.to_bytes(8, "big")
    )
    scalar = int.from_bytes(raw.digest(), "big") % (SECP256K1_ORDER - 1) + 1
    return scalar.to_bytes(32, "big")
