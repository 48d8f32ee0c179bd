"""``fl-chain watch``, ``challenge`` and ``object``: taking a wrong posting down."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from fl_chain.cli.connection import (
    DEFAULT_CONFIG,
    ConfigOption,
    open_account,
    open_ledger,
    persist,
    run_actor,
    settings_of,
)
from fl_chain.cli.terminal import printable
from fl_chain.config import PRIVATE_KEY_VARIABLE, Settings, environment
from fl_chain.errors import ConfigError, LedgerReverted
from fl_chain.records import ZERO_ADDRESS, Posting, RoundStatus
from fl_chain.store import Store

if TYPE_CHECKING:
    from fl_chain.commitment.proofs import Proof
    from fl_chain.ledger.client import Ledger
    from fl_chain.ledger.history import History
    from fl_chain.run.verdicts import Outcome
    from fl_chain.run.watcher import Watch

log = logging.getLogger(__name__)

EXIT_NOT_WRONG = 1

RoundOption = Annotated[int, typer.Option("--round", min=1, help="A posted round.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("watch")(watch)
    app.command("challenge")(challenge)
    app.command("object")(object_to)


def watch(config: ConfigOption = DEFAULT_CONFIG, dry_run: DryRunOption = False) -> None:
    """Examine every posting of a run until it ends, and challenge those that are wrong.

    Anyone can: a key pays the gas of a challenge and earns its reward. Without one, or with --dry-run, it
    says what it finds and sends nothing.
    """
    from fl_chain.run.durable import exclusive

    settings = settings_of(config)
    with exclusive(settings.watch.state):
        watching = persist(lambda: _watch(settings, dry_run=dry_run), say=log.warning)
        run_actor(watching, poll_s=settings.chain.poll_s, say=log.warning)
    log.info("the run has ended; no posting can fall any more")


def _watch(settings: Settings, *, dry_run: bool) -> Watch:
    from fl_chain.run.transactions import TransactionOutbox
    from fl_chain.run.watcher import Signer, Watch

    ledger, store = open_ledger(settings.chain), Store(settings.store.urls)
    if dry_run or not settings.watch.automatic or not _has_key(settings):
        log.info("watching only: nothing is sent")
        return Watch(ledger, store, None)
    account = open_account(settings, ledger.node)
    return Watch(ledger, store, Signer(account, TransactionOutbox(settings.watch.state, account)))


def _has_key(settings: Settings) -> bool:
    return settings.keys.keystore is not None or environment(PRIVATE_KEY_VARIABLE) is not None


def challenge(
    round_id: RoundOption, config: ConfigOption = DEFAULT_CONFIG, dry_run: DryRunOption = False
) -> None:
    """Prove a round's posting wrong. Exit 0: there is a proof, and it was taken; 1: there is none."""
    from fl_chain.run.verdicts import Proven

    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    _, outcome = _examined(ledger, Store(settings.store.urls), round_id)
    if not isinstance(outcome, Proven):
        typer.echo(printable(_without_proof(outcome)))
        raise typer.Exit(EXIT_NOT_WRONG)
    account = open_account(settings, ledger.node) if _has_key(settings) else None
    sender = ZERO_ADDRESS if account is None else account.address
    for name, value in _described(outcome.proof, round_id).items():
        typer.echo(f"{name:<10} {value}")
    typer.echo(f"{'shows':<10} {outcome}")
    try:
        gas = ledger.try_challenge(sender, round_id, outcome.proof)
    except LedgerReverted as error:
        typer.echo(f"{'gas':<10} none: {printable(error)}")
        raise typer.Exit(EXIT_NOT_WRONG) from error
    typer.echo(f"{'gas':<10} {gas}")
    if dry_run:
        return
    if account is None:
        raise ConfigError("no signing key: name a keystore in [keys], or add --dry-run")
    ledger.challenge(account, round_id, outcome.proof)
    reward_wei = ledger.policy().challenge_reward_wei
    typer.echo(f"the posting fell; {reward_wei} wei are credited to {account.address}")
    typer.echo(f"  take out   fl-chain rewards withdraw {account.address}")


def object_to(
    round_id: RoundOption, config: ConfigOption = DEFAULT_CONFIG, dry_run: DryRunOption = False
) -> None:
    """Object to a posting that cannot be derived; for those who submitted to the round."""
    from fl_chain.run.verdicts import Proven, Unprovable
    from fl_chain.run.watcher import own_submission

    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    account = open_account(settings, ledger.node)
    history, outcome = _examined(ledger, Store(settings.store.urls), round_id)
    own = own_submission(history, round_id, history.identity_of(account.address))
    if own is None:
        raise ConfigError(f"{account.address} signs for nobody who submitted to round {round_id}")
    if not isinstance(outcome, Unprovable):
        typer.echo(
            f"challenge it: {outcome}" if isinstance(outcome, Proven) else printable(_without_proof(outcome))
        )
        raise typer.Exit(EXIT_NOT_WRONG)
    for doubt in outcome.doubts:
        typer.echo(f"{doubt.hidden.value}: {printable(doubt.detail)}")
    if dry_run:
        return
    posting = history.postings[round_id]
    ledger.object(account, model_root=posting.model_root, submission=own)
    count, submissions = ledger.objections_to(round_id), len(history.submissions[round_id])
    typer.echo(f"objected; {count} of {submissions} have by now" if count else "objected; the posting fell")


def _examined(ledger: Ledger, store: Store, round_id: int) -> tuple[History, Outcome]:
    from fl_chain.run.models import ModelChain
    from fl_chain.run.rounds import RoundReader

    history = ledger.sync()
    _standing_posting(history, round_id)
    return history, ModelChain(RoundReader(history, store)).outcome(round_id)


def _standing_posting(history: History, round_id: int) -> Posting:
    current = history.rounds.get(round_id)
    if current is None or current.status is not RoundStatus.POSTED:
        status = "not open yet" if current is None else current.status.name.lower()
        raise ConfigError(
            f"round {round_id} is {status}: only a posted round can be challenged, until it is final"
        )
    return history.postings[round_id]


def _without_proof(outcome: Outcome) -> str:
    from fl_chain.run.verdicts import Unprovable

    if isinstance(outcome, Unprovable):
        return (
            f"there is no proof: {outcome}\nWho submitted to the round can object: `fl-chain object`; "
            "workers do so by themselves."
        )
    return "the posting is what its inputs give: nothing is wrong"


def _described(proof: Proof, round_id: int) -> dict[str, str]:
    from fl_chain.commitment.proofs import SeedProof
    from fl_chain.ledger.calls import challenge_call

    data = challenge_call(proof, round_id)
    where = {"seed": str(proof.number)} if isinstance(proof, SeedProof) else {"chunk": str(proof.chunk)}
    return {
        "challenge": proof.function,
        "round": str(round_id),
        **where,
        "calldata": f"{len(data)} bytes, {data.count(0)} of them zero",
    }
