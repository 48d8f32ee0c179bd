"""Which implementation hashes with keccak-256."""

from __future__ import annotations

from eth_hash.auto import keccak
from eth_hash.backends.pysha3 import backend


def use_fast_keccak() -> None:
    """Make every Ethereum library of this process hash with pysha3, several times faster than their default.

    They share one hashing object, which would otherwise choose by the environment variable
    ``ETH_HASH_BACKEND`` on its first use. Calling this again changes nothing.
    """
    vars(keccak).update(hasher=backend.keccak256, preimage=backend.preimage)
