"""Nodes that lie: a real node's answers, altered on the way by a rule."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence

from fl_chain.errors import RequestRefused
from fl_chain.ledger.node import Node
from fl_chain.ledger.transport import Json, Request

Alteration = Callable[[str, Sequence[Json], Json], Json]
"""Takes a method, its parameters and the true result; returns what is answered."""

PROOF_METHODS = ("eth_getProof", "eth_getBlockReceipts", "eth_getRawTransactionByHash")


def honest(_method: str, _parameters: Sequence[Json], result: Json) -> Json:
    return result


class LyingTransport:
    """Passes requests on to a real node and alters its answers; some methods it does not have."""

    def __init__(self, node: Node, alter: Alteration, without: Collection[str] = ()) -> None:
        self._node, self._alter, self._without = node, alter, without

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        if method in self._without:
            return {"error": {"code": -32601, "message": f"the method {method} does not exist"}}
        try:
            result = self._node.request(method, *parameters)
        except RequestRefused as error:
            return {"error": {"code": error.code, "message": str(error), "data": "0x" + error.data.hex()}}
        return {"result": self._alter(method, parameters, copy.deepcopy(result))}

    def batch(self, requests: Sequence[Request]) -> Json:
        return [self.request(method, parameters) for method, parameters in requests]

    def close(self) -> None:
        pass


def lying_node(node: Node, alter: Alteration = honest, without: Collection[str] = ()) -> Node:
    """Return a node that lies about what another one says."""
    return Node([("a liar", LyingTransport(node, alter, without))], None)
