"""A worker's folder after a crash of its disk: what is there is whole, or is not taken."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
from choices import Choices, answer_of
from recordings import dialogue
from scratch import scratch

from fl_chain.commitment.chunks import LANE
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import FlChainError, KeyUnavailable
from fl_chain.ledger.account import Account
from fl_chain.ledger.devnet import dev_keys, open_chain
from fl_chain.ledger.node import embedded
from fl_chain.records import Digest, Opening
from fl_chain.run.outbox import Outbox, PreparedUpdate
from fl_chain.run.transactions import SentTransaction, TransactionOutbox

COVERS = ("fl_chain.run.outbox", "fl_chain.run.transactions")

BASE = Digest(b"\x05" * 32)


@cache
def truths() -> tuple[Path, bytes, Account, str]:
    folder = scratch() / "outbox"
    outbox = Outbox(folder / "true", secret=bytes(32))
    lanes = np.arange(3, dtype=LANE)
    update = PreparedUpdate(7, BASE, Digest(b"\x06" * 32), 9, Opening(vector_root(lanes), bytes(32)), lanes)
    outbox.save(update)
    (path,) = (folder / "true" / "updates").iterdir()
    account = Account(embedded(open_chain(dialogue().folder, read_only=True)), dev_keys()[0])
    sent = SentTransaction(account.address, account.node.chain_id, "submit", 1, 2)
    return (
        folder,
        path.read_bytes(),
        account,
        json.dumps({name: getattr(sent, name) for name in sent.__slots__}),
    )


def fuzz(data: bytes) -> None:
    folder = truths()[0] / "altered"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "updates").mkdir(parents=True)
    kind, rest = data[:1], data[1:]
    match kind:
        case b"t" | b"T":
            _transaction(folder, kind, rest)
        case b"s":
            _secret(folder, rest)
        case _:
            _update(folder, kind, rest)


def _transaction(folder: Path, kind: bytes, rest: bytes) -> None:
    _, _, account, true = truths()
    try:
        content = rest if kind == b"t" else json.dumps(answer_of(rest, true)).encode()
    except ValueError:
        return
    (folder / "transaction").write_bytes(content)
    outbox = TransactionOutbox(folder, account)
    assert outbox.newest is None or outbox.newest.account == account.address
    try:
        assert outbox.send("another", is_due=lambda: False, call=lambda: None) is None  # type: ignore[arg-type, return-value]
    except FlChainError:
        pass


def _secret(folder: Path, rest: bytes) -> None:
    (folder / "secret").write_bytes(rest)
    try:
        assert Outbox(folder).secret == rest
    except KeyUnavailable:
        assert len(rest) != 32


def _update(folder: Path, kind: bytes, rest: bytes) -> None:
    content = rest
    if kind == b"U":
        choices = Choices(rest)
        changed = bytearray(truths()[1])
        at = choices.below(len(changed) + 1)
        changed[at : at + choices.below(3)] = choices.rest()
        content = bytes(changed)
    if kind == b"V" and len(rest) > 140 and (len(rest) - 136) % 4 == 0:
        # The root of its own lanes, so that everything behind the hash is reached.
        content = rest[:72] + vector_root(np.frombuffer(rest, LANE, offset=136)) + rest[104:]
    outbox = Outbox(folder, secret=bytes(32))
    (folder / "updates" / f"7-{BASE.hex()}").write_bytes(content)
    found = outbox.load(7, BASE)
    if found is not None:
        assert found.base_model_root == BASE
        assert vector_root(found.lanes) == found.opening.vector_root
        outbox.save(found)
        assert outbox.load(7, BASE) is not None
    outbox.drop_before(8)
    assert not list((folder / "updates").iterdir())


def seeds() -> list[bytes]:
    _, update, _, transaction = truths()
    return [
        b"u" + update,
        b"U\x07\0",
        b"V" + update,
        b"t" + transaction.encode(),
        b"T\0",
        b"s" + bytes(32),
        b"s" + bytes(31),
        b"t" + b"[" * 30,
    ]
