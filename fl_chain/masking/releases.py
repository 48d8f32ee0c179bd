"""What a participant releases once a round's survivors are fixed: one share of each peer, of one kind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fl_chain.commitment.encoding import address_bytes, u64
from fl_chain.errors import MalformedBlob
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.shares import SHARE_BYTES
from fl_chain.records import Address, Digest, address

_TAG = b"fl_chain/masking/release\x00"
_ADDRESS_BYTES = 20
ENTRY_BYTES = _ADDRESS_BYTES + SHARE_BYTES


def occasion(context: MaskingContext, survivors: Sequence[Address], departed: Sequence[Address]) -> Digest:
    """Return what stands for the one set of survivors that shares are released for.

    Args:
        context: the round.
        survivors: in the order of their submissions.
        departed: the other members of the ring, as `fl_chain.masking.unmasking.ring_terms` has them.
    """
    content = [_TAG, context.digest(), u64(len(survivors), "the survivors")]
    content += [address_bytes(one, "a member") for one in (*survivors, *departed)]
    return Digest(hashlib.sha256(b"".join(content)).digest())


@dataclass(frozen=True, slots=True)
class Release:
    """Shares by their seeds' owners; of which of the two seeds each is follows from the survivors."""

    shares: Mapping[Address, bytes]  # 17 bytes each

    def to_bytes(self) -> bytes:
        """Return owner and share, one after the other, by owner."""
        return b"".join(
            address_bytes(owner, "an owner") + share for owner, share in sorted(self.shares.items())
        )

    def signed_content(self, when: Digest) -> bytes:
        """Return what its author signs: the occasion, and what it releases."""
        return when + hashlib.sha256(self.to_bytes()).digest()


def parse_release(content: bytes) -> Release:
    """Return the release that bytes hold.

    Raises:
        MalformedBlob: if they are not whole entries, ascending by owner.
    """
    if len(content) % ENTRY_BYTES:
        raise MalformedBlob(f"{len(content)} bytes are no whole number of entries of {ENTRY_BYTES} bytes")
    entries = [content[at : at + ENTRY_BYTES] for at in range(0, len(content), ENTRY_BYTES)]
    owners = [one[:_ADDRESS_BYTES] for one in entries]
    if owners != sorted(set(owners)):
        raise MalformedBlob("the owners of released shares are not ascending")
    return Release({address(one[:_ADDRESS_BYTES]): one[_ADDRESS_BYTES:] for one in entries})
