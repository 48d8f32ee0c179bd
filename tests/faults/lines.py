"""The line between an actor and its node: a proxy on the loopback interface that loses what it carries."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from points import called_name

How = Literal[
    "request lost", "answer lost", "half an answer", "answer too late", "line down after the answer is lost"
]

ANY = "any transaction"
PATIENCE_S = 1.0  # of an actor with such a line, for an answer
LATE_S = 1.5
DOWN_S = 1.5  # longer than a node is asked again


@dataclass(frozen=True, slots=True)
class Cut:
    """What happens to one exchange: the next that carries a transaction of that name."""

    how: How
    name: str  # the contract's, of the call

    def __str__(self) -> str:
        return f"{self.how}: {self.name}"


@dataclass(frozen=True, slots=True)
class EveryNth:
    """Every so many requests, of whatever kind, the answer is lost."""

    n: int

    def __str__(self) -> str:
        return f"answer lost: every request of {self.n}"


class Line:
    """Carries HTTP from an actor to the devnet, and cuts it; see `Cut`.

    Attributes:
        url: where the actor asks.
    """

    def __init__(self, upstream: str, cuts: Sequence[Cut | EveryNth]) -> None:
        self._upstream = ("127.0.0.1", urlsplit(upstream).port)
        self._cuts = [cut for cut in cuts if isinstance(cut, Cut)]
        self._every = next((cut for cut in cuts if isinstance(cut, EveryNth)), None)
        self._requests = 0
        self._down_until = 0.0  # monotonic seconds
        self._lock = threading.Lock()
        line = self

        class Exchange(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line.carry(self.connection, self.rfile)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Exchange)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Take the line down for good."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def waiting(self) -> list[Cut | EveryNth]:
        """The cuts that have not fallen yet."""
        if self._every is not None and self._requests < self._every.n:
            return [*self._cuts, self._every]
        return list(self._cuts)

    def carry(self, actor: socket.socket, incoming: Any) -> None:
        """Carry the exchanges of one connection until either side ends it, or the line is cut."""
        while self._carry_one(actor, incoming):
            pass

    def _carry_one(self, actor: socket.socket, incoming: Any) -> bool:
        """Carry one exchange; return whether another may follow on this connection."""
        request = read_message(incoming)
        if not request:
            return False
        cut: How | None = "request lost"
        if time.monotonic() >= self._down_until:
            cut = self._next_cut(request.partition(b"\r\n\r\n")[2])
        answer = b"" if cut == "request lost" else self._answer(request)
        if cut == "half an answer":
            actor.sendall(answer[: len(answer) // 2])
            return False
        if cut == "line down after the answer is lost":
            self._down_until = time.monotonic() + DOWN_S
        if cut == "answer too late":
            time.sleep(LATE_S)
        elif cut is not None or not answer:
            # Closed at once, by a reset.
            actor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        with suppress(OSError):  # it has stopped waiting
            actor.sendall(answer)
        return True

    def _answer(self, request: bytes) -> bytes:
        """Return what the devnet answers; empty where it is away."""
        try:
            with socket.create_connection(self._upstream, timeout=30) as devnet:
                devnet.sendall(request)
                return read_message(devnet.makefile("rb"))
        except OSError:
            return b""

    def _next_cut(self, body: bytes) -> How | None:
        names = names_sent(body)
        with self._lock:
            self._requests += 1
            for cut in self._cuts:
                if cut.name in names or (cut.name == ANY and names):
                    self._cuts.remove(cut)
                    return cut.how
            is_nth = self._every is not None and self._requests % self._every.n == 0
            return "answer lost" if is_nth else None


def read_message(reader: Any) -> bytes:
    """Return an HTTP message whose head says its length; empty where the connection ended."""
    head, length = b"", 0
    try:
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return b""
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            head += line
        return head + reader.read(length)
    except OSError:
        return b""


def names_sent(body: bytes) -> set[str | None]:
    """Return what the transactions call that a JSON-RPC request sends."""
    message = json.loads(body) if body else []
    requests = message if isinstance(message, list) else [message]
    return {
        called_name(bytes.fromhex(one["params"][0][2:]))
        for one in requests
        if one.get("method") == "eth_sendRawTransaction"
    }
