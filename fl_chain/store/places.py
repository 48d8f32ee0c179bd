"""One place that keeps blobs: a local folder, or anything that fsspec reaches."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from aiohttp import ClientError, ClientResponseError, ClientTimeout
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from fl_chain.errors import BlobMissing, ConfigError, FlChainError, MalformedBlob, StoreError
from fl_chain.store.blobs import Blob, Bytes, total_bytes, verify_size

_READ_ONLY_PROTOCOLS = ("http", "https")
_ATOMIC_PROTOCOLS = (
    "memory",
    "s3",
    "s3a",
    "gs",
    "gcs",
    "abfs",
    "abfss",
    "az",
)  # a put shows whole or not at all
_CONNECT_TIMEOUT_S = 10.0
_SILENCE_TIMEOUT_S = 30.0
_READ_BYTES = 1 << 20
_WRITE_BYTES = 1 << 20  # the page cache takes some megabytes in one call seven times more slowly


class Place(Protocol):
    """What the store needs of one URL."""

    url: str  # without a password, for messages
    is_writable: bool

    def read(self, blob: Blob[Any]) -> Bytes:
        """Return a blob's bytes, not yet checked against its name.

        Raises:
            BlobMissing: if it is not there.
            MalformedBlob: if its size is wrong; its body is then not read.
            StoreError: if the place fails.
        """
        ...

    def has(self, path: str) -> bool:
        """Return whether anything is there under that name.

        Raises:
            StoreError: if the place fails.
        """
        ...

    def write(self, path: str, pieces: Sequence[memoryview]) -> None:
        """Put a blob there, whole or not at all, in place of any other.

        Raises:
            StoreError: if the place fails.
        """
        ...


def open_place(url: str, *, is_durable: bool = True) -> Place:
    """Return the place that a URL or a local path names; nothing is connected yet.

    Args:
        url: an fsspec URL or a local path.
        is_durable: see `LocalPlace`.

    Raises:
        ConfigError: if nothing installed can reach such a URL.
    """
    options: dict[str, Any] = {}
    protocol = url.split("://", 1)[0] if "://" in url else "file"
    if protocol in _READ_ONLY_PROTOCOLS:
        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_SILENCE_TIMEOUT_S)
        options["client_kwargs"] = {"timeout": timeout}
    try:
        filesystem, root = url_to_fs(url, **options)
    except (ImportError, ValueError, TypeError, OSError) as error:
        raise ConfigError(f"the store {_without_password(url)} cannot be opened: {error}") from error
    if isinstance(filesystem, LocalFileSystem) and protocol in ("file", "local"):
        return LocalPlace(_without_password(url), Path(root), is_durable=is_durable)
    return RemotePlace(_without_password(url), filesystem, root, protocol)


def local_file(place: Place, blob: Blob[Any]) -> Path | None:
    """Return the file of a blob where a place is a folder of this machine and has it in an allowed size."""
    if not isinstance(place, LocalPlace):
        return None
    path = place.root / blob.path
    least, most = blob.sizes
    try:
        return path if least <= path.stat().st_size <= most else None
    except OSError:
        return None


def move_file(source: Place, target: Place, path: str) -> bool:
    """Move a file between two folders of this machine; return whether there was one.

    Raises:
        ConfigError: if one of the places is no such folder.
        StoreError: if the file system refuses.
    """
    if not isinstance(source, LocalPlace) or not isinstance(target, LocalPlace):
        raise ConfigError("files are moved between folders of this machine only: name local stores")
    with _translated(f"{target.url}/{path}"):
        try:
            (target.root / path).parent.mkdir(parents=True, exist_ok=True)
            (source.root / path).replace(target.root / path)
        except FileNotFoundError:
            return False
    return True


class LocalPlace:
    """A folder on this machine: durable once `write` returns, unless ``is_durable`` is False.

    Then a power cut may lose what was written last; a process that is killed loses nothing.
    """

    is_writable = True

    def __init__(self, url: str, root: Path, *, is_durable: bool = True) -> None:
        self.url = url
        self.root = root
        self._is_durable = is_durable

    def read(self, blob: Blob[Any]) -> Bytes:
        """See `Place.read`."""
        where = f"{self.url}/{blob.path}"
        with _translated(where), open(self.root / blob.path, "rb", buffering=0, opener=_opener) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MalformedBlob(f"{where}: it is no file; remove it")
            verify_size(status.st_size, blob, where)
            return _filled(status.st_size, blob, where, file.readinto)

    def has(self, path: str) -> bool:
        """See `Place.has`."""
        with _translated(f"{self.url}/{path}"):
            return (self.root / path).is_file()

    def write(self, path: str, pieces: Sequence[memoryview]) -> None:
        """Write a temporary file, flush it to the disk, rename it, flush the folders."""
        target = self.root / path
        unfinished = target.with_name(_unfinished_name(target.name))
        with _translated(f"{self.url}/{path}"):
            created = _make_folders(target.parent)
            try:
                with unfinished.open("xb") as file:
                    _reserve(file.fileno(), total_bytes(pieces))
                    for piece in pieces:
                        for start in range(0, piece.nbytes, _WRITE_BYTES):
                            file.write(piece[start : start + _WRITE_BYTES])
                    file.flush()
                    if self._is_durable:
                        os.fsync(file.fileno())
                unfinished.replace(target)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            for folder in (target.parent, *created) if self._is_durable else ():
                _flush_folder(folder)


class RemotePlace:
    """An object store, a web server or another file system."""

    def __init__(self, url: str, filesystem: Any, root: str, protocol: str) -> None:
        self.url = url
        self.is_writable = protocol not in _READ_ONLY_PROTOCOLS
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._is_atomic = protocol in _ATOMIC_PROTOCOLS
        self._streams = protocol in _READ_ONLY_PROTOCOLS

    def read(self, blob: Blob[Any]) -> Bytes:
        """See `Place.read`; not a byte more than the blob can have is taken from a server."""
        where = f"{self.url}/{blob.path}"
        path = f"{self._root}/{blob.path}"
        options = {"block_size": 0} if self._streams else {}
        with _translated(where):
            self._filesystem.invalidate_cache()
            size = self._filesystem.info(path)["size"]
            if size is not None:
                verify_size(size, blob, where)
            with self._filesystem.open(path, "rb", **options) as file:
                return _filled(size, blob, where, lambda target: _read_into(file, target))

    def has(self, path: str) -> bool:
        """See `Place.has`."""
        try:
            with _translated(f"{self.url}/{path}"):
                self._filesystem.invalidate_cache()
                self._filesystem.info(f"{self._root}/{path}")
        except BlobMissing:
            return False
        return True

    def write(self, path: str, pieces: Sequence[memoryview]) -> None:
        """Put an object, or write a temporary file and rename it where a put is not atomic."""
        target = f"{self._root}/{path}"
        folder, _, name = target.rpartition("/")
        with _translated(f"{self.url}/{path}"):
            if self._is_atomic:
                self._filesystem.pipe_file(target, b"".join(pieces))
                return
            unfinished = f"{folder}/{_unfinished_name(name)}"
            self._filesystem.makedirs(folder, exist_ok=True)
            try:
                self._filesystem.pipe_file(unfinished, b"".join(pieces))
                if self._filesystem.exists(target):
                    self._filesystem.rm_file(target)
                self._filesystem.mv(unfinished, target)
            except BaseException:
                if self._filesystem.exists(unfinished):
                    self._filesystem.rm_file(unfinished)
                raise


def is_held(place: Place, blob: Blob[Any], pieces: Sequence[memoryview]) -> bool:
    """Return whether a place has exactly these bytes under a blob's name."""
    try:
        body = place.read(blob)
    except FlChainError:
        return False
    if body.nbytes != total_bytes(pieces):
        return False
    start = 0
    for piece in pieces:
        if not np.array_equal(body[start : start + piece.nbytes], np.frombuffer(piece, np.uint8)):
            return False
        start += piece.nbytes
    return True


