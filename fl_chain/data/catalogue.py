"""The data sets that come with the package, by name, each pinned by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from fl_chain.errors import DigestMismatch, InputDataError
from fl_chain.records import Digest, digest

BUILTIN_PREFIX = "builtin:"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One embedded file.

    Attributes:
        file_name: its name in the package, a CSV with a header line.
        sha256: the digest of its bytes.
    """

    file_name: str
    sha256: Digest


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "orange_juice": Dataset(
            "orange_juice.csv", digest("9c42d598b2222ba93bc431778d5165019eb71ae93ee6277b264e2da305fba6f7")
        )
    }
)


def is_builtin(source: str) -> bool:
    """Return whether a data source names an embedded set rather than a file."""
    return source.startswith(BUILTIN_PREFIX)


def builtin_csv(source: str) -> bytes:
    """Return the bytes of an embedded CSV.

    Args:
        source: ``builtin:NAME``.

    Raises:
        InputDataError: if there is no such set.
        DigestMismatch: if the installed file is not the one that was published.
    """
    name = source.removeprefix(BUILTIN_PREFIX)
    if name not in DATASETS:
        known = ", ".join(BUILTIN_PREFIX + each for each in sorted(DATASETS))
        raise InputDataError(f"there is no embedded data set {source!r}; there is {known}")
    content = resources.files(__package__).joinpath(DATASETS[name].file_name).read_bytes()
    verify_dataset(name, content)
    return content


def verify_dataset(name: str, content: bytes) -> None:
    """Check that bytes are those of a named data set.

    Raises:
        DigestMismatch: if they are not.
    """
    expected, actual = DATASETS[name].sha256, hashlib.sha256(content).digest()
    if actual != expected:
        raise DigestMismatch(
            f"the embedded data set {name} was changed; install fl_chain again",
            expected=expected,
            actual=actual,
        )
