"""What a store holds: the name, the size and the check of each kind of blob. No I/O.

| blob | path | bytes |
|---|---|---|
| update | ``updates/<participant>/<sealed root>`` | vector root (32), salt (32), lanes (4 each) |
| partial sum | ``sums/<vector root>`` | its chunk hashes (32 each, padding chunks left out) |
| model | ``models/<vector root>`` | lanes (4 each) |
| state | ``states/<vector root>`` | lanes (4 each): what a rule carries from round to round |
| document | ``documents/<SHA-256>`` | canonical JSON: policy, manifest |

An update has as many lanes as the model, or more up to the end of its last chunk: so a lane that is set out
there, which no valid update has, can be shown to anyone.

Names are built from checked digests and addresses only, so no name can lead out of a store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.canonical import parse_canonical_json
from fl_chain.commitment.chunks import LANE, Lanes, chunk_count, lane_bytes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.sizes import CHUNK_BYTES
from fl_chain.commitment.tree import root_of_chunk_hashes, vector_root
from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.records import Address, Digest, Opening, RunId, address, digest

Bytes = npt.NDArray[np.uint8]
Content = TypeVar("Content")

DIGEST_BYTES = 32
LANE_BYTES = 4
OPENING_BYTES = 64  # vector root and salt
MAX_DOCUMENT_BYTES = 1 << 20


class Blob(Generic[Content]):
    """One kind of blob; subclasses are frozen dataclasses that say which blob of that kind."""

    @property
    def path(self) -> str:
        """Its name within a store, with forward slashes."""
        raise NotImplementedError

    @property
    def sizes(self) -> tuple[int, int]:
        """The fewest and the most bytes that it can have."""
        raise NotImplementedError

    def encode(self, content: Content) -> list[memoryview]:
        """Return the bytes to store, in pieces that are not copied.

        Raises:
            ValueError: if the content is not of the blob's size or type.
        """
        raise NotImplementedError

    def decode(self, body: Bytes, where: str) -> Content:
        """Return the content after checking it against the blob's commitment; arrays are views of ``body``.

        Args:
            body: all bytes, of an allowed size.
            where: what to call this copy in messages.

        Raises:
            DigestMismatch: if the bytes are not those that the name commits to.
            MalformedBlob: if they are, but have no such form.
        """
        raise NotImplementedError


class Update(NamedTuple):
    """A participant's update with what opens its sealed root.

    Attributes:
        opening: vector root and salt.
        lanes: shape (dimension,), or longer up to the end of the last chunk, big-endian uint32. No valid
            update has a lane set past the dimension; see ``aggregation.quantise.verify_update``.
    """

    opening: Opening
    lanes: Lanes


@dataclass(frozen=True, slots=True)
class UpdateBlob(Blob[Update]):
    """The update that a participant sealed in a round of a run."""

    participant: Address
    sealed_root: Digest
    run: RunId
    round_id: int
    dimension: int  # lanes

    @property
    def path(self) -> str:
        """Its name within a store."""
        return update_path(self.participant, self.sealed_root)

    @property
    def sizes(self) -> tuple[int, int]:
        """Opening and lanes, the last chunk whole or cut off after the dimension."""
        chunk_end = chunk_count(self.dimension) * CHUNK_BYTES
        return OPENING_BYTES + LANE_BYTES * self.dimension, OPENING_BYTES + chunk_end

    def encode(self, content: Update) -> list[memoryview]:
        """Return opening and lanes, after checking that the one opens the sealed root."""
        self._verify_opening(content.opening, self.path)
        least, most = self.sizes
        if not least <= OPENING_BYTES + content.lanes.nbytes <= most:
            raise ValueError(f"an update of {self.dimension} lanes has not {content.lanes.size}")
        return [memoryview(content.opening.vector_root + content.opening.salt), lane_bytes(content.lanes)]

    def decode(self, body: Bytes, where: str) -> Update:
        """Check the opening against the sealed root, and the lanes against the opening."""
        root = Digest(body[:DIGEST_BYTES].tobytes())
        opening = Opening(root, body[DIGEST_BYTES:OPENING_BYTES].tobytes())
        self._verify_opening(opening, where)
        if body.size % LANE_BYTES:
            raise MalformedBlob(f"{where}: {body.size} bytes, which are not whole lanes of {LANE_BYTES}")
        lanes = body[OPENING_BYTES:].view(LANE)
        _verify_vector(lanes, root, where)
        return Update(opening, lanes)

    def _verify_opening(self, opening: Opening, where: str) -> None:
        actual = sealed_root(opening.vector_root, opening.salt, self.run, self.round_id, self.participant)
        if actual != self.sealed_root:
            raise DigestMismatch(
                f"{where}: the opening does not open the sealed root",
                expected=self.sealed_root,
                actual=actual,
            )


@dataclass(frozen=True, slots=True)
class ModelBlob(Blob[Lanes]):
    """A global model by its vector root."""

    root: Digest
    dimension: int  # lanes

    @property
    def path(self) -> str:
        """Its name within a store."""
        return f"models/{_name(self.root)}"

    @property
    def sizes(self) -> tuple[int, int]:
        """Lanes."""
        return LANE_BYTES * self.dimension, LANE_BYTES * self.dimension

    def encode(self, content: Lanes) -> list[memoryview]:
        """Return the lanes."""
        return [_lane_bytes(content, self.dimension)]

    def decode(self, body: Bytes, where: str) -> Lanes:
        """Check the lanes against the root."""
        lanes = body.view(LANE)
        _verify_vector(lanes, self.root, where)
        return lanes


@dataclass(frozen=True, slots=True)
class StateBlob(ModelBlob):
    """What an aggregation rule carries from a round to the next, by its vector root."""

    @property
    def path(self) -> str:
        """Its name within a store."""
        return f"states/{_name(self.root)}"


@dataclass(frozen=True, slots=True)
class SumBlob(Blob[bytes]):
    """The chunk hashes of a partial sum by its vector root."""

    root: Digest
    dimension: int  # lanes

    @property
    def path(self) -> str:
        """Its name within a store."""
        return f"sums/{_name(self.root)}"

    @property
    def sizes(self) -> tuple[int, int]:
        """A hash for each chunk."""
        size = DIGEST_BYTES * chunk_count(self.dimension)
        return size, size

    def encode(self, content: bytes) -> list[memoryview]:
        """Return the hashes."""
        _verify_length(len(content), self.sizes[0])
        return [memoryview(content)]

    def decode(self, body: Bytes, where: str) -> bytes:
        """Check the hashes against the root."""
        hashes = body.tobytes()
        actual = root_of_chunk_hashes(hashes, self.dimension)
        if actual != self.root:
            raise DigestMismatch(f"{where}: the chunk hashes", expected=self.root, actual=actual)
        return hashes


@dataclass(frozen=True, slots=True)
class DocumentBlob(Blob[bytes]):
    """A document in canonical JSON by its SHA-256."""

    sha256: Digest

    @property
    def path(self) -> str:
        """Its name within a store."""
        return f"documents/{_name(self.sha256)}"

    @property
    def sizes(self) -> tuple[int, int]:
        """Up to `MAX_DOCUMENT_BYTES`."""
        return 1, MAX_DOCUMENT_BYTES

    def encode(self, content: bytes) -> list[memoryview]:
        """Return the document."""
        if not 1 <= len(content) <= MAX_DOCUMENT_BYTES:
            raise ValueError(f"a document has 1 to {MAX_DOCUMENT_BYTES} bytes, not {len(content)}")
        return [memoryview(content)]

    def decode(self, body: Bytes, where: str) -> bytes:
        """Check the digest and that the JSON is canonical."""
        content = body.tobytes()
        actual = hashlib.sha256(content).digest()
        if actual != self.sha256:
            raise DigestMismatch(f"{where}: the document", expected=self.sha256, actual=actual)
        try:
            parse_canonical_json(content)
        except MalformedBlob as error:
            raise MalformedBlob(f"{where}: {error}") from error
        return content


def update_path(participant: Address, sealed_root: Digest) -> str:
    """Return an update's name within a store."""
    return f"updates/{address(participant)}/{_name(sealed_root)}"


def verify_size(size: int, blob: Blob[Any], where: str) -> None:
    """Check the size of a copy before anything of it is read.

    Raises:
        MalformedBlob: if it is truncated or oversized.
    """
    least, most = blob.sizes
    if not least <= size <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise MalformedBlob(
            f"{where}: it is {'truncated' if size < least else 'oversized'}: expected {wanted} bytes, found "
            f"{size}"
        )


def total_bytes(pieces: Sequence[memoryview]) -> int:
    """Return the number of bytes in all pieces."""
    return sum(piece.nbytes for piece in pieces)


def _name(value: Digest) -> str:
    return "0x" + digest(value).hex()


def _verify_vector(lanes: Lanes, root: Digest, where: str) -> None:
    actual = vector_root(lanes)
    if actual != root:
        raise DigestMismatch(f"{where}: the lanes", expected=root, actual=actual)


def _lane_bytes(lanes: Lanes, dimension: int) -> memoryview:
    _verify_length(lanes.nbytes, LANE_BYTES * dimension)
    return lane_bytes(lanes)


def _verify_length(actual: int, expected: int) -> None:
    if actual != expected:
        raise ValueError(f"the blob has {expected} bytes, the content {actual}")
