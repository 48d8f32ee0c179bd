"""The blobs of a run by kind; see `fl_chain.store.blobs` for names and bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fl_chain.commitment.chunks import CHUNK_LANES, Lanes
from fl_chain.records import Address, Digest, Opening, RunId
from fl_chain.store.blobs import (
    DocumentBlob,
    ModelBlob,
    StateBlob,
    SumBlob,
    Update,
    UpdateBlob,
    update_path,
)
from fl_chain.store.mask_blobs import (
    ReleaseBlob,
    SetUpBlob,
    SharesBlob,
    SignedRelease,
    SignedSetUp,
    release_path,
)
from fl_chain.store.replicas import Copy, Replicas, WriteOutcome
from fl_chain.store.signed_blobs import Signed, SignedBlob


class Store:
    """Updates, partial sums, models and documents on a list of fsspec URLs.

    The first URL is the caller's own: a write succeeds once that one is durable. Every read is checked
    against the commitment in the blob's name. What ``read_*`` and ``write_*`` return and raise is said at
    `Replicas`; arrays that are read are read-only.
    """

    def __init__(self, urls: Sequence[str], *, is_durable: bool = True) -> None:
        """Name the places; nothing is connected yet.

        Args:
            urls: fsspec URLs or local paths, the caller's own first.
            is_durable: whether a write to a folder of this machine waits for its disk; a simulation, which
                can be run again, need not.

        Raises:
            ConfigError: if there is none, or nothing installed can reach one of them.
        """
        self._replicas = Replicas(urls, is_durable=is_durable)

    @property
    def urls(self) -> tuple[str, ...]:
        """The places, without passwords."""
        return self._replicas.urls

    @property
    def bad_copies(self) -> tuple[Copy, ...]:
        """Copies that reads found malformed or altered, whether or not another copy was good."""
        return self._replicas.bad_copies

    def write_update(
        self,
        participant: Address,
        sealed_root: Digest,
        opening: Opening,
        lanes: Lanes,
        *,
        run: RunId,
        round: int,  # noqa: A002
    ) -> tuple[WriteOutcome, ...]:
        """Put a participant's update of a run's round; lanes up to the end of the last chunk are taken.

        Raises:
            DigestMismatch: if the opening does not open the sealed root; nothing is written then.
        """
        blob = UpdateBlob(participant, sealed_root, run, round, lanes.size)
        return self._replicas.write(blob, Update(opening, lanes))

    def read_update(
        self,
        participant: Address,
        sealed_root: Digest,
        dimension: int,
        *,
        run: RunId,
        round: int,  # noqa: A002
    ) -> Update:
        """Return the opening and the lanes that a sealed root of a run's round commits to."""
        return self._replicas.read(UpdateBlob(participant, sealed_root, run, round, dimension))

    def update_copies(
        self,
        participant: Address,
        sealed_root: Digest,
        dimension: int,
        *,
        run: RunId,
        round: int,  # noqa: A002
    ) -> tuple[Copy, ...]:
        """Check each copy of an update."""
        return self._replicas.copies(UpdateBlob(participant, sealed_root, run, round, dimension))

    def move_update(self, participant: Address, sealed_root: Digest, target: Store) -> bool:
        """Move an update's file from the first folder of this store to that of another, unread.

        It is for stores of one machine and one owner: nothing is copied, and readers check it as any other.

        Returns:
            Whether there was one.

        Raises:
            ConfigError: if one of the stores does not begin with a folder of this machine.
            StoreError: if the file system refuses.
        """
        return self._replicas.move(update_path(participant, sealed_root), target._replicas)

    def update_file(
        self,
        participant: Address,
        sealed_root: Digest,
        dimension: int,
        *,
        run: RunId,
        round: int,  # noqa: A002
    ) -> Path | None:
        """Return an update's file where it lies on this machine; its bytes are the caller's to check."""
        return self._replicas.local_file(UpdateBlob(participant, sealed_root, run, round, dimension))

    def model_file(self, root: Digest, dimension: int) -> Path | None:
        """Return a global model's file where it lies on this machine; its bytes are the caller's to check."""
        return self._replicas.local_file(ModelBlob(root, dimension))

    def has_update(self, participant: Address, sealed_root: Digest) -> bool:
        """Return whether some place has an update under that name, good or bad."""
        return self._replicas.has(update_path(participant, sealed_root))

    def write_model(self, root: Digest, lanes: Lanes) -> tuple[WriteOutcome, ...]:
        """Put a global model; ``root`` is the lanes' vector root, which is not derived again here."""
        return self._replicas.write(ModelBlob(root, lanes.size), lanes)

    def read_model(self, root: Digest, dimension: int) -> Lanes:
        """Return a global model's lanes."""
        return self._replicas.read(ModelBlob(root, dimension))

    def model_copies(self, root: Digest, dimension: int) -> tuple[Copy, ...]:
        """Check each copy of a global model."""
        return self._replicas.copies(ModelBlob(root, dimension))

    def write_state(self, root: Digest, lanes: Lanes) -> tuple[WriteOutcome, ...]:
        """Put what a rule carries on; ``root`` is the lanes' vector root, which is not derived again here."""
        return self._replicas.write(StateBlob(root, lanes.size), lanes)

    def read_state(self, root: Digest, n_lanes: int) -> Lanes:
        """Return what a rule carries on."""
        return self._replicas.read(StateBlob(root, n_lanes))

    def state_copies(self, root: Digest, n_lanes: int) -> tuple[Copy, ...]:
        """Check each copy of what a rule carries on."""
        return self._replicas.copies(StateBlob(root, n_lanes))

    def write_sum(self, root: Digest, chunk_hashes: bytes) -> tuple[WriteOutcome, ...]:
        """Put a partial sum's chunk hashes; ``root`` is its vector root, which is not derived again here."""
        return self._replicas.write(SumBlob(root, len(chunk_hashes) // 32 * CHUNK_LANES), chunk_hashes)

    def read_sum(self, root: Digest, dimension: int) -> bytes:
        """Return the chunk hashes of a partial sum."""
        return self._replicas.read(SumBlob(root, dimension))

    def sum_copies(self, root: Digest, dimension: int) -> tuple[Copy, ...]:
        """Check each copy of a partial sum's chunk hashes."""
        return self._replicas.copies(SumBlob(root, dimension))

    def write_set_up(self, blob: SetUpBlob, signed: SignedSetUp) -> tuple[WriteOutcome, ...]:
        """Put the keys that a participant signed for a round."""
        return self._replicas.write(blob, signed)

    def read_set_up(self, blob: SetUpBlob) -> SignedSetUp:
        """Return the keys that a participant signed for a round."""
        return self._replicas.read(blob)

    def write_shares(
        self, participant: Address, shares_hash: Digest, sealed: Mapping[Address, bytes]
    ) -> tuple[WriteOutcome, ...]:
        """Put a participant's sealed shares of a round; ``shares_hash`` is not derived again here."""
        return self._replicas.write(SharesBlob(participant, shares_hash), sealed)

    def read_shares(self, participant: Address, shares_hash: Digest) -> Mapping[Address, bytes]:
        """Return a participant's sealed shares of a round, by receiver."""
        return self._replicas.read(SharesBlob(participant, shares_hash))

    def shares_copies(self, participant: Address, shares_hash: Digest) -> tuple[Copy, ...]:
        """Check each copy of sealed shares."""
        return self._replicas.copies(SharesBlob(participant, shares_hash))

    def write_release(self, blob: ReleaseBlob, signed: SignedRelease) -> tuple[WriteOutcome, ...]:
        """Put the shares that a participant releases for one set of survivors."""
        return self._replicas.write(blob, signed)

    def read_release(self, blob: ReleaseBlob) -> SignedRelease:
        """Return the shares that a participant released for one set of survivors."""
        return self._replicas.read(blob)

    def has_release(self, participant: Address, occasion: Digest) -> bool:
        """Return whether some place has a release under that name, good or bad."""
        return self._replicas.has(release_path(participant, occasion))

    def write_signed(self, blob: SignedBlob, signed: Signed) -> tuple[WriteOutcome, ...]:
        """Put what a participant of an encrypted run signed for an occasion."""
        return self._replicas.write(blob, signed)

    def read_signed(self, blob: SignedBlob) -> bytes:
        """Return what a participant of an encrypted run signed for an occasion."""
        return self._replicas.read(blob).content

    def has_signed(self, blob: SignedBlob) -> bool:
        """Return whether some place has a blob under that name, good or bad."""
        return self._replicas.has(blob.path)

    def write_document(self, content: bytes) -> Digest:
        """Put a document in canonical JSON and return its SHA-256."""
        sha256 = Digest(hashlib.sha256(content).digest())
        self._replicas.write(DocumentBlob(sha256), content)
        return sha256

    def read_document(self, sha256: Digest) -> bytes:
        """Return a document's canonical JSON."""
        return self._replicas.read(DocumentBlob(sha256))

    def document_copies(self, sha256: Digest) -> tuple[Copy, ...]:
        """Check each copy of a document."""
        return self._replicas.copies(DocumentBlob(sha256))
