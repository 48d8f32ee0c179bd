"""JSON-RPC 2.0 over a development chain: one request or a batch in, one response or a batch out."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

from fl_chain.commitment.canonical import verify_nesting
from fl_chain.errors import TransactionRejected
from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.encoding import Json, data_hex
from fl_chain.ledger.devnet.execution import Reverted
from fl_chain.ledger.devnet.methods import METHODS
from fl_chain.ledger.devnet.parameters import InvalidParameters, TooManyResults

MAX_BATCH = 2000
MAX_NESTING = 32  # JSON-RPC needs less; without a bound the parser could exhaust this process's stack

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMETERS = -32602
INTERNAL_ERROR = -32603
LIMIT_EXCEEDED = -32005  # EIP-1474
TRANSACTION_REJECTED = -32000
EXECUTION_REVERTED = 3  # geth's, with the revert data

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (InvalidParameters, INVALID_PARAMETERS),
    (IndexError, INVALID_PARAMETERS),
    (TooManyResults, LIMIT_EXCEEDED),
    (TransactionRejected, TRANSACTION_REJECTED),
)


logger = logging.getLogger(__name__)


class Dispatcher:
    """Answers requests one at a time, from any thread."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._lock = threading.Lock()

    def answer_text(self, body: bytes) -> bytes | None:
        """Answer a request or a batch in JSON; None where there is nothing to answer (notifications)."""
        try:
            verify_nesting(body, MAX_NESTING)
            request = json.loads(body)
        except ValueError as error:
            response: Json = _failure(None, PARSE_ERROR, f"not JSON: {error}")
        else:
            response = self.answer(request)
        return None if response is None else json.dumps(response, separators=(",", ":")).encode()

    def answer(self, request: Json) -> Json:
        """Answer a request or a batch."""
        if not isinstance(request, list):
            return self._answer_one(request)
        if not request or len(request) > MAX_BATCH:
            return _failure(None, INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} requests")
        responses = [self._answer_one(single) for single in request]
        return [response for response in responses if response is not None] or None

    def _answer_one(self, request: Json) -> Json:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _failure(None, INVALID_REQUEST, "a request is an object with a method")
        response = self._run(request.get("id"), request["method"], request.get("params") or [])
        return response if "id" in request else None

    def _run(self, request_id: Json, name: str, parameters: Json) -> Json:
        method = METHODS.get(name)
        if method is None:
            return _failure(request_id, METHOD_NOT_FOUND, f"the method {name[:100]} does not exist")
        if not isinstance(parameters, list):
            return _failure(request_id, INVALID_PARAMETERS, "parameters are a list")
        try:
            with self._lock:
                result = method(self.chain, parameters)
        except Reverted as error:
            return _failure(request_id, EXECUTION_REVERTED, str(error), data_hex(error.data))
        except Exception as error:  # one request must not end the server
            code = next((code for kind, code in _CODES if isinstance(error, kind)), INTERNAL_ERROR)
            if code == INTERNAL_ERROR:
                logger.exception("%s failed", name)
            return _failure(request_id, code, str(error) or type(error).__name__)
        return {"jsonrpc": "2.0", "id": request_id, "result": result}


def _failure(request_id: Json, code: int, message: str, data: str | None = None) -> Json:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": request_id, "error": error}
