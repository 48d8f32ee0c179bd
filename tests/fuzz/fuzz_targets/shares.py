"""What peers seal to a participant, and the shares that they release: both as they like."""

from __future__ import annotations

from functools import cache

from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.keys import public_key
from fl_chain.masking.shares import (
    SHARE_BYTES,
    joined,
    opened_shares,
    sealed_shares,
    seed_commitment,
    split,
)
from fl_chain.records import Address, Digest, RunId

COVERS = ("fl_chain.masking.keys", "fl_chain.masking.shares")

SENDER, RECEIVER = Address("0x" + "ab" * 20), Address("0x" + "cd" * 20)
OWN, PEER, SEED = b"\x01" * 32, b"\x02" * 32, b"\x03" * 16
CONTEXT = MaskingContext(RunId(1, Address("0x" + "ef" * 20)), 1, Digest(b"\x04" * 32))
HOLDERS, NEEDED = 5, 4


@cache
def truths() -> tuple[tuple[bytes, ...], bytes]:
    """Return the shares of a seed, and the first two of them sealed."""
    shares = split(SEED, b"\x05" * 32, CONTEXT, HOLDERS, NEEDED)
    return shares, sealed_shares(shares[:2], PEER, public_key(OWN), CONTEXT, (SENDER, RECEIVER))


def fuzz(data: bytes) -> None:
    """Open what was sealed (s), by a given key (k); join shares (j), one of them altered (J)."""
    kind, rest = data[:1], data[1:]
    if kind in (b"s", b"k"):
        _open(rest, kind)
    elif kind in (b"j", b"J"):
        _join(rest, kind)


def _open(rest: bytes, kind: bytes) -> None:
    shares, true = truths()
    sealed, key = (rest, public_key(PEER)) if kind == b"s" else (true, rest)
    try:
        found = opened_shares(sealed, OWN, key, CONTEXT, (SENDER, RECEIVER))
    except MalformedBlob:
        return
    # The top bit of a public key is ignored (RFC 7748), so two keys open the same.
    assert (sealed, found) == (true, shares[:2])


def _join(rest: bytes, kind: bytes) -> None:
    shares, _ = truths()
    if kind == b"J":
        given = dict(enumerate(shares[:NEEDED]))
        given[0] = bytes(a ^ b for a, b in zip(given[0], rest.ljust(SHARE_BYTES, b"\0"), strict=False))
    else:
        given = {at // SHARE_BYTES: rest[at : at + SHARE_BYTES] for at in range(0, len(rest), SHARE_BYTES)}
    try:
        seed = joined(given, NEEDED, seed_commitment(SEED))
    except (MalformedBlob, DigestMismatch):
        return
    assert seed == SEED


def seeds() -> list[bytes]:
    shares, sealed = truths()
    return [
        b"s" + sealed,
        b"s" + sealed[:-1],
        b"k" + public_key(PEER),
        b"k" + bytes(32),
        b"k",
        b"j" + b"".join(shares[:NEEDED]),
        b"j" + b"".join(shares[:2]),
        b"j" + b"\xff" * SHARE_BYTES * NEEDED,
        b"J",
        b"J\1",
    ]
