"""X25519 keys (RFC 7748): one for a participant's identity, one for each round."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fl_chain.commitment.encoding import bytes32
from fl_chain.errors import MalformedBlob
from fl_chain.masking.context import MaskingContext, derived
from fl_chain.records import ZERO_DIGEST, RunId

SEED_BYTES = 16


def public_key(private: bytes) -> bytes:
    """Return the public key that belongs to 32 private bytes."""
    return (
        X25519PrivateKey.from_private_bytes(bytes32(private, "a private key")).public_key().public_bytes_raw()
    )


def agreed_secret(private: bytes, public: bytes) -> bytes:
    """Return what two participants know together, and nobody else.

    Args:
        private: one's own key, 32 bytes.
        public: the other's, 32 bytes.

    Raises:
        MalformedBlob: if the other's key is a point of low order, with which the secret would be known to
            everybody (RFC 7748, section 6.1).
    """
    own = _private_key(bytes32(private, "a private key"))
    try:
        return own.exchange(X25519PublicKey.from_public_bytes(bytes32(public, "a public key")))
    except ValueError as error:
        raise MalformedBlob(f"0x{public.hex()} is no key to agree on a secret with: {error}") from error


@lru_cache(maxsize=8)  # one key agrees with every peer, and making it takes as long as agreeing
def _private_key(private: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(private)


def identity_private_key(worker_secret: bytes, run: RunId) -> bytes:
    """Return a participant's private identity key in one run.

    Args:
        worker_secret: the participant's own, 32 bytes of full entropy.
        run: which chain and ledger.

    Raises:
        ValueError: if the secret has another length.
    """
    context = MaskingContext(run, 0, ZERO_DIGEST)  # no round
    return derived(bytes32(worker_secret, "the worker's secret"), context, b"identity key")


def round_private_key(seed: bytes, context: MaskingContext) -> bytes:
    """Return the private key of one participant in one round.

    Args:
        seed: the participant's key seed of the round, 16 bytes. It is what is shared among the others, so
            that they can take the masks of one who drops out off the sum.
        context: the round.

    Raises:
        ValueError: if the seed has another length.
    """
    return derived(seed16(seed), context, b"round key")


def seed16(seed: bytes) -> bytes:
    """Return a seed unchanged.

    Raises:
        ValueError: if it does not have 16 bytes.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    return seed
