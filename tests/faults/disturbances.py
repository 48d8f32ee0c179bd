"""What is done to a run, and what the printed matrix says about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clocks import ClockJump
from lines import Cut, EveryNth
from points import FaultPoint

OWNERS = ("1", "2", "3")
WORKERS = tuple(f"worker {owner}" for owner in OWNERS)
AGGREGATOR = "aggregator"
SUCCESSOR = "aggregator 2"
DEVNET = "devnet"

Faults = Mapping[str, Sequence[FaultPoint]]


@dataclass(frozen=True, slots=True)
class Disturbances:
    """Everything that happens to one run besides what it is for."""

    faults: Faults = field(default_factory=dict)  # by actor, in the order in which it will meet them
    lines: Mapping[str, Sequence[Cut | EveryNth]] = field(default_factory=dict)  # by actor
    jumps: Sequence[ClockJump] = ()  # of the devnet's clock
    clock_shifts_s: Mapping[str, float] = field(default_factory=dict)  # how wrong an actor's clock is

    def cells(self) -> Iterator[tuple[str, str]]:
        """Yield the cells of the matrix: actor, and what is done to it."""
        for actors in (self.faults, self.lines):
            for actor, blows in actors.items():
                yield from ((actor, str(blow)) for blow in blows)
        yield from ((DEVNET, str(jump)) for jump in self.jumps)
        for actor, shift_s in self.clock_shifts_s.items():
            yield actor, f"clock wrong by {shift_s:+.0f} s"

    @property
    def costs_deadlines(self) -> bool:
        """Whether chain time leaps, so that a transaction may come too late and be refused."""
        leaps = [point.down_s for points in self.faults.values() for point in points]
        return any(leaps) or any(jump.jump_s > 0 for jump in self.jumps)
