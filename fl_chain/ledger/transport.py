"""How requests reach a JSON-RPC node: http, https, ws, wss, ipc, or a chain in this process."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from fl_chain.errors import ConfigError

TIMEOUT_S = 30.0
READ_BYTES = 65536

Json = Any


class TransportFailed(Exception):
    """A node did not answer; another attempt may succeed."""


class Transport(Protocol):
    """Carries one request, or a batch, to a node and its answer back."""

    def exchange(self, request: Json) -> Json:
        """Return the answer.

        Raises:
            TransportFailed: there was none.
        """

    def close(self) -> None:
        """Let go of connections."""


def open_transport(url: str) -> Transport:
    """Return the transport that a URL names; nothing is connected yet.

    Raises:
        ConfigError: there is no such kind of URL.
    """
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        return HttpTransport(url)
    if parts.scheme in ("ws", "wss") and parts.hostname:
        return WebSocketTransport(url)
    if parts.scheme in ("", "ipc", "file") and url.endswith(".ipc"):
        return IpcTransport(Path(url.removeprefix("ipc://").removeprefix("file://")))
    raise ConfigError(
        f"not the address of a node: {url!r}; it begins with http, https, ws or wss, or ends in .ipc"
    )


class HttpTransport:
    """One connection per thread, kept open between requests."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._secure = parts.netloc.rpartition("@")[2], parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._local = threading.local()

    def exchange(self, request: Json) -> Json:
        """Return the answer to a request."""
        body = json.dumps(request, separators=(",", ":")).encode()
        is_fresh = getattr(self._local, "connection", None) is None
        try:
            return self._post(body)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            if is_fresh:
                raise TransportFailed(f"{type(error).__name__}: {error}") from error
        # A server may close a connection that was idle; that says nothing about its health.
        try:
            return self._post(body)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            raise TransportFailed(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes) -> Json:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = self._local.connection = kind(self._host, timeout=TIMEOUT_S)
        connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        if response.status >= 400:
            raise TransportFailed(f"HTTP status {response.status}")
        return _parsed(content)


class WebSocketTransport:
    """One connection, used by one thread at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Any = None
        self._resources = ExitStack()

    def exchange(self, request: Json) -> Json:
        """Return the answer to a request."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        with self._lock:
            try:
                if self._connection is None:
                    opened = connect(self._url, open_timeout=TIMEOUT_S, max_size=None)
                    self._connection = self._resources.enter_context(opened)
                self._connection.send(json.dumps(request))
                return _parsed(self._connection.recv(TIMEOUT_S))
            except (OSError, WebSocketException) as error:
                self._drop()
                raise TransportFailed(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        self._connection = None
        self._resources.close()


class IpcTransport:
    """One Unix socket, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def exchange(self, request: Json) -> Json:
        """Return the answer to a request."""
        with self._lock:
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX)
                    self._socket.settimeout(TIMEOUT_S)
                    self._socket.connect(str(self._path))
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                return self._receive(self._socket)
            except OSError as error:
                self._drop()
                raise TransportFailed(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the socket."""
        with self._lock:
            self._drop()

    @staticmethod
    def _receive(connection: socket.socket) -> Json:
        content = bytearray()
        while part := connection.recv(READ_BYTES):
            content += part
            # Nodes end an answer with a line break or with nothing at all.
            if content.rstrip().endswith((b"}", b"]")):
                try:
                    return json.loads(content)
                except ValueError:
                    continue
        raise ConnectionError("the node closed the socket")

    def _drop(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()


def _parsed(content: bytes | str) -> Json:
    try:
        return json.loads(content)
    except ValueError as error:
        raise TransportFailed(f"the answer is not JSON: {error}") from error
