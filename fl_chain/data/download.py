"""Downloading one catalogued file: from its origin or a mirror, checked before it appears under its name."""

from __future__ import annotations

import gzip
import io
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import requests
import urllib3

from fl_chain.data.catalogue import GZIP_SUFFIX, verify_content
from fl_chain.data.known import DatasetFile, Origin
from fl_chain.errors import DigestMismatch, DownloadFailed

TIMEOUT_S = (10.0, 60.0)  # to connect, and between two pieces
PIECE_BYTES = 1 << 18
MOST_REDIRECTS = 5

Progress = Callable[[int], None]
"""Called with the bytes that have come so far."""

_LOG = logging.getLogger(__name__)


def download(
    file: DatasetFile, origins: tuple[Origin, ...], folder: Path, progress: Progress | None = None
) -> Path:
    """Download a file from the first of its origins that serves the right one.

    Args:
        file: which one.
        origins: tried in order.
        folder: where it goes, under its path; made if need be.
        progress: told of what has come.

    Returns:
        The file, complete and of the catalogued content.

    Raises:
        DownloadFailed: if no origin answers, or what it sends is too large, cut short or no archive.
        DigestMismatch: if what came is another file.
    """
    failure: DownloadFailed | DigestMismatch | None = None
    for origin in origins:
        try:
            content = _content(file, origin, progress)
        except (DownloadFailed, DigestMismatch) as error:
            _LOG.warning("%s", error)
            failure = error
            continue
        return _written(folder / file.path, content)
    if failure is None:
        raise DownloadFailed(f"{file.path} has no origin to download it from; name a mirror with --from")
    raise failure


def _content(file: DatasetFile, origin: Origin, progress: Progress | None) -> bytes:
    content = _body(origin.url, file.size_limit_bytes, progress)
    if origin.member is not None:
        content = _member(content, origin, file.size_limit_bytes)
        if file.path.endswith(GZIP_SUFFIX):
            # A CSV stands in archives with either kind of line end; the catalogue has the plain one.
            content = gzip.compress(content.replace(b"\r\n", b"\n"), mtime=0)
    elif file.path.endswith(GZIP_SUFFIX):
        _verify_unpacked_size(content, file.size_limit_bytes, origin.url)
    verify_content(file, content, advice=f"what {origin.url} serves was not kept; try another mirror")
    return content


def _body(url: str, limit_bytes: int, progress: Progress | None) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise DownloadFailed(f"{url} cannot be downloaded: only http and https are")
    pieces, size = [], 0
    try:
        with requests.Session() as session:
            session.max_redirects = MOST_REDIRECTS
            # Bytes as they were stored: a server that calls a .gz file an encoding would have it unpacked.
            headers = {"Accept-Encoding": "identity"}
            with session.get(url, timeout=TIMEOUT_S, stream=True, headers=headers) as response:
                response.raise_for_status()
                while piece := response.raw.read(PIECE_BYTES, decode_content=False):
                    size += len(piece)
                    if size > limit_bytes:
                        raise DownloadFailed(
                            f"{url} sends more than the {limit_bytes:,} bytes that the file can have; "
                            "nothing was kept"
                        )
                    pieces.append(piece)
                    if progress is not None:
                        progress(size)
    except requests.HTTPError as error:
        raise DownloadFailed(f"{url} refuses: {error}. Try a mirror with --from") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise DownloadFailed(
            f"{url} cannot be downloaded: {error}. Try again, or put the file there by hand"
        ) from error
    return b"".join(pieces)


def _member(archive: bytes, origin: Origin, limit_bytes: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened, opened.open(str(origin.member)) as member:
            content = member.read(limit_bytes + 1)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, zlib.error, EOFError) as error:
        raise DownloadFailed(
            f"what {origin.url} serves is no zip archive with {origin.member} in it: {error}"
        ) from error
    if len(content) > limit_bytes:
        raise DownloadFailed(f"{origin.member} of {origin.url} unpacks to more than {limit_bytes:,} bytes")
    return content


def _verify_unpacked_size(content: bytes, limit_bytes: int, url: str) -> None:
    try:
        with gzip.open(io.BytesIO(content)) as unpacked:
            is_too_large = len(unpacked.read(limit_bytes + 1)) > limit_bytes
    except (OSError, EOFError, zlib.error):
        return  # no gzip at all: its digest will say so
    if is_too_large:
        raise DownloadFailed(f"what {url} serves unpacks to more than {limit_bytes:,} bytes")


def _written(path: Path, content: bytes) -> Path:
    """Write a file so that its name never stands for half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DownloadFailed(
            f"{path} cannot be written: {error.strerror}; make room, or set XDG_CACHE_HOME"
        ) from error
    return path
