"""The geometry of what a run has of its participants: quality, fairness, norms of updates."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from fl_chain.report.curves import Bands, bands, participant_spreads
from fl_chain.report.frame import BOTTOM, TOP, WIDTH, Frame, Tick, nice_ticks, shown, value_ticks
from fl_chain.report.panel import HEIGHT, Mark, Panel, figure, words
from fl_chain.report.phases import phases
from fl_chain.report.reading import Reading
from fl_chain.report.schema import Summary

ROW, NAMES = 22, 150  # a participant's row, and the width of its name
NAME_LENGTH = 20
MOST_ROWS = 60  # participants that are drawn; the tables list all
MOST_DOTS = 600
MOST_MARKS = 60  # on a line
BILLIONTHS = 10**9

BAND_KEY = (
    ("spread-mean", "mean over participants"),
    ("spread-middle", "the middle half"),
    ("spread-whole", "lowest to highest"),
)
CURVE_KEY = (("dot", "on the common held-out rows"), *BAND_KEY)


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
        title=f"{words(metric)} of the participants by round",
        text=drawn.text,
        x_name="round",
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
        head=("round", "participants", "lowest", "mean", "highest", "standard deviation"),
        rows=tuple(
            (str(number), str(one.count), *map(figure, (one.lowest, one.mean, one.highest, one.deviation)))
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
            label = f"{name}, round {number}: {figure(value)}"
            marks.append(Mark(shown(x(value)), shown(_row_y(row)), kind, label))
    low, high = everyone[0], everyone[-1]
    left_out = len(everyone) - len(drawn)
    return Panel(
        name=f"quality-{metric}",
        title=f"{words(metric)} of the model on each participant's own rows",
        text=f"The lowest is {figure(scores[low][-1][1])} ({low}), the highest "
        f"{figure(scores[high][-1][1])} ({high}).",
        x_name=words(metric),
        x_ticks=value_ticks(ticks, x),
        y_ticks=(),
        head=("participant", "rounds", "first model", "last model"),
        rows=tuple(
            (name, str(len(scores[name])), figure(scores[name][0][1]), figure(scores[name][-1][1]))
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
    title, ranked = f"Fairness: {words(metric)} between participants", dict(indices)
    if not indices:  # a metric that can be negative
        title, ranked = f"{title}, standard deviation", {n: one.deviation for n, one in spreads.items()}
    else:
        title += ", Jain's index"
    frame = Frame.around(list(ranked), list(ranked.values()), HEIGHT)
    return Panel(
        name=f"fairness-{metric}",
        title=title,
        text=f"Last model: lowest {figure(last.lowest)}, mean {figure(last.mean)}, highest "
        f"{figure(last.highest)}, standard deviation {figure(last.deviation)}"
        + ("." if last.jain is None else f", Jain's index {last.jain:.4f}."),
        x_name="round",
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
        head=("round", "lowest", "mean", "highest", "standard deviation", "Jain's index"),
        rows=tuple(
            (
                str(number),
                *map(figure, (one.lowest, one.mean, one.highest, one.deviation)),
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
        Mark(shown(frame.x(n)), shown(frame.y(value)), "update", f"{who}, round {n}: {figure(value)}")
        for n, own in norms.items()
        for who, value in own
    ]
    medians = {number: statistics.median(own) for number, own in spreads.items()}
    last = max(norms)
    return Panel(
        name="norms",
        title="Norm of each update, per unit of weight",
        text=f"Round {last}: median {figure(medians[last])}, from {figure(min(spreads[last]))} to "
        f"{figure(max(spreads[last]))}.",
        x_name="round",
        x_ticks=frame.x_ticks(),
        y_ticks=frame.y_ticks(),
        head=("round", "updates", "lowest", "median", "highest"),
        rows=tuple(
            (str(n), str(len(own)), *map(figure, (min(own), medians[n], max(own))))
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


def _line_marks(frame: Frame, values: Mapping[int, float]) -> tuple[Mark, ...]:
    if len(values) > MOST_MARKS:
        return ()
    return tuple(
        Mark(shown(frame.x(n)), shown(frame.y(value)), "dot", f"round {n}: {figure(value)}")
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
