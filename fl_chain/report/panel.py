"""A chart besides the learning curves: what it shows, with its key, its words and its figures."""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.report.curves import Bands
from fl_chain.report.frame import LEFT, RIGHT, Tick

HEIGHT = 230


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot, with what it stands for."""

    x: str
    y: str
    kind: str  # its class
    label: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a column."""

    x: str
    y: str
    width: str
    height: str
    kind: str  # its class
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with its key, its words and its figures."""

    name: str  # what its ids begin with
    title: str
    text: str
    x_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    head: tuple[str, ...]  # of the table
    rows: tuple[tuple[str, ...], ...]
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    key: tuple[tuple[str, str], ...] = ()  # class and label
    names: tuple[Tick, ...] = ()  # in place of values on the left
    bands: Bands | None = None
    line: str = ""
    marks: tuple[Mark, ...] = ()
    segments: tuple[Segment, ...] = ()
    note: str = ""


def figure(value: float) -> str:
    """Return a value for words and tables."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def words(name: str) -> str:
    """Return a name as it is read."""
    return name.replace("_", " ")
