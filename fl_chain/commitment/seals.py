"""What binds a vector to a run, a round and a participant, and a round to its submissions.

Every input below has a fixed length and starts with a tag of its own, so that no two of them can be confused.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from fl_chain.commitment.encoding import address_bytes, bytes32, u64
from fl_chain.errors import ConfigError
from fl_chain.records import Address, Digest, RunId

MIN_SECRET_BYTES = 16

_LEAF_TAG = b"\x02"
_SEALED_ROOT_TAG = b"\x04"
_INITIAL_DIGEST_TAG = b"\x06"
_FOLD_TAG = b"\x07"


def salt(secret: bytes, run: RunId, round_id: int) -> bytes:
    """Return a participant's salt for a round: HMAC-SHA-256 (RFC 2104) under its own secret.

    Without a salt, a vector root that few models can have would give itself away before publication.

    Args:
        secret: at least 16 random bytes that the participant tells nobody.
        run: which chain and ledger.
        round_id: the round.

    Returns:
        32 bytes.

    Raises:
        ConfigError: if the secret is too short to be one.
        ValueError: if an id is out of range.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"the worker secret has {len(secret)} bytes; it needs at least {MIN_SECRET_BYTES} random ones"
        )
    return hmac.digest(secret, _place(run, round_id), "sha256")


def sealed_root(vector_root: Digest, salt: bytes, run: RunId, round_id: int, participant: Address) -> Digest:
    """Return the commitment that a participant submits for its update.

    Args:
        vector_root: of the update, 32 bytes.
        salt: 32 bytes.
        run: which chain and ledger.
        round_id: the round.
        participant: the identity, not the signing key.

    Raises:
        ValueError: if a length or a range is wrong.
    """
    opening = bytes32(vector_root, "the vector root") + bytes32(salt, "the salt")
    who = address_bytes(participant, "the participant")
    return _hash(_SEALED_ROOT_TAG + opening + _place(run, round_id) + who)


def leaf(sealed_root: Digest, weight: int, participant: Address) -> Digest:
    """Return what the ledger stores for one submission.

    Args:
        sealed_root: 32 bytes.
        weight: the declared weight, below 2^64.
        participant: the identity, not the signing key.

    Raises:
        ValueError: if a length or a range is wrong.
    """
    return _hash(
        _LEAF_TAG
        + bytes32(sealed_root, "the sealed root")
        + u64(weight, "the weight")
        + address_bytes(participant, "the participant")
    )


def initial_digest(run: RunId, round_id: int, base_model_root: Digest) -> Digest:
    """Return the digest of a round without submissions.

    Raises:
        ValueError: if a length or a range is wrong.
    """
    return _hash(
        _INITIAL_DIGEST_TAG + _place(run, round_id) + bytes32(base_model_root, "the base model root")
    )


def fold(digest: Digest, leaf: Digest) -> Digest:
    """Return a round's digest after one more submission.

    Raises:
        ValueError: if a length is wrong.
    """
    return _hash(_FOLD_TAG + bytes32(digest, "the digest") + bytes32(leaf, "the leaf"))


def round_digest(run: RunId, round_id: int, base_model_root: Digest, leaves: Iterable[Digest]) -> Digest:
    """Return a round's digest after all its submissions, in the ledger's order.

    Raises:
        ValueError: if a length or a range is wrong.
    """
    digest = initial_digest(run, round_id, base_model_root)
    for submitted in leaves:
        digest = fold(digest, submitted)
    return digest


def _place(run: RunId, round_id: int) -> bytes:
    return (
        u64(run.chain_id, "the chain id")
        + address_bytes(run.ledger, "the ledger")
        + u64(round_id, "the round")
    )


def _hash(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).digest())
