"""Where a process can be struck, and how: wrapped around the real objects, inside the process itself."""

from __future__ import annotations

import functools
import importlib
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from fl_chain.ledger.abi import ledger_abi

When = Literal["before", "after"]
Kind = Literal["kill", "full disk"]

LEDGER_CALLS = (
    *("register", "submit", "claim", "leave", "post", "deposit_bond", "request_bond", "withdraw"),
    *("open_round", "close_round", "finalize"),
)
STORE_CALLS = ("write_update", "write_sum", "write_model", "read_update", "read_model", "has_update")

# What is wrapped: the module, the attribute in it, and which calls count, by their arguments.
TARGETS: dict[str, tuple[str, str, Callable[..., bool]]] = {
    "train": ("fl_chain.learning", "LocalLearner.train", lambda *_, **__: True),
    "outbox save": ("fl_chain.run.outbox", "Outbox.save", lambda *_: True),
    "outbox note": ("fl_chain.run.transactions", "write_durably", lambda *_: True),
    **{
        f"ledger {name}": ("fl_chain.ledger.calls", f"LedgerCalls.{name}", lambda *_, **__: True)
        for name in LEDGER_CALLS
    },
    **{f"store {name}": ("fl_chain.store", f"Store.{name}", lambda *_, **__: True) for name in STORE_CALLS},
    **{
        f"rename {folder}": ("pathlib", "Path.replace", lambda _source, to, f=folder: f in Path(to).parts)
        for folder in ("updates", "sums", "models")
    },
    "commit": ("fl_chain.ledger.devnet.database", "ChainDatabase.commit", lambda *_: True),
}


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """One blow to one process, at its first such call since it started.

    ``call`` is a key of `TARGETS`; or ``broadcast NAME``, a transaction leaving an actor; or ``mine NAME``,
    one reaching the devnet, with the contract's name of the call.
    """

    call: str
    when: When
    kind: Kind = "kill"

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.when} {self.call}" if self.kind == "kill" else f"{self.kind} at {self.call}"
        )


@dataclass(frozen=True, slots=True)
class ClockJump:
    """A jump of the devnet's wall clock, when the n-th transaction of some name reaches it."""

    name: str  # the contract's, of the call
    nth: int
    when: When  # before or after it is mined
    jump_s: float
    lasts_s: float = float("inf")  # then the clock jumps back

    def __str__(self) -> str:
        back = "" if self.lasts_s == float("inf") else " for a while"
        return f"clock jumps {self.jump_s / 3600:+.0f} h {self.when} mining {self.name}{back}"


def both(call: str) -> list[FaultPoint]:
    """Return the blows before and after a call."""
    return [FaultPoint(call, "before"), FaultPoint(call, "after")]


def arm(point: FaultPoint | None) -> None:
    """Wrap this process's classes so that the blow falls."""
    if point is None:
        return
    if point.call.startswith("broadcast "):
        wrapped = _struck(point, lambda _self, request: point.call[10:] in broadcasts(request))
        for name in ("batch", "batch_with_errors"):
            _wrap("fl_chain.ledger.node", f"Node.{name}", wrapped)
    elif point.call.startswith("mine "):
        wrapped = _struck(point, lambda _self, raw: called_name(raw) == point.call[5:])
        _wrap("fl_chain.ledger.devnet.chain", "Chain.send", wrapped)
    else:
        module, attribute, counts = TARGETS[point.call]
        _wrap(module, attribute, _struck(point, counts))


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


def jumping_clock(jumps: Sequence[ClockJump]) -> Callable[[], float]:
    """Return this process's wall clock; it jumps as transactions reach the devnet of this process."""
    from fl_chain.ledger.devnet.chain import Chain

    made: list[tuple[float, ClockJump]] = []  # when, in monotonic seconds
    seen: Counter[str | None] = Counter()
    send = Chain.send

    def jump(name: str | None, when: When) -> None:
        made.extend(
            (time.monotonic(), one)
            for one in jumps
            if (one.name, one.nth, one.when) == (name, seen[name], when)
        )

    def counted_send(chain: Chain, raw_transaction: bytes) -> bytes:
        name = called_name(raw_transaction)
        seen[name] += 1
        jump(name, "before")
        transaction_hash = send(chain, raw_transaction)
        jump(name, "after")
        return transaction_hash

    def now() -> float:
        return time.time() + sum(one.jump_s for at, one in made if time.monotonic() < at + one.lasts_s)

    if jumps:
        Chain.send = counted_send  # type: ignore[method-assign]
    return now


def _wrap(module: str, attribute: str, wrapped: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    holder: Any = importlib.import_module(module)
    *parents, name = attribute.split(".")
    for parent in parents:
        holder = getattr(holder, parent)
    setattr(holder, name, wrapped(getattr(holder, name)))


def _struck(
    point: FaultPoint, counts: Callable[..., bool]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        failures_left = 2

        @functools.wraps(call)
        def struck(*arguments: Any, **named: Any) -> Any:
            nonlocal failures_left
            if not counts(*arguments, **named):
                return call(*arguments, **named)
            if point.kind == "full disk" and failures_left:
                failures_left -= 1
                with full_disk():
                    return call(*arguments, **named)
            if point.kind == "kill" and point.when == "before":
                die()
            result = call(*arguments, **named)
            if point.kind == "kill":
                die()
            return result

        return struck

    return wrapped


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def full_disk() -> Any:
    """Let this process write no file beyond its first bytes while the context lasts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def shift_wall_clock(shift_s: float) -> None:
    """Let this process believe in another time of day."""
    true_time = time.time
    time.time = lambda: true_time() + shift_s
