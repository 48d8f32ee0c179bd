"""Where a process can be struck, and how: wrapped around the real objects, inside the process itself."""

from __future__ import annotations

import functools
import importlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from fl_chain.ledger.abi import ledger_abi

When = Literal["before", "after"]
Kind = Literal["kill", "half written", "torn file", "full disk", "straggle"]

FAILURES = 2  # of a full disk
LEDGER_CALLS = (
    *("register", "submit", "claim", "leave", "post", "deposit_bond", "request_bond", "withdraw"),
    *("open_round", "close_round", "finalize"),
)
STORE_CALLS = ("write_update", "write_sum", "write_model", "read_update", "read_model", "has_update")
STORE_FOLDERS = ("updates", "sums", "models")


def _any(*_: Any, **__: Any) -> bool:
    return True


# What is wrapped: the module, the attribute in it, and which calls count, by their arguments.
TARGETS: dict[str, tuple[str, str, Callable[..., bool]]] = {
    "train": ("fl_chain.learning", "LocalLearner.train", _any),
    "outbox save": ("fl_chain.run.outbox", "Outbox.save", _any),
    "outbox note": ("fl_chain.run.transactions", "write_durably", _any),
    "outbox update": ("fl_chain.run.outbox", "write_durably", lambda path, *_: path.parent.name == "updates"),
    "rename outbox update": ("pathlib", "Path.replace", lambda _, to: "worker-state/updates/" in str(to)),
    "rename outbox note": ("pathlib", "Path.replace", lambda _, to: Path(to).name == "transaction"),
    **{f"ledger {name}": ("fl_chain.ledger.calls", f"LedgerCalls.{name}", _any) for name in LEDGER_CALLS},
    **{f"store {name}": ("fl_chain.store", f"Store.{name}", _any) for name in STORE_CALLS},
    **{
        f"store {folder}": (
            *("fl_chain.store.places", "LocalPlace.write"),
            lambda _place, path, _pieces, f=folder: path.startswith(f"{f}/"),
        )
        for folder in STORE_FOLDERS
    },
    **{
        f"rename {folder}": ("pathlib", "Path.replace", lambda _, to, f=folder: f"/store/{f}/" in str(to))
        for folder in STORE_FOLDERS
    },
    "commit": ("fl_chain.ledger.devnet.database", "ChainDatabase.commit", _any),
}


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """One blow to one process, at its first such call since it started.

    ``call`` is a key of `TARGETS`; or ``broadcast NAME``, a transaction leaving an actor; or ``mine NAME``,
    one reaching the devnet, with the contract's name of the call.
    """

    call: str
    when: When = "before"
    kind: Kind = "kill"
    down_s: float = 0.0  # how long a devnet is away, by its clock
    stays_away: bool = False  # until the test calls it back
    for_good: bool = False  # nobody starts it again

    def __str__(self) -> str:
        match self.kind:
            case "kill":
                away = f", away for {self.down_s:.0f} s" if self.down_s else ""
                away = ", away for a while" if self.stays_away else away
                kill = "kill for good" if self.for_good else "kill"
                return f"{kill} {self.when} {self.call}{away}"
            case "half written":
                return f"kill halfway through writing {self.call}"
            case "torn file":
                return f"kill and half a file after {self.call}"
            case "full disk":
                return f"full disk at {self.call}"
            case "straggle":
                return f"straggles at {self.call}"

    @property
    def is_fatal(self) -> bool:
        """Whether it ends the process."""
        return self.kind not in ("full disk", "straggle")

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return -signal.SIGXFSZ if self.kind == "half written" else -signal.SIGKILL


def both(call: str) -> list[FaultPoint]:
    """Return the blows before and after a call."""
    return [FaultPoint(call, "before"), FaultPoint(call, "after")]


def arm(points: Sequence[FaultPoint], struck: Path) -> None:
    """Wrap this process's classes so that each blow falls once; one that is survived is noted in a file."""
    for point in points:
        _arm(point, struck)


def _arm(point: FaultPoint, struck: Path) -> None:
    if point.call.startswith("broadcast "):
        wrapped = _struck(point, lambda _self, request: point.call[10:] in broadcasts(request), struck)
        for name in ("batch", "batch_with_errors"):
            _wrap("fl_chain.ledger.node", f"Node.{name}", wrapped)
    elif point.call.startswith("mine "):
        wrapped = _struck(point, lambda _self, raw: called_name(raw) == point.call[5:], struck)
        _wrap("fl_chain.ledger.devnet.chain", "Chain.send", wrapped)
    else:
        module, attribute, counts = TARGETS[point.call]
        _wrap(module, attribute, _struck(point, counts, struck))


def called_name(raw_transaction: bytes) -> str | None:
    """Return the contract's name of what a signed transaction calls; None where it calls nothing of it."""
    data = TypedTransaction.from_bytes(HexBytes(raw_transaction)).as_dict()["data"]
    return ledger_abi().name_of(bytes(data[:4]))


def broadcasts(requests: Any) -> set[str | None]:
    """Return what the transactions call that a batch of requests sends."""
    return {
        called_name(bytes.fromhex(parameters[0][2:]))
        for method, parameters in requests
        if method == "eth_sendRawTransaction"
    }


def _wrap(module: str, attribute: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    holder: Any = importlib.import_module(module)
    *parents, name = attribute.split(".")
    for parent in parents:
        holder = getattr(holder, parent)
    setattr(holder, name, wrapped(getattr(holder, name)))


def _struck(
    point: FaultPoint, counts: Callable[..., bool], struck_file: Path
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        failures = 0

        @functools.wraps(call)
        def struck(*arguments: Any, **named: Any) -> Any:
            nonlocal failures
            if not counts(*arguments, **named):
                return call(*arguments, **named)
            match point.kind:
                case "full disk":
                    if failures == FAILURES:
                        return call(*arguments, **named)
                    failures += 1
                    if failures == FAILURES:
                        note(point, struck_file)
                    with full_disk(8):
                        return call(*arguments, **named)
                case "straggle":
                    failures += 1
                    if failures == 1:
                        note(point, struck_file)
                        while not struck_file.with_suffix(".go").exists():
                            time.sleep(0.02)
                    return call(*arguments, **named)
                case "half written":
                    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                    with full_disk(written_bytes(arguments) // 2):
                        call(*arguments, **named)
                    raise AssertionError(f"{point.call} wrote no file, or a short one")
                case "torn file":
                    call(*arguments, **named)
                    os.truncate(arguments[1], Path(arguments[1]).stat().st_size // 2)
                case "kill" if point.when == "after":
                    call(*arguments, **named)
            return die()

        return struck

    return wrapped


def note(point: FaultPoint, struck: Path) -> None:
    """Write down that a blow has fallen."""
    with struck.open("a") as file:
        file.write(f"{point}\n")


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def written_bytes(arguments: Sequence[Any]) -> int:
    """Return how many bytes a call is asked to write, alone or in lists among its arguments."""
    total = 0
    for one in arguments:
        if isinstance(one, bytes | memoryview):
            total += memoryview(one).nbytes
        elif isinstance(one, list | tuple):
            total += written_bytes(one)
    return total


@contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """Let this process write no file beyond its first bytes while the context lasts.

    A write that goes further is cut there, and the next one fails, or ends the process where SIGXFSZ does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
