"""``fl-chain demo``: five stores train one model on a local ledger, and anyone audits it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fl_chain.cli.audit_screen import print_finding
from fl_chain.cli.report import run_summary, write_page
from fl_chain.ledger.phases import phase_seconds
from fl_chain.records import RoundStatus

if TYPE_CHECKING:
    from fl_chain.audit import AuditReport
    from fl_chain.demo import Demo
    from fl_chain.learning import Comparison
    from fl_chain.ledger.history import History

POLL_S = 0.2


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("demo")(demo)


class ChainKind(StrEnum):
    """Which node the demonstration starts."""

    DEVNET = "devnet"
    ANVIL = "anvil"


class Protection(StrEnum):
    """How the stores hide their rows, or what they send."""

    NONE = "none"
    DP = "dp"
    SECAGG = "secagg"
    HE = "he"


@dataclass(slots=True)
class Scores:
    """AUROC on the common held-out set: of every round's model, and of what it is compared with."""

    rounds: dict[int, float] = field(default_factory=dict)
    own: dict[str, dict[int, float]] = field(default_factory=dict)  # on each store's own held-out rows
    local: dict[str, float] = field(default_factory=dict)
    pooled: float | None = None
    plain: float | None = None  # of the same rounds with nothing hidden; None where nothing is


def demo(  # noqa: PLR0917 - one option each
    out: Annotated[Path, typer.Option(help="The folder that everything stays in.")] = Path("runs/demo"),
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run there.")] = False,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Models to make.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same final model.")] = 0,
    chain: Annotated[
        ChainKind, typer.Option(help="The node: fl_chain's own, or anvil, where it is installed.")
    ] = ChainKind.DEVNET,
    privacy: Annotated[
        Protection,
        typer.Option(
            help="dp: every store trains by DP-SGD, on a budget that the ledger keeps; secagg: updates are "
            "masked, and only their sums are ever known; he: updates are encrypted, and only the stores can "
            "read them (it takes the extra `he`)."
        ),
    ] = Protection.NONE,
) -> None:
    """Run everything on this machine: chain, contract, five workers, aggregator, audit."""
    from fl_chain.cli.inspection import privacy_line
    from fl_chain.data.orange_juice import OWNERS
    from fl_chain.data.orange_juice import TASK as ORANGE_JUICE
    from fl_chain.demo import demo_settings, start_demo
    from fl_chain.encryption.seal import verify_installed
    from fl_chain.learning import Comparison, build_task
    from fl_chain.store import Store

    console = Console()
    started = time.monotonic()
    is_private = privacy is Protection.DP
    is_encrypted = privacy is Protection.HE
    if is_encrypted:
        verify_installed()
    settings = demo_settings(
        seed=seed,
        rounds=rounds,
        is_private=is_private,
        is_masked=privacy is Protection.SECAGG,
        is_encrypted=is_encrypted,
    )
    console.print(
        f"Five stores, one model, {rounds} rounds. Each store is a process of its own and keeps its data; "
        f"chain, contract and blobs are real and stay in [bold]{out}[/bold].",
        highlight=False,
    )
    with start_demo(out, settings, force=force, chain=chain.value) as running:
        # What it is compared with is trained as without protection.
        plain = demo_settings(seed=seed, rounds=rounds).training
        comparison = Comparison(build_task(ORANGE_JUICE, settings.model), plain, owners=OWNERS, seed=seed)
        scores = _follow(console, running, comparison, rounds)
        if is_private or is_encrypted:  # noise, or other weights
            scores.plain = comparison.evaluate(comparison.train_federated(rounds=rounds))["auroc"]
        history = running.run.ledger.sync()
        _print_outcome(console, running, history, scores)
        line = privacy_line(history, Store([str(out / "store")]))
        console.print(f"privacy: {line}", highlight=False, soft_wrap=True)
        report = _audit(running, out)
        _write_summary(out, running, scores, seed)
        write_page(out / "audit.html", report.to_json().encode(), run_summary(out))
        _print_verdict(console, report, out)
    _show_tampering(console, out)
    console.print(
        f"Done in {time.monotonic() - started:.0f} s. The audit as a page, for a browser: "
        f"[bold]{out / 'audit.html'}[/bold]. Nothing runs any more; audit it again, here or "
        f"on another machine, with: [bold]fl-chain audit --run {out}[/bold]",
        highlight=False,
        soft_wrap=True,
    )


def _follow(console: Console, running: Demo, comparison: Comparison, rounds: int) -> Scores:
    scores = Scores()
    pending = [[owner] for owner in running.owners.values()] + [list(running.owners.values())]
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            running.verify_alive()
            history = running.run.ledger.sync()
            _score_models(running, history, comparison, scores)
            live.update(_progress(running, history, scores))
            if running.is_finished() and not pending:
                return scores
            if pending:
                _score_alone(comparison, pending.pop(0), rounds, scores)
            else:
                time.sleep(POLL_S)


def _score_models(running: Demo, history: History, comparison: Comparison, scores: Scores) -> None:
    from fl_chain.aggregation.quantise import model_values
    from fl_chain.store import Store

    store = Store([str(running.folder / "store")])
    bits = history.policy.fraction_bits
    for round_id, posting in history.postings.items():
        if round_id not in scores.rounds:
            lanes = store.read_model(posting.model_root, history.definition.dimension)
            values = np.asarray(model_values(lanes, bits), dtype=np.float32)
            scores.rounds[round_id] = comparison.evaluate(values)["auroc"]
            for owner, metrics in comparison.evaluate_own(values).items():
                if "auroc" in metrics:  # it takes rows of both classes
                    scores.own.setdefault(owner, {})[round_id] = metrics["auroc"]


