"""Where a simulation's time goes: seconds of the wall clock by round and phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum


class Phase(StrEnum):
    """What a round's time is spent on, in the order of a round."""

    TRAIN = "train"  # training, quantising, sealing, until the last result is there
    SUBMIT = "submit"
    PUBLISH = "publish"
    AGGREGATE = "aggregate"  # reading, checking, summing, posting, and settling what is due
    VERIFY = "verify"  # deriving the posted model again
    EVALUATE = "evaluate"


class PhaseClock:
    """Adds up the time of each phase; a phase within another is counted once, as its own."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start with nothing.

        Args:
            clock: returns seconds, never fewer than before.
        """
        self._clock = clock
        self._seconds: dict[int, dict[Phase, float]] = {}
        self._open: list[tuple[int, Phase]] = []
        self._since = 0.0

    @contextmanager
    def phase(self, round_id: int, phase: Phase) -> Iterator[None]:
        """Count the time within as a phase of a round; what is of round 0, before the first, is not kept."""
        self._charge()
        self._open.append((round_id, phase))
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    @property
    def seconds(self) -> dict[int, dict[str, float]]:
        """Every phase of each round that had any, in the order of a round."""
        return {
            round_id: {str(phase): own[phase] for phase in Phase if phase in own}
            for round_id, own in sorted(self._seconds.items())
            if round_id
        }

    def _charge(self) -> None:
        now = self._clock()
        if self._open:
            round_id, phase = self._open[-1]
            own = self._seconds.setdefault(round_id, {})
            own[phase] = own.get(phase, 0.0) + now - self._since
        self._since = now
