"""An audit's report on a terminal: the verdict last, so that it is what stays in view."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fl_chain.audit import AuditReport, Finding, Severity
from fl_chain.audit.findings import RoundSummary
from fl_chain.audit.kinds import RULES
from fl_chain.audit.missing import by_holder
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
            _derived(item),
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
    for found in (report.warnings, report.findings):
        for finding in found[:MOST_FINDINGS]:
            print_finding(console, finding)
        if len(found) > MOST_FINDINGS:
            console.print(f"… and {len(found) - MOST_FINDINGS} more; --json writes them all")
    _print_missing(console, report)
    _print_verdict(console, report)


def print_round(console: Console, item: RoundSummary, report: AuditReport) -> None:
    """Print one line about a round of a run that goes on."""
    own = [one for one in (*report.findings, *report.warnings) if one.round == item.round]
    errors = sum(one.severity is Severity.ERROR for one in own)
    outcome = f"[red]{errors} findings[/red]" if errors else "nothing found"
    if item.model_root is not None:
        outcome = f"model derived again: {_derived(item)}; {outcome}"
    console.print(
        f"round {item.round}: {item.status}, {item.submissions} submitted, {outcome}, "
        f"{len(own) - errors} warnings",
        highlight=False,
        soft_wrap=True,
    )


def print_finding(console: Console, finding: Finding) -> None:
    """Print one finding or warning, every digest whole so that it can be copied."""
    is_error = finding.severity is Severity.ERROR
    title = "[red]finding[/red]" if is_error else "[yellow]warning[/yellow]"
    console.print(f"{title}  [bold]{finding.kind.value}[/bold]", highlight=False)
    rule = RULES[finding.kind]
    rows = {
        "round": finding.round,
        "participant": finding.participant,
        "expected": finding.expected,
        "actual": finding.actual,
        "detail": finding.detail,
        "rule": rule.text,
        "to do": finding.advice or rule.advice,
    }
    for name, value in rows.items():
        if value is not None:
            console.print(f"  {name:<12} {escape(printable(str(value)))}", highlight=False, soft_wrap=True)


def _derived(item: RoundSummary) -> str:
    if item.model_root is None:
        return "-"
    if not item.audited:
        return "not audited"
    return "same" if item.verified else "[red]no[/red]"


def _print_missing(console: Console, report: AuditReport) -> None:
    for group in by_holder(report.missing):
        rounds = sorted({blob["round"] for blob in group["blobs"] if blob["round"] is not None})
        shown = f" of rounds {', '.join(map(str, rounds[:MOST_FINDINGS]))}" if rounds else ""
        more = " …" if len(rounds) > MOST_FINDINGS else ""
        console.print(
            f"ask the {group['role']} {group['holder']} for {len(group['blobs'])} missing blobs{shown}{more}",
            highlight=False,
            soft_wrap=True,
        )


def _print_verdict(console: Console, report: AuditReport) -> None:
    if report.findings:
        console.print(f"[bold red]FAIL[/bold red]  {len(report.findings)} findings", highlight=False)
        return
    console.print(
        f"[bold green]{report.verdict.upper()}[/bold green]  everything follows from chain and blobs",
        highlight=False,
    )
    if report.from_round > 1:
        console.print(
            f"the updates, sums and models of the rounds before {report.from_round} were taken from the "
            "ledger's word",
            highlight=False,
        )
