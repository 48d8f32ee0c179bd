"""Where rounds and values lie in a chart, and the marks on its axes.

Coordinates are strings with one digit after the point, so that a page has the same bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 270  # of a chart, in the units of its viewBox
LEFT, RIGHT, TOP, BOTTOM = 56, 190, 16, 40  # compared levels are named on the right
TICKS = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: str
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """Where rounds and values lie in a chart."""

    first: int  # round
    last: int
    ticks: tuple[float, ...]  # of the values; they enclose them
    height: int = HEIGHT

    @classmethod
    def around(cls, rounds: Sequence[int], values: Sequence[float], height: int = HEIGHT) -> Frame:
        """Return a frame that holds all of them; at least one of each."""
        return cls(min(rounds), max(rounds), nice_ticks(min(values), max(values)), height)

    def x(self, number: float) -> float:
        """Return where a round lies."""
        share = (number - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return where a value lies."""
        low, high = self.ticks[0], self.ticks[-1]
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def x_ticks(self) -> tuple[Tick, ...]:
        """Return about ten rounds."""
        step = max(1, -(-(self.last - self.first) // 10))
        return tuple(Tick(shown(self.x(n)), str(n)) for n in range(self.first, self.last + 1, step))

    def y_ticks(self) -> tuple[Tick, ...]:
        """Return the values' marks."""
        return value_ticks(self.ticks, self.y)

    def line(self, points: Iterable[tuple[int, float]]) -> str:
        """Return a path through points, each a round and a value."""
        return " ".join(
            f"{'L' if i else 'M'}{shown(self.x(number))} {shown(self.y(value))}"
            for i, (number, value) in enumerate(points)
        )

    def area(self, ends: Sequence[tuple[int, float, float]]) -> str:
        """Return a closed path around ranges, each a round, its lower and its upper end."""
        upper = [(number, high) for number, _, high in ends]
        lower = [(number, low) for number, low, _ in reversed(ends)]
        return self.line([*upper, *lower]) + " Z"


def value_ticks(ticks: Sequence[float], place: Callable[[float], float]) -> tuple[Tick, ...]:
    """Return the marks of an axis of values."""
    return tuple(Tick(shown(place(value)), plain(value, ticks[1] - ticks[0])) for value in ticks)


def nice_ticks(low: float, high: float, count: int = TICKS) -> tuple[float, ...]:
    """Return round numbers at equal distances that enclose a range; at least two.

    Args:
        low: the least value.
        high: the greatest.
        count: about how many distances.
    """
    size = max(abs(low), abs(high))
    if high - low <= max(1e-9 * size, 1e-12):
        margin = max(size * 0.1, 1e-6)
        low, high = low - margin, high + margin
    raw = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(number * step for number in range(first, max(last, first + 1) + 1))


def shown(value: float) -> str:
    """Return a coordinate."""
    return f"{value:.1f}"


def plain(value: float, step: float) -> str:
    """Return a tick's label with as many digits as tell it from its neighbours."""
    if not 1e-7 < step < 1e7:
        return f"{value:.3g}"
    return f"{value:.{max(0, -math.floor(math.log10(step)))}f}"
