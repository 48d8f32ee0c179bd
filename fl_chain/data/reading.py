"""Reading the sets that are no tables: images in idx files, and lines by speaking role."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fl_chain.config import DataPlaces
from fl_chain.data.catalogue import dataset
from fl_chain.data.places import located
from fl_chain.errors import InputDataError


@dataclass(frozen=True, slots=True)
class Images:
    """Grey images and their classes.

    Attributes:
        train_images: shape (rows, height, width), uint8.
        train_labels: shape (rows,), uint8.
        test_images: as ``train_images``.
        test_labels: as ``train_labels``.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]


def read_images(name: str, places: DataPlaces) -> Images:
    """Return a catalogued set of images.

    Raises:
        InputDataError: if there is no such set, or it is not on this machine.
        DigestMismatch: if a file of it is another one.
    """
    found = dataset(name)
    if found.form != "idx":
        raise InputDataError(f"the data set {found.name} holds no images")
    return Images(*(read_idx(path.read_bytes(), origin=str(path)) for path in located(found, places)))


def read_idx(content: bytes, *, origin: str) -> npt.NDArray[np.uint8]:
    """Return the array in an idx file of unsigned bytes, packed by gzip or not.

    The format: two zero bytes, 0x08 for unsigned bytes, the number of dimensions, each dimension as 32 bits
    big-endian, then the values (LeCun, the MNIST database).

    Args:
        content: the file.
        origin: what to call it in messages.

    Raises:
        InputDataError: if it is no such file.
    """
    try:
        plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputDataError(f"{origin} cannot be unpacked: {error}") from error
    if plain[:3] != b"\x00\x00\x08" or len(plain) < 4:
        raise InputDataError(f"{origin} is no idx file of unsigned bytes")
    dimensions = plain[3]
    start = 4 + 4 * dimensions
    if len(plain) < start:
        raise InputDataError(f"{origin} ends before its {dimensions} dimensions are named")
    shape = struct.unpack(f">{dimensions}I", plain[4:start])
    n_values = int(np.prod(shape, dtype=object))
    if len(plain) - start != n_values:
        raise InputDataError(f"{origin} promises {n_values} values and holds {len(plain) - start}")
    return np.frombuffer(plain, dtype=np.uint8, offset=start).reshape(shape)


def read_roles(name: str, places: DataPlaces) -> Mapping[str, tuple[str, ...]]:
    """Return the lines of every speaking role of a catalogued set of plays, by role.

    Raises:
        InputDataError: if there is no such set, it is not on this machine, or is not of this form.
        DigestMismatch: if the file is another one.
    """
    found = dataset(name)
    if found.form != "roles":
        raise InputDataError(f"the data set {found.name} holds no roles")
    return parse_roles(_unpacked_text(located(found, places)[0]), origin=found.name)


def parse_roles(text: str, *, origin: str) -> Mapping[str, tuple[str, ...]]:
    """Return what a JSON object of lists of lines holds.

    Raises:
        InputDataError: if it is none.
    """
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        raise InputDataError(f"{origin} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(
        isinstance(lines, list) and all(isinstance(line, str) for line in lines) for lines in content.values()
    ):
        raise InputDataError(f"{origin} is no JSON object with a list of lines for each role")
    return {role: tuple(lines) for role, lines in content.items()}


def _unpacked_text(path: Path) -> str:
    # polars unpacks zstd by itself, which Python's library does not do yet.
    try:
        lines = pl.read_lines(path).to_series().to_list()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputDataError(f"{path} cannot be read as packed text: {error}") from error
    return "\n".join(lines)
