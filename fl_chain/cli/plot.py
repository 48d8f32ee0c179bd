"""``fl-chain plot``: a run's charts as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fl_chain.cli.inspection import opened_run
from fl_chain.cli.report import SUMMARY
from fl_chain.errors import ConfigError
from fl_chain.run.folder import RUN_FILE

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
    if summary is None and report is None and not (run / RUN_FILE).is_file():
        raise ConfigError(
            f"{run} is no run's folder: it has neither {RUN_FILE}, nor {SUMMARY}, which `fl-chain simulate` "
            f"and `fl-chain demo` write, nor {REPORT}, which `fl-chain audit --run {run} --json` does"
        )
    declared = None if summary is None else parse_summary(summary)
    if metric is not None and declared is not None:
        declared = of_metric(declared, metric)
    chain_seconds = None
    if (declared is None or not declared.seconds) and (run / RUN_FILE).is_file():
        chain_seconds = _chain_seconds(run)
    picture = render_plot(
        run.resolve().name if title is None else title,
        report=None if report is None else parse_report(report),
        summary=declared,
        chain_seconds=chain_seconds,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(picture, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"cannot write the picture to {out}: {error.strerror}") from error
    typer.echo(f"wrote {out}")


def _chain_seconds(run: Path) -> dict[str, dict[str, float]]:
    from fl_chain.ledger.phases import phase_seconds

    with opened_run(run) as (ledger, _store):
        ledger.sync()
        found = phase_seconds(ledger.all_events())
    return {str(key): {name: float(took) for name, took in own.items()} for key, own in found.items() if own}


def _read(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
