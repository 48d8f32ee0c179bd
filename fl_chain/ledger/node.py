"""A JSON-RPC node, or several that serve the same chain: requests, bounded retries, fail-over."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fl_chain.commitment.encoding import U64_LIMIT
from fl_chain.errors import (
    ConfigError,
    LedgerUnavailable,
    MalformedResponse,
    RequestRefused,
    TransactionRejected,
    WrongChain,
)
from fl_chain.ledger.keccak import use_fast_keccak
from fl_chain.ledger.transport import Json, Request, Transport, TransportFailed, open_transport
from fl_chain.records import Address

if TYPE_CHECKING:
    from fl_chain.ledger.devnet.chain import Chain

log = logging.getLogger(__name__)

ATTEMPTS = 4  # per request, over all URLs
FIRST_PAUSE_S = 0.1  # doubled after each attempt

_SENDING = "eth_sendRawTransaction"
_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")


@dataclass(frozen=True, slots=True)
class Head:
    """A block, usually the newest one."""

    number: int
    hash: bytes  # 32 bytes
    timestamp: int  # chain time, seconds

    @property
    def reference(self) -> Json:
        """The block as a parameter of a request (EIP-1898): by hash, and only while it is on the chain."""
        return {"blockHash": "0x" + self.hash.hex(), "requireCanonical": True}


@dataclass(slots=True)
class _Endpoint:
    name: str
    transport: Transport
    is_verified: bool = False  # that it serves the same chain as the others


class Node:
    """Asks the first of its transports that answers. Made by `connect`, `embedded` or `saved_chain`."""

    def __init__(self, transports: Sequence[tuple[str, Transport]], chain_id: int | None) -> None:
        self._endpoints = [_Endpoint(name, transport) for name, transport in transports]
        self._identity: tuple[int, Json] | None = None  # chain id, and the first block's hash
        self.request("eth_chainId")  # finds the first endpoint that answers
        self.chain_id: int = 0 if self._identity is None else self._identity[0]
        try:
            self.verify_chain(chain_id)
        except WrongChain:
            self.close()
            raise

    @property
    def name(self) -> str:
        """Where the node is, for messages."""
        return ", ".join(endpoint.name for endpoint in self._endpoints)

    def verify_chain(self, chain_id: int | None) -> None:
        """Check which chain is served; None accepts any.

        Raises:
            WrongChain: it is another one.
        """
        if chain_id is not None and chain_id != self.chain_id:
            raise WrongChain(
                f"{self.name} serves chain {self.chain_id}, expected {chain_id}: "
                "correct `chain_id` in [chain], or the node's address"
            )

    def close(self) -> None:
        """Let go of connections."""
        for endpoint in self._endpoints:
            endpoint.transport.close()

    def request(self, method: str, *parameters: Json) -> Json:
        """Return the result of one request.

        Raises:
            LedgerUnavailable: no node answers.
            RequestRefused: the node answers with an error.
        """
        return _result_or_raise(self._ask(lambda transport: transport.request(method, parameters)))

    def batch(self, requests: Sequence[Request]) -> list[Json]:
        """Return the results of several requests in one exchange, in their order.

        Raises:
            LedgerUnavailable: no node answers.
            RequestRefused: the node refuses one of them.
        """
        results = self.batch_with_errors(requests)
        for result in results:
            if isinstance(result, RequestRefused):
                raise result
        return results

    def batch_with_errors(self, requests: Sequence[Request]) -> list[Json]:
        """Return the results of several requests; one that was refused has its `RequestRefused` instead.

        Raises:
            LedgerUnavailable: no node answers.
        """
        answers = self._ask(lambda transport: transport.batch(requests))
        if isinstance(answers, list) and len(answers) == len(requests):
            return [_result_or_error(answer) for answer in answers]
        whole = _result_or_error(answers)
        if isinstance(whole, RequestRefused):
            raise whole
        raise MalformedResponse(f"{self.name} answered a batch with something else")

    def call(
        self,
        to: Address | None,
        data: bytes,
        *,
        sender: Address | None = None,
        block: Json = "latest",
        **fields: int,
    ) -> bytes:
        """Return what a call without a transaction returns.

        Args:
            to: the contract; None runs ``data`` as a deployment.
            data: the encoded call.
            sender: as whom.
            block: in the context of which block.
            fields: ``gas`` and ``value``.

        Raises:
            RequestRefused: it reverts; ``data`` of the error is what it returned.
        """
        request: dict[str, str] = {"data": "0x" + data.hex()}
        if to is not None:
            request["to"] = to
        if sender is not None:
            request["from"] = sender
        request |= {name: hex(value) for name, value in fields.items()}
        return data_bytes(self.request("eth_call", request, block))

    def head(self) -> Head:
        """Return the newest block."""
        return parse_head(self.request("eth_getBlockByNumber", "latest", False))

    def block(self, number: int) -> Head | None:
        """Return the block of a number; None where there is none yet."""
        found = self.request("eth_getBlockByNumber", hex(number), False)
        return None if found is None else parse_head(found)

    def code(self, address: Address, block: Json = "latest") -> bytes:
        """Return an account's code; empty where there is none."""
        return data_bytes(self.request("eth_getCode", address, block))

    def balance_wei(self, address: Address, block: Json = "latest") -> int:
        """Return an account's balance in the native coin."""
        return quantity(self.request("eth_getBalance", address, block))

    def nonce(self, address: Address, block: Json = "latest") -> int:
        """Return how many transactions of an account are mined; at ``pending``, those under way included."""
        return quantity(self.request("eth_getTransactionCount", address, block))

    def _ask(self, ask: Callable[[Transport], Json]) -> Json:
        failures: list[str] = []
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            for endpoint in list(self._endpoints):
                try:
                    self._verify_endpoint(endpoint)
                    answer = ask(endpoint.transport)
                except TransportFailed as error:
                    failures.append(f"{endpoint.name}: {error}")
                    continue
                self._prefer(endpoint)
                return answer
        raise LedgerUnavailable(
            f"no node answers ({'; '.join(dict.fromkeys(failures))}): check its address, or start it"
        )

    def _prefer(self, endpoint: _Endpoint) -> None:
        """Ask the endpoint that answered first from now on."""
        if self._endpoints[0] is not endpoint:
            log.warning("%s does not answer; asking %s", self._endpoints[0].name, endpoint.name)
            # A new list: another thread may be going through the old one.
            self._endpoints = [endpoint, *(one for one in self._endpoints if one is not endpoint)]

    def _verify_endpoint(self, endpoint: _Endpoint) -> None:
        """Check on first use that an endpoint serves the chain that was served before."""
        if endpoint.is_verified:
            return
        chain_id = quantity(_result_or_raise(endpoint.transport.request("eth_chainId", [])))
        if not 1 <= chain_id < U64_LIMIT:
            raise MalformedResponse(f"{endpoint.name} serves chain {chain_id}: an id has 64 bits")
        genesis = None
        if len(self._endpoints) > 1:
            genesis = _result_or_raise(endpoint.transport.request("eth_getBlockByNumber", ["0x0", False]))
            if not isinstance(genesis, dict):
                raise TransportFailed(f"it has no first block: {genesis!r}"[:200])
            genesis = genesis.get("hash")
        identity = (chain_id, genesis)
        if self._identity is None:
            self._identity = identity
        elif identity != self._identity:
            raise TransportFailed(f"it serves another chain, {identity}, not {self._identity}")
        endpoint.is_verified = True


