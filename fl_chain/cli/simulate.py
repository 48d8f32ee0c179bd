"""``fl-chain simulate``: many participants on one machine, with ledger and audit."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from fl_chain.cli.audit import shown_progress
from fl_chain.cli.audit_screen import print_finding
from fl_chain.cli.connection import DEFAULT_CONFIG, ConfigOption, settings_of
from fl_chain.cli.report import run_summary, write_page
from fl_chain.errors import ConfigError

if TYPE_CHECKING:
    from fl_chain.audit import AuditReport
    from fl_chain.config import RunSettings
    from fl_chain.ledger.history import History
    from fl_chain.simulation import Progress, Simulation, SimulationChoices

EXIT_FINDINGS = 1


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("simulate")(simulate)


def simulate(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    out: Annotated[Path, typer.Option(help="The folder that everything stays in.")] = Path("runs/simulation"),
    participants: Annotated[
        int, typer.Option(min=0, help="How many; 0: every owner that the data name.")
    ] = 0,
    division: Annotated[
        str,
        typer.Option(
            help="Whose rows: owner, as the task says; iid, dirichlet, dirichlet-shares, shards, size."
        ),
    ] = "owner",
    concentration: Annotated[
        float, typer.Option(help="Of the Dirichlet distribution: the smaller, the more uneven.")
    ] = 0.5,
    shards_each: Annotated[int, typer.Option(min=1, help="Shards of classes for each participant.")] = 2,
    ledger: Annotated[
        str, typer.Option(help="memory, tester (the contract on this machine) or node.")
    ] = "tester",
    rpc: Annotated[str, typer.Option(help="The node of --ledger node.")] = "",
    jobs: Annotated[int, typer.Option(min=0, help="Processes that train; 0: one a core.")] = 0,
    device: Annotated[str, typer.Option(help="What torch computes on: cpu, cuda, cuda:1, ...")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what stands in the folder.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run there.")] = False,
    no_audit: Annotated[bool, typer.Option("--no-audit", help="Leave out the audit at the end.")] = False,
) -> None:
    """Run a whole federation on this machine: everybody's training, ledger, aggregation, audit."""
    from fl_chain.simulation import SimulationChoices, open_simulation

    settings = settings_of(config)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    choices = SimulationChoices(
        n_participants=participants,
        division=division,
        concentration=concentration,
        shards_each=shards_each,
        ledger=ledger,
        rpc=rpc,
        source=settings.worker.data,
        device=device,
        jobs=jobs or cores,
    )
    if resume == force and resume:
        raise ConfigError("--resume keeps what stands there, --force replaces it: give one of them")
    _verify_folder(out, resume=resume, force=force)
    console = Console()
    started = time.monotonic()
    with open_simulation(out, settings.run, choices, force=force) as simulation:
        history = _followed(console, simulation, settings.run, choices)
        console.print(
            f"{history.state.latest} rounds in {time.monotonic() - started:.0f} s, everything is in "
            f"[bold]{out}[/bold]",
            highlight=False,
            soft_wrap=True,
        )
        write_summary(out, simulation, history, settings.run.seed)
        report = None if no_audit else _audited(console, simulation, out)
    if report is not None and report.findings:
        raise typer.Exit(EXIT_FINDINGS)


def _verify_folder(out: Path, *, resume: bool, force: bool) -> None:
    from fl_chain.simulation.choices import CHOICES_NAME

    is_there = (out / CHOICES_NAME).is_file()
    if resume and not is_there:
        raise ConfigError(f"{out} holds no simulation to resume: start it without --resume")
    if is_there and not resume and not force:
        raise ConfigError(f"{out} holds a simulation: go on with --resume, or replace it with --force")


def _followed(
    console: Console, simulation: Simulation, settings: RunSettings, choices: SimulationChoices
) -> History:
    """Run it, with a bar over all trainings of the run and an estimate of when it ends."""
    rounds = settings.policy.rounds
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Bars(*columns, console=console, refresh_per_second=4, transient=True) as bars:
        bar = bars.add_task("registering", total=None)

        def say(progress: Progress) -> None:
            if progress.metrics is None:
                text = f"round {progress.round + 1} of {rounds}"
                done = progress.round * progress.of + progress.trained
                bars.update(bar, description=text, completed=done, total=rounds * progress.of)
            else:
                shown = ", ".join(f"{name} {value:.4f}" for name, value in sorted(progress.metrics.items()))
                bars.console.print(f"round {progress.round}: {shown}", highlight=False)

        return simulation.run(say, judges_own=True)


def write_summary(out: Path, simulation: Simulation, history: History, seed: int) -> None:
    """Write the scores of every model and where the time went; of a resumed run, since it went on."""
    tip = history.state.tip
    summary = {
        "federated": simulation.metrics.get(tip, {}),
        "local": {},
        "pooled": {},
        "rounds": {str(round_id): scores for round_id, scores in sorted(simulation.metrics.items())},
        "seed": seed,
        "model_root": "0x" + history.model_root(tip).hex(),
        "participants": {
            name: {
                "account": who,
                "rounds": {str(key): scores for key, scores in sorted(simulation.own[who].items())},
            }
            for who, name in simulation.names.items()
            if who in simulation.own
        },
        "seconds": {str(round_id): own for round_id, own in simulation.phases.seconds.items()},
        "clock": "wall",
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _audited(console: Console, simulation: Simulation, out: Path) -> AuditReport:
    from fl_chain.audit import audit_run

    with shown_progress() as progress:
        report = audit_run(simulation.ledger, simulation.store, progress=progress)
    (out / "audit.json").write_text(report.to_json(), encoding="utf-8")
    write_page(out / "audit.html", report.to_json().encode(), run_summary(out))
    colour = "green" if report.verdict == "pass" else "red"
    console.print(
        f"audit: [bold {colour}]{report.verdict.upper()}[/bold {colour}], {len(report.rounds)} rounds, "
        f"{len(report.participants)} participants, {sum(report.checks.values())} checks; "
        f"see {out / 'audit.json'}",
        highlight=False,
        soft_wrap=True,
    )
    for finding in report.findings:
        print_finding(console, finding)
    return report
