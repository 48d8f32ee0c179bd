"""``fl-chain status`` and ``rewards``: what anyone can see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fl_chain.cli.connection import (
    DEFAULT_CONFIG,
    ConfigOption,
    open_account,
    open_ledger,
    parse_address,
    settings_of,
)
from fl_chain.errors import ConfigError, StoreError, VerificationError
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.records import Address, RoundStatus, VoidReason
from fl_chain.store import Store

EXIT_FINDINGS = 1

rewards_app = typer.Typer(help="What was earned, and how to take it out.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("status")(status)
    app.add_typer(rewards_app, name="rewards")


RunOption = Annotated[Path | None, typer.Option("--run", help="A run's folder; its saved chain is opened.")]


@contextmanager
def opened_run(run: Path) -> Iterator[tuple[Ledger, Store]]:
    """Open a run's folder without changing a byte of it: its saved chain, and its store."""
    from fl_chain.run.folder import read_run_folder

    folder = read_run_folder(run)
    with folder.open_ledger() as ledger:
        yield ledger, Store(folder.store_urls)


def status(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show where a run stands."""
    if run is not None:
        with opened_run(run) as (ledger, store):
            _status(ledger, store, as_json)
        return
    settings = settings_of(config)
    _status(open_ledger(settings.chain), Store(settings.store.urls), as_json)


def privacy_line(history: History, store: Store) -> str:
    """Return in one line which protection a run's policy asks for."""
    from fl_chain.policy import noise_of
    from fl_chain.privacy.statement import NONE, UNKNOWN, privacy_statement
    from fl_chain.run.documents import read_policy
    from fl_chain.run.protection import protection

    try:
        policy = read_policy(history.definition, history.policy, store)
    except (StoreError, VerificationError, ConfigError):
        return UNKNOWN
    noise = noise_of(policy.privacy)
    if policy.privacy is None:
        return NONE
    if noise is None:
        return protection(history, policy.key_cohort)
    return privacy_statement(noise, history.policy, history.state.latest).line


def _status(ledger: Ledger, store: Store, as_json: bool) -> None:
    from fl_chain.run.keeper import has_ended

    history, head = ledger.sync(), ledger.head()
    state = history.state
    summary = {
        "ledger": history.run.ledger,
        "chain_id": history.run.chain_id,
        "block": head.number,
        "participants": state.registered,
        "rounds": state.latest,
        "settled": state.settled,
        "active": state.active or None,
        "fallen_postings": len(history.fallen),
        "models": history.rounds[state.tip].step if state.tip else 0,
        "max_rounds": history.policy.max_rounds,
        "pool_wei": state.pool_wei,
        "privacy": privacy_line(history, store),
        "ended": has_ended(history, head.timestamp),
    }
    if as_json:
        typer.echo(json.dumps(summary))
        return
    console = Console()
    for name, value in summary.items():
        console.print(f"{name.replace('_', ' '):<14} {value}", highlight=False, soft_wrap=True)
    table = Table("round", "status", "submissions", "weight", "base", "model", box=None)
    shown = range(max(1, state.latest - 14), state.latest + 1)
    for round_id in shown:
        current = history.rounds[round_id]
        posting = history.postings.get(round_id)
        table.add_row(
            str(round_id),
            current.status.name.lower(),
            f"{current.submissions}",
            str(current.total_weight),
            str(current.base_round),
            "0x" + posting.model_root.hex()[:16] + "…" if posting else "",
        )
    console.print(table)
    for round_id in shown:
        remarks = "; ".join(_remarks(history, round_id))
        if remarks:
            console.print(f"round {round_id}: {remarks}", highlight=False, soft_wrap=True)


def _remarks(history: History, round_id: int) -> Iterator[str]:
    """Yield what challenges and objections have done to a round."""
    current, bonus_wei = history.rounds[round_id], history.bonus_wei(round_id)
    objections = len(history.objections_to(round_id))
    for fallen in history.fallen:
        if fallen.posting.round == round_id:
            yield f"posting {fallen.posting.posting_number} fell ({fallen.reason.name.lower()})"
    if current.posting_number and current.status is RoundStatus.CLOSED:
        yield f"waits for posting {current.posting_number}"
    if round_id in history.voids:
        yield history.voids[round_id].name.lower().replace("_", " ")
        if history.voids[round_id] is VoidReason.NOT_POSTED and history.is_masked:
            masks = history.round_masks(round_id)
            fixed = "survivors were not fixed" if masks.exclusions is None else f"{masks.survivors} stayed"
            seeds = "seeds were published" if masks.seeds else "no seeds were published"
            yield f"masks stayed on ({len(masks.keys)} members, {fixed}, {seeds}); the audit says why"
    if objections and current.status is RoundStatus.POSTED:
        yield f"{objections} of {current.submissions} object"
    if bonus_wei:
        yield f"bonus {bonus_wei} wei"


def _earnings(history: History) -> list[tuple[Address, int, int, int]]:
    """Return participant, rounds that it was included in, claimed and unclaimed wei."""
    rows = []
    for participant in sorted(history.participants):
        unclaimed = history.unclaimed_rewards(participant)
        claimed = [claim for claim in history.claims if claim.participant == participant]
        rows.append(
            (
                participant,
                len(unclaimed) + len(claimed),
                sum(claim.amount_wei for claim in claimed),
                sum(history.reward_wei(s) for s in unclaimed),
            )
        )
    return rows


@rewards_app.command("list")
def rewards_list(config: ConfigOption = DEFAULT_CONFIG, run: RunOption = None) -> None:
    """List what every participant has earned."""
    if run is not None:
        with opened_run(run) as (ledger, _store):
            _print_rewards(ledger.sync())
        return
    _print_rewards(open_ledger(settings_of(config).chain).sync())


def _print_rewards(history: History) -> None:
    table = Table("participant", "rewarded rounds", "claimed (wei)", "unclaimed (wei)", box=None)
    for participant, rounds, claimed, unclaimed in _earnings(history):
        table.add_row(participant, str(rounds), str(claimed), str(unclaimed))
    Console(width=130).print(table)
    pending = [r for r in history.rounds.values() if r.status in (RoundStatus.CLOSED, RoundStatus.POSTED)]
    if pending:
        typer.echo(f"{len(pending)} rounds are not final yet; their rewards come later")


@rewards_app.command("explain")
def rewards_explain(
    participant: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose rewards.")],
    round_id: Annotated[int | None, typer.Option("--round", help="This round alone.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
) -> None:
    """Derive a participant's money again, term by term. Exit 0: it adds up; 1: it does not."""
    asked = parse_address(participant, "ADDRESS")
    if run is not None:
        with opened_run(run) as (ledger, store):
            _explain(ledger, store, asked, round_id)
        return
    settings = settings_of(config)
    _explain(open_ledger(settings.chain), Store(settings.store.urls), asked, round_id)


def _explain(ledger: Ledger, store: Store, asked: Address, round_id: int | None) -> None:
    from fl_chain.audit import explain_rewards
    from fl_chain.cli.explanation_screen import print_explanation

    explained = explain_rewards(ledger, store, asked, round_id=round_id)
    print_explanation(Console(), explained)
    if not explained.is_right:
        raise typer.Exit(EXIT_FINDINGS)


@rewards_app.command("claim")
def rewards_claim(
    config: ConfigOption = DEFAULT_CONFIG,
    participant: Annotated[str | None, typer.Option(help="For whom; oneself by default.")] = None,
) -> None:
    """Claim every reward of final rounds; it is paid to the participant's payout address."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    account = open_account(settings, ledger.node)
    history = ledger.sync()
    identity = (
        parse_address(participant, "--participant") if participant else history.identity_of(account.address)
    )
    due = history.unclaimed_rewards(identity)
    if not due:
        typer.echo("nothing to claim")
        return
    amount_wei = sum(history.reward_wei(submission) for submission in due)
    for first in range(0, len(due), 64):
        ledger.claim(account, identity, due[first : first + 64])
    typer.echo(f"claimed {amount_wei} wei of {len(due)} rounds")


@rewards_app.command("withdraw")
def rewards_withdraw(
    account: Annotated[
        str | None, typer.Option(help="Whose; the signing key's participant, or the key itself, by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Take out deposits, bonds and aggregator rewards that are due; anyone may, for anybody."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    signing = open_account(settings, ledger.node)
    holder = parse_address(account, "--account") if account else ledger.sync().identity_of(signing.address)
    ledger.withdraw(signing, holder)
    typer.echo(f"withdrawn for {holder}")
