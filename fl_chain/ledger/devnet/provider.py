"""A development chain in this process as a web3.py provider."""

from __future__ import annotations

from typing import Any

from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.rpc import Dispatcher


class ChainProvider(JSONBaseProvider):
    """Answers web3.py's requests from a chain, with what its HTTP server would answer."""

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self._dispatcher = Dispatcher(chain)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Answer one request."""
        response: RPCResponse = self._respond(self.encode_rpc_request(method, params))
        return response

    def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """Answer a batch."""
        response: list[RPCResponse] | RPCResponse = self._respond(self.encode_batch_rpc_request(requests))
        return response

    def _respond(self, request: bytes) -> Any:
        response = self._dispatcher.answer_text(request)
        return self.decode_rpc_response(response or b"null")
