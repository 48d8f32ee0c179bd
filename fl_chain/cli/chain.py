"""``fl-chain devnet``, ``deploy`` and ``operator``: the chain, and the run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fl_chain.cli.connection import (
    DEFAULT_CONFIG,
    ConfigOption,
    open_account,
    open_ledger,
    open_node,
    parse_address,
    settings_of,
)
from fl_chain.errors import ConfigError
from fl_chain.records import ZERO_ADDRESS, Address

operator_app = typer.Typer(help="What only the operator of a run can do.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("devnet")(devnet)
    app.command("deploy")(deploy)
    app.add_typer(operator_app, name="operator")


def devnet(
    state: Annotated[Path, typer.Option(help="Folder that keeps the chain.")] = Path("devnet"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8545,
) -> None:
    """Serve a local chain over HTTP JSON-RPC on loopback; its state stays in a folder."""
    from fl_chain.ledger.devnet.server import serve

    serve(state, port=port, announce=lambda url: typer.echo(f"devnet listens on {url}, state in {state}"))


def deploy(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    admit: Annotated[
        list[str] | None, typer.Option(help="ADDRESS=WEIGHT_CAP of a participant; can be repeated.")
    ] = None,
    aggregator: Annotated[str | None, typer.Option(help="Who posts first; the operator by default.")] = None,
    fund: Annotated[
        int | None, typer.Option(help="Wei for the pool; enough for every round by default.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="The ERC-20 token that every amount is in; the chain's own coin by default."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A folder to write run.json to.")] = None,
) -> None:
    """Publish the task and its first model, deploy the ledger, fund the rewards, admit participants."""
    from fl_chain.run.deployment import deploy_run
    from fl_chain.run.folder import RunFolder
    from fl_chain.store import Store

    settings = settings_of(config)
    weight_caps = dict(_admission(text) for text in admit or [])
    node = open_node(settings.chain)
    operator = open_account(settings, node)
    policy = settings.run.policy
    per_round_wei = policy.reward_wei + policy.aggregator_reward_wei
    deployed = deploy_run(
        settings.run,
        node=node,
        operator=operator,
        store=Store(settings.store.urls),
        aggregator=parse_address(aggregator, "--aggregator") if aggregator else operator.address,
        weight_caps=weight_caps,
        funding_wei=policy.rounds * per_round_wei if fund is None else fund,
        token=parse_address(token, "--token") if token else ZERO_ADDRESS,
    )
    if run is not None:
        run.mkdir(parents=True, exist_ok=True)
        RunFolder(
            path=run,
            chain_id=deployed.ledger.run.chain_id,
            ledger=deployed.ledger.run.ledger,
            deployed_block=deployed.deployed_block,
        ).write()
    typer.echo(f"ledger          {deployed.ledger.run.ledger}")
    typer.echo(f"chain id        {deployed.ledger.run.chain_id}")
    typer.echo(f"block           {deployed.deployed_block}")
    typer.echo(f"coin            {'token ' + token if token else 'native'}")
    typer.echo(f"genesis model   0x{deployed.definition.genesis_model_root.hex()}")
    typer.echo(f"policy          0x{deployed.definition.policy_hash.hex()}")
    typer.echo(
        "Give the participants ledger, chain id, RPC and store URLs: these four go into their settings."
    )


def _admission(text: str) -> tuple[Address, int]:
    name, separator, cap = text.partition("=")
    if not separator or not cap.isdecimal():
        raise ConfigError(f"--admit takes ADDRESS=WEIGHT_CAP, not {text!r}")
    return parse_address(name, "--admit"), int(cap)


@operator_app.command("admit")
def operator_admit(
    participant: str,
    weight_cap: Annotated[int, typer.Option("--cap", min=1, help="Its largest weight in a round.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Admit a participant, or reinstate a suspended one."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    ledger.admit(open_account(settings, ledger.node), parse_address(participant, "PARTICIPANT"), weight_cap)
    typer.echo(f"admitted {participant} with a cap of {weight_cap}")


@operator_app.command("suspend")
def operator_suspend(participant: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bar a participant from the next round on."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    ledger.suspend(open_account(settings, ledger.node), parse_address(participant, "PARTICIPANT"))
    typer.echo(f"suspended {participant} from the next round on")


@operator_app.command("fund")
def operator_fund(
    amount_wei: Annotated[int, typer.Argument(min=1)], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Add money to the pool that rewards come from."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    ledger.fund(open_account(settings, ledger.node), amount_wei)
    typer.echo(f"added {amount_wei} wei to the pool")


@operator_app.command("end")
def operator_end(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Announce the end: one more round may open."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    ledger.announce_end(open_account(settings, ledger.node))
    typer.echo("announced: one more round may open")


@operator_app.command("withdraw-pool")
def operator_withdraw_pool(
    to: Annotated[str | None, typer.Option(help="Where to; the operator by default.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Take out what the pool has left, after the run has ended."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    account = open_account(settings, ledger.node)
    ledger.withdraw_pool(account, parse_address(to, "--to") if to else account.address)
    typer.echo("the pool is paid out")
