"""The data sets that fl_chain knows by name, and the check that a file is the catalogued one."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from fl_chain.data import known
from fl_chain.data.known import Dataset, DatasetFile
from fl_chain.errors import DigestMismatch, InputDataError

BUILTIN_PREFIX = "builtin:"
CATALOGUE_PREFIX = "catalogue:"
GZIP_SUFFIX = ".gz"

DATASETS: Mapping[str, Dataset] = MappingProxyType({one.name: one for one in known.ALL})


def is_builtin(source: str) -> bool:
    """Return whether a data source names an embedded set rather than a file."""
    return source.startswith(BUILTIN_PREFIX)


def is_catalogued(source: str) -> bool:
    """Return whether a data source names a set that is looked for on this machine."""
    return source.startswith(CATALOGUE_PREFIX)


def dataset(name: str) -> Dataset:
    """Return a known data set.

    Args:
        name: as in the catalogue, with or without ``catalogue:`` before it.

    Raises:
        InputDataError: if there is none of the name.
    """
    plain = name.removeprefix(CATALOGUE_PREFIX)
    if plain not in DATASETS:
        raise InputDataError(f"there is no data set {plain!r} in the catalogue; it has {', '.join(DATASETS)}")
    return DATASETS[plain]


def builtin_csv(source: str) -> bytes:
    """Return the bytes of an embedded CSV.

    Args:
        source: ``builtin:NAME``.

    Raises:
        InputDataError: if there is no such set.
        DigestMismatch: if the installed file is not the one that was published.
    """
    name = source.removeprefix(BUILTIN_PREFIX)
    embedded = [one.name for one in DATASETS.values() if one.is_embedded]
    if name not in embedded:
        shown = ", ".join(BUILTIN_PREFIX + each for each in sorted(embedded))
        raise InputDataError(f"there is no embedded data set {source!r}; there is {shown}")
    file = DATASETS[name].files[0]
    content = resources.files(__package__).joinpath(file.path).read_bytes()
    verify_content(file, content, advice="install fl_chain again")
    return content


def verify_content(file: DatasetFile, content: bytes, *, advice: str) -> None:
    """Check that bytes are those of a catalogued file, as it is packed or packed in another way.

    A file that ends in .gz is also the right one where what it unpacks to is right: gzip writes the same
    content in many ways.

    Args:
        file: which one.
        content: what was read.
        advice: what to do about another one, for the message.

    Raises:
        DigestMismatch: if they are not.
    """
    actual = hashlib.sha256(content).digest()
    if actual == file.sha256:
        return
    expected = file.sha256
    if file.path.endswith(GZIP_SUFFIX):
        expected, actual = file.content_sha256, hashlib.sha256(_unpacked(content)).digest()
    if actual != expected:
        raise DigestMismatch(
            f"{file.path} is not the file of the catalogue; {advice}", expected=expected, actual=actual
        )


def _unpacked(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content
