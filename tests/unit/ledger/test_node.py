"""Reaching a node: over http, ws and ipc, with retries, fail-over, and answers that are none."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from chains import RECIPIENT
from websockets.sync.server import serve as serve_websocket

from fl_chain.errors import (
    ConfigError,
    LedgerUnavailable,
    MalformedResponse,
    RequestRefused,
    WrongChain,
)
from fl_chain.ledger import node as node_module
from fl_chain.ledger.account import Account
from fl_chain.ledger.devnet import Chain, background_server, dev_keys, open_chain
from fl_chain.ledger.devnet.rpc import Dispatcher
from fl_chain.ledger.node import Node, connect, embedded, parse_head
from fl_chain.ledger.providers import PersistentTransport, websocket
from fl_chain.ledger.transport import Request
from fl_chain.records import address


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "FIRST_PAUSE_S", 0.001)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def over_websocket(chain: Chain) -> Iterator[str]:
    dispatcher = Dispatcher(chain)

    def answer(connection: Any) -> None:
        for message in connection:
            connection.send((dispatcher.answer_text(message.encode()) or b"").decode())

    with serve_websocket(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def over_ipc(chain: Chain, path: Path) -> Iterator[str]:
    dispatcher = Dispatcher(chain)

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                connection.sendall((dispatcher.answer_text(line) or b"") + b"\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        try:
            yield str(path)
        finally:
            thread.join()


def verify_usable(node: Node) -> None:
    """Read, send, and run into an error."""
    Account(node, dev_keys()[0]).transfer(address(RECIPIENT), 3)
    assert node.balance_wei(address(RECIPIENT)) == 3
    assert node.head().number >= 1
    with pytest.raises(RequestRefused, match="does not exist"):
        node.request("eth_nonsense")
    with pytest.raises(RequestRefused):
        node.batch([("eth_chainId", []), ("eth_nonsense", [])])
    many = node.batch([("eth_getBlockByNumber", ["0x0", True])] * 100)
    assert all(one == many[0] for one in many)


def test_over_http() -> None:
    with open_chain() as chain, background_server(chain) as url:
        node = connect([url], chain_id=chain.chain_id)
        verify_usable(node)
        node.close()


def test_over_a_websocket() -> None:
    with open_chain() as chain, over_websocket(chain) as url:
        node = connect([url])
        verify_usable(node)
        node.close()


def test_a_connection_that_breaks_while_nobody_asks_ends_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    def answer_once(connection: Any) -> None:
        asked = json.loads(connection.recv())
        connection.send(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "0x1"}))
        connection.socket.shutdown(socket.SHUT_RDWR)

    with serve_websocket(answer_once, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        transport = PersistentTransport(lambda: websocket(f"ws://127.0.0.1:{server.socket.getsockname()[1]}"))
        try:
            assert transport.request("eth_chainId", [])["result"] == "0x1"
            deadline_s = time.monotonic() + 10
            while not transport._provider._message_listener_task.done():
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
            transport._provider = None  # forgotten with what ended it
            gc.collect()
            assert "never retrieved" not in caplog.text
        finally:
            transport.close()
            server.shutdown()
            thread.join()


def test_over_ipc(tmp_path: Path) -> None:
    with open_chain() as chain, over_ipc(chain, tmp_path / "node.ipc") as path:
        node = connect([path])
        verify_usable(node)
        node.close()


def test_from_several_threads() -> None:
    with open_chain() as chain, background_server(chain) as url:
        node, seen = connect([url]), []

        def ask() -> None:
            seen.extend(node.request("eth_chainId") for _ in range(20))
            node.close()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [hex(chain.chain_id)] * 80


def test_the_next_node_answers_where_the_first_does_not(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    with open_chain() as chain, background_server(chain) as url:
        node = connect([dead, str(tmp_path / "missing.ipc"), url])
        assert node.name.startswith(url)
        verify_usable(node)
        node.close()


def test_a_node_that_comes_back_is_used_again() -> None:
    with open_chain() as chain:
        with background_server(chain) as url:
            node = connect([url])
            port = int(url.rsplit(":", 1)[1])
        with pytest.raises(LedgerUnavailable):
            node.request("eth_blockNumber")
        with background_server(chain, port):
            assert node.request("eth_chainId") == hex(chain.chain_id)
            node.close()


def test_a_short_absence_is_bridged(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_chain() as chain:
        inner, failures = embedded(chain)._endpoints[0].transport, iter(range(3))

        class Flaky:
            def request(self, method: str, parameters: Sequence[Any]) -> Any:
                if next(failures, None) is not None:
                    raise node_module.TransportFailed("not yet")
                return inner.request(method, parameters)

            def batch(self, requests: Sequence[Request]) -> Any:
                return inner.batch(requests)

            def close(self) -> None:
                pass

        assert Node([("flaky", Flaky())], None).chain_id == chain.chain_id


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_nobody_answers(scheme: str) -> None:
    with pytest.raises(LedgerUnavailable, match="check its address"):
        connect([f"{scheme}://127.0.0.1:{free_port()}"])


def test_nobody_answers_at_a_socket(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable):
        connect([str(tmp_path / "missing.ipc")])


@pytest.mark.parametrize("urls", [[], [""], ["ftp://127.0.0.1"], ["http://"], ["node"], ["localhost:8545"]])
def test_addresses_of_no_node_are_refused(urls: list[str]) -> None:
    with pytest.raises(ConfigError):
        connect(urls)


def test_another_chain_is_refused() -> None:
    with open_chain(chain_id=7) as chain, background_server(chain) as url:
        with pytest.raises(WrongChain, match="serves chain 7, expected 8"):
            connect([url], chain_id=8)
        connect([url], chain_id=7).close()


class _Says:
    """A transport to a node that names its chain well, and then answers whatever a test wants."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def request(self, method: str, parameters: Sequence[Any]) -> Any:
        return {"id": 0, "result": "0x1"} if method == "eth_chainId" else self.answer

    def batch(self, requests: Sequence[Request]) -> Any:
        return self.answer

    def close(self) -> None:
        pass


