"""Set-ups, sealed shares and releases of a masked run, as somebody else may have written them."""

from __future__ import annotations

import numpy as np

from fl_chain.errors import DigestMismatch, MalformedBlob, VerificationError
from fl_chain.ledger.messages import signer_for
from fl_chain.ledger.signing import Signer
from fl_chain.masking.releases import Release, parse_release
from fl_chain.masking.setup import shares_hash
from fl_chain.records import Address, Digest, PublishedKeys
from fl_chain.store.mask_blobs import (
    ReleaseBlob,
    SetUpBlob,
    SharesBlob,
    SignedRelease,
    SignedSetUp,
)

COVERS = ("fl_chain.masking.releases", "fl_chain.store.mask_blobs")

WHO, LEDGER = Address("0x" + "ab" * 20), Address("0x" + "cd" * 20)
NAME = Digest(b"\x01" * 32)
SEALED = {WHO: bytes(range(50)), LEDGER: bytes(50)}
SIGNER = Signer(b"\x07" * 32)


def _verify(content: bytes, signature: bytes) -> None:
    if signer_for(LEDGER, content, signature) != SIGNER.address:
        raise VerificationError("signed by another")


def fuzz(data: bytes) -> None:
    """Read a set-up (u), sealed shares (s), a release (r), or the shares of one alone (p)."""
    kind, body = data[:1], np.frombuffer(data[1:], dtype=np.uint8)
    try:
        match kind:
            case b"u" if body.size:
                SetUpBlob(WHO, NAME, lambda one: _verify(one.keys.round_key, one.signature)).decode(body, "x")
            case b"s":
                sealed = SharesBlob(WHO, shares_hash(SEALED)).decode(body, "x")
                assert sealed == SEALED
            case b"r" if body.size:
                ReleaseBlob(WHO, NAME, lambda one: _verify(one.release.to_bytes(), one.signature)).decode(
                    body, "x"
                )
            case b"p":
                assert parse_release(data[1:]).to_bytes() == data[1:]
    except (DigestMismatch, MalformedBlob, VerificationError):
        return


def seeds() -> list[bytes]:
    release = Release({WHO: bytes(17), LEDGER: b"\xff" * 17})
    keys = PublishedKeys(WHO, bytes(32), NAME, NAME, NAME)
    set_up = SetUpBlob(WHO, NAME, lambda one: None).encode(SignedSetUp(keys, bytes(65)))
    released = ReleaseBlob(WHO, NAME, lambda one: None).encode(SignedRelease(release, bytes(65)))
    shares = SharesBlob(WHO, shares_hash(SEALED)).encode(SEALED)
    return [
        b"u" + b"".join(set_up),
        b"s" + b"".join(shares),
        b"s" + b"".join(shares)[:-1],
        b"r" + b"".join(released),
        b"p" + release.to_bytes(),
        b"p" + release.to_bytes() * 2,
        b"p" + b"\x01",
        b"p",
    ]
