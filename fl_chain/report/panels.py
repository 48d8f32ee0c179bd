"""The geometry of what a run has besides learning curves: quality by participant, fairness, norms, time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fl_chain.report.curves import Bands, bands, participant_spreads
from fl_chain.report.frame import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Frame, Tick, nice_ticks, shown, value_ticks
from fl_chain.report.reading import Reading
from fl_chain.report.schema import Summary

HEIGHT = 230
ROW, NAMES = 22, 150  # a participant's row, and the width of its name
NAME_LENGTH = 20
MOST_ROWS = 60  # participants that are drawn; the tables list all
MOST_DOTS = 600
MOST_COLUMNS = 60
BILLIONTHS = 10**9

BAND_KEY = (
    ("spread-mean", "mean over participants"),
    ("spread-middle", "the middle half"),
    ("spread-whole", "lowest to highest"),
)
CURVE_KEY = (("dot", "on the common held-out rows"), *BAND_KEY)


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


def summary_panels(summary: Summary) -> tuple[Panel, ...]:
    """Return a panel for everything that a run declares of its participants and of its time."""
    judged = {name for scores in summary.rounds.values() for name in scores}
    own = {name for one in summary.participants.values() for s in one.rounds.values() for name in s}
    found = []
    for metric in sorted(own):
        if metric in judged:
            found += [_quality(metric, summary), _fairness(metric, summary)]
        else:
            found.append(_own(metric, summary))
    if summary.seconds:
        found.append(phases(summary.seconds, summary.clock))
    return tuple(found)


def _own(metric: str, summary: Summary) -> Panel:
    """Return a metric that only participants have, such as the loss of their training, by round."""
    spreads = participant_spreads(summary, metric)
    ends = [end for one in spreads.values() for end in (one.lowest, one.highest)]
    frame = Frame.around(list(spreads), ends, HEIGHT)
    drawn = bands(frame, spreads)
    return Panel(
        name=f"own-{metric}",
        title=f"{_words(metric)} of the participants by round",
        text=drawn.text,
        x_name="round",
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
        head=("round", "participants", "lowest", "mean", "highest", "standard deviation"),
        rows=tuple(
            (str(number), str(one.count), *map(_figure, (one.lowest, one.mean, one.highest, one.deviation)))
            for number, one in spreads.items()
        ),
        key=BAND_KEY,
        bands=drawn,
    )


def _quality(metric: str, summary: Summary) -> Panel:
    """Return what each participant has of the first model and of the last, on rows of its own."""
    scores: dict[str, list[tuple[int, float]]] = {
        name: sorted((int(key), own[metric]) for key, own in one.rounds.items() if metric in own)
        for name, one in summary.participants.items()
    }
    everyone = sorted((name for name, own in scores.items() if own), key=lambda name: scores[name][-1][1])
    drawn = _evenly(everyone, MOST_ROWS)
    ends = [scores[name][place][1] for name in drawn for place in (0, -1)]
    ticks = nice_ticks(min(ends), max(ends))

    def x(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return NAMES + share * (WIDTH - NAMES - 40)

    marks = []
    for row, name in enumerate(drawn):
        for kind, (number, value) in (("first", scores[name][0]), ("last", scores[name][-1])):
            label = f"{name}, round {number}: {_figure(value)}"
            marks.append(Mark(shown(x(value)), shown(_row_y(row)), kind, label))
    low, high = everyone[0], everyone[-1]
    left_out = len(everyone) - len(drawn)
    return Panel(
        name=f"quality-{metric}",
        title=f"{_words(metric)} of the model on each participant's own rows",
        text=f"The lowest is {_figure(scores[low][-1][1])} ({low}), the highest "
        f"{_figure(scores[high][-1][1])} ({high}).",
        x_name=_words(metric),
        x_ticks=value_ticks(ticks, x),
        y_ticks=(),
        head=("participant", "rounds", "first model", "last model"),
        rows=tuple(
            (name, str(len(scores[name])), _figure(scores[name][0][1]), _figure(scores[name][-1][1]))
            for name in everyone
        ),
        height=TOP + ROW * len(drawn) + BOTTOM,
        left=NAMES,
        right=40,
        key=(("first", "first model"), ("last", "last model")),
        names=tuple(Tick(shown(_row_y(row)), _short(name)) for row, name in enumerate(drawn)),
        marks=tuple(marks),
        note=f"{left_out} more are not drawn; the table has all." if left_out else "",
    )


def _fairness(metric: str, summary: Summary) -> Panel:
    """Return how evenly a metric is spread, by round: Jain's index, and the figures behind it."""
    spreads = participant_spreads(summary, metric)
    indices = {number: one.jain for number, one in spreads.items() if one.jain is not None}
    last = spreads[max(spreads)]
    title, ranked = f"Fairness: {_words(metric)} between participants", dict(indices)
    if not indices:  # a metric that can be negative
        title, ranked = f"{title}, standard deviation", {n: one.deviation for n, one in spreads.items()}
    else:
        title += ", Jain's index"
    frame = Frame.around(list(ranked), list(ranked.values()), HEIGHT)
    return Panel(
        name=f"fairness-{metric}",
        title=title,
        text=f"Last model: lowest {_figure(last.lowest)}, mean {_figure(last.mean)}, highest "
        f"{_figure(last.highest)}, standard deviation {_figure(last.deviation)}"
        + ("." if last.jain is None else f", Jain's index {last.jain:.4f}."),
        x_name="round",
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
        head=("round", "lowest", "mean", "highest", "standard deviation", "Jain's index"),
        rows=tuple(
            (
                str(number),
                *map(_figure, (one.lowest, one.mean, one.highest, one.deviation)),
                "" if one.jain is None else f"{one.jain:.4f}",
            )
            for number, one in spreads.items()
        ),
        line=frame.line(ranked.items()),
        marks=_line_marks(frame, ranked),
    )


