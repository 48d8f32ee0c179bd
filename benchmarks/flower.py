"""Flower in an environment of its own: its pins and ours exclude one another.

The environment is made on first use, in the user's cache folder; ``FL_CHAIN_FLOWER_PYTHON``, or
``python -m benchmarks --peer-python``, names the interpreter of one that is there already.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from fl_chain.errors import ConfigError

PYTHON_VARIABLE = "FL_CHAIN_FLOWER_PYTHON"
VERSION = "1.42.0"
PEERS = Path(__file__).parent / "peers"
END_S = 60.0
# Neither Flower nor Ray is to report its use to anybody.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def interpreter(*, installs: bool = True) -> Path:
    """Return the Python that has Flower.

    Args:
        installs: make the environment where there is none; that downloads some hundred megabytes.

    Raises:
        ConfigError: if there is none, or it cannot be made, or it has another version.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    python = Path(named) if named else _folder() / "bin" / "python"
    if not named and not python.is_file():
        if not installs:
            raise ConfigError(
                f"there is no environment with Flower in {_folder()}: `python -m benchmarks` makes it, or "
                f"{PYTHON_VARIABLE} names one"
            )
        _install(_folder())
    asked = "import flwr, ray, importlib.metadata as m; print(m.version('flwr'))"
    try:
        found = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"{python} has no Flower with its simulation: name another one by {PYTHON_VARIABLE}"
        ) from error
    if found.stdout.strip() != VERSION:
        raise ConfigError(f"{python} has Flower {found.stdout.strip()}, and the peer is {VERSION}")
    return python


def peer_name(what: str) -> str:
    """Return how results name something of Flower's."""
    return f"Flower {VERSION} {what}"


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fl_chain" / f"flower-{VERSION}"


def _install(folder: Path) -> None:
    torch = f"torch=={importlib.metadata.version('torch')}"
    print(
        f"making an environment with flwr[simulation]=={VERSION} and {torch} in {folder} ...", file=sys.stderr
    )
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([*pip, f"flwr[simulation]=={VERSION}", torch], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"the environment with Flower could not be made in {folder}: {error}") from error


def measured(script: str, arguments: Sequence[str], *, python: Path) -> Any:
    """Return what a script of the peer's prints as its last line, which is JSON.

    Raises:
        ConfigError: if it fails, with the end of what it said.
    """
    done = subprocess.run(
        [python, PEERS / script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | QUIET,
    )
    if done.returncode:
        raise ConfigError(f"{script} failed in Flower's environment: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


class FlowerRounds:
    """A simulation of Flower's that goes on round by round; a context manager.

    Args:
        python: that has Flower.
        kind: ``Logistic`` or ``Cnn``, as `benchmarks.mnist_shaped` calls them.
        clients: that train in every round, each in a process's one thread.
        rows: that each trains on.
        rounds: how many there will be.
    """

    def __init__(self, python: Path, kind: str, *, clients: int, rows: int, rounds: int) -> None:
        arguments = ["--clients", str(clients), "--rows", str(rows), "--rounds", str(rounds)]
        self._process = subprocess.Popen(
            [python, PEERS / "flower_rounds.py", kind, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | QUIET,
        )

    def __enter__(self) -> FlowerRounds:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.terminate()
        try:
            self._process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def round(self) -> float:
        """Run the next round and return its seconds.

        Raises:
            ConfigError: if Flower ended before.
        """
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ConfigError("Flower's simulation ended before its last round") from error
        for line in self._process.stdout:
            if line.startswith("ROUND "):
                return float(line.split()[1])
        raise ConfigError("Flower's simulation ended before its last round")