def _filled(
    size: int | None, blob: Blob[Any], where: str, read_into: Callable[[memoryview], int | None]
) -> Bytes:
    """Read to the end, into one array of ``size`` bytes, or of the most allowed where no size was told."""
    body = np.empty(blob.sizes[1] if size is None else size, dtype=np.uint8)
    target = body.data
    filled = 0
    while filled < len(target):
        count = read_into(target[filled : filled + _READ_BYTES])
        if not count:
            break
        filled += count
    excess = read_into(memoryview(bytearray(1))) or 0
    verify_size(filled + excess, blob, where)
    if size is not None and filled + excess != size:
        raise StoreError(f"{where}: {size} bytes were announced, but another number came; try again")
    return body[:filled]


def _opener(path: str, flags: int) -> int:
    """Open without waiting: a named pipe would keep its reader until somebody writes."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read_into(file: Any, target: memoryview) -> int:
    data = file.read(len(target))
    target[: len(data)] = data
    return len(data)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except FlChainError:
        raise
    except FileNotFoundError as error:
        if _is_failure(error.__cause__):
            raise StoreError(f"{where}: {error.__cause__}") from error
        raise BlobMissing(f"{where}: not there") from error
    except Exception as error:  # each backend of fsspec has errors of its own
        raise StoreError(f"{where}: {type(error).__name__}: {error}") from error


def _is_failure(cause: BaseException | None) -> bool:
    """Return whether a web server failed; fsspec reports that as a missing file as well."""
    if isinstance(cause, ClientResponseError):
        return cause.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
    return isinstance(cause, ClientError | TimeoutError)


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and return the parents whose entries changed."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [each.parent for each in missing]


def _reserve(descriptor: int, size_bytes: int) -> None:
    """Take the room for a file at once, where the system can: block by block it takes twice as long."""
    if size_bytes and hasattr(os, "posix_fallocate"):
        with suppress(OSError):  # writing says what is wrong
            os.posix_fallocate(descriptor, 0, size_bytes)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unfinished_name(name: str) -> str:
    return f".{name}.{secrets.token_hex(8)}.part"


def _without_password(url: str) -> str:
    return re.sub(r"://[^/@]*@", "://", url)
