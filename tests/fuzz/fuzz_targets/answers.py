"""One answer of a node: blocks, quantities, data, errors, batches of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from choices import answer_of
from recordings import dialogue

import fl_chain.ledger.node as node_module
from fl_chain.errors import FlChainError, LedgerError, RequestRefused
from fl_chain.ledger.fees import base_fee_wei
from fl_chain.ledger.node import Head, Node, data_bytes, parse_head, quantity
from fl_chain.ledger.transport import Json, Request

COVERS = ("fl_chain.ledger.node", "fl_chain.ledger.fees")


class OneAnswer:
    """Says which chain it serves, and then the same thing to everything."""

    def __init__(self, answer: Json) -> None:
        self._answer = answer

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        return {"id": 1, "result": "0x1"} if method == "eth_chainId" else self._answer

    def batch(self, requests: Sequence[Request]) -> Json:
        return self._answer

    def close(self) -> None:
        pass


def fuzz(data: bytes) -> None:
    node_module.FIRST_PAUSE_S = 0.0
    try:
        answer = answer_of(data[1:], _truths()[data[0] % 4 if data else 0])
    except ValueError:
        return
    node = Node([("one answer", OneAnswer(answer))], None)
    for ask in (node.head, lambda: node.block(7), lambda: node.balance_wei(dialogue().ledger)):
        _refused_or(ask)
    _refused_or(lambda: node.code(dialogue().ledger))
    _refused_or(lambda: node.batch([("eth_chainId", []), ("eth_blockNumber", [])]))
    for value in (answer, answer.get("result") if isinstance(answer, dict) else None):
        for parse in (quantity, data_bytes, parse_head, base_fee_wei):
            found = _refused_or(lambda: parse(value))  # noqa: B023 - called at once
            assert found is None or _is_sound(found, value)


def _is_sound(found: object, value: Json) -> bool:
    if isinstance(found, bytes):
        return "0x" + found.hex() == value.lower()
    if isinstance(found, Head):
        return found.number >= 0 and found.timestamp >= 0 and len(found.hash) == 32 and bool(found.reference)
    return not isinstance(found, int) or found >= 0


def _refused_or(ask: object) -> object:
    try:
        return ask()  # type: ignore[operator]
    except RequestRefused as error:
        assert isinstance(error.code, int)
        assert isinstance(error.data, bytes)
    except LedgerError:
        pass
    except FlChainError as error:
        raise AssertionError("what a node says wrong is a LedgerError") from error
    return None


def _truths() -> tuple[str, ...]:
    told = dialogue()
    block = told.result("eth_getBlockByHash", "0x" + told.head.hash.hex(), False)
    error = '{"id":1,"error":{"code":3,"message":"execution reverted","data":{"data":"0x1234"}}}'
    batch = '[{"id":1,"result":"0x1"},{"id":2,"error":{"code":-32000,"message":"no"}}]'
    return json.dumps({"id": 1, "result": json.loads(block)}), error, batch, block


def seeds() -> list[bytes]:
    return [
        bytes([number]) + (true.encode() if number in (1, 2) else b"\0")
        for number, true in enumerate(_truths())
    ]
