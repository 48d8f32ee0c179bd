"""What the contract's views return, and the ledger's records of it; what reverts return."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from choices import Choices
from recordings import dialogue

from fl_chain.errors import FlChainError, LedgerReverted, MalformedResponse
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.node import Node
from fl_chain.ledger.reverts import decode_revert
from fl_chain.ledger.token import Token
from fl_chain.ledger.transport import Json, Request
from fl_chain.records import RunId

COVERS = ("fl_chain.ledger.abi", "fl_chain.ledger.reverts", "fl_chain.ledger.client", "fl_chain.ledger.token")


class OneOutput:
    """A node on which every call returns, or reverts with, the same bytes."""

    def __init__(self, output: bytes, *, reverts: bool) -> None:
        shown = "0x" + output.hex()
        self._answer: Json = {"id": 1, "result": shown}
        if reverts:
            self._answer = {"id": 1, "error": {"code": 3, "message": "execution reverted", "data": shown}}

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        return {"id": 1, "result": "0x539"} if method == "eth_chainId" else self._answer

    def batch(self, requests: Sequence[Request]) -> Json:
        return [self.request(method, parameters) for method, parameters in requests]

    def close(self) -> None:
        pass


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    mode = choices.below(4)
    if mode == 0:
        _revert(choices)
        return
    output = choices.rest() if mode == 1 else _words(choices)
    for function in ledger_abi().functions.values():
        with contextlib.suppress(MalformedResponse):
            function.decode(output)
    _ledger(output, reverts=mode == 3)


def _revert(choices: Choices) -> None:
    errors = sorted(ledger_abi().errors)
    selector = choices.pick(errors) if choices.byte() else b""
    found = decode_revert(selector + choices.rest())
    assert found is None or (isinstance(found, LedgerReverted) and isinstance(str(found), str))


def _words(choices: Choices) -> bytes:
    words = []
    while not choices.are_over and len(words) < 40:
        count = choices.below(20) + 1
        value = choices.integer() % 2**256
        words += [value.to_bytes(32, "big")] * count
    return b"".join(words)


def _ledger(output: bytes, *, reverts: bool) -> None:
    told = dialogue()
    node = Node([("one output", OneOutput(output, reverts=reverts))], None)
    ledger = Ledger(node, RunId(1337, told.ledger), confirmations=0, deployed_block=0)
    one, who = (1,), (told.participant,)
    for view, arguments in (
        *((view, ()) for view in (ledger.definition, ledger.policy, ledger.operator, ledger.token)),
        *((view, ()) for view in (ledger.state, ledger.has_ended, ledger.balance)),
        *(
            (view, one)
            for view in (ledger.round, ledger.model_root, ledger.sums_hash, ledger.posting_summary)
        ),
        *((view, (1, 0)) for view in (ledger.leaf, ledger.is_excluded, ledger.is_claimed)),
        *((view, who) for view in (ledger.participant, ledger.identity_of, ledger.account)),
        (Token(node, told.ledger).verify_token, ()),
    ):
        with contextlib.suppress(FlChainError):
            view(*arguments)


def seeds() -> list[bytes]:
    errors = len(ledger_abi().errors)
    return [
        *(bytes([0, 1, number]) + bytes(31) + b"\1" + bytes(31) + b"\2" for number in range(0, errors, 4)),
        *(bytes([2, count, 0, 3]) for count in range(20)),
        bytes([3, 1, 0, 3]),
        bytes([1]) + bytes(32 * 4),
    ]
