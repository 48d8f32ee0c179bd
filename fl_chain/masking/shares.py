"""Shamir's secret sharing of 16-byte seeds (Shamir, "How to Share a Secret", CACM 1979), sealed to peers.

The field is the integers modulo 2^128 + 51, the smallest prime above 2^128, so every seed is an element. The
polynomial's coefficients come from the caller's secret: a worker that crashed shares the same again, and
never gives two shares of two polynomials to one peer. (The ready implementations draw theirs themselves.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fl_chain.commitment.encoding import address_bytes
from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.masking.context import MaskingContext, derived
from fl_chain.masking.keys import SEED_BYTES, agreed_secret, seed16
from fl_chain.records import Address, Digest

PRIME = 2**128 + 51
SHARE_BYTES = 17
_COMMITMENT_TAG = b"fl_chain/masking/seed\x00"
_NONCE = bytes(12)  # each key seals one message: it is bound to round, sender and receiver


def threshold(participants: int) -> int:
    """Return how many shares give a seed back: ``floor(2K/3) + 1``.

    Two sets of so many have a third of the holders in common.

    Raises:
        ValueError: if there is no participant.
    """
    if participants < 1:
        raise ValueError(f"{participants} participants share nothing: need at least 1")
    return 2 * participants // 3 + 1


def split(
    seed: bytes, secret: bytes, context: MaskingContext, holders: int, needed: int
) -> tuple[bytes, ...]:
    """Return one share for each holder, in order; any ``needed`` of them give the seed back.

    Args:
        seed: what is shared, 16 bytes.
        secret: what the polynomial's coefficients are derived from, known to the sharer alone.
        context: the round.
        holders: how many, at least ``needed``.
        needed: at least 1.

    Returns:
        17 bytes each.

    Raises:
        ValueError: if the numbers do not fit.
    """
    if not 1 <= needed <= holders:
        raise ValueError(f"{needed} of {holders} shares cannot be needed")
    commitment = seed_commitment(seed)
    coefficients = [int.from_bytes(seed16(seed), "big")]
    for power in range(1, needed):
        purpose = b"share coefficient" + commitment + power.to_bytes(4, "big")
        # 48 bytes modulo a 129-bit prime: no value is favoured by more than 2^-255
        coefficients.append(int.from_bytes(derived(secret, context, purpose, length=48), "big") % PRIME)
    return tuple(_at(coefficients, holder + 1).to_bytes(SHARE_BYTES, "big") for holder in range(holders))


def joined(shares: Mapping[int, bytes], needed: int, commitment: Digest) -> bytes:
    """Return the seed that shares give.

    Args:
        shares: by the holder's place, from 0; where there are more than are needed, the lowest are taken.
        needed: how many it takes.
        commitment: to the seed, as its owner published it before it was shared.

    Raises:
        MalformedBlob: if there are too few, or one is no share.
        DigestMismatch: if they give another seed: a share is wrong, or the commitment was.
    """
    if len(shares) < needed:
        raise MalformedBlob(f"{len(shares)} shares are there, and {needed} are needed")
    points = [(holder + 1, _element(share)) for holder, share in sorted(shares.items())[:needed]]
    value = 0
    for x, y in points:
        numerator = denominator = 1
        for other, _ in points:
            if other != x:
                numerator = numerator * other % PRIME
                denominator = denominator * (other - x) % PRIME
        value = (value + y * numerator * pow(denominator, -1, PRIME)) % PRIME
    seed = (value % 2**128).to_bytes(SEED_BYTES, "big")
    verify_seed(seed, commitment)
    return seed


def seed_commitment(seed: bytes) -> Digest:
    """Return what a participant publishes of a seed beforehand."""
    return Digest(hashlib.sha256(_COMMITMENT_TAG + seed16(seed)).digest())


def verify_seed(seed: bytes, commitment: Digest) -> None:
    """Check a published seed against its commitment.

    Raises:
        DigestMismatch: if it is another one.
    """
    actual = seed_commitment(seed)
    if actual != commitment:
        raise DigestMismatch("a seed of the masks", expected=commitment, actual=actual)


def sealed_shares(
    shares: Sequence[bytes],
    own_key: bytes,
    peer_key: bytes,
    context: MaskingContext,
    route: tuple[Address, Address],
) -> bytes:
    """Return shares that only one peer can read.

    Args:
        shares: 17 bytes each: of the key seed, of the mask seed.
        own_key: the sender's private identity key.
        peer_key: the receiver's public identity key, as the ledger has it.
        context: the round.
        route: sender and receiver.

    Raises:
        MalformedBlob: if the peer's key is none.
    """
    return _cipher(own_key, peer_key, context, route).encrypt(_NONCE, b"".join(shares), _route(route))


def opened_shares(
    sealed: bytes, own_key: bytes, peer_key: bytes, context: MaskingContext, route: tuple[Address, Address]
) -> tuple[bytes, ...]:
    """Return the shares that a peer sealed to this participant; the arguments are those of `sealed_shares`.

    Raises:
        MalformedBlob: if it was not the sender who sealed them, or not for this round and receiver.
    """
    try:
        content = _cipher(own_key, peer_key, context, route).decrypt(_NONCE, sealed, _route(route))
    except InvalidTag as error:
        raise MalformedBlob(f"the shares of {route[0]} do not open: they are not what it sealed") from error
    if len(content) % SHARE_BYTES:
        raise MalformedBlob(f"{len(content)} bytes are no whole number of shares of {SHARE_BYTES} bytes")
    return tuple(content[at : at + SHARE_BYTES] for at in range(0, len(content), SHARE_BYTES))


def _cipher(
    own_key: bytes, peer_key: bytes, context: MaskingContext, route: tuple[Address, Address]
) -> ChaCha20Poly1305:
    secret = _identity_secret(own_key, peer_key)
    return ChaCha20Poly1305(derived(secret, context, b"sealed share" + _route(route)))


@lru_cache(maxsize=256)  # the same two keys for the whole run: to seal, to open, in every round
def _identity_secret(own_key: bytes, peer_key: bytes) -> bytes:
    return agreed_secret(own_key, peer_key)


def _route(route: tuple[Address, Address]) -> bytes:
    sender, receiver = route
    return address_bytes(sender, "the sender") + address_bytes(receiver, "the receiver")


def _at(coefficients: Sequence[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value


def _element(share: bytes) -> int:
    value = int.from_bytes(share, "big")
    if len(share) != SHARE_BYTES or value >= PRIME:
        raise MalformedBlob(f"0x{share.hex()} is no share: {SHARE_BYTES} bytes below 2^128 + 51")
    return value