def _score_alone(comparison: Comparison, owners: list[str], rounds: int, scores: Scores) -> None:
    auroc = comparison.evaluate(comparison.train_alone(owners, rounds=rounds))["auroc"]
    if len(owners) == 1:
        scores.local[owners[0]] = auroc
    else:
        scores.pooled = auroc


def _progress(running: Demo, history: History, scores: Scores) -> Group:
    table = Table("round", "status", "submissions", "model", "AUROC", box=None)
    for round_id in range(max(1, history.state.latest - 11), history.state.latest + 1):
        current, posting = history.rounds[round_id], history.postings.get(round_id)
        table.add_row(
            str(round_id),
            current.status.name.lower(),
            f"{current.submissions} of {len(running.owners)}",
            f"0x{posting.model_root.hex()[:16]}…" if posting else "",
            f"{scores.rounds[round_id]:.4f}" if round_id in scores.rounds else "",
        )
    if not history.state.latest:
        state = f"waiting for the stores: {history.state.registered} of {len(running.owners)} registered"
    else:
        state = f"{history.state.settled} of {history.state.latest} rounds settled"
    return Group(table, Text(state, style="dim"))


def _print_outcome(console: Console, running: Demo, history: History, scores: Scores) -> None:
    table = Table("round", "submissions", "posted model", "AUROC", box=None)
    for round_id, posting in history.postings.items():
        table.add_row(
            str(round_id),
            str(history.rounds[round_id].submissions),
            f"0x{posting.model_root.hex()[:16]}…",
            f"{scores.rounds[round_id]:.4f}",
        )
    console.print(table)
    stores = Table("store", "alone", "weight", "reward (ether)", box=None)
    for address, owner in running.owners.items():
        weights = [s.weight for r in history.submissions.values() for s in r if s.participant == address]
        stores.add_row(
            owner,
            f"{scores.local[owner]:.4f}",
            str(max(weights, default=0)),
            f"{history.claimed_wei(address) / 10**18:.4f}",
        )
    console.print(stores)
    federated = scores.rounds[history.state.tip]
    mean = sum(scores.local.values()) / len(scores.local)
    plain = "" if scores.plain is None else f"the same without protection {scores.plain:.4f}, "
    console.print(
        f"AUROC on the common held-out set: federated [bold]{federated:.4f}[/bold], {plain}"
        f"mean of the stores alone {mean:.4f}, pooled data {scores.pooled:.4f}",
        highlight=False,
    )
    gas = running.run.ledger.gas_by_call()
    calls = ", ".join(f"{name} {total // count:,} x {count}" for name, (count, total) in gas.items())
    console.print(f"gas per call: {calls}", highlight=False)


def _audit(running: Demo, out: Path) -> AuditReport:
    from fl_chain.audit import audit_run
    from fl_chain.store import Store

    report = audit_run(running.run.ledger, Store([str(out / "store")]))
    (out / "audit.json").write_text(report.to_json(), encoding="utf-8")
    return report


def _print_verdict(console: Console, report: AuditReport, out: Path) -> None:
    colour = "red" if report.findings else "green"
    console.print(
        f"audit: [bold {colour}]{report.verdict.upper()}[/bold {colour}], {len(report.rounds)} rounds, "
        f"{len(report.participants)} participants, {sum(report.checks.values())} checks; "
        f"see {out / 'audit.json'}",
        highlight=False,
        soft_wrap=True,
    )
    for finding in report.findings:
        print_finding(console, finding)


def _write_summary(out: Path, running: Demo, scores: Scores, seed: int) -> None:
    ledger = running.run.ledger
    history = ledger.sync()
    tip = history.state.tip
    summary = {
        "federated": {"auroc": scores.rounds[tip]},
        "local": {owner: {"auroc": value} for owner, value in sorted(scores.local.items())},
        "pooled": {"auroc": scores.pooled},
        "rounds": {str(round_id): {"auroc": value} for round_id, value in scores.rounds.items()},
        "seed": seed,
        "model_root": "0x" + history.postings[tip].model_root.hex(),
        "participants": {
            owner: {
                "account": account,
                "rounds": {str(key): {"auroc": value} for key, value in sorted(scores.own[owner].items())},
            }
            for account, owner in running.owners.items()
            if owner in scores.own
        },
        "seconds": {
            str(round_id): own for round_id, own in phase_seconds(ledger.all_events()).items() if own
        },
        "clock": "chain",
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _show_tampering(console: Console, out: Path) -> None:
    """Flip one bit of one update in a copy of the store, and audit that copy."""
    from fl_chain.audit import audit_run
    from fl_chain.cli.inspection import opened_run
    from fl_chain.demo import copy_store, flip_bit
    from fl_chain.store import Store

    with opened_run(out) as (ledger, _store):
        history = ledger.sync()
        middle = [r for r in history.rounds.values() if r.status is RoundStatus.FINAL]
        victim = history.submissions[middle[len(middle) // 2].id][0]
        copy = copy_store(out, "store-tampered")
        path = copy / "updates" / victim.participant / ("0x" + victim.sealed_root.hex())
        flip_bit(path, byte=-1, bit=0)
        console.print(
            f"\nNow one bit of one update is flipped in a copy of the store, {copy}. The audit of that copy:",
            highlight=False,
            soft_wrap=True,
        )
        report = audit_run(ledger, Store([str(copy)]))
    for finding in report.findings:
        print_finding(console, finding)
    console.print(f"audit: [bold red]{report.verdict.upper()}[/bold red]\n", highlight=False)
