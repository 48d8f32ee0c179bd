"""``fl-chain personalise``: a participant's own fine-tuned model, beside the global one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fl_chain.cli.connection import DEFAULT_CONFIG, ConfigOption, open_account, open_ledger, settings_of


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("personalise")(personalise)


def personalise(
    config: ConfigOption = DEFAULT_CONFIG,
    owner: Annotated[str | None, typer.Option(help="Whose rows; instead of the settings' `owner`.")] = None,
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Over the participant's own rows.")] = 1,
) -> None:
    """Fine-tune the newest global model on one's own rows; compare both on the rows that are held out."""
    from fl_chain.learning import LocalLearner, build_task
    from fl_chain.run.documents import read_policy
    from fl_chain.run.durable import exclusive
    from fl_chain.run.personal import personalise as fine_tune
    from fl_chain.store import Store

    settings = settings_of(config)
    ledger, store = open_ledger(settings.chain), Store(settings.store.urls)
    policy = read_policy(ledger.definition(), ledger.policy(), store)
    history = ledger.sync()
    identity = history.identity_of(open_account(settings, ledger.node).address)
    learner = LocalLearner(
        build_task(policy.task, policy.model),
        policy.training,
        owner=owner or settings.worker.owner,
        source=settings.worker.data,
        seed=policy.seed,
    )
    with exclusive(settings.worker.state):
        made = fine_tune(
            learner, history, store, identity=identity, folder=settings.worker.state, epochs=epochs
        )
    table = Table("held-out rows", f"global, round {made.round}", f"after {epochs} own epochs", box=None)
    for name in sorted(made.global_metrics.keys() | made.personal_metrics.keys()):
        table.add_row(name, _shown(made.global_metrics, name), _shown(made.personal_metrics, name))
    console = Console()
    console.print(table)
    console.print(f"wrote {made.path}; nothing of it was published", highlight=False, soft_wrap=True)


def _shown(metrics: dict[str, float], name: str) -> str:
    return f"{metrics[name]:.4f}" if name in metrics else "undefined"
