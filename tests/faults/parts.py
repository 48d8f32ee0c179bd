"""One actor of a run: started again whenever it is struck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from disturbances import DEVNET
from points import FaultPoint


@dataclass
class Part:
    """One actor: its process now, and the blows that are still to come."""

    name: str
    log: Path
    start: Callable[[Sequence[FaultPoint], float], BaseProcess]
    faults: list[FaultPoint]
    away_s: float = 0.0  # how long a devnet has been away, by its clock
    is_gone: bool = False  # for good
    is_away: bool = False  # until it is called back
    process: BaseProcess = field(init=False)
    armed: list[FaultPoint] = field(init=False, default_factory=list)

    @property
    def fatal(self) -> FaultPoint | None:
        """The blow that is to end the process."""
        return self.armed[-1] if self.armed and self.armed[-1].is_fatal else None

    @property
    def waiting(self) -> list[str]:
        """The blows that have not fallen."""
        struck = self.struck.read_text().splitlines() if self.struck.exists() else []
        fatal = [self.fatal] if self.fatal is not None and not self.is_gone else []
        survived = [point for point in self.armed if not point.is_fatal and str(point) not in struck]
        return [str(point) for point in (*survived, *fatal, *self.faults)]

    @property
    def struck(self) -> Path:
        """Where the process notes the blows that it survives."""
        return self.log.with_suffix(".struck")

    def restart(self) -> None:
        """Start the process, with blows waiting for it up to the next that ends it."""
        survived = [point for point in self.armed if not point.is_fatal and str(point) in self.waiting]
        self.armed = survived
        while self.faults and self.fatal is None:
            self.armed.append(self.faults.pop(0))
        self.process = self.start(self.armed, self.away_s)

    @property
    def is_started(self) -> bool:
        """Whether it has been started once."""
        return hasattr(self, "process")

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself, or is gone for good."""
        return self.is_gone or self.process.exitcode == 0

    def look(self) -> None:
        """Start the process again if it was struck."""
        code = self.process.exitcode
        if self.is_gone or self.is_away or code is None or (code == 0 and self.name != DEVNET):
            return
        fatal = self.fatal
        assert fatal is not None, f"{self.name} ended with {code} and nothing had struck it:\n{self.tail()}"
        assert code == fatal.exit_code, f"{self.name} ended with {code}, not by {fatal}:\n{self.tail()}"
        if fatal.for_good:
            self.is_gone = True
            return
        if fatal.stays_away:
            self.is_away = True
            return
        self.away_s += fatal.down_s
        self.restart()

    def call_back(self) -> None:
        """Start a process that stayed away, or let one go on that straggles."""
        if self.is_away:
            self.is_away = False
            self.restart()
        else:
            self.struck.with_suffix(".go").touch()

    def tail(self) -> str:
        """Return the end of the process's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"--- {self.name}, to come: {self.waiting}\n" + "\n".join(lines[-12:])

    def end(self) -> None:
        """Stop the process if it runs."""
        if self.is_started:
            self.process.kill()
            self.process.join()
