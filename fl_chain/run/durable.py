"""An actor's own folder: files that are whole or not there at all, and one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fl_chain.errors import ConfigError, StateInUse, StateUnwritable


def write_durably(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file, readable by its owner only; it is on the disk when this returns.

    A process that is killed on the way leaves the old file as it was, and perhaps ``<name>.part`` beside it,
    which the next write replaces.

    Raises:
        StateUnwritable: if the disk does not take it; the old file is still there then.
    """
    _write(path, parts, is_durable=True)


def write_whole(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file as `write_durably` does, without waiting for the disk: only a power cut can lose it.

    Raises:
        StateUnwritable: if the disk does not take it; the old file is still there then.
    """
    _write(path, parts, is_durable=False)


def _write(path: Path, parts: Sequence[bytes | memoryview], *, is_durable: bool) -> None:
    unfinished = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            if is_durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
        if not is_durable:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StateUnwritable(f"cannot write {path}: {error.strerror}. Make room on that disk.") from error


def read_if_there(path: Path) -> bytes | None:
    """Return what a file holds; None where there is none.

    Raises:
        StateUnwritable: if it is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateUnwritable(f"cannot read {path}: {error.strerror}. Mend that disk.") from error


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where they are missing.

    Raises:
        ConfigError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}. Name another one.") from error


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep a folder for this process while the context lasts; the kernel lets go of it when the process dies.

    Raises:
        StateInUse: if another process has it.
        ConfigError: if it cannot be made.
    """
    make_folder(folder)
    # The folder itself is locked, so that no lock file is left behind.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateInUse(
                f"another process works from {folder}: stop it, or name another folder as `state`"
            ) from error
        yield
    finally:
        os.close(descriptor)
