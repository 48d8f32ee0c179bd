"""Clocks that are wrong, and clocks that jump."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from points import When, called_name

LEAP_S = 125.0  # longer than the deadlines of a trial, shorter than those of posting and takeover together


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


def jumping_clock(jumps: Sequence[ClockJump], shift_s: float, struck: Path) -> Callable[[], float]:
    """Return this process's wall clock.

    It jumps as transactions reach the devnet of this process, and leaps whenever the process is told to by
    SIGUSR1, so that no test waits for a deadline and none passes by itself, however slow the machine is.
    """
    from fl_chain.ledger.devnet.chain import Chain

    made: list[tuple[float, ClockJump]] = []  # when, in monotonic seconds
    leaps: list[float] = []
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
        return time.time() + shift_s + in_force + sum(leaps)

    signal.signal(signal.SIGUSR1, lambda *_: leaps.append(LEAP_S))
    if jumps:
        Chain.send = counted_send  # type: ignore[method-assign]
    return now


def shift_wall_clock(shift_s: float) -> None:
    """Let this process believe in another time of day."""
    true_time = time.time
    time.time = lambda: true_time() + shift_s
