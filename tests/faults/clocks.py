"""Clocks that are wrong, and clocks that jump."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from points import When, called_name

PACE = 0.05  # of chain time: no deadline passes by itself, however slow the machine is


@dataclass(frozen=True, slots=True)
class ClockJump:
    """A jump of the devnet's wall clock, when the n-th transaction of some name reaches it."""

    name: str  # the contract's, of the call
    nth: int
    when: When  # before or after it is mined
    jump_s: float
    lasts_s: float = float("inf")  # then the clock jumps back

    def __str__(self) -> str:
        back = "" if self.lasts_s == float("inf") else " and back"
        return f"clock {self.jump_s:+.0f} s{back}, {self.when} mining {self.name} {self.nth}"


def jumping_clock(
    jumps: Sequence[ClockJump], shift_s: float, *, started_at: float, leaps: Path, struck: Path
) -> Callable[[], float]:
    """Return this process's wall clock; it jumps as transactions reach the devnet of this process.

    Args:
        jumps: when, and how far.
        shift_s: how wrong it is.
        started_at: when the clock began to go slowly, see `PACE`.
        leaps: a file in which a test writes by how many seconds the clock is to be ahead.
        struck: a file that takes down the jumps.
    """
    from fl_chain.ledger.devnet.chain import Chain

    made: list[tuple[float, ClockJump]] = []  # when, in monotonic seconds
    seen: Counter[str | None] = Counter()
    send = Chain.send

    def jump(name: str | None, when: When) -> None:
        for one in jumps:
            if (one.name, one.nth, one.when) == (name, seen[name], when):
                made.append((time.monotonic(), one))
                with struck.open("a") as file:
                    file.write(f"{one}\n")

    def counted_send(chain: Chain, raw_transaction: bytes) -> bytes:
        name = called_name(raw_transaction)
        seen[name] += 1
        jump(name, "before")
        transaction_hash = send(chain, raw_transaction)
        jump(name, "after")
        return transaction_hash

    def now() -> float:
        in_force = sum(one.jump_s for at, one in made if time.monotonic() < at + one.lasts_s)
        leapt = float(leaps.read_text()) if leaps.exists() else 0.0
        return started_at + PACE * (time.time() - started_at) + leapt + shift_s + in_force

    if jumps:
        Chain.send = counted_send  # type: ignore[method-assign]
    return now


def shift_wall_clock(shift_s: float) -> None:
    """Let this process believe in another time of day."""
    true_time = time.time
    time.time = lambda: true_time() + shift_s
