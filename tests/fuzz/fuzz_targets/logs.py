"""Logs into events: what is accepted says the same when it is written again."""

from __future__ import annotations

from functools import cache
from typing import Any

from choices import Choices, answer_of
from recordings import dialogue

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.decoding import decode_logs

COVERS = ("fl_chain.ledger.decoding", "fl_chain.ledger.events")


@cache
def truth() -> str:
    told = dialogue()
    head = hex(told.head.number)
    criteria = {"address": told.ledger, "fromBlock": hex(told.deployed_block), "toBlock": head}
    return told.result("eth_getLogs", criteria)


def fuzz(data: bytes) -> None:
    try:
        logs: Any = answer_of(data, truth())
    except ValueError:
        return
    logs = logs if isinstance(logs, list) else [logs]
    try:
        events = decode_logs(logs, {7: 7})
    except MalformedResponse:
        return
    assert len(events) == len(logs)
    for event, log in zip(events, logs, strict=True):
        place = event.place
        assert len(place.block_hash) == len(place.transaction_hash) == 32
        assert min(place.block_number, place.timestamp, place.log_index) >= 0
        assert "0x" + place.block_hash.hex() == log["blockHash"].lower()


def seeds() -> list[bytes]:
    return [b"\0", bytes([0, 1, 2, 3, 4, 5]), b"[]", b"{}", b'[{"blockNumber":"0x7"}]']


__all__ = ["COVERS", "Choices", "fuzz", "seeds"]
