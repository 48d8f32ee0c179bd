"""``fl-chain worker`` and ``fl-chain aggregator``: the processes of a run."""

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
from fl_chain.config import WORKER_SECRET_VARIABLE, Settings, environment
from fl_chain.errors import ConfigError, KeyUnavailable
from fl_chain.machine.memory import keep_freed_memory
from fl_chain.records import address

if TYPE_CHECKING:
    from fl_chain.aggregator import AggregatorParts
    from fl_chain.worker import WorkerParts

log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("worker")(worker)
    app.command("aggregator")(aggregator)


def worker(
    config: ConfigOption = DEFAULT_CONFIG,
    owner: Annotated[str | None, typer.Option(help="Whose rows; instead of the settings' `owner`.")] = None,
) -> None:
    """Take part in a run until it ends: train, submit, publish, claim."""
    from fl_chain.run.durable import exclusive
    from fl_chain.worker import Worker

    settings = settings_of(config)
    keep_freed_memory()
    with exclusive(settings.worker.state):
        actor = persist(lambda: Worker(_worker_parts(settings, owner)), say=log.warning)
        run_actor(actor, poll_s=settings.chain.poll_s, say=log.warning)
    log.info("the run has ended; every reward and the deposit are paid out")


def _worker_parts(settings: Settings, owner: str | None) -> WorkerParts:
    from fl_chain.learning import LocalLearner, build_task
    from fl_chain.run.documents import read_manifest, read_policy
    from fl_chain.run.outbox import Outbox
    from fl_chain.store import Store
    from fl_chain.worker import WorkerParts

    ledger = open_ledger(settings.chain)
    account = open_account(settings, ledger.node)
    store = Store(settings.store.urls)
    definition, constants = ledger.definition(), ledger.policy()
    policy = read_policy(definition, constants, store)
    learner = LocalLearner(
        build_task(policy.task, policy.model),
        policy.training,
        owner=owner or settings.worker.owner,
        source=settings.worker.data,
        seed=policy.seed,
    )
    if learner.manifest != read_manifest(definition, store):
        raise ConfigError(
            "the model that this task builds is not the one that the run was deployed with: take the "
            "operator's task file and the same release of fl_chain"
        )
    log.info("%d rows to train on", learner.n_examples)
    return WorkerParts(
        ledger=ledger,
        account=account,
        store=store,
        learner=learner,
        policy=policy,
        outbox=Outbox(settings.worker.state, secret=_worker_secret()),
        payout=address(settings.worker.payout) if settings.worker.payout else account.address,
        is_watching=settings.watch.automatic,
    )


def _worker_secret() -> bytes | None:
    value = environment(WORKER_SECRET_VARIABLE)
    if value is None:
        return None
    try:
        secret = bytes.fromhex(value.removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise KeyUnavailable(f"{WORKER_SECRET_VARIABLE} does not hold a secret: 64 hexadecimal digits")
    return secret


def aggregator(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Aggregate a run's rounds until it ends, with a bond at stake for each."""
    from fl_chain.aggregator import Aggregator
    from fl_chain.run.durable import exclusive

    settings = settings_of(config)
    keep_freed_memory()
    with exclusive(settings.aggregator.state):
        actor = persist(lambda: Aggregator(_aggregator_parts(settings)), say=log.warning)
        run_actor(actor, poll_s=settings.chain.poll_s, say=log.warning)
    log.info("the run has ended; bond and rewards are paid out")


def _aggregator_parts(settings: Settings) -> AggregatorParts:
    from fl_chain.aggregator import AggregatorParts
    from fl_chain.store import Store

    ledger = open_ledger(settings.chain)
    return AggregatorParts(
        ledger=ledger,
        account=open_account(settings, ledger.node),
        store=Store(settings.store.urls),
        state=settings.aggregator.state,
    )
