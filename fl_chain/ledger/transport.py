"""How requests reach a JSON-RPC node: http, https, ws, wss and ipc, or a chain in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from fl_chain.errors import ConfigError

Json = Any
Request = tuple[str, Sequence[Json]]  # method and parameters


class TransportFailed(Exception):
    """A node did not answer; another attempt may succeed."""


class Transport(Protocol):
    """Carries one request, or a batch, to a node and its answer back."""

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        """Return the answer: an object with ``result`` or ``error``.

        Raises:
            TransportFailed: there was none.
        """

    def batch(self, requests: Sequence[Request]) -> Json:
        """Return the answers in the order of the requests, or one error object for all of them.

        Raises:
            TransportFailed: there was none.
        """

    def close(self) -> None:
        """Let go of connections; the next request opens them again."""


def open_transport(url: str) -> Transport:
    """Return the transport that a URL names; nothing is connected yet.

    Raises:
        ConfigError: there is no such kind of URL.
    """
    # Importing web3 takes longer than the rest of this package together; a chain in this process needs none.
    from fl_chain.ledger import providers

    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname:
        return providers.HttpTransport(url)
    if parts.scheme in ("ws", "wss") and parts.hostname:
        return providers.PersistentTransport(lambda: providers.websocket(url))
    if parts.scheme in ("", "ipc", "file") and url.endswith(".ipc"):
        path = Path(url.removeprefix("ipc://").removeprefix("file://"))
        return providers.PersistentTransport(lambda: providers.ipc(path))
    raise ConfigError(
        f"not the address of a node: {url!r}; it begins with http, https, ws or wss, or ends in .ipc"
    )
