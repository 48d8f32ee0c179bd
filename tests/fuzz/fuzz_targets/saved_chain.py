"""The database of a saved chain that came from elsewhere, opened for reading."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

from choices import INTEGERS, Choices
from eth_hash.auto import keccak
from recordings import small_chain
from scratch import scratch

from fl_chain.errors import FlChainError
from fl_chain.ledger.devnet.database import DATABASE_NAME
from fl_chain.ledger.node import saved_chain

COVERS = ("fl_chain.ledger.devnet.database", "fl_chain.ledger.devnet.chain")

MOST_EDITS = 4
MOST_STEPS = 1_000_000  # of SQLite's machine, for one edit
COLUMNS = ("block", "position", "timestamp", "transaction_index", "block_hash", "transaction_hash", "address")
COLUMNS += ("topic0", "topic1", "data")
SCHEMAS = (
    "DROP TABLE meta",
    "DROP TABLE state",
    "DROP TABLE logs",
    "DROP INDEX logs_by_address",
    "ALTER TABLE state RENAME TO other",
    "ALTER TABLE logs DROP COLUMN data",
    "DROP TABLE meta; CREATE VIEW meta AS SELECT 'format' AS name, 1 AS value UNION SELECT 'chain_id', 1",
    "DROP TABLE state; CREATE VIEW state AS WITH RECURSIVE n(key, value) AS"
    " (SELECT x'00', x'00' UNION ALL SELECT key, value FROM n) SELECT * FROM n",
    "CREATE TRIGGER t AFTER INSERT ON state BEGIN DELETE FROM logs; END",
    "DROP TABLE state; CREATE TABLE state (key, value)",
)


@cache
def truth() -> tuple[bytes, list[bytes]]:
    path = small_chain() / DATABASE_NAME
    with closing(sqlite3.connect(path)) as connection:
        keys = [row[0] for row in connection.execute("SELECT key FROM state ORDER BY length(value), key")]
    return path.read_bytes(), keys


@cache
def folder() -> Path:
    return scratch() / "altered-chain"


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    shutil.rmtree(folder(), ignore_errors=True)
    folder().mkdir()
    path = folder() / DATABASE_NAME
    content = bytearray(truth()[0])
    kind = choices.below(4)
    if kind == 0:
        content = bytearray(choices.rest())
    elif kind == 1:
        _edit_bytes(content, choices)
    path.write_bytes(content)
    if kind == 2:
        _edit_rows(path, choices)
    elif kind == 3:
        path.with_name(path.name + "-wal").write_bytes(choices.rest())
    try:
        with saved_chain(folder()) as node:
            _read(node)
    except FlChainError:
        pass


def _read(node: Any) -> None:
    for method, *parameters in (
        ("eth_getBlockByNumber", "0x1", True),
        ("eth_getLogs", {"fromBlock": "0x0"}),
        ("eth_getBalance", "0x" + "11" * 20, "latest"),
        ("eth_call", {"to": "0x" + "11" * 20, "gas": "0x5300"}, "latest"),
    ):
        with suppress(FlChainError):
            node.request(method, *parameters)


def _edit_bytes(content: bytearray, choices: Choices) -> None:
    for _ in range(MOST_EDITS):
        if choices.are_over:
            return
        at = choices.below(len(content) + 1)
        match choices.below(4):
            case 0 | 1:
                content[at : at + 1] = choices.take(1)
            case 2:
                length = choices.below(8)
                content[at : at + length] = choices.padded(length)
            case _:
                del content[at:]


def _edit_rows(path: Path, choices: Choices) -> None:
    """Change rows by SQL; a value of the key-value store gets the key that it hashes to, if so chosen."""
    keys = truth()[1]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_progress_handler(lambda: 1, MOST_STEPS)  # an edit can make a view without an end
        for _ in range(MOST_EDITS):
            if choices.are_over:
                return
            with suppress(sqlite3.Error):
                _edit_row(connection, keys, choices)


def _edit_row(connection: sqlite3.Connection, keys: list[bytes], choices: Choices) -> None:
    key = choices.pick(keys)
    match choices.below(7):
        case 0:
            connection.execute("DELETE FROM state WHERE key = ?", (key,))
        case 1:
            connection.execute("UPDATE state SET value = ? WHERE key = ?", (_value(choices), key))
        case 2:
            _reseal(connection, key, choices)
        case 3:
            name = choices.pick(("format", "chain_id"))
            connection.execute("UPDATE meta SET value = ? WHERE name = ?", (_value(choices), name))
        case 4:
            column = choices.pick(COLUMNS)
            connection.execute(f"UPDATE logs SET {column} = ?", (_value(choices),))
        case 5:
            connection.executescript(choices.pick(SCHEMAS))
        case _:
            connection.execute("INSERT INTO state VALUES (?, ?)", (_value(choices), _value(choices)))


def _reseal(connection: sqlite3.Connection, key: bytes, choices: Choices) -> None:
    """Alter a value, put it under its new hash, and that hash wherever the old one stood."""
    found = connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
    if found is None or not isinstance(found[0], bytes):  # by an edit before this one
        return
    changed = bytearray(found[0])
    _edit_bytes(changed, choices)
    renamed = keccak(bytes(changed)) if len(key) == 32 else key
    connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (renamed, bytes(changed)))
    for other, held in connection.execute("SELECT key, value FROM state").fetchall():
        if isinstance(held, bytes) and len(other) != 32 and key in held:
            connection.execute(
                "UPDATE state SET value = ? WHERE key = ?", (held.replace(key, renamed), other)
            )


def _value(choices: Choices) -> Any:
    match choices.below(5):
        case 0:
            return choices.pick([one for one in INTEGERS if -(2**63) <= one < 2**63])
        case 1:
            return choices.text().encode("utf-8", "replace").decode()
        case 2:
            return choices.pick((None, 1.5, b"", bytes(32), b"\xc0", b"\x80"))
        case 3:
            return choices.pick(truth()[1])
        case _:
            return choices.take(choices.below(64))


def seeds() -> list[bytes]:
    return [
        b"\0",
        b"\1\x00\x10\x00\x05",
        *(bytes([2, key, 0, kind, 1, 1, 1]) for key in (0, 3) for kind in range(7)),
        *(bytes([2, 0, 5, number]) for number in range(len(SCHEMAS))),
        b"\3" + bytes(32),
    ]
