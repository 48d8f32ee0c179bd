"""A development chain over HTTP JSON-RPC, on this machine's loopback interface only."""

from __future__ import annotations

import asyncio
import errno
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from fl_chain.errors import ConfigError, PortInUse
from fl_chain.ledger.devnet.chain import Chain, open_chain
from fl_chain.ledger.devnet.rpc import Dispatcher

HOST = "127.0.0.1"
MAX_REQUEST_BYTES = 16 * 2**20
SHUTDOWN_S = 1.0


async def start_server(chain: Chain, port: int = 0) -> tuple[web.AppRunner, str]:
    """Start answering requests on the running event loop.

    Args:
        chain: what is served.
        port: 0 takes a free one.

    Returns:
        The runner, whose ``cleanup`` stops the server, and the URL.

    Raises:
        PortInUse: another process listens on the port.
        ConfigError: the port cannot be listened on.
    """
    dispatcher = Dispatcher(chain)

    async def answer(request: web.Request) -> web.Response:
        body = dispatcher.answer_text(await request.read())
        return web.Response(body=body or b"", content_type="application/json")

    application = web.Application(client_max_size=MAX_REQUEST_BYTES)
    application.router.add_post("/", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, reuse_address=True).start()
    except (OSError, OverflowError) as error:
        await runner.cleanup()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} is taken: stop what listens there, or choose another (0: any)"
            ) from error
        raise ConfigError(f"cannot listen on port {port}: {error}") from error
    return runner, f"http://{HOST}:{runner.addresses[0][1]}"


def serve(
    folder: Path,
    *,
    port: int,
    announce: Callable[[str], None],
    chain_id: int | None = None,
    accounts: int = 10,
    seed: bytes | None = None,
) -> None:
    """Serve the chain in a folder until SIGTERM or SIGINT tells this process to stop; main thread only.

    Args:
        folder: where the state is kept, made where it is missing.
        port: 0 takes a free one.
        announce: called with the URL when requests are answered.
        chain_id: see `open_chain`, like the two that follow.
        accounts: how many accounts a new chain funds.
        seed: what their keys are derived from.

    Raises:
        PortInUse: another process listens on the port.
        StateInUse: another process has the folder open.
        ConfigError: the folder holds something else.
    """
    with open_chain(folder, chain_id=chain_id, accounts=accounts, seed=seed) as chain:
        _run_until_told(chain, port, announce)


def _run_until_told(chain: Chain, port: int, announce: Callable[[str], None]) -> None:

    async def run() -> None:
        stopped = asyncio.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
        runner, url = await start_server(chain, port)
        try:
            announce(url)
            await stopped.wait()
        finally:
            await runner.cleanup()

    asyncio.run(run())


@contextmanager
def background_server(chain: Chain, port: int = 0) -> Iterator[str]:
    """Serve a chain from a thread of this process while the context lasts; gives the URL.

    Raises:
        PortInUse: another process listens on the port.
    """
    loop = asyncio.new_event_loop()
    try:
        runner, url = loop.run_until_complete(start_server(chain, port))
        thread = threading.Thread(target=loop.run_forever, name="devnet", daemon=True)
        thread.start()
        try:
            yield url
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
    finally:
        loop.close()
