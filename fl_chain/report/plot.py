"""A run's charts as one picture: SVG that needs nothing else, the same bytes for the same run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from fl_chain.errors import InputDataError
from fl_chain.report import charts, frame
from fl_chain.report.curves import Curve, learning_curves
from fl_chain.report.page import asset, environment
from fl_chain.report.panel import Panel
from fl_chain.report.panels import CURVE_KEY, summary_panels, update_norms
from fl_chain.report.phases import phases
from fl_chain.report.reading import Reading
from fl_chain.report.schema import Report, Summary

MARGIN, HEAD = 24, 56
TITLE_HEIGHT, KEY_HEIGHT, TEXT_HEIGHT, GAP = 22, 22, 24, 20
LETTER = 7  # about the width of one


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of a chart's key."""

    x: int
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A chart in the picture; either a curve or a panel."""

    y: int
    title: str
    text: str
    key: tuple[Entry, ...]
    chart_y: int  # below the title and the key
    height: int
    curve: Curve | None = None
    panel: Panel | None = None


def of_metric(summary: Summary, metric: str) -> Summary:
    """Return a summary with one of its metrics alone.

    Raises:
        InputDataError: if it has no such metric; names those that there are.
    """
    names = {name for scores in summary.rounds.values() for name in scores}
    if metric not in names:
        there = ", ".join(sorted(names)) or "none"
        raise InputDataError(f"the run has no metric {metric!r}; there are: {there}")
    return summary.model_copy(
        update={
            "local": {who: _only(scores, metric) for who, scores in summary.local.items()},
            "pooled": _only(summary.pooled, metric),
            "rounds": {key: _only(scores, metric) for key, scores in summary.rounds.items()},
            "participants": {
                who: one.model_copy(
                    update={"rounds": {key: _only(scores, metric) for key, scores in one.rounds.items()}}
                )
                for who, one in summary.participants.items()
            },
        }
    )


def _only(scores: Mapping[str, float], metric: str) -> dict[str, float]:
    return {name: value for name, value in scores.items() if name == metric}


def render_plot(
    title: str,
    *,
    report: Report | None,
    summary: Summary | None,
    chain_seconds: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """Return the picture of a run.

    Args:
        title: above it.
        report: of the run's audit, for the norms of updates; None where it was not audited.
        summary: the scores and times that the run declares; None where it declares none.
        chain_seconds: of each round's phases by the chain's clock; drawn where the summary has no times.

    Raises:
        InputDataError: if there is nothing to draw, or both are of different runs.
    """
    reading = None if report is None else Reading.of(report)
    if reading is not None and summary is not None and summary.model_root != reading.last_model_root:
        raise InputDataError(
            f"the summary is of a run that ended in model {summary.model_root}, the audit's report of one "
            f"that ended in {reading.last_model_root}: audit the run again"
        )
    curves = () if summary is None else learning_curves(summary)
    panels = list(() if summary is None else summary_panels(summary))
    if chain_seconds and (summary is None or not summary.seconds):
        panels.append(phases(chain_seconds, "chain"))
    norms = None if reading is None else update_norms(reading)
    if norms is not None:
        panels.append(norms)
    if not curves and not panels:
        raise InputDataError("the run has no model yet, or nothing that could be drawn of it")
    placed = _placed(curves, panels)
    last = placed[-1]
    return (
        environment()
        .get_template("plot.svg.jinja")
        .render(
            title=title,
            width=frame.WIDTH + 2 * MARGIN,
            height=last.y + last.chart_y + last.height + TEXT_HEIGHT + MARGIN,
            margin=MARGIN,
            placed=placed,
            # The page's style begins with its light colours.
            style=Markup(asset("page.css").partition("@media")[0] + asset("charts.css")),  # noqa: S704
            chart=charts,
            frame=frame,
        )
    )


def _placed(curves: Iterable[Curve], panels: Iterable[Panel]) -> list[Placed]:
    found: list[Placed] = []
    y = HEAD
    drawn: list[Curve | Panel] = [*curves, *panels]
    for chart in drawn:
        if isinstance(chart, Curve):
            key = _key(CURVE_KEY if chart.bands else ())
            title, height = f"{chart.metric.replace('_', ' ')} of each round's model", frame.HEIGHT
            text = chart.bands.text if chart.bands else ""
        else:
            key, title, height = _key(chart.key), chart.title, chart.height
            text = f"{chart.text} {chart.note}".strip()
        chart_y = TITLE_HEIGHT + (KEY_HEIGHT if key else 0)
        found.append(
            Placed(
                y,
                title,
                text,
                key,
                chart_y,
                height,
                curve=chart if isinstance(chart, Curve) else None,
                panel=chart if isinstance(chart, Panel) else None,
            )
        )
        y += chart_y + height + TEXT_HEIGHT + GAP
    return found


def _key(entries: Iterable[tuple[str, str]]) -> tuple[Entry, ...]:
    found, x = [], 0
    for kind, label in entries:
        found.append(Entry(x, kind, label))
        x += 40 + LETTER * len(label)
    return tuple(found)
