"""``fl-chain audit``: derive a run again, once or for as long as it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fl_chain.cli.connection import open_ledger
from fl_chain.cli.inspection import EXIT_FINDINGS, RunOption, opened_run
from fl_chain.cli.report import run_summary, write_page
from fl_chain.config import ChainSettings
from fl_chain.errors import ConfigError
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.node import connect
from fl_chain.store import Store

if TYPE_CHECKING:
    from fl_chain.audit import AuditReport, Progress
    from fl_chain.encryption.keys import SecretKey


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("audit")(audit)


def audit(
    *,
    run: RunOption = None,
    rpc: Annotated[list[str] | None, typer.Option(help="A JSON-RPC node; can be repeated.")] = None,
    ledger: Annotated[str | None, typer.Option(help="The ledger's address.")] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(help="A store's URL or folder; can be repeated. Instead of the run's own."),
    ] = None,
    compare_rpc: Annotated[
        list[str] | None,
        typer.Option(help="Another node, whose answers have to be the same; can be repeated."),
    ] = None,
    deployed_block: Annotated[int, typer.Option(min=0, help="No event of the ledger is older.")] = 0,
    confirmations: Annotated[int, typer.Option(min=0, help="Audit up to a block with so many on top.")] = 0,
    from_round: Annotated[
        int, typer.Option(min=1, help="Take updates, sums and models before this round on the ledger's word.")
    ] = 1,
    follow: Annotated[
        bool, typer.Option("--follow", help="Audit each round as it is posted, until the run has ended.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="Remember audited rounds in this file, and go on from what it holds.")
    ] = None,
    cohort_key: Annotated[
        Path | None,
        typer.Option(help="Of an encrypted run, from a member's worker: sums are opened again with it."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write the report as a page that needs nothing else.")
    ] = None,
) -> None:
    """Derive a run again from chain and blobs. Exit 0: no findings; 1: findings; 2: could not audit."""
    request = _Request(compare_rpc or [], from_round, follow, resume, json_file, cohort_key=cohort_key)
    if run is not None:
        if rpc or ledger:
            raise ConfigError("--run names chain and ledger already: leave out --rpc and --ledger")
        if follow:
            raise ConfigError("a run's folder does not go on: name its live node with --rpc to --follow it")
        with opened_run(run) as (opened, own_store):
            report = request.carried_out(opened, Store(store) if store else own_store)
    else:
        if not (rpc and ledger and store):
            raise ConfigError("name what to audit: --run DIR, or --rpc URL, --ledger ADDRESS and --store URL")
        chain = ChainSettings(
            rpc=tuple(rpc), ledger=ledger, deployed_block=deployed_block, confirmations=confirmations
        )
        report = request.carried_out(open_ledger(chain), Store(store), poll_s=chain.poll_s)
    if html_file is not None:
        write_page(html_file, report.to_json().encode(), run_summary(run))
    if report.findings:
        raise typer.Exit(EXIT_FINDINGS)


class _Request:
    """How an audit is to be made, and where its report goes."""

    def __init__(
        self,
        compare_rpc: list[str],
        from_round: int,
        follow: bool,
        resume: Path | None,
        json_file: Path | None,
        *,
        cohort_key: Path | None,
    ) -> None:
        self._compare_rpc = compare_rpc
        self._from_round = from_round
        self._follow = follow
        self._resume = resume
        self._json_file = json_file
        self._cohort_key = cohort_key

    def carried_out(self, ledger: Ledger, store: Store, *, poll_s: float = 1.0) -> AuditReport:
        """Audit, write and print the report."""
        from fl_chain.cli.audit_screen import print_report

        report = self._report(ledger, store, poll_s)
        if self._json_file is not None:
            try:
                self._json_file.write_text(report.to_json(), encoding="utf-8")
            except OSError as error:
                problem = f"cannot write the report to {self._json_file}: {error.strerror}"
                raise ConfigError(problem) from error
        print_report(Console(), report)
        return report

    def _report(self, ledger: Ledger, store: Store, poll_s: float) -> AuditReport:
        from fl_chain.audit import AuditMemory, audit_run, follow_run
        from fl_chain.cli.audit_screen import print_round

        others = [connect([url], chain_id=ledger.run.chain_id) for url in self._compare_rpc]
        memory = AuditMemory() if self._resume is None else AuditMemory.opened(self._resume)
        first, key = self._from_round, self._key()
        with shown_progress() as progress:
            if not self._follow:
                return audit_run(
                    ledger, store, others=others, from_round=first, memory=memory, progress=progress, key=key
                )
            console = Console()
            report = follow_run(
                ledger,
                store,
                tell=lambda item, report: print_round(console, item, report),
                wait=lambda: time.sleep(poll_s),
                others=others,
                from_round=first,
                memory=memory,
                progress=progress,
                key=key,
            )
        if report is None:
            raise ConfigError("interrupted before the first audit was done: --resume FILE keeps what is")
        return report

    def _key(self) -> SecretKey | None:
        from fl_chain.run.cohort_key import read_cohort_key

        if self._cohort_key is None:
            return None
        key = read_cohort_key(self._cohort_key)
        if key is None:
            raise ConfigError(
                f"there is no {self._cohort_key}: a member's worker keeps it in its state folder"
            )
        return key


@contextmanager
def shown_progress() -> Iterator[Callable[[Progress], None]]:
    """Show on a terminal how far an audit is and about how long it still takes; elsewhere show nothing."""
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TransferSpeedColumn(),
        TextColumn("about"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the ledger", total=None)

        def show(progress: Progress) -> None:
            bar.update(
                task,
                description=f"round {progress.round} of {progress.rounds}",
                completed=progress.done_bytes,
                total=progress.total_bytes,
            )

        yield show
