"""Where a task comes from: settings for a table, or a Python file of the user's own."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from fl_chain.config import FileTaskSettings, ModelSettings, TableTaskSettings
from fl_chain.errors import ConfigError, DigestMismatch
from fl_chain.learning.table_task import TableTask
from fl_chain.learning.task import Task
from fl_chain.records import Digest, digest

_METHODS = ("model", "load", "train", "evaluate")


def build_task(settings: TableTaskSettings | FileTaskSettings, model: ModelSettings) -> Task:
    """Return the task that a run's settings describe.

    Args:
        settings: a table's columns, or a Python file.
        model: for a table; a file brings its own.

    Raises:
        ConfigError: if the settings contradict themselves or the file does not give a task.
        DigestMismatch: if the file is not the one that the policy fixes.
    """
    if isinstance(settings, TableTaskSettings):
        return TableTask(settings, model)
    expected = None if settings.sha256 is None else _digest(settings.sha256)
    return load_task_file(Path(settings.path), settings.factory, expected=expected)


def task_file_digest(path: Path) -> Digest:
    """Return the SHA-256 of a task file, which a policy fixes.

    Raises:
        ConfigError: if it cannot be read.
    """
    return Digest(hashlib.sha256(_read(path)).digest())


def load_task_file(path: Path, factory: str, *, expected: Digest | None = None) -> Task:
    """Run a Python file and return the task that it makes.

    The file runs with all rights of this process: it is the participant's own, or one that it has read.

    Args:
        path: the file.
        factory: the name in it of a class or function that is called without arguments.
        expected: the digest that the file must have; checked before anything of it runs.

    Raises:
        ConfigError: if the file cannot be read or run, lacks the name, or what it makes is not a `Task`.
        DigestMismatch: if the file is another one.
    """
    content = _read(path)
    actual = hashlib.sha256(content).digest()
    if expected is not None and actual != expected:
        raise DigestMismatch(
            f"the task file {path} is not the one that the run's policy fixes; take the operator's",
            expected=expected,
            actual=actual,
        )
    module = _run(path, content, name=f"fl_chain_task_{actual.hex()[:16]}")
    if not callable(getattr(module, factory, None)):
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise ConfigError(
            f"{path} has no class or function {factory!r}; it has {', '.join(names) or 'none'}. Set "
            "`factory`."
        )
    try:
        task: Any = getattr(module, factory)()
    except Exception as error:
        raise ConfigError(f"{factory}() in {path} failed: {type(error).__name__}: {error}") from error
    missing = [name for name in _METHODS if not callable(getattr(task, name, None))]
    if missing:
        raise ConfigError(f"what {factory}() in {path} returns is not a task: it lacks {', '.join(missing)}")
    return task  # type: ignore[no-any-return]


def _run(path: Path, content: bytes, *, name: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and pickling look a class's module up there
    try:
        # The bytes that were hashed are the bytes that run: importing by path would read the file again.
        exec(compile(content, str(path), "exec"), module.__dict__)  # noqa: S102
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"the task file {path} does not run: {type(error).__name__}: {error}") from error
    return module


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the task file {path} cannot be read: {error.strerror}; correct `path`") from error


def _digest(value: str) -> Digest:
    try:
        return digest(value)
    except ValueError as error:
        raise ConfigError(f"the task's sha256 is {error}") from error