def update_norms(reading: Reading) -> Panel | None:
    """Return how far the included updates of each round went; None where the audit has no norms."""
    norms = {
        item.round: [
            (reading.names[one.participant], one.statistics.norm_billionths / BILLIONTHS)
            for one in item.participants
            if one.statistics is not None and one.excluded is None
        ]
        for item in reading.report.rounds
    }
    norms = {number: own for number, own in norms.items() if own}
    if not norms:
        return None
    spreads = {number: [value for _, value in own] for number, own in norms.items()}
    frame = Frame.around(list(norms), [0.0, *(max(own) for own in spreads.values())], HEIGHT)
    marks = [
        Mark(shown(frame.x(n)), shown(frame.y(value)), "update", f"{who}, round {n}: {_figure(value)}")
        for n, own in norms.items()
        for who, value in own
    ]
    medians = {number: statistics.median(own) for number, own in spreads.items()}
    last = max(norms)
    return Panel(
        name="norms",
        title="Norm of each update, per unit of weight",
        text=f"Round {last}: median {_figure(medians[last])}, from {_figure(min(spreads[last]))} to "
        f"{_figure(max(spreads[last]))}.",
        x_name="round",
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
        head=("round", "updates", "lowest", "median", "highest"),
        rows=tuple(
            (str(n), str(len(own)), *map(_figure, (min(own), medians[n], max(own))))
            for n, own in spreads.items()
        ),
        key=(("spread-mean", "median"), ("spread-whole", "lowest to highest"), ("update", "an update")),
        bands=Bands(
            whole=frame.area([(n, min(own), max(own)) for n, own in spreads.items()]),
            middle="",
            mean=frame.line(medians.items()),
            text="",
        ),
        marks=tuple(marks) if len(marks) <= MOST_DOTS else (),
    )


def phases(seconds: Mapping[str, Mapping[str, float]], clock: str) -> Panel:
    """Return where each round's time went, as columns.

    Args:
        seconds: by round, at least one, and by phase in the order of a round.
        clock: what they are counted by.
    """
    rounds = sorted(int(key) for key in seconds)
    names = list(dict.fromkeys(name for n in rounds for name in seconds[str(n)]))
    stretch = -(-len(rounds) // MOST_COLUMNS)
    columns = [rounds[start : start + stretch] for start in range(0, len(rounds), stretch)]
    means = [_mean_seconds(seconds, own, names) for own in columns]
    ticks = nice_ticks(0.0, max(math.fsum(own.values()) for own in means))
    step = (WIDTH - LEFT - RIGHT) / len(columns)
    scale = (HEIGHT - TOP - BOTTOM) / ticks[-1]
    segments = []
    for place, (own, mean) in enumerate(zip(columns, means, strict=True)):
        top = float(HEIGHT - BOTTOM)
        where = f"round {own[0]}" if len(own) == 1 else f"rounds {own[0]} to {own[-1]}, mean"
        for number, (name, taken) in enumerate(mean.items(), 1):
            height = taken * scale
            top -= height
            label = f"{where}: {_words(name)} {taken:.3g} s"
            segments.append(
                Segment(
                    shown(LEFT + step * (place + 0.1)),
                    shown(top),
                    shown(step * 0.8),
                    shown(height),
                    f"phase-{number}",
                    label,
                )
            )
    total = {name: math.fsum(own.get(name, 0.0) for own in seconds.values()) for name in names}
    every = max(1, len(columns) // 10)
    return Panel(
        name="phases",
        title=f"Seconds of each phase of a round, by the {clock} clock",
        text="In all: " + ", ".join(f"{_words(name)} {total[name]:.3g} s" for name in names) + ".",
        x_name="round",
        x_ticks=tuple(
            Tick(shown(LEFT + step * (place + 0.5)), str(own[0]))
            for place, own in enumerate(columns)
            if place % every == 0
        ),
        y_ticks=value_ticks(ticks, lambda value: HEIGHT - BOTTOM - value * scale),
        head=("round", *map(_words, names)),
        rows=tuple((str(n), *(_figure(seconds[str(n)].get(name, 0.0)) for name in names)) for n in rounds),
        key=tuple((f"phase-{number}", _words(name)) for number, name in enumerate(names, 1)),
        segments=tuple(segments),
        note=f"Each column is the mean of {stretch} rounds." if stretch > 1 else "",
    )


def _mean_seconds(
    seconds: Mapping[str, Mapping[str, float]], rounds: Sequence[int], names: Sequence[str]
) -> dict[str, float]:
    return {name: math.fsum(seconds[str(n)].get(name, 0.0) for n in rounds) / len(rounds) for name in names}


def _line_marks(frame: Frame, values: Mapping[int, float]) -> tuple[Mark, ...]:
    if len(values) > MOST_COLUMNS:
        return ()
    return tuple(
        Mark(shown(frame.x(n)), shown(frame.y(value)), "dot", f"round {n}: {_figure(value)}")
        for n, value in values.items()
    )


def _evenly(names: Sequence[str], most: int) -> list[str]:
    """Return so many of the names at equal distances, the first and the last among them."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def _row_y(row: int) -> float:
    return TOP + ROW * row + ROW / 2


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def _figure(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def _words(name: str) -> str:
    return name.replace("_", " ")
