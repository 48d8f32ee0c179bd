"""A run's folder: everything that an audit needs, on its own, later and on another machine.

run.json      which chain and ledger, and where the two below are, relative to the folder
chain/        the saved state of the local chain: the devnet's, what anvil wrote when it stopped, or the calls
              of an in-memory ledger
store/        the blobs
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fl_chain.commitment.canonical import verify_nesting
from fl_chain.commitment.encoding import U64_LIMIT
from fl_chain.errors import ConfigError, OutputExists, WrongChain
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.node import Node, saved_chain
from fl_chain.records import RunId, address

RUN_FILE = "run.json"
MARKER = (
    ".fl_chain-run"  # stands in a folder from before its first file, so that only such folders are replaced
)
FORMAT_VERSION = 1
MOST_NESTING = 8
CHAIN_KINDS = ("devnet", "anvil", "memory")  # the last: the calls of an in-memory ledger


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What ``run.json`` says, with the folder that it was read from."""

    path: Path
    chain_id: int
    ledger: str
    deployed_block: int  # no event of the ledger is older
    chain: str = "chain"
    store: tuple[str, ...] = ("store",)
    chain_kind: str = "devnet"  # one of `CHAIN_KINDS`

    @property
    def run_id(self) -> RunId:
        """The run's identity."""
        return RunId(self.chain_id, address(self.ledger))

    @property
    def chain_path(self) -> Path:
        """The saved chain state."""
        return self.path / self.chain

    @property
    def store_urls(self) -> tuple[str, ...]:
        """The blob stores."""
        return tuple(str(self.path / name) for name in self.store)

    @contextmanager
    def open_ledger(self) -> Iterator[Ledger]:
        """Open the run's ledger on its saved chain, for reading only.

        Raises:
            ConfigError, StateInUse, WrongChain, DigestMismatch: see `open_chain`.
            WrongCode: the chain has no ledger there.
        """
        if self.chain_kind == "memory":
            from fl_chain.ledger.memory.client import MemoryClient, open_memory_chain

            chain = open_memory_chain(self.chain_path)
            if chain.run != self.run_id:
                raise WrongChain(f"{self.chain_path} holds the run {chain.run}, run.json says {self.run_id}")
            yield MemoryClient(chain)
            return
        with self.open_chain() as node:
            yield Ledger.open(node, self.run_id.ledger, deployed_block=self.deployed_block)

    @contextmanager
    def open_chain(self) -> Iterator[Node]:
        """Open the saved chain for reading only, after checking the whole of it.

        Raises:
            ConfigError: if there is none, or it is not whole, or anvil is needed and not installed.
            StateInUse: if a devnet serves it at this moment.
            WrongChain: if it is another one than ``run.json`` says.
            DigestMismatch: if it was altered.
        """
        if self.chain_kind == "anvil":
            from fl_chain.ledger.saved_anvil import saved_anvil

            with saved_anvil(self.chain_path, chain_id=self.chain_id) as node:
                yield node
        else:
            with saved_chain(self.chain_path, chain_id=self.chain_id) as node:
                yield node

    def write(self) -> None:
        """Write ``run.json``."""
        content = asdict(self)
        del content["path"]
        text = json.dumps({"version": FORMAT_VERSION, **content}, indent=2)
        (self.path / RUN_FILE).write_text(text + "\n", encoding="utf-8")


def read_run_folder(path: Path) -> RunFolder:
    """Return what a run's folder says about itself.

    Raises:
        ConfigError: if it is not such a folder, or its ``run.json`` names anything outside it.
    """
    try:
        raw = (path / RUN_FILE).read_bytes()
        verify_nesting(raw, MOST_NESTING)
        content = json.loads(raw)
    except OSError as error:
        raise ConfigError(f"{path} is not a run's folder: it has no readable {RUN_FILE}") from error
    except ValueError as error:
        raise ConfigError(f"{path / RUN_FILE} is not JSON: {error}") from error
    try:
        return _parsed(path, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path / RUN_FILE} is not of the expected form: {error!r}") from error


def _parsed(path: Path, content: dict[str, Any]) -> RunFolder:
    if content.pop("version") != FORMAT_VERSION:
        raise ValueError("it is of a version that this release does not read")
    if not isinstance(content["store"], list) or not content["store"]:
        raise TypeError("store is a list of one folder at least")
    content["store"] = tuple(content["store"])
    folder = RunFolder(path=path, **content)
    address(folder.ledger)
    if type(folder.chain_id) is not int or not 1 <= folder.chain_id < U64_LIMIT:
        raise ValueError("chain_id is an integer from 1 to 2^64 - 1")
    if type(folder.deployed_block) is not int or not 0 <= folder.deployed_block < U64_LIMIT:
        raise ValueError("deployed_block is an integer from 0 to 2^64 - 1")
    if folder.chain_kind not in CHAIN_KINDS:
        raise ValueError(f"chain_kind is one of {', '.join(CHAIN_KINDS)}")
    for name in (folder.chain, *folder.store):
        _verify_inside(name)
    return folder


def _verify_inside(name: str) -> None:
    parts = PurePosixPath(name)
    if not name.isprintable():  # control characters, or half of a character
        raise ValueError(f"{name!r} names no folder")
    if parts.is_absolute() or ".." in parts.parts or "://" in name or "::" in name:
        raise ValueError(f"{name!r} leads outside the folder")


def prepare_folder(path: Path, *, force: bool) -> None:
    """Make an empty folder for a run; an existing run is replaced only if ``force`` says so.

    Raises:
        OutputExists: if something is there that may not be replaced. A folder that this function did not
            make is never removed.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        if not path.is_dir() or not (path / MARKER).is_file():
            raise OutputExists(f"{path} exists and is not a run's folder: choose another with --out")
        if not force:
            raise OutputExists(
                f"{path} holds a run: choose another folder with --out, or replace it with --force"
            )
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / MARKER).touch()