def connect(urls: Sequence[str], *, chain_id: int | None = None) -> Node:
    """Connect to the first node that answers.

    Args:
        urls: addresses of nodes of one chain: http, https, ws, wss, or the path of an ``.ipc`` socket.
        chain_id: what the chain has to be; None takes whatever is served.

    Raises:
        ConfigError: there is no URL, or one of an unknown kind.
        LedgerUnavailable: no node answers.
        WrongChain: another chain is served.
    """
    if not urls:
        raise ConfigError("the settings name no node: set `rpc` in [chain]")
    use_fast_keccak()
    return Node([(url, open_transport(url)) for url in urls], chain_id)


def embedded(chain: Chain, *, chain_id: int | None = None, mines_together: bool = False) -> Node:
    """Return a node for a development chain of this process; the caller closes the chain.

    Args:
        chain: is asked.
        chain_id: what its id has to be; None takes any.
        mines_together: whether transactions that are sent in one batch share a block.

    Raises:
        WrongChain: its id is another one.
    """
    from fl_chain.ledger.devnet.rpc import Dispatcher

    class _Embedded:
        def __init__(self) -> None:
            self._dispatcher = Dispatcher(chain)

        def request(self, method: str, parameters: Sequence[Json]) -> Json:
            return self._dispatcher.answer(_envelope(0, method, parameters))

        def batch(self, requests: Sequence[Request]) -> Json:
            sent = self._mined_together(requests) if mines_together else []
            rest = [
                _envelope(number, method, parameters)
                for number, (method, parameters) in enumerate(requests[len(sent) :])
            ]
            return sent + (self._dispatcher.answer(rest) if rest else [])

        def _mined_together(self, requests: Sequence[Request]) -> list[Json]:
            """Mine the transactions at the head of a batch in one block; return the answers to them."""
            raws = [
                data_bytes(parameters[0])
                for method, parameters in takewhile(lambda one: one[0] == _SENDING, requests)
            ]
            try:
                hashes = chain.send_together(raws) if len(raws) > 1 else []
            except TransactionRejected:  # one by one, it shows which
                return []
            return [{"result": "0x" + one.hex()} for one in hashes]

        def close(self) -> None:
            pass

    return Node([("the chain of this process", _Embedded())], chain_id)


