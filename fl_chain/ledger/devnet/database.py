"""A development chain's state on disk: py-evm's key-value store and an index of logs, in one SQLite file.

Whatever a block changes becomes durable in one transaction: a process that is killed loses at most the block
it was making. SQLite writes ahead (WAL) and does not wait for the disk after each block, so a power cut may
lose the newest blocks as well, but leaves a chain that is whole.

A read-only opening leaves every byte of the folder as it is. If a killed process left a write-ahead log, a
temporary copy is read.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from eth.abc import AtomicWriteBatchAPI
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB
from eth_hash.auto import keccak

from fl_chain.errors import ConfigError, DigestMismatch, StateInUse

DATABASE_NAME = "chain.sqlite"
FORMAT = 1
CACHE_ENTRIES = 65_536

_SCHEMA = f"""
BEGIN;
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE logs (
    block INTEGER, position INTEGER, timestamp INTEGER, transaction_index INTEGER, block_hash BLOB,
    transaction_hash BLOB,
    address BLOB, topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB,
    PRIMARY KEY (block, position)
) WITHOUT ROWID;
CREATE INDEX logs_by_address ON logs (address, block, position);
INSERT INTO meta VALUES ('format', {FORMAT});
COMMIT;
"""  # noqa: S608 - a constant


class ChainDatabase(BaseAtomicDB):
    """py-evm's database over SQLite: writes wait in memory until `commit`, and are dropped by `rollback`.

    Values under keys of 32 bytes are named by their keccak digest (trie nodes, headers, code), which is
    checked when they are read from the file.
    """

    def __init__(self, connection: sqlite3.Connection, resources: ExitStack) -> None:
        self._connection = connection
        self._resources = resources
        self._pending: dict[bytes, bytes | None] = {}
        self._pending_logs: list[tuple[Any, ...]] = []
        self._pending_meta: dict[str, int] = {}
        self._cache: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        if key in self._pending:
            value = self._pending[key]
            if value is None:
                raise KeyError(key)
            return value
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        stored = row[0]
        if not isinstance(stored, bytes):
            raise ConfigError("the chain's state file was altered: it holds a value that is not bytes")
        if len(key) == 32 and keccak(stored) != key:
            raise DigestMismatch("the chain's state file was altered", expected=key, actual=keccak(stored))
        self._remember(key, stored)
        return stored

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._pending[key] = value

    def __delitem__(self, key: bytes) -> None:
        if key not in self:
            raise KeyError(key)
        self._pending[key] = None

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    @contextmanager
    def atomic_batch(self) -> Iterator[AtomicWriteBatchAPI]:
        """Collect writes that are taken over together, or not at all."""
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:
            yield batch

    def add_logs(self, rows: Iterable[Sequence[Any]]) -> None:
        """Index logs with the next commit; the columns are those of the table."""
        self._pending_logs.extend(tuple(row) for row in rows)

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one reading statement on what has been committed."""
        return self._connection.execute(statement, parameters).fetchall()

    def commit(self) -> None:
        """Make everything since the last commit durable at once."""
        written = [(key, value) for key, value in self._pending.items() if value is not None]
        removed = [(key,) for key, value in self._pending.items() if value is None]
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", written)
            self._connection.executemany("DELETE FROM state WHERE key = ?", removed)
            self._connection.executemany(
                "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._pending_logs
            )
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", self._pending_meta.items())
        for (key,) in removed:
            self._cache.pop(key, None)
        for key, value in written:
            self._remember(key, value)
        self.rollback()

    def rollback(self) -> None:
        """Drop everything since the last commit."""
        self._pending.clear()
        self._pending_logs.clear()
        self._pending_meta.clear()

    def close(self) -> None:
        """Let go of the file and the folder."""
        self.rollback()
        self._resources.close()

    @property
    def meta(self) -> dict[str, int]:
        """The chain's constants that no block holds."""
        return dict(self._connection.execute("SELECT name, value FROM meta").fetchall())

    def set_meta(self, name: str, value: int) -> None:
        """Write one of them with the next commit."""
        self._pending_meta[name] = value

    def _remember(self, key: bytes, value: bytes) -> None:
        if len(self._cache) >= CACHE_ENTRIES:
            self._cache.clear()
        self._cache[key] = value


def open_database(folder: Path | None, *, read_only: bool = False) -> ChainDatabase:
    """Open a state folder, making it where there is none.

    Args:
        folder: None keeps the state in memory.
        read_only: leave the folder as it is.

    Raises:
        StateInUse: another process has the folder open.
        ConfigError: the folder holds no chain, or one of another format.
    """
    resources = ExitStack()
    try:
        if folder is None:
            connection = _connect(":memory:", resources)
        elif read_only:
            connection = _connect_read_only(folder, resources)
        else:
            connection = _connect_writing(folder, resources)
        _verify_format(connection, folder)
    except (sqlite3.Error, OSError) as error:
        resources.close()
        raise ConfigError(f"{folder} holds no chain that can be read: {error}") from error
    except BaseException:
        resources.close()
        raise
    return ChainDatabase(connection, resources)


def _connect(target: str, resources: ExitStack, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(target, uri=uri, isolation_level=None, check_same_thread=False)
    resources.callback(connection.close)
    return connection


def _connect_writing(folder: Path, resources: ExitStack) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    _lock(folder, fcntl.LOCK_EX, resources)
    connection = _connect(str(folder / DATABASE_NAME), resources)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _connect_read_only(folder: Path, resources: ExitStack) -> sqlite3.Connection:
    path = folder / DATABASE_NAME
    if not path.is_file():
        raise ConfigError(
            f"{folder} holds no chain: {DATABASE_NAME} is missing; name the folder of a finished run"
        )
    _lock(folder, fcntl.LOCK_SH, resources)
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size > 0:
        copy = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="fl-chain-")))
        for source in (path, log):
            shutil.copyfile(source, copy / source.name)
        return _connect(str(copy / path.name), resources)
    return _connect(path.resolve().as_uri() + "?mode=ro&immutable=1", resources, uri=True)


def _lock(folder: Path, kind: int, resources: ExitStack) -> None:
    # The folder itself is locked, so that no lock file is left behind; the kernel lets go of it when we die.
    descriptor = os.open(folder, os.O_RDONLY)
    resources.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateInUse(
            f"another process has the chain in {folder} open: stop it, ask it by URL, or name another folder"
        ) from error


def _verify_format(connection: sqlite3.Connection, folder: Path | None) -> None:
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        connection.executescript(_SCHEMA)
    # Views and triggers of a file from elsewhere would run what they like, for as long as they like.
    if _schema_of(connection) != _expected_schema():
        raise ConfigError(f"{folder} holds other tables than a chain's")
    found = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    if found != (FORMAT,):
        raise ConfigError(f"{folder} holds a chain of format {found}; this version reads format {FORMAT}")


def _schema_of(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


@cache
def _expected_schema() -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        return _schema_of(connection)
