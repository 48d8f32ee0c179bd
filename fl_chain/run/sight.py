"""What is looked at in updates while their round is derived, and what was seen."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Signs = npt.NDArray[np.int8]
Counts = npt.NDArray[np.int64]

_FIGURES = 5
_SKETCHES = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """The figures of a round's updates, by the submission's index; those of excluded ones mean nothing.

    `fl_chain.aggregation.observation_kernel` says what they are.
    """

    sketches: Counts  # shape (updates, 3, buckets)
    figures: Counts  # shape (updates, 5)


class Sight:
    """Takes what several threads see of a round's updates.

    Args:
        updates: how many.
        buckets: of a sketch.
        signs: of this round, shape (dimension,); empty: nothing is looked at.
        earlier: of the round before; empty where there is none.
        rows: of buckets in a block of lanes.
        crossed: one block in so many is compared across rounds.
        spare: arrays of rounds before, which are used again: fresh memory costs more than zeroing it.
    """

    def __init__(
        self,
        *,
        updates: int,
        buckets: int,
        signs: Signs,
        earlier: Signs,
        rows: int,
        crossed: int,
        spare: deque[Seen] | None = None,
    ) -> None:
        self.signs, self.earlier, self.rows, self.crossed = signs, earlier, rows, crossed
        self._shape = updates, _SKETCHES, buckets
        self._all: deque[Seen] = deque()  # its methods are atomic
        self._spare = deque() if spare is None else spare
        self._mine = threading.local()

    @classmethod
    def nothing(cls) -> Sight:
        """Return one that does not look."""
        none = np.empty(0, dtype=np.int8)
        return cls(updates=0, buckets=1, signs=none, earlier=none, rows=1, crossed=1)

    def looks_as(self, other: Sight) -> bool:
        """Return whether another one would see the same of the same updates."""
        return self.signs is other.signs and self.earlier is other.earlier

    def mine(self) -> Seen:
        """Return where the calling thread puts what it sees."""
        seen: Seen | None = getattr(self._mine, "seen", None)
        if seen is None:
            seen = self._mine.seen = self._zeroed()
            self._all.append(seen)
        return seen

    def _zeroed(self) -> Seen:
        with suppress(IndexError):
            seen = self._spare.pop()
            if seen.sketches.shape == self._shape:
                seen.sketches[:] = 0
                seen.figures[:] = 0
                return seen
        figures = np.zeros((self._shape[0], _FIGURES), dtype=np.int64)
        return Seen(np.zeros(self._shape, dtype=np.int64), figures)

    def total(self) -> Seen:
        """Return what all threads saw together, when they are done."""
        whole = self.mine()
        for other in self._all:
            if other is not whole:
                largest = np.maximum(whole.figures[:, 2], other.figures[:, 2])
                np.add(whole.sketches, other.sketches, out=whole.sketches)
                np.add(whole.figures, other.figures, out=whole.figures)
                whole.figures[:, 2] = largest
        self._spare.extend(other for other in self._all if other is not whole)
        self._all = deque((whole,))
        return whole

    def done(self) -> None:
        """Say that what was seen is not looked at any more; its memory is used again."""
        self._spare.extend(self._all)
        self._all.clear()
