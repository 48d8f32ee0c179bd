"""The geometry of the learning curves, with their spread over participants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fl_chain.report.frame import Frame, Tick, shown
from fl_chain.report.schema import Summary
from fl_chain.report.spread import Spread, spread

LABEL_HEIGHT = 16


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
class Bands:
    """How a metric differs between participants, as areas."""

    whole: str  # lowest to highest
    middle: str  # the middle half
    mean: str
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric over the rounds."""

    metric: str
    points: tuple[Point, ...]
    path: str
    levels: tuple[Level, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bands: Bands | None = None  # where the participants' own scores are declared


def learning_curves(summary: Summary) -> tuple[Curve, ...]:
    """Return a curve for each metric that a run declares of its rounds."""
    metrics = sorted({name for scores in summary.rounds.values() for name in scores})
    return tuple(_curve(metric, summary) for metric in metrics)


def _curve(metric: str, summary: Summary) -> Curve:
    scores = sorted((int(key), own[metric]) for key, own in summary.rounds.items() if metric in own)
    spreads = participant_spreads(summary, metric)
    alone = [own[metric] for own in summary.local.values() if metric in own]
    against: list[tuple[str, float]] = []
    if metric in summary.pooled:
        against.append(("all data pooled", summary.pooled[metric]))
    if alone:
        against.append(("mean of each alone", math.fsum(alone) / len(alone)))
    values = [value for _, value in scores] + [value for _, value in against]
    values += [end for one in spreads.values() for end in (one.lowest, one.highest)]
    numbers = [number for number, _ in scores] + list(spreads)
    frame = Frame.around(numbers, values)
    points = tuple(Point(n, shown(frame.x(n)), shown(frame.y(value)), f"{value:.4f}") for n, value in scores)
    return Curve(
        metric=metric,
        points=points,
        path=" ".join(f"{'L' if i else 'M'}{point.x} {point.y}" for i, point in enumerate(points)),
        levels=_levels([(name, frame.y(value), value) for name, value in against]),
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
        bands=bands(frame, spreads) if spreads else None,
    )


def _levels(levels: Sequence[tuple[str, float, float]]) -> tuple[Level, ...]:
    """Return the compared levels from the top down, their labels pushed apart where lines are close."""
    found: list[Level] = []
    label_y = -math.inf
    for name, y, value in sorted(levels, key=lambda level: level[1]):
        label_y = max(y, label_y + LABEL_HEIGHT)
        found.append(Level(name, shown(y), shown(label_y), f"{value:.4f}"))
    return tuple(found)


def participant_spreads(summary: Summary, metric: str) -> dict[int, Spread]:
    """Return how a metric differs between participants, by round."""
    own: dict[int, list[float]] = {}
    for one in summary.participants.values():
        for key, scores in one.rounds.items():
            if metric in scores:
                own.setdefault(int(key), []).append(scores[metric])
    return {number: spread(own[number]) for number in sorted(own)}


def bands(frame: Frame, spreads: Mapping[int, Spread]) -> Bands:
    """Return spreads as areas; at least one."""
    last = spreads[max(spreads)]
    rows = [(number, one) for number, one in spreads.items()]
    return Bands(
        whole=frame.area([(number, one.lowest, one.highest) for number, one in rows]),
        middle=frame.area([(number, one.lower_quartile, one.upper_quartile) for number, one in rows]),
        mean=frame.line([(number, one.mean) for number, one in rows]),
        text=f"In the last round the {last.count} participants' own scores go from {last.lowest:.4f} to "
        f"{last.highest:.4f}, their mean is {last.mean:.4f}.",
    )
