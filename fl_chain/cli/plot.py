"""``fl-chain plot``: a run's charts as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fl_chain.cli.report import SUMMARY
from fl_chain.errors import ConfigError

REPORT = "audit.json"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("plot")(plot)


def plot(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    *,
    out: Annotated[Path, typer.Option(help="Write the picture (SVG) here.")],
    metric: Annotated[str | None, typer.Option(help="Draw this one alone; else all of them.")] = None,
    title: Annotated[str | None, typer.Option(help="Else the folder's name.")] = None,
) -> None:
    """Draw what a run's folder records: quality, fairness, norms of updates, time."""
    from fl_chain.report import of_metric, parse_report, parse_summary, render_plot

    summary, report = _read(run / SUMMARY), _read(run / REPORT)
    if summary is None and report is None:
        raise ConfigError(
            f"{run} has neither {SUMMARY}, which `fl-chain simulate` and `fl-chain demo` write, nor "
            f"{REPORT}: `fl-chain audit --run {run} --json {run / REPORT}` writes that one"
        )
    declared = None if summary is None else parse_summary(summary)
    if metric is not None and declared is not None:
        declared = of_metric(declared, metric)
    picture = render_plot(
        run.resolve().name if title is None else title,
        report=None if report is None else parse_report(report),
        summary=declared,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(picture, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"cannot write the picture to {out}: {error.strerror}") from error
    typer.echo(f"wrote {out}")


def _read(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
