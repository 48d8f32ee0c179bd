"""A node that lies in one of its answers, read by everything that reads nodes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from choices import Choices, altered
from recordings import READINGS, dialogue, request_key

import fl_chain.ledger.node as node_module
from fl_chain.errors import FlChainError
from fl_chain.ledger.node import Node
from fl_chain.ledger.transport import Json, Request

COVERS = (
    "fl_chain.ledger.node",
    "fl_chain.ledger.client",
    "fl_chain.ledger.receipts",
    "fl_chain.ledger.fees",
    "fl_chain.ledger.trie_proofs",
    "fl_chain.ledger.abi",
    "fl_chain.ledger.artifact",
    "fl_chain.ledger.history",
)


class LyingTransport:
    """The recorded answers of a real node; some of them altered, or of a batch as a whole."""

    def __init__(self, choices: Choices, truthful: int) -> None:
        self._choices = choices
        self._truthful = truthful  # answers that are left as they are, then one after the other is altered

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        true = dialogue().answers.get(request_key(method, parameters))
        if true is None:  # the lies have led to a question that was never asked
            return {"jsonrpc": "2.0", "id": 1, "result": self._choices.value()}
        self._truthful -= 1
        if self._truthful >= 0 or self._choices.are_over:
            return json.loads(true)
        # Large answers would eat up the choices: the contract's code is altered in the outer object only.
        return altered(true, self._choices)

    def batch(self, requests: Sequence[Request]) -> Json:
        answers: Json = [self.request(method, parameters) for method, parameters in requests]
        if self._truthful < 0 and self._choices.byte() % 8 == 1:
            return altered(json.dumps(answers), self._choices)
        return answers

    def close(self) -> None:
        pass


def fuzz(data: bytes) -> None:
    told = dialogue()
    node_module.FIRST_PAUSE_S = 0.0  # attempts are repeated without waiting
    choices = Choices(data)
    reading = choices.pick(READINGS)
    transport = LyingTransport(choices, choices.below(16))
    endpoints = [("liar", transport)]
    if choices.byte() % 8 == 1:
        endpoints.append(("other", LyingTransport(choices, 0)))
    try:
        node = Node(endpoints, None)
        assert 0 < node.chain_id < 2**64
        reading(node, told)
    except FlChainError:
        pass


def seeds() -> list[bytes]:
    return [bytes([number, truthful, 0, 0, 0, 2]) for number in range(len(READINGS)) for truthful in (0, 2)]
