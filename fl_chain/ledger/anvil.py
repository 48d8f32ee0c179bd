"""Foundry's anvil as a local node, where it is installed: a second chain beside the development chain."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fl_chain.errors import ConfigError

START_LIMIT_S = 30.0
STOP_LIMIT_S = 20.0  # it writes its state before it ends
PORTABLE_PACKAGES = "@foundry-rs/anvil-*/bin/anvil"

FIXED_RULES = ("--hardfork", "cancun")  # those of the compiled contracts, whatever anvil's newest are
# The first account of anvil's own mnemonic, which holds money from the first block on. The key is public.
FUNDED_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")

_LISTENING = re.compile(r"Listening on (\S+)")


@dataclass(frozen=True, slots=True)
class Anvil:
    """An anvil that runs."""

    url: str
    ipc_path: Path
    process: subprocess.Popen[bytes]

    @property
    def websocket_url(self) -> str:
        """Where it answers over a websocket."""
        return self.url.replace("http://", "ws://")


def find_anvil() -> Path:
    """Return anvil's executable: the one beside the contracts of a source tree, else the one on the PATH.

    Raises:
        ConfigError: there is none; the message says how to get it.
    """
    # npm's launcher is passed by: it outlives the signal that is meant to end it.
    modules = Path(__file__).parents[2] / "contracts" / "node_modules"
    installed = [*sorted(modules.glob(PORTABLE_PACKAGES)), shutil.which("anvil")]
    found = next((path for path in installed if path is not None), None)
    if found is None:
        raise ConfigError(
            "anvil is not installed: `npm ci` in the folder `contracts` brings it for Linux, "
            "https://getfoundry.sh for other systems; or use the chain that fl_chain brings (--chain devnet)"
        )
    return Path(found)


@contextmanager
def running_anvil(
    log: Path | None = None, *, arguments: Sequence[str] = (), is_quiet: bool = False
) -> Iterator[Anvil]:
    """Run anvil on a free port of the loopback interface while the context lasts.

    Args:
        log: takes what it prints; None throws that away.
        arguments: further ones of its command line.
        is_quiet: let it print nothing, which it spends a quarter of its time on when it is busy.

    Raises:
        ConfigError: it is not installed, or does not start.
    """
    executable = find_anvil()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        output = folder / "log" if log is None else log
        port = _free_port() if is_quiet else 0  # which port it has chosen it says only aloud
        command = [str(executable), "--host", "127.0.0.1", "--port", str(port), "--accounts", "1"]
        command += ["--quiet"] if is_quiet else []
        command += ["--ipc", str(folder / "anvil.ipc"), "--cache-path", str(folder / "cache"), *arguments]
        with output.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - found above, with arguments made by this program
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        try:
            url = _answering(process, output, port) if is_quiet else _url(process, output)
            yield Anvil(url, folder / "anvil.ipc", process)
        finally:
            _stop(process)


def _url(process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        said = output.read_text(encoding="utf-8", errors="replace")
        listening = _LISTENING.search(said)
        if listening is not None and said.endswith("\n"):
            return f"http://{listening[1]}"
        if process.poll() is not None:
            raise ConfigError(f"anvil ended with code {process.returncode}: {said[-500:].strip()}")
        time.sleep(0.01)
    raise ConfigError(f"anvil did not start within {START_LIMIT_S:.0f} s")


def _answering(process: subprocess.Popen[bytes], output: Path, port: int) -> str:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = output.read_text(encoding="utf-8", errors="replace")
            raise ConfigError(f"anvil ended with code {process.returncode}: {said[-500:].strip()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return f"http://127.0.0.1:{port}"
        time.sleep(0.01)
    raise ConfigError(f"anvil did not start within {START_LIMIT_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
