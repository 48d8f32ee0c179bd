"""What a store holds of a masked run's keys, beside the blobs of every run. No I/O.

| blob | path | bytes |
|---|---|---|
| set-up | ``setups/<participant>/<context>`` | round key, two commitments, hash (32 each), signature (65) |
| sealed shares | ``shares/<participant>/<shares hash>`` | receiver (20) and sealed shares (50), by receiver |
| release | ``releases/<participant>/<occasion>`` | signature (65), then owner (20) and share (17), by owner |

A set-up is what a participant signed for somebody else to bring to the ledger; what counts is what the ledger
has then. Sealed shares are checked against the hash that the ledger has. A release is named by the set of
survivors that it is for, and checked by its author's signature: nothing on the ledger commits to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.masking.releases import ENTRY_BYTES, Release, parse_release
from fl_chain.masking.setup import shares_hash
from fl_chain.records import Address, Digest, PublishedKeys, address, digest
from fl_chain.store.blobs import Blob, Bytes

MOST_MEMBERS = 65_535
SIGNATURE_BYTES = 65
_ADDRESS_BYTES, _SEALED_BYTES = 20, 50
_SHARES_BYTES = _ADDRESS_BYTES + _SEALED_BYTES
_WORD = 32
_SET_UP_BYTES = 4 * _WORD + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class SharesBlob(Blob[Mapping[Address, bytes]]):
    """The shares of both of a participant's seeds of a round, each sealed to one peer."""

    participant: Address
    shares_hash: Digest

    @property
    def path(self) -> str:
        """Its name within a store."""
        return f"shares/{address(self.participant)}/0x{digest(self.shares_hash).hex()}"

    @property
    def sizes(self) -> tuple[int, int]:
        """An entry for each receiver."""
        return _SHARES_BYTES, MOST_MEMBERS * _SHARES_BYTES

    def encode(self, content: Mapping[Address, bytes]) -> list[memoryview]:
        """Return receiver and sealed shares, by receiver."""
        if any(len(sealed) != _SEALED_BYTES for sealed in content.values()):
            raise ValueError(f"sealed shares have {_SEALED_BYTES} bytes")
        body = b"".join(bytes.fromhex(who[2:]) + sealed for who, sealed in sorted(content.items()))
        return [memoryview(body)]

    def decode(self, body: Bytes, where: str) -> Mapping[Address, bytes]:
        """Check the shares against the hash."""
        content = body.tobytes()
        if len(content) % _SHARES_BYTES:
            raise MalformedBlob(f"{where}: {len(content)} bytes, which are not whole sealed shares")
        parts = [content[at : at + _SHARES_BYTES] for at in range(0, len(content), _SHARES_BYTES)]
        sealed = {address(part[:_ADDRESS_BYTES]): part[_ADDRESS_BYTES:] for part in parts}
        actual = shares_hash(sealed)
        if actual != self.shares_hash or len(sealed) != len(parts):
            raise DigestMismatch(f"{where}: the sealed shares", expected=self.shares_hash, actual=actual)
        return sealed


@dataclass(frozen=True, slots=True)
class SignedSetUp:
    """A round's keys with their participant's signature, for anyone to bring to the ledger."""

    keys: PublishedKeys
    signature: bytes  # 65 bytes


@dataclass(frozen=True, slots=True)
class SetUpBlob(Blob[SignedSetUp]):
    """The keys that a participant signed for a round.

    Attributes:
        participant: the author.
        context: the round's digest, see `fl_chain.masking.context`.
        verify: raises VerificationError where the signature is not the author's.
    """

    participant: Address
    context: Digest
    verify: Callable[[SignedSetUp], None] = field(compare=False)

    @property
    def path(self) -> str:
        """Its name within a store."""
        return f"setups/{address(self.participant)}/0x{digest(self.context).hex()}"

    @property
    def sizes(self) -> tuple[int, int]:
        """Four words and a signature."""
        return _SET_UP_BYTES, _SET_UP_BYTES

    def encode(self, content: SignedSetUp) -> list[memoryview]:
        """Return keys and signature."""
        keys = content.keys
        words = (keys.round_key, keys.key_commitment, keys.mask_commitment, keys.shares_hash)
        if len(content.signature) != SIGNATURE_BYTES or any(len(word) != _WORD for word in words):
            raise ValueError("a set-up is four words of 32 bytes and a signature")
        return [memoryview(b"".join(words) + content.signature)]

    def decode(self, body: Bytes, where: str) -> SignedSetUp:
        """Check the signature."""
        content = body.tobytes()
        words = [content[at : at + _WORD] for at in range(0, 4 * _WORD, _WORD)]
        keys = PublishedKeys(self.participant, words[0], *map(Digest, words[1:]))
        signed = SignedSetUp(keys, content[4 * _WORD :])
        self.verify(signed)
        return signed


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """Released shares with their author's signature."""

    release: Release
    signature: bytes  # 65 bytes


@dataclass(frozen=True, slots=True)
class ReleaseBlob(Blob[SignedRelease]):
    """The shares that a participant released for one set of survivors.

    Attributes:
        participant: the author.
        occasion: see `fl_chain.masking.releases.occasion`.
        verify: raises VerificationError where the signature is not the author's.
    """

    participant: Address
    occasion: Digest
    verify: Callable[[SignedRelease], None] = field(compare=False)

    @property
    def path(self) -> str:
        """Its name within a store."""
        return release_path(self.participant, self.occasion)

    @property
    def sizes(self) -> tuple[int, int]:
        """The signature, and an entry for each owner; there may be none."""
        return SIGNATURE_BYTES, SIGNATURE_BYTES + MOST_MEMBERS * ENTRY_BYTES

    def encode(self, content: SignedRelease) -> list[memoryview]:
        """Return signature and shares."""
        if len(content.signature) != SIGNATURE_BYTES:
            raise ValueError(f"a signature has {SIGNATURE_BYTES} bytes")
        return [memoryview(content.signature + content.release.to_bytes())]

    def decode(self, body: Bytes, where: str) -> SignedRelease:
        """Check form and signature."""
        content = body.tobytes()
        signed = SignedRelease(parse_release(content[SIGNATURE_BYTES:]), content[:SIGNATURE_BYTES])
        self.verify(signed)
        return signed


def release_path(participant: Address, occasion: Digest) -> str:
    """Return a release's name within a store."""
    return f"releases/{address(participant)}/0x{digest(occasion).hex()}"
