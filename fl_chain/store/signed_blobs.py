"""What participants of an encrypted run publish beside their updates, each signed by its author. No I/O.

| blob | path | content after the signature (65) |
|---|---|---|
| identity key | ``identities/<participant>/<occasion>`` | X25519 key (32) |
| public key | ``cohort-keys/<maker>/<occasion>`` | the cohort's public key (131,100) |
| sealed key | ``sealed-keys/<maker>/<occasion>`` | the cohort's secret key, sealed to one member (65,580) |
| endorsement | ``endorsements/<participant>/<occasion>`` | code that takes the cohort's key to make (32) |
| opening | ``openings/<participant>/<occasion>`` | 0 and the sum (4 a lane), or 1 and addresses (20 each) |

Nothing on the ledger commits to them: a blob is what its author signed for one occasion, and nothing else is
read. `fl_chain.run.encrypted_blobs` says what the occasions are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from fl_chain.commitment.encoding import u64
from fl_chain.records import Address, Digest, address, digest
from fl_chain.store.blobs import Blob, Bytes

SIGNATURE_BYTES = 65
_TAG = b"fl_chain/signed/1/"


class SignedFolder(StrEnum):
    """The kinds of signed blobs, by the folder that they lie in."""

    IDENTITY = "identities"
    COHORT_KEY = "cohort-keys"
    SEALED_KEY = "sealed-keys"
    ENDORSEMENT = "endorsements"
    OPENING = "openings"


@dataclass(frozen=True, slots=True)
class Signed:
    """What somebody published, with the signature of it."""

    content: bytes
    signature: bytes  # 65 bytes


@dataclass(frozen=True, slots=True)
class SignedBlob(Blob[Signed]):
    """What a participant signed for one occasion.

    Attributes:
        folder: which kind it is.
        author: the participant.
        occasion: what it is for, 32 bytes.
        content_bytes: the fewest and the most that its content can have.
        verify: raises VerificationError where the signature is not the author's.
    """

    folder: SignedFolder
    author: Address
    occasion: Digest
    content_bytes: tuple[int, int]
    verify: Callable[[Signed], None] = field(compare=False)

    @property
    def path(self) -> str:
        """Its name within a store."""
        return f"{self.folder.value}/{address(self.author)}/0x{digest(self.occasion).hex()}"

    @property
    def sizes(self) -> tuple[int, int]:
        """The signature, and the content."""
        least, most = self.content_bytes
        return SIGNATURE_BYTES + least, SIGNATURE_BYTES + most

    def encode(self, content: Signed) -> list[memoryview]:
        """Return signature and content."""
        least, most = self.content_bytes
        if len(content.signature) != SIGNATURE_BYTES or not least <= len(content.content) <= most:
            raise ValueError(f"a blob of {self.folder.value} has a signature and {least} to {most} bytes")
        return [memoryview(content.signature + content.content)]

    def decode(self, body: Bytes, where: str) -> Signed:
        """Check the signature."""
        raw = body.tobytes()
        signed = Signed(raw[SIGNATURE_BYTES:], raw[:SIGNATURE_BYTES])
        self.verify(signed)
        return signed


def signed_content(folder: SignedFolder, chain_id: int, occasion: Digest, content: bytes) -> bytes:
    """Return what an author signs, for the run's ledger as the validator of EIP-191.

    Args:
        folder: which kind of blob it is.
        chain_id: of the run.
        occasion: what it is for.
        content: of the blob.
    """
    name = folder.value.encode() + b"\0"
    return _TAG + name + u64(chain_id, "the chain id") + occasion + hashlib.sha256(content).digest()
