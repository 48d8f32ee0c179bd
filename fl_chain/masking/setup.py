"""What a participant makes before a round's updates are masked: keys, commitments, sealed shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fl_chain.commitment.encoding import address_bytes, bytes32
from fl_chain.errors import MalformedBlob
from fl_chain.masking.context import MaskingContext, derived
from fl_chain.masking.keys import SEED_BYTES, public_key, round_private_key
from fl_chain.masking.shares import opened_shares, sealed_shares, seed_commitment, split, threshold
from fl_chain.records import Address, Digest, PublishedKeys

_SHARES_TAG = b"fl_chain/masking/shares\x00"
_RING_TAG = b"\x08"
_SET_UP_TAG = b"\x09"
_SEALED_BYTES = 2 * 17 + 16  # two shares and the authentication tag


@dataclass(frozen=True, slots=True)
class RoundSecrets:
    """What one participant keeps to itself in one round; derived again after a crash."""

    key_seed: bytes  # 16 bytes; gives the round's private key
    mask_seed: bytes  # 16 bytes; gives the mask on the own update
    share_secret: bytes  # 32 bytes; gives the polynomials of both

    @property
    def shared(self) -> tuple[bytes, bytes]:
        """The two seeds that are shared, in the order of the shares."""
        return self.key_seed, self.mask_seed


def round_secrets(worker_secret: bytes, context: MaskingContext, participant: Address) -> RoundSecrets:
    """Return a participant's secrets of a round.

    Args:
        worker_secret: the participant's own, 32 bytes of full entropy, used for nothing but deriving.
        context: the round.
        participant: whose.

    Raises:
        ValueError: if the secret has another length.
    """
    own = bytes32(worker_secret, "the worker's secret")
    who = address_bytes(participant, "the participant")
    return RoundSecrets(
        key_seed=derived(own, context, b"key seed" + who, length=SEED_BYTES),
        mask_seed=derived(own, context, b"mask seed" + who, length=SEED_BYTES),
        share_secret=derived(own, context, b"share secret" + who),
    )


@dataclass(frozen=True, slots=True)
class KeySetUp:
    """A participant's public part of a round's keys."""

    participant: Address
    round_key: bytes  # public, 32 bytes
    key_commitment: Digest  # to the key seed
    mask_commitment: Digest  # to the mask seed
    sealed: Mapping[Address, bytes]  # for each neighbour, sorted: its shares of both seeds

    def digest(self) -> Digest:
        """Return what stands for the set-up in the ledger's ring; see `set_up_digest`."""
        return set_up_digest(self.published())

    def published(self) -> PublishedKeys:
        """Return what the ledger has of it."""
        return PublishedKeys(
            self.participant,
            self.round_key,
            self.key_commitment,
            self.mask_commitment,
            shares_hash(self.sealed),
        )


def set_up_digest(keys: PublishedKeys) -> Digest:
    """Return what stands for a set-up in the ledger's ring: SHA-256 over fields of fixed length."""
    content = [
        _SET_UP_TAG,
        address_bytes(keys.participant, "the participant"),
        bytes32(keys.round_key, "the round key"),
        keys.key_commitment,
        keys.mask_commitment,
        keys.shares_hash,
    ]
    return Digest(hashlib.sha256(b"".join(content)).digest())


def shares_hash(sealed: Mapping[Address, bytes]) -> Digest:
    """Return what the ledger records of sealed shares: SHA-256 over receivers and shares, by receiver."""
    content = [_SHARES_TAG]
    for receiver, shares in sorted(sealed.items()):
        content += [address_bytes(receiver, "a neighbour"), shares]
    return Digest(hashlib.sha256(b"".join(content)).digest())


def ring_digest(set_ups: Iterable[Digest]) -> Digest:
    """Return the one root of a round's set-ups that the ledger keeps: digests, folded in their order."""
    ring = bytes(32)
    for one in set_ups:
        ring = hashlib.sha256(_RING_TAG + ring + one).digest()
    return Digest(ring)


