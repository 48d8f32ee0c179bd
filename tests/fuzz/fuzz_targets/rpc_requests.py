"""Requests to the development chain's server: an answer each, and never an internal error."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from choices import Choices, altered
from recordings import RECIPIENT, dialogue

from fl_chain.ledger.devnet import open_chain
from fl_chain.ledger.devnet.methods import METHODS
from fl_chain.ledger.devnet.rpc import INTERNAL_ERROR, Dispatcher

COVERS = (
    "fl_chain.ledger.devnet.rpc",
    "fl_chain.ledger.devnet.parameters",
    "fl_chain.ledger.devnet.methods",
    "fl_chain.ledger.devnet.logs",
    "fl_chain.ledger.devnet.execution",
    "fl_chain.ledger.devnet.encoding",
)

MOST_GAS = 100_000  # of a call, so that no single input takes seconds


@cache
def dispatcher() -> Dispatcher:
    chain = open_chain(dialogue().folder, read_only=True)
    chain.verify = lambda: None  # type: ignore[method-assign] - it was verified when it was opened
    return Dispatcher(chain)


@cache
def truths() -> list[str]:
    """Return a request of every method; those of the recorded dialogue, and one of each other."""
    told = dialogue()
    recorded = [json.loads(key) for key in told.answers]
    transaction = "0x" + told.transaction.hex()
    call = {"from": RECIPIENT, "to": told.ledger, "data": "0x", "gas": "0x10000", "value": "0x0"}
    code = {"data": "0x60006000fd", "gas": "0x10000"}
    extra: list[Any] = [
        ["eth_call", [call, "latest"]],
        ["eth_call", [code, {"blockNumber": "0x1"}]],
        ["eth_estimateGas", [call]],
        ["eth_estimateGas", [code, "0x2"]],
        ["eth_feeHistory", ["0x4", "latest", [10, 50]]],
        ["eth_getBlockByNumber", ["0x3", True]],
        ["eth_getBlockByNumber", ["pending", False]],
        ["eth_getBlockTransactionCountByNumber", ["0x2"]],
        ["eth_getBlockTransactionCountByHash", ["0x" + told.head.hash.hex()]],
        [
            "eth_getLogs",
            [{"address": [told.ledger], "topics": [None, ["0x" + "00" * 32]], "fromBlock": "earliest"}],
        ],
        ["eth_getLogs", [{"blockHash": "0x" + told.head.hash.hex(), "topics": []}]],
        ["eth_getStorageAt", [told.ledger, "0x2", "latest"]],
        ["eth_getTransactionByHash", [transaction]],
        ["eth_getTransactionReceipt", [transaction]],
        ["eth_sendRawTransaction", ["0x02c0"]],
        *([name, []] for name in METHODS),
    ]
    chosen: dict[str, Any] = {}
    for method, parameters in [*extra, *recorded]:
        chosen.setdefault(
            f"{method} {len(parameters)} {method in ('eth_call', 'eth_getLogs') and len(chosen)}",
            [method, parameters],
        )
    return [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        for method, parameters in list(chosen.values())[:60]
    ]


def fuzz(data: bytes) -> None:
    if data[:1] in (b"{", b"["):
        body = data
    else:
        choices = Choices(data)
        request = altered(choices.pick(truths()), choices)
        body = json.dumps([request] if data[-1:] == b"B" else request).encode()
    try:
        request = json.loads(body) if body.count(b"[") + body.count(b"{") < 100 else None
    except ValueError:
        request = None
    if any(map(_is_costly, request if isinstance(request, list) else [request])):
        return
    response = dispatcher().answer_text(body)
    if response is None:
        return
    parsed = json.loads(response)
    for one in parsed if isinstance(parsed, list) else [parsed]:
        assert one["jsonrpc"] == "2.0"
        assert ("result" in one) != ("error" in one)
        if "error" in one:
            assert one["error"]["code"] != INTERNAL_ERROR, one["error"]["message"]
            assert one["error"]["message"]


def _is_costly(request: Any) -> bool:
    """Whether it runs code for a long time, as anyone's code may."""
    if not isinstance(request, dict) or request.get("method") not in ("eth_call", "eth_estimateGas"):
        return False
    parameters = request.get("params")
    call = parameters[0] if isinstance(parameters, list) and parameters else None
    gas = call.get("gas") if isinstance(call, dict) else "0x0"
    try:
        return not gas or int(gas, 16) > MOST_GAS
    except (TypeError, ValueError):
        return False


def seeds() -> list[bytes]:
    return [
        *(bytes([number]) for number in range(len(truths()))),
        b"\0B",
        b"[" * 40,
        b"{}",
        b'[{"method":1}]',
    ]
