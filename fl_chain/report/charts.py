"""The geometry of the page's charts of who took part and who earned what. The template draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fl_chain.records import Address
from fl_chain.report.frame import WIDTH, Tick, shown
from fl_chain.report.reading import Part, Reading

MOST_CELLS = 60  # rounds of the participation grid; more are drawn as shares of each stretch of rounds
MOST_ROWS = 60  # participants that a chart draws; the tables list all
CELL = 18
NAME_WIDTH = 44
BAR_WIDTH = 440


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
            claimed_width=shown(totals[address][0] * BAR_WIDTH / most),
            unclaimed_x=shown(NAME_WIDTH + totals[address][0] * BAR_WIDTH / most),
            unclaimed_width=shown(totals[address][1] * BAR_WIDTH / most),
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