@contextmanager
def saved_chain(folder: Path, *, chain_id: int | None = None) -> Iterator[Node]:
    """Open a saved chain for reading only, after checking the whole of it.

    Raises:
        ConfigError: the folder holds no chain, or an altered one.
        StateInUse: a devnet serves the chain at this moment.
        WrongChain: its id is another one.
        DigestMismatch: its state was altered.
    """
    from fl_chain.ledger.devnet.chain import open_chain

    with open_chain(folder, read_only=True) as chain:
        yield embedded(chain, chain_id=chain_id)


def quantity(value: Json) -> int:
    """Return a JSON-RPC quantity as an integer of at most 256 bits.

    Raises:
        MalformedResponse: it is none.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise MalformedResponse(f"expected a quantity, the node answered {value!r}"[:200])
    return int(value, 16)


def data_bytes(value: Json) -> bytes:
    """Return JSON-RPC data as bytes.

    Raises:
        MalformedResponse: it is none.
    """
    try:
        content = bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, TypeError, ValueError) as error:
        raise MalformedResponse(f"expected data, the node answered {value!r}"[:200]) from error
    if not value.startswith("0x") or 2 + 2 * len(content) != len(value):  # white space is skipped
        raise MalformedResponse(f"expected data, the node answered {value!r}"[:200])
    return content


def parse_head(block: Json) -> Head:
    """Return number, hash and time of a block in JSON.

    Raises:
        MalformedResponse: it is no block.
    """
    if not isinstance(block, dict):
        raise MalformedResponse(f"expected a block, the node answered {block!r}"[:200])
    number, timestamp = quantity(block.get("number")), quantity(block.get("timestamp"))
    block_hash = data_bytes(block.get("hash"))
    if len(block_hash) != 32 or max(number, timestamp) >= U64_LIMIT:
        raise MalformedResponse(f"the node answered with a block of no form: {block!r}"[:200])
    return Head(number, block_hash, timestamp)


def _envelope(request_id: int, method: str, parameters: Sequence[Json]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(parameters)}


def _result_or_raise(answer: Json) -> Json:
    result = _result_or_error(answer)
    if isinstance(result, RequestRefused):
        raise result
    return result


def _result_or_error(answer: Json) -> Json:
    if not isinstance(answer, dict):
        raise MalformedResponse(f"the node did not answer a request but said {answer!r}"[:200])
    error = answer.get("error")
    if error is None:
        if "result" not in answer:
            raise MalformedResponse("the node answered with neither a result nor an error")
        return answer["result"]
    if not isinstance(error, dict):
        raise MalformedResponse(f"the node answered with an error of no form: {error!r}"[:200])
    code = error.get("code", 0)
    if not isinstance(code, int):
        raise MalformedResponse(f"the node answered with an error of no form: {error!r}"[:200])
    data = error.get("data")
    if isinstance(data, dict):  # some nodes wrap it
        data = data.get("data")
    is_hex = isinstance(data, str) and data.startswith("0x")
    return RequestRefused(
        str(error.get("message", "no message")),
        code=code,
        data=data_bytes(data) if is_hex else b"",
    )