def said(answer: Any) -> Node:
    """Return a node that answers every request but for its chain's id with the same."""
    return Node([("node", _Says(answer))], None)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"id": 2},
        {"id": 2, "error": "text"},
        {"id": 2, "result": None},
        {"id": 2, "result": 12},
        {"id": 2, "result": "0xzz"},
    ],
)
def test_answers_that_are_none_are_refused(answer: Any) -> None:
    with pytest.raises(MalformedResponse):
        said(answer).balance_wei(address(RECIPIENT))


def test_batches_that_are_none_are_refused() -> None:
    requests: list[Request] = [("eth_blockNumber", []), ("eth_blockNumber", [])]
    with pytest.raises(MalformedResponse):
        said({"id": None, "result": []}).batch(requests)
    with pytest.raises(MalformedResponse):
        said([{"id": 1, "result": "0x1"}]).batch(requests)
    with pytest.raises(RequestRefused, match="too many"):
        said({"error": {"code": -32005, "message": "too many"}}).batch(requests)


@contextmanager
def scripted_server(answer: Callable[[Any], Any]) -> Iterator[str]:
    """An HTTP server that names its chain well, and answers everything else by a function of the request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if isinstance(request, dict) and request["method"] == "eth_chainId":
                status, said = 200, json.dumps({"id": request["id"], "result": "0x1"}).encode()
            else:
                status, said = answer(request)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_batch_in_another_order_is_put_right() -> None:
    def backwards(batch: Any) -> tuple[int, bytes]:
        answers = [{"id": one["id"], "result": one["params"][0]} for one in reversed(batch)]
        return 200, json.dumps(answers).encode()

    with scripted_server(backwards) as url:
        node = connect([url])
        assert node.batch([("eth_call", [number]) for number in range(20)]) == list(range(20))
        node.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda _request: (200, b"not JSON"),
        lambda _request: (200, b"\xff\xfe"),
        lambda _request: (503, b"busy"),
        lambda batch: (200, json.dumps([{"id": 5, "result": "0x1"}] * len(batch)).encode()),
        lambda batch: (200, json.dumps([{"id": one["id"], "result": 1} for one in batch[1:]]).encode()),
        lambda batch: (200, json.dumps(["text"] * len(batch)).encode()),
        lambda batch: (200, json.dumps([{"result": 1}] * len(batch)).encode()),
        lambda batch: (200, json.dumps([{"id": [], "result": 1}] * len(batch)).encode()),
    ],
)
@pytest.mark.filterwarnings("ignore:Received batch response")
def test_a_node_that_answers_nonsense_does_not_answer(answer: Callable[[Any], tuple[int, bytes]]) -> None:
    with scripted_server(answer) as url:
        node = connect([url])
        with pytest.raises(LedgerUnavailable):
            node.batch([("eth_blockNumber", []), ("eth_blockNumber", [])])
        node.close()


def test_a_node_of_another_chain_is_not_asked() -> None:
    with (
        open_chain(chain_id=7) as first,
        open_chain(chain_id=8) as second,
        background_server(second) as other,
    ):
        with background_server(first) as url:
            node = connect([url, other])
        with pytest.raises(LedgerUnavailable, match="serves another chain"):
            node.head()
        node.close()


def test_a_node_of_another_chain_with_the_same_id_is_not_asked() -> None:
    first, second = open_chain(), open_chain(clock=lambda: 5.0)
    with first, second, background_server(second) as other:
        with background_server(first) as url:
            node = connect([url, other])
        with pytest.raises(LedgerUnavailable, match="serves another chain"):
            node.head()
        node.close()


@pytest.mark.parametrize("block", [None, [], {}, {"number": "0x1", "hash": 5, "timestamp": "0x1"}])
def test_blocks_that_are_none_are_refused(block: Any) -> None:
    with pytest.raises(MalformedResponse):
        parse_head(block)


def test_an_error_may_carry_its_data_in_several_forms() -> None:
    for data in ("0x1234", {"data": "0x1234"}):
        failing = said({"id": 1, "error": {"code": 3, "data": data}})
        with pytest.raises(RequestRefused) as error:
            failing.request("eth_call")
        assert (error.value.code, error.value.data) == (3, b"\x12\x34")
