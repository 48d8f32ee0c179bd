"""An audit's report on a terminal: the verdict last, so that it is what stays in view."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fl_chain.audit import AuditReport, Finding
from fl_chain.cli.terminal import printable

MOST_FINDINGS = 20


def print_report(console: Console, report: AuditReport) -> None:
    """Print rounds, checks, findings and verdict."""
    table = Table("round", "status", "included", "weight", "posted by", "model", "derived again", box=None)
    for item in report.rounds:
        table.add_row(
            str(item.round),
            item.status,
            f"{item.included} of {item.submissions}"
            if item.included is not None
            else f"- of {item.submissions}",
            str(item.included_weight if item.included_weight is not None else item.total_weight),
            f"{item.poster[:10]}…" if item.poster else "",
            f"{item.model_root[:18]}…" if item.model_root else "",
            "same" if item.verified else ("-" if item.model_root is None else "[red]no[/red]"),
        )
    console.print(table)
    for item in report.rounds:
        for fallen in item.fallen:
            by = f"challenged by {fallen.challenger}" if fallen.challenger else "rejected by its submitters"
            console.print(
                f"round {item.round}: posting {fallen.posting_number} of {fallen.poster} fell "
                f"({fallen.reason}), {by}; bond lost {fallen.bond_lost_wei} wei",
                highlight=False,
                soft_wrap=True,
            )
    blobs = report.blobs
    console.print(
        f"{sum(report.checks.values())} checks of {len(report.checks)} kinds; {blobs.updates} updates, "
        f"{blobs.sums} sums, {blobs.models} models, {blobs.documents} documents hashed "
        f"({blobs.bytes:,} bytes); block {report.chain['block_number']} {report.chain['block_hash'][:18]}…",
        highlight=False,
    )
    for warning in report.warnings[:MOST_FINDINGS]:
        console.print(f"[yellow]warning[/yellow]  {escape(printable(warning))}", highlight=False)
    for finding in report.findings[:MOST_FINDINGS]:
        print_finding(console, finding)
    if len(report.findings) > MOST_FINDINGS:
        console.print(f"… and {len(report.findings) - MOST_FINDINGS} more; --json writes them all")
    if report.findings:
        console.print(f"[bold red]FAIL[/bold red]  {len(report.findings)} findings", highlight=False)
    else:
        console.print(
            "[bold green]PASS[/bold green]  everything follows from chain and blobs", highlight=False
        )


def print_finding(console: Console, finding: Finding) -> None:
    """Print one finding, every digest whole so that it can be copied."""
    console.print(f"[red]finding[/red]  [bold]{finding.kind.value}[/bold]", highlight=False)
    rows = {
        "round": finding.round,
        "participant": finding.participant,
        "expected": finding.expected,
        "actual": finding.actual,
        "detail": finding.detail,
    }
    for name, value in rows.items():
        if value is not None:
            console.print(f"  {name:<12} {escape(printable(value))}", highlight=False, soft_wrap=True)
