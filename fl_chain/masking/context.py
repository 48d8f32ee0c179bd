"""What every secret of a round is bound to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fl_chain.commitment.encoding import address_bytes, bytes32, u64
from fl_chain.records import Address, Digest, RunId

_TAG = b"fl_chain/masking/1"


@dataclass(frozen=True, slots=True)
class MaskingContext:
    """A round as its masks know it.

    A worker that is shown another base model derives other masks than its peers: its update then adds noise
    to the sum, and gives nothing away.
    """

    run: RunId
    round: int
    base_model_root: Digest
    _digest: bytes = field(init=False, repr=False, compare=False)  # each key of a round asks for it

    def __post_init__(self) -> None:
        """Derive what stands for the round.

        Raises:
            ValueError: if a part of the round is out of range.
        """
        content = [
            _TAG,
            u64(self.run.chain_id, "the chain id"),
            address_bytes(self.run.ledger, "the ledger"),
            u64(self.round, "the round"),
            bytes32(self.base_model_root, "the base model root"),
        ]
        object.__setattr__(self, "_digest", hashlib.sha256(b"".join(content)).digest())

    def digest(self) -> bytes:
        """Return 32 bytes that stand for the round: SHA-256 over fields of fixed length."""
        return self._digest


def derived(secret: bytes, context: MaskingContext, purpose: bytes, *, length: int = 32) -> bytes:
    """Return a key from a secret by HKDF-SHA-256 (RFC 5869), good for one purpose in one round.

    Args:
        secret: at least 16 bytes of full entropy, or the output of X25519.
        context: the round; its digest is the salt.
        purpose: what the key is for, and for whom; no purpose is the beginning of another.
        length: of the key, in bytes.

    Raises:
        ValueError: if the secret is shorter than 16 bytes.
    """
    if len(secret) < 16:
        raise ValueError(f"a secret of {len(secret)} bytes is too short to derive keys from: need 16")
    return HKDF(SHA256(), length=length, salt=context.digest(), info=_TAG + b"/" + purpose).derive(secret)


def pair_bytes(one: Address, other: Address) -> bytes:
    """Return the bytes that name two participants in either order."""
    low, high = sorted((address_bytes(one, "a participant"), address_bytes(other, "a participant")))
    return low + high
