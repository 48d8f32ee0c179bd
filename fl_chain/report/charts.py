"""The geometry of the page's charts. The template draws it; nothing here knows of HTML.

Coordinates are strings with one digit after the point, so that a page has the same bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fl_chain.records import Address
from fl_chain.report.reading import Part, Reading
from fl_chain.report.schema import Summary

WIDTH, HEIGHT = 760, 270  # of the learning curve, in the units of its viewBox
LEFT, RIGHT, TOP, BOTTOM = 56, 190, 16, 40  # the compared levels are named on the right
TICKS = 5
LABEL_HEIGHT = 16
MOST_CELLS = 60  # rounds of the participation grid; more are drawn as shares of each stretch of rounds
MOST_ROWS = 60  # participants that a chart draws; the tables list all
CELL = 18
NAME_WIDTH = 44
BAR_WIDTH = 440


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: str
    label: str


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line that the curve is compared with."""

    name: str
    y: str
    label_y: str
    value: str


@dataclass(frozen=True, slots=True)
class Point:
    """One round's score."""

    round: int
    x: str
    y: str
    value: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric over the rounds."""

    metric: str
    points: tuple[Point, ...]
    path: str
    levels: tuple[Level, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """What a participant did in a round, or in a stretch of rounds."""

    x: int
    part: Part
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """A participant's rounds."""

    name: str
    y: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Who took part in which round."""

    rows: tuple[Row, ...]
    columns: tuple[Tick, ...]
    stretch: int  # rounds in a column
    width: int
    height: int
    left_out: int  # participants that are not drawn


@dataclass(frozen=True, slots=True)
class Bar:
    """A participant's rewards."""

    name: str
    y: int
    claimed_width: str
    unclaimed_x: str
    unclaimed_width: str
    total_wei: int


@dataclass(frozen=True, slots=True)
class Bars:
    """Rewards by participant."""

    bars: tuple[Bar, ...]
    width: int
    height: int
    left_out: int


def learning_curves(summary: Summary) -> tuple[Curve, ...]:
    """Return a curve for each metric that a run declares of its rounds."""
    metrics = sorted({name for scores in summary.rounds.values() for name in scores})
    return tuple(_curve(metric, summary) for metric in metrics)


def _curve(metric: str, summary: Summary) -> Curve:
    scores = sorted((int(key), own[metric]) for key, own in summary.rounds.items() if metric in own)
    alone = [own[metric] for own in summary.local.values() if metric in own]
    against: list[tuple[str, float]] = []
    if metric in summary.pooled:
        against.append(("all data pooled", summary.pooled[metric]))
    if alone:
        against.append(("mean of each alone", math.fsum(alone) / len(alone)))
    values = [value for _, value in scores] + [value for _, value in against]
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    first, last = scores[0][0], scores[-1][0]

    def x(number: int) -> float:
        share = (number - first) / (last - first) if last > first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    points = tuple(Point(n, _shown(x(n)), _shown(y(value)), f"{value:.4f}") for n, value in scores)
    step = max(1, -(-(last - first) // 10))
    return Curve(
        metric=metric,
        points=points,
        path=" ".join(f"{'L' if i else 'M'}{point.x} {point.y}" for i, point in enumerate(points)),
        levels=_levels([(name, y(value), value) for name, value in against]),
        x_ticks=tuple(Tick(_shown(x(n)), str(n)) for n in range(first, last + 1, step)),
        y_ticks=tuple(Tick(_shown(y(value)), _plain(value, ticks[1] - ticks[0])) for value in ticks),
    )


def _levels(levels: Sequence[tuple[str, float, float]]) -> tuple[Level, ...]:
    """Return the compared levels from the top down, their labels pushed apart where lines are close."""
    found: list[Level] = []
    label_y = -math.inf
    for name, y, value in sorted(levels, key=lambda level: level[1]):
        label_y = max(y, label_y + LABEL_HEIGHT)
        found.append(Level(name, _shown(y), _shown(label_y), f"{value:.4f}"))
    return tuple(found)


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


def participation(reading: Reading) -> Grid | None:
    """Return who took part in which round; None where there is no round or nobody."""
    rounds, names = len(reading.report.rounds), list(reading.names.items())
    if not rounds or not names:
        return None
    stretch = -(-rounds // MOST_CELLS)
    starts = range(0, rounds, stretch)
    rows = tuple(
        Row(name, CELL * i, _cells(reading.parts(address), starts, stretch))
        for i, (address, name) in enumerate(names[:MOST_ROWS])
    )
    every = 5 if len(starts) > 20 else 1
    return Grid(
        rows=rows,
        columns=tuple(
            Tick(str(NAME_WIDTH + CELL * i + CELL // 2), str(start + 1))
            for i, start in enumerate(starts)
            if i % every == 0
        ),
        stretch=stretch,
        width=NAME_WIDTH + CELL * len(starts) + 4,
        height=CELL * len(rows) + 22,
        left_out=len(names) - len(rows),
    )


def _cells(parts: Sequence[Part], starts: range, stretch: int) -> tuple[Cell, ...]:
    cells = []
    for i, start in enumerate(starts):
        own = parts[start : start + stretch]
        # The rarest thing in a stretch is what a reader looks for: an exclusion, then an absence.
        part = next(one for one in (Part.EXCLUDED, Part.ABSENT, Part.SUBMITTED, Part.INCLUDED) if one in own)
        where = f"round {start + 1}" if stretch == 1 else f"rounds {start + 1} to {start + len(own)}"
        counted = f"{own.count(part)} of {len(own)} " if stretch > 1 else ""
        cells.append(Cell(NAME_WIDTH + CELL * i, part, f"{where}: {counted}{part.value}"))
    return tuple(cells)


def rewards(reading: Reading) -> Bars | None:
    """Return what every participant earned; None where nobody has earned anything."""
    totals = {
        one.participant: (one.claimed_wei, one.unclaimed_wei)
        for one in reading.report.participants
        if one.claimed_wei + one.unclaimed_wei
    }
    if not totals:
        return None
    most = max(map(sum, totals.values()))
    drawn = _largest(totals, reading.names)
    bars = tuple(
        Bar(
            name=reading.names[address],
            y=26 * i,
            claimed_width=_shown(totals[address][0] * BAR_WIDTH / most),
            unclaimed_x=_shown(NAME_WIDTH + totals[address][0] * BAR_WIDTH / most),
            unclaimed_width=_shown(totals[address][1] * BAR_WIDTH / most),
            total_wei=sum(totals[address]),
        )
        for i, address in enumerate(drawn)
    )
    return Bars(bars, WIDTH, 26 * len(bars), len(totals) - len(bars))


def _largest(totals: Mapping[Address, tuple[int, int]], names: Mapping[Address, str]) -> list[Address]:
    """Return those that are drawn: the largest, in the order of their names."""
    largest = sorted(totals, key=lambda one: (-sum(totals[one]), one))[:MOST_ROWS]
    order = list(names)
    return sorted(largest, key=order.index)


def _shown(value: float) -> str:
    return f"{value:.1f}"


def _plain(value: float, step: float) -> str:
    """Return a tick's label with as many digits as tell it from its neighbours."""
    if not 1e-7 < step < 1e7:
        return f"{value:.3g}"
    return f"{value:.{max(0, -math.floor(math.log10(step)))}f}"
