"""A task file's bytes up to the point where they would run: its digest, and the compiler."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from scratch import scratch

from fl_chain.config import FileTaskSettings, ModelSettings
from fl_chain.errors import ConfigError, DigestMismatch
from fl_chain.learning.loading import build_task, load_task_file, task_file_digest
from fl_chain.records import Digest

COVERS = ("fl_chain.learning.loading",)

NEVER_COMPILES = b"\n)(\n"  # so that nothing of the fuzzer's ever runs


@cache
def task_file() -> Path:
    return scratch() / "task.py"


def fuzz(data: bytes) -> None:
    path = task_file()
    path.write_bytes(data)
    assert len(task_file_digest(path)) == 32
    try:
        load_task_file(path, "task", expected=Digest(bytes(32)))
    except DigestMismatch:
        pass
    else:
        raise AssertionError("a file was run under another file's digest")
    try:
        settings = FileTaskSettings(path=str(path), sha256=data[:70].decode("latin-1").replace("\0", ""))
        build_task(settings, ModelSettings())
    except (ConfigError, DigestMismatch):
        pass
    path.write_bytes(data + NEVER_COMPILES)
    if b"coding" in data[:400]:  # under another encoding these three bytes may mean something
        return
    try:
        load_task_file(path, "task")
    except ConfigError:
        return
    raise AssertionError("a file that does not compile gave a task")


def seeds() -> list[bytes]:
    return [
        b"class task:\n    pass\n",
        b"x = '''",
        b"\0",
        b"\xff\xfe",
        b"(" * 50,
        b"00" * 32,
        b"f'{x!r:{y}}'",
    ]
