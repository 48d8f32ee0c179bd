"""A run's folder that came from elsewhere: what is accepted stays inside it and can be used."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from choices import answer_of
from scratch import scratch

from fl_chain.errors import ConfigError, FlChainError, StoreError
from fl_chain.ledger.node import saved_chain
from fl_chain.records import Digest
from fl_chain.run.folder import RUN_FILE, RunFolder, read_run_folder
from fl_chain.store import Store

COVERS = ("fl_chain.run.folder",)


@cache
def truth() -> tuple[Path, str]:
    folder = scratch() / "run"
    folder.mkdir()
    RunFolder(folder, 1337, "0x" + "ab" * 20, 5).write()
    return folder, (folder / RUN_FILE).read_text()


def fuzz(data: bytes) -> None:
    folder, true = truth()
    raw = data[1:]
    if data[:1] != b"r":
        try:
            raw = json.dumps(answer_of(data, true)).encode()
        except ValueError:
            return
    (folder / RUN_FILE).write_bytes(raw)
    try:
        found = read_run_folder(folder)
    except ConfigError:
        return
    assert 0 < found.run_id.chain_id < 2**64
    assert found.deployed_block >= 0
    for path in (found.chain_path, *map(Path, found.store_urls)):
        assert path.resolve().is_relative_to(folder.resolve())
    _use(found)


def _use(found: RunFolder) -> None:
    try:
        with saved_chain(found.chain_path, chain_id=found.chain_id):
            raise AssertionError("there is no chain")
    except ConfigError:
        pass
    try:
        Store(found.store_urls).read_document(Digest(bytes(32)))
    except StoreError:
        pass
    except FlChainError as error:
        raise AssertionError("a store inside the folder is a local one") from error


def seeds() -> list[bytes]:
    true = truth()[1].encode()
    return [b"r" + true, b"\0", json.dumps(json.loads(true)).encode(), b"r" + b"[" * 40, b"r\xff", b"r{}"]
