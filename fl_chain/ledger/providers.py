"""Requests over web3's own providers: http, websockets and Unix sockets.

Only the providers are used, none of web3's middleware and result formatting: answers stay the JSON that the
node sent.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import requests
from web3.exceptions import Web3Exception, Web3RPCError
from web3.providers.persistent import AsyncIPCProvider, PersistentConnectionProvider, WebSocketProvider
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from fl_chain.ledger.transport import Json, Request, TransportFailed

CONNECT_TIMEOUT_S = 10.0
TIMEOUT_S = 30.0  # until an answer
CANCEL_AGAIN_S = 0.05
READ_LIMIT_BYTES = 2**28  # of one answer over ipc

# Those of requests are OSErrors, an answer that is not JSON is a ValueError, and answers of odd forms break
# web3's sorting of batches by id.
_FAILURES = (OSError, ValueError, TypeError, AttributeError, Web3Exception)

Question = Callable[[PersistentConnectionProvider], Coroutine[Any, Any, Json]]


class HttpTransport:
    """A pool of connections that stay open between requests, used from any thread."""

    def __init__(self, url: str) -> None:
        self._session = requests.Session()
        # Proxy and certificates of the environment are looked up once rather than with every request.
        found = self._session.merge_environment_settings(url, {}, None, None, None)
        self._session.proxies, self._session.verify = found["proxies"], found["verify"]
        self._session.trust_env = False
        self._provider = _Http(
            url,
            request_kwargs={"timeout": (CONNECT_TIMEOUT_S, TIMEOUT_S)},
            session=self._session,
            exception_retry_configuration=None,  # the node tries again, and elsewhere
        )

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        """Return the answer to a request."""
        return self._translated(lambda: self._provider.make_request(_endpoint(method), list(parameters)))

    def batch(self, requests: Sequence[Request]) -> Json:
        """Return the answers to several requests."""
        pairs = [(_endpoint(method), list(parameters)) for method, parameters in requests]
        return _matched(self._translated(lambda: self._provider.make_batch_request(pairs)), len(pairs))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _translated(self, ask: Callable[[], Json]) -> Json:
        try:
            return ask()
        except _FAILURES as error:
            raise TransportFailed(f"{type(error).__name__}: {error}") from error


class _Http(HTTPProvider):
    """web3 encodes each request of a batch on its own, and looks for types that requests here never have."""

    def encode_batch_rpc_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> bytes:
        return json.dumps(
            [
                {"jsonrpc": "2.0", "method": method, "params": parameters, "id": next(self.request_counter)}
                for method, parameters in requests
            ]
        ).encode()


class PersistentTransport:
    """One connection that stays open, used by one thread at a time.

    web3's providers of this kind are asynchronous, so they run on an event loop of their own.
    """

    def __init__(self, make_provider: Callable[[], PersistentConnectionProvider]) -> None:
        self._make_provider = make_provider
        self._provider: PersistentConnectionProvider | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        """Return the answer to a request."""
        return self._exchange(lambda made: made.make_request(_endpoint(method), list(parameters)))

    def batch(self, requests: Sequence[Request]) -> Json:
        """Return the answers to several requests."""
        pairs = [(_endpoint(method), list(parameters)) for method, parameters in requests]
        return _matched(self._exchange(lambda made: made.make_batch_request(pairs)), len(pairs))

    def close(self) -> None:
        """Close the connection and end the event loop."""
        with self._lock:
            self._drop()

    def _exchange(self, ask: Question) -> Json:
        with self._lock:
            try:
                return self._run(self._answer(ask), CONNECT_TIMEOUT_S + 2 * TIMEOUT_S)
            except Exception as error:  # websockets, sockets, web3 and JSON have a tree of errors each
                self._drop()
                if isinstance(error, Web3RPCError) and error.rpc_response is not None:
                    return (
                        error.rpc_response
                    )  # to a batch as a whole: web3 finds no request that it belongs to
                raise TransportFailed(f"{type(error).__name__}: {error}") from error

    async def _answer(self, ask: Question) -> Json:
        provider = self._provider
        if provider is None:
            provider = self._make_provider()
            await asyncio.wait_for(provider.connect(), CONNECT_TIMEOUT_S)
            self._provider = provider
            if provider._message_listener_task is not None:
                provider._message_listener_task.add_done_callback(_look_at_its_end)
        # web3 would wait its time out on a connection that was closed in good order.
        listener = provider._message_listener_task
        question = asyncio.ensure_future(ask(provider))
        tasks = {question} if listener is None else {question, listener}
        done, _ = await asyncio.wait(tasks, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if question in done:
            return question.result()
        while not question.done():  # once is not enough: asyncio.wait_for can swallow it (before Python 3.12)
            question.cancel()
            await asyncio.wait({question}, timeout=CANCEL_AGAIN_S)
        await asyncio.gather(question, return_exceptions=True)
        if listener is not None and listener in done:
            raise listener.exception() or ConnectionError("the node closed the connection")
        raise TimeoutError(f"no answer within {TIMEOUT_S:.0f} s")

    def _run(self, task: Coroutine[Any, Any, Json], timeout_s: float) -> Json:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="node", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(timeout_s)

    async def _disconnect(self) -> None:
        provider, self._provider = self._provider, None
        if provider is None:
            return
        # It raises whatever ended the connection, and closes the socket when it is called again.
        with suppress(Exception):
            await provider.disconnect()
        await provider.disconnect()

    def _drop(self) -> None:
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        # Whatever state it is in, it is being thrown away.
        with suppress(Exception):
            self._run(self._disconnect(), CONNECT_TIMEOUT_S)
        self._provider = self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _look_at_its_end(listener: asyncio.Task[None]) -> None:
    """Take note of what ended a connection: whoever asks next hears of it, and nobody may ask any more."""
    if not listener.cancelled():
        listener.exception()


class _IdlessErrors(PersistentConnectionProvider):
    """web3 ends the connection at an error whose request its manager has not noted; there is no manager."""

    def _raise_stray_errors_from_cache(self) -> None:
        for response in self._request_processor._request_response_cache._data.values():
            if isinstance(response, dict) and response.get("id") is None:
                raise Web3RPCError(str(response), rpc_response=cast("RPCResponse", response))


class _WebSocket(_IdlessErrors, WebSocketProvider):
    pass


class _Ipc(_IdlessErrors, AsyncIPCProvider):
    pass


def websocket(url: str) -> PersistentConnectionProvider:
    """Return a provider for a ws or wss URL; nothing is connected yet."""
    return _WebSocket(
        url,
        websocket_kwargs={"max_size": None, "open_timeout": CONNECT_TIMEOUT_S},
        use_text_frames=True,
        max_connection_retries=1,  # the node tries again, and elsewhere
        request_timeout=TIMEOUT_S,
    )


def ipc(path: Path) -> PersistentConnectionProvider:
    """Return a provider for a Unix socket; nothing is connected yet."""
    return _Ipc(path, read_buffer_limit=READ_LIMIT_BYTES, max_connection_retries=1, request_timeout=TIMEOUT_S)


def _endpoint(method: str) -> RPCEndpoint:
    return cast("RPCEndpoint", method)


def _matched(answers: Json, count: int) -> Json:
    """Return a batch's answers, which web3 has sorted by id; the ids count up from request to request."""
    if not isinstance(answers, list):
        return answers
    ids = [answer.get("id") if isinstance(answer, dict) else None for answer in answers]
    if len(ids) != count or any(not isinstance(one, int) for one in ids) or len(set(ids)) != count:
        raise TransportFailed(f"a batch of {count} was answered by the ids {ids[:20]}")
    return answers
