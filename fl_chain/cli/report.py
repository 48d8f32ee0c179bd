"""``fl-chain report``: an audit's stored report as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fl_chain.errors import ConfigError, InputDataError

if TYPE_CHECKING:
    from fl_chain.report import Summary

SUMMARY = "summary.json"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("report")(report)


def report(
    report_file: Annotated[Path, typer.Argument(metavar="REPORT", help="What `audit --json` wrote.")],
    html_file: Annotated[Path, typer.Option("--html", help="Write the page here.")],
    summary_file: Annotated[
        Path | None, typer.Option("--summary", help="The run's summary.json, for its learning curves.")
    ] = None,
) -> None:
    """Draw a stored report as a page; nothing is audited again."""
    from fl_chain.report import parse_summary

    summary = None if summary_file is None else parse_summary(_read(summary_file))
    write_page(html_file, _read(report_file), summary)
    typer.echo(f"wrote {html_file}")


def run_summary(run: Path | None) -> Summary | None:
    """Return the scores that a run's folder declares; None where it has none, or none that can be read."""
    from fl_chain.report import parse_summary

    path = None if run is None else run / SUMMARY
    if path is None or not path.is_file():
        return None
    try:
        return parse_summary(_read(path))
    except (ConfigError, InputDataError) as error:
        # What a run says of itself plays no part in its audit, so it cannot stop the page either.
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
            f"the page has no learning curves: {path}: {error}"
        )
        return None


def write_page(path: Path, source: bytes, summary: Summary | None) -> None:
    """Write a report's page.

    Args:
        path: the HTML file; replaced where it exists.
        source: the report's JSON.
        summary: the scores that the run declares, where it does.

    Raises:
        InputDataError: the JSON is no audit report.
        ConfigError: the file cannot be written.
    """
    from fl_chain.report import parse_report, render_page

    page = render_page(parse_report(source), source=source, summary=summary)
    try:
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"cannot write the page to {path}: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
