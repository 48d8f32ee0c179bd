"""Where targets put their files."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")

_folders: list[Path] = []  # the newest one counts


def scratch() -> Path:
    """Return a folder of this process, in memory where the system has such a file system."""
    if not _folders:
        folder = Path(tempfile.mkdtemp(prefix="fl-chain-fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _folders.append(folder)
    return _folders[-1]


def use_own_scratch() -> None:
    """Give a forked process a folder of its own, inside its parent's, who removes both."""
    inside = Path(tempfile.mkdtemp(dir=scratch()))
    atexit.unregister(shutil.rmtree)
    tempfile.tempdir = str(inside)
    _folders.append(inside)