def key_set_up(
    secrets: RoundSecrets,
    identity_key: bytes,
    context: MaskingContext,
    participant: Address,
    neighbour_keys: Mapping[Address, bytes],
) -> KeySetUp:
    """Return what a participant publishes before the round's updates are masked.

    Args:
        secrets: the participant's own.
        identity_key: its private identity key, 32 bytes.
        context: the round.
        participant: who it is.
        neighbour_keys: the public identity keys of its neighbours, as the ledger has them.

    Raises:
        ValueError: if it has no neighbour, or is one itself.
        MalformedBlob: if a neighbour's key is none.
    """
    if not neighbour_keys or participant in neighbour_keys:
        raise ValueError("masks need at least one neighbour, who is somebody else")
    receivers = sorted(neighbour_keys)
    shares = _shares(secrets, context, participant, receivers)
    return KeySetUp(
        participant=participant,
        round_key=public_key(round_private_key(secrets.key_seed, context)),
        key_commitment=seed_commitment(secrets.key_seed),
        mask_commitment=seed_commitment(secrets.mask_seed),
        sealed={
            receiver: sealed_shares(
                shares[receiver], identity_key, neighbour_keys[receiver], context, (participant, receiver)
            )
            for receiver in receivers
        },
    )


def holders(owner: Address, receivers: Iterable[Address]) -> list[Address]:
    """Return who holds a share of a participant's seeds, in the order of the shares: itself as well."""
    return sorted({owner, *receivers})


def own_shares(
    secrets: RoundSecrets, context: MaskingContext, participant: Address, receivers: Iterable[Address]
) -> tuple[bytes, bytes]:
    """Return a participant's own shares of its key seed and of its mask seed.

    Args:
        secrets: the participant's own.
        context: the round.
        participant: who it is.
        receivers: to whom it sealed the other shares.
    """
    return _shares(secrets, context, participant, receivers)[participant]


def _shares(
    secrets: RoundSecrets, context: MaskingContext, participant: Address, receivers: Iterable[Address]
) -> dict[Address, tuple[bytes, bytes]]:
    """Return each holder's shares of both seeds."""
    holding = holders(participant, receivers)
    needed = threshold(len(holding))
    key, mask = (split(one, secrets.share_secret, context, len(holding), needed) for one in secrets.shared)
    return dict(zip(holding, zip(key, mask, strict=True), strict=True))


def verify_key_set_up(set_up: KeySetUp, neighbours: tuple[Address, ...]) -> None:
    """Check the form of a peer's public part; what is sealed in it only its receivers can check.

    Raises:
        MalformedBlob: if it is not for these neighbours, or a part has another length.
    """
    if tuple(sorted(set_up.sealed)) != tuple(sorted(neighbours)):
        raise MalformedBlob(f"{set_up.participant} shares its seeds with others than its neighbours")
    if len(set_up.round_key) != 32 or any(len(part) != _SEALED_BYTES for part in set_up.sealed.values()):
        raise MalformedBlob(f"a part of the key set-up of {set_up.participant} has another length")


def received_shares(
    set_up: KeySetUp, identity_key: bytes, sender_key: bytes, context: MaskingContext, receiver: Address
) -> tuple[bytes, bytes]:
    """Return a neighbour's shares of its key seed and of its mask seed, as it sealed them to the receiver.

    Args:
        set_up: the neighbour's.
        identity_key: the receiver's private identity key.
        sender_key: the neighbour's public identity key, as the ledger has it.
        context: the round.
        receiver: who opens them.

    Raises:
        MalformedBlob: if there are none for the receiver, or they do not open.
    """
    if receiver not in set_up.sealed:
        raise MalformedBlob(f"{set_up.participant} has sealed nothing for {receiver}")
    route = (set_up.participant, receiver)
    shares = opened_shares(set_up.sealed[receiver], identity_key, sender_key, context, route)
    if len(shares) != 2:
        raise MalformedBlob(f"{set_up.participant} sealed {len(shares)} shares for {receiver} instead of 2")
    return shares[0], shares[1]
