"""What a server sends over http and a Unix socket, byte for byte."""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from functools import cache
from typing import Any

from choices import Choices
from scratch import scratch

from fl_chain.errors import FlChainError
from fl_chain.ledger.node import Node
from fl_chain.ledger.providers import HttpTransport, PersistentTransport, ipc
from fl_chain.ledger.transport import Transport, TransportFailed

COVERS = ("fl_chain.ledger.providers",)

OPENINGS = (b"[{", b"[", b"{", b"", b"[[")


class _Answer:
    body = b""
    is_raw = False


def _filled(body: bytes, request: bytes) -> bytes:
    """Put the ids of the requests in the place of @0, @1, ...; the provider counts them up itself."""
    for number, found in enumerate(re.findall(rb'"id": ?(\d+)', request)[:2]):
        body = body.replace(b"@%d" % number, found)
    return body


class _HttpHandler(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self) -> None:
        length = 0
        while (line := self.rfile.readline()).strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = _filled(_Answer.body, self.rfile.read(length))
        if not _Answer.is_raw:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            head += b"Connection: close\r\nContent-Length: %d\r\n\r\n"
            body = head % len(body) + body
        self.wfile.write(body)


class _SocketHandler(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self) -> None:
        request = self.request.recv(65536)
        self.wfile.write(_filled(_Answer.body, request) + b"\n")


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client went away


class _SocketServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@cache
def transports() -> tuple[Transport, Transport]:
    http = _Server(("127.0.0.1", 0), _HttpHandler)
    path = scratch() / "node.ipc"
    unix = _SocketServer(str(path), _SocketHandler)
    for server in (http, unix):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return HttpTransport(f"http://127.0.0.1:{http.server_address[1]}"), PersistentTransport(lambda: ipc(path))


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    mode = choices.below(8)
    _Answer.body, _Answer.is_raw = choices.rest(), mode in (0, 1)
    transport = transports()[1 if mode == 7 else 0]
    for ask in (
        lambda: transport.request("eth_getBlockByNumber", ["latest", False]),
        lambda: transport.batch([("eth_chainId", []), ("eth_blockNumber", [])]),
    ):
        try:
            answer = ask()
        except TransportFailed:
            continue
        _node(answer)


def _node(answer: Any) -> None:
    class Given:
        def request(self, method: str, parameters: Any) -> Any:
            return {"result": "0x1"} if method == "eth_chainId" else answer

        def batch(self, requests: Any) -> Any:
            return answer

        def close(self) -> None:
            pass

    node = Node([("given", Given())], None)
    for ask in (node.head, lambda: node.batch([("eth_chainId", []), ("eth_blockNumber", [])])):
        with contextlib.suppress(FlChainError):
            ask()


def seeds() -> list[bytes]:
    one = b'{"jsonrpc":"2.0","id":@0,"result":"0x1"}'
    two = b'{"jsonrpc":"2.0","id":@1,"error":{"code":3,"message":"m","data":"0x"}}'
    return [
        b"\2" + one,
        b"\2[" + one + b"," + two + b"]",
        b"\2[" + two + b"," + one + b"]",
        b"\2[" + one + b",1]",
        b'\2[{"result":1},{"id":null}]',
        b"\7" + one,
        b"\7[" + one + b"," + two + b"]",
        b"\0HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"\0HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"\0HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
        b"\2\xff",
        b"\2" + b"[" * 60,
    ]
