"""Several places that keep the same blobs: written to all, read from the first copy that is good."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from fl_chain.errors import (
    BlobMissing,
    ConfigError,
    DigestMismatch,
    MalformedBlob,
    StoreError,
    VerificationError,
)
from fl_chain.records import Digest
from fl_chain.store.blobs import Blob
from fl_chain.store.places import Place, is_held, local_file, move_file, open_place

_LOG = logging.getLogger(__name__)

Content = TypeVar("Content")


class CopyState(Enum):
    """What became of one copy of a blob."""

    GOOD = "good"
    MISSING = "missing"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"  # wrong size, or not the form that its kind has
    ALTERED = "altered"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a blob, as it was found.

    Attributes:
        url: the place, without any password.
        path: the blob's name there.
        state: the verdict.
        detail: what was wrong, in words; empty if nothing was.
        expected: the digest that was committed to, if the copy is altered.
        actual: the digest of what is there, if the copy is altered.
    """

    url: str
    path: str
    state: CopyState
    detail: str = ""
    expected: Digest | None = None
    actual: Digest | None = None


class WriteState(Enum):
    """What became of a write to one place."""

    WRITTEN = "written"
    PRESENT = "present"  # the very bytes were there already
    READ_ONLY = "read-only"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """One place's answer to a write; ``detail`` says why it failed."""

    url: str
    state: WriteState
    detail: str = ""


class Replicas:
    """Copies of the same blobs in several places.

    Every read is checked against the commitment in the blob's name. The first URL is the caller's own: a
    write succeeds once that one is durable; the others are tried, and what they answered is returned.
    """

    def __init__(self, urls: Sequence[str], *, is_durable: bool = True) -> None:
        """Name the places; nothing is connected yet.

        Args:
            urls: fsspec URLs or local paths, the caller's own first.
            is_durable: whether a write to a folder of this machine waits for its disk.

        Raises:
            ConfigError: if there is none, or nothing installed can reach one of them.
        """
        if not urls:
            raise ConfigError("a store needs at least one URL or folder: set `urls` under [store]")
        self._places: tuple[Place, ...] = tuple(
            open_place(url, is_durable=is_durable) for url in dict.fromkeys(urls)
        )
        self._bad_copies: dict[tuple[str, str], Copy] = {}

    @property
    def urls(self) -> tuple[str, ...]:
        """The places, without passwords."""
        return tuple(place.url for place in self._places)

    @property
    def bad_copies(self) -> tuple[Copy, ...]:
        """Copies that `read` found malformed or altered, in the order in which it met them."""
        return tuple(self._bad_copies.values())

    def write(self, blob: Blob[Content], content: Content) -> tuple[WriteOutcome, ...]:
        """Put a blob into every place; a copy that is there and the same is left, any other is replaced.

        Args:
            blob: its name.
            content: what that name commits to. It is not hashed again here.

        Returns:
            One outcome for each URL, in order.

        Raises:
            StoreError: if the first URL could not take it; saying what each URL answered.
            ValueError: if the content is not of the blob's size or type.
        """
        pieces = blob.encode(content)
        outcomes = tuple(_written(place, blob, pieces) for place in self._places)
        for outcome in outcomes:
            if outcome.state is WriteState.FAILED:
                _LOG.warning("%s was not written: %s", blob.path, outcome.detail)
        if outcomes[0].state not in (WriteState.WRITTEN, WriteState.PRESENT):
            said = "; ".join(f"{each.url}: {each.detail or each.state.value}" for each in outcomes)
            raise StoreError(
                f"{blob.path} is not durable, because the first store did not take it ({said}). Make room "
                "there, or name a store first that can be written to."
            )
        return outcomes

    def read(self, blob: Blob[Content]) -> Content:
        """Return a blob from the first place whose copy matches its commitment; arrays are read-only.

        Raises:
            DigestMismatch: if no copy is good and the first bad one is altered; naming URL and path.
            MalformedBlob: if no copy is good and the first bad one has a wrong size or form.
            BlobMissing: if there is no copy at all; saying what each URL answered.
        """
        failures: list[Exception] = []
        for place in self._places:
            try:
                return _checked(place, blob)
            except (VerificationError, StoreError) as error:
                failures.append(error)
                self._remember(place, blob, error)
        said = "; ".join(str(failure) for failure in failures)
        for failure in failures:
            if isinstance(failure, VerificationError):
                failure.add_note(f"No copy is good: {said}")
                raise failure
        raise BlobMissing(f"no copy of {blob.path} can be read: {said}")

    def copies(self, blob: Blob[Any]) -> tuple[Copy, ...]:
        """Read and check the copy at every URL and return the verdicts, in the order of the URLs."""
        return tuple(self._examined(place, blob) for place in self._places)

    def local_file(self, blob: Blob[Any]) -> Path | None:
        """Return the first file of a blob on this machine, of an allowed size; nothing else is checked."""
        for place in self._places:
            path = local_file(place, blob)
            if path is not None:
                return path
        return None

    def move(self, path: str, target: Replicas) -> bool:
        """Move a file from the first place to another's first place; see `Store.move_update`."""
        return move_file(self._places[0], target._places[0], path)

    def has(self, path: str) -> bool:
        """Return whether some place has anything under a name; it is not read, so not checked.

        Raises:
            StoreError: if no place has it and one of them failed.
        """
        failure: StoreError | None = None
        for place in self._places:
            try:
                if place.has(path):
                    return True
            except StoreError as error:
                failure = error
        if failure is not None:
            raise failure
        return False

    def _examined(self, place: Place, blob: Blob[Any]) -> Copy:
        try:
            _checked(place, blob)
        except (VerificationError, StoreError) as error:
            return _verdict(place, blob, error)
        return Copy(place.url, blob.path, CopyState.GOOD)

    def _remember(self, place: Place, blob: Blob[Any], error: Exception) -> None:
        copy = _verdict(place, blob, error)
        if copy.state in (CopyState.ALTERED, CopyState.MALFORMED):
            self._bad_copies[place.url, blob.path] = copy
            _LOG.warning("a bad copy: %s", error)


def _checked(place: Place, blob: Blob[Content]) -> Content:
    body = place.read(blob)
    body.flags.writeable = False
    return blob.decode(body, f"{place.url}/{blob.path}")


def _written(place: Place, blob: Blob[Any], pieces: list[memoryview]) -> WriteOutcome:
    if not place.is_writable:
        return WriteOutcome(place.url, WriteState.READ_ONLY)
    if is_held(place, blob, pieces):
        return WriteOutcome(place.url, WriteState.PRESENT)
    try:
        place.write(blob.path, pieces)
    except StoreError as error:
        return WriteOutcome(place.url, WriteState.FAILED, str(error))
    return WriteOutcome(place.url, WriteState.WRITTEN)


def _verdict(place: Place, blob: Blob[Any], error: Exception) -> Copy:
    if isinstance(error, DigestMismatch):
        expected, actual = Digest(error.expected), Digest(error.actual)
        return Copy(place.url, blob.path, CopyState.ALTERED, str(error), expected, actual)
    if isinstance(error, MalformedBlob):
        return Copy(place.url, blob.path, CopyState.MALFORMED, str(error))
    state = CopyState.MISSING if isinstance(error, BlobMissing) else CopyState.UNREACHABLE
    return Copy(place.url, blob.path, state, str(error))
