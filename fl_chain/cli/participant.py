"""``fl-chain participant`` and ``bond``: membership, keys and stakes, apart from training."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from fl_chain.cli.connection import (
    DEFAULT_CONFIG,
    ConfigOption,
    open_account,
    open_ledger,
    parse_address,
    settings_of,
)
from fl_chain.config import Settings
from fl_chain.errors import ConfigError
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import SignerRotationRequested
from fl_chain.ledger.history import History
from fl_chain.ledger.views import NEVER
from fl_chain.records import ZERO_ADDRESS, Address

participant_app = typer.Typer(help="A participant's membership, keys and payout.", no_args_is_help=True)
bond_app = typer.Typer(help="An aggregator's stake.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.add_typer(participant_app, name="participant")
    app.add_typer(bond_app, name="bond")


def _signing(config: ConfigOption) -> tuple[Settings, Ledger, Account]:
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    return settings, ledger, open_account(settings, ledger.node)


def _moment(ledger: Ledger, at: int) -> str:
    left_s = at - ledger.head().timestamp
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{when} (in {left_s} s of chain time)" if left_s > 0 else f"{when} (now)"


# ---------------------------------------------------------------------- membership


@participant_app.command("join")
def participant_join(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Register, for the first time or after leaving; `fl-chain worker` does the first by itself."""
    settings, ledger, account = _signing(config)
    payout = settings.worker.payout
    ledger.register(account, parse_address(payout, "`payout` in [worker]") if payout else account.address)
    typer.echo(f"registered with a deposit of {ledger.policy().deposit_wei} wei")


@participant_app.command("leave")
def participant_leave(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Leave the run; the deposit is paid back later, rewards stay claimable."""
    _, ledger, account = _signing(config)
    identity = ledger.identity_of(account.address)
    deposit_wei = ledger.participant(identity).deposit_wei
    ledger.leave(account)
    typer.echo(f"left; the deposit of {deposit_wei} wei can be taken out (`fl-chain rewards withdraw`) from")
    typer.echo(f"  {_moment(ledger, ledger.account(identity).releasable_at)}")


@participant_app.command("payout")
def participant_payout(
    address: Annotated[str, typer.Argument(help="Where rewards and the deposit go from now on.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Change where rewards and the deposit go; the identity stays."""
    payout = parse_address(address, "ADDRESS")
    _, ledger, account = _signing(config)
    ledger.change_payout(account, payout)
    typer.echo(f"rewards and deposit go to {payout} from now on")


@participant_app.command("rotate-key")
def participant_rotate_key(
    new_address: Annotated[
        str | None, typer.Argument(help="The address of the key that is to sign; the key in use cancels.")
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(metavar="PARTICIPANT", help="Put a requested key in force; the settings name that key."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Replace the signing key in two steps: ask with the old key, confirm with the new one when it is due."""
    if (new_address is None) == (confirm is None):
        raise ConfigError("give the new key's address (with the old key), or --confirm (with the new key)")
    if confirm is not None:
        _confirm_key(parse_address(confirm, "--confirm"), config)
    elif new_address is not None:
        _request_key(parse_address(new_address, "NEW_ADDRESS"), config)


def _request_key(signer: Address, config: ConfigOption) -> None:
    _, ledger, account = _signing(config)
    identity = ledger.identity_of(account.address)
    mined_in = ledger.request_signer_rotation(account, signer).block_number
    if signer == account.address:
        typer.echo(f"{signer} signs already: no other key is asked for any more")
        return
    due = max(
        event.effective_at
        for event in ledger.events(mined_in, mined_in)
        if isinstance(event, SignerRotationRequested) and event.participant == identity
    )
    typer.echo(f"asked for {signer}; {account.address} signs until it is in force")
    typer.echo(f"  due      {_moment(ledger, due)}")
    typer.echo(f"  then     fl-chain participant rotate-key --confirm {identity}")
    typer.echo("           with the new key in [keys] and some native coin on it for the gas")


def _confirm_key(identity: Address, config: ConfigOption) -> None:
    _, ledger, account = _signing(config)
    ledger.rotate_signer(account, identity)
    typer.echo(f"{account.address} signs for {identity} from now on")
    typer.echo("start the worker with these settings; its `state` folder stays the same")


# ---------------------------------------------------------------------- seeing it


@participant_app.command("show")
def participant_show(
    address: Annotated[
        str | None, typer.Argument(help="An identity, or a key that signs for one; oneself by default.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Show a participant: key, payout, standing, and what the ledger holds for it."""
    settings = settings_of(config)
    ledger = open_ledger(settings.chain)
    asked = parse_address(address, "ADDRESS") if address else open_account(settings, ledger.node).address
    history = ledger.sync()
    identity = history.identity_of(asked)
    if identity not in history.participants:
        raise ConfigError(
            f"{asked} is no participant of {history.run.ledger}: the operator never admitted it"
        )
    for name, value in _described(ledger, history, identity).items():
        typer.echo(f"{name:<16} {value}")


def _described(ledger: Ledger, history: History, identity: Address) -> dict[str, str]:
    participant = history.participants[identity]
    held = history.account(identity).with_released(ledger.head().timestamp)
    unclaimed = history.unclaimed_rewards(identity)
    described = {
        "identity": identity,
        "signing key": participant.signer,
        "payout": participant.payout if participant.payout != ZERO_ADDRESS else "none before it registers",
        "standing": standing(history, identity),
        "weight cap": str(participant.weight_cap),
        "deposit": f"{participant.deposit_wei} wei",
        "claimable": f"{sum(map(history.reward_wei, unclaimed))} wei of {len(unclaimed)} rounds",
        "withdrawable": f"{held.credit_wei} wei",
    }
    rotation = history.rotations.get(identity)
    if rotation is not None:
        described["requested key"] = f"{rotation.signer}, due {_moment(ledger, rotation.effective_at)}"
    if held.unbonding_wei:
        described["unbonding"] = f"{held.unbonding_wei} wei, due {_moment(ledger, held.releasable_at)}"
    if held.free_bond_wei or held.locked_bond_wei:
        described["bond"] = f"{held.free_bond_wei} wei free, {held.locked_bond_wei} wei locked"
    return described


def standing(history: History, identity: Address) -> str:
    """Return how a participant stands, in words."""
    participant = history.participants[identity]
    if identity in history.departed:
        return "left"
    if not participant.registered:
        return "admitted, not registered" if participant.admitted else "not admitted any more"
    if participant.barred_from == NEVER:
        return "registered"
    return f"suspended from round {participant.barred_from} on"


# ---------------------------------------------------------------------- an aggregator's stake


@bond_app.command("deposit")
def bond_deposit(
    amount_wei: Annotated[int, typer.Argument(min=1)], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Add to the signing account's free bond; `fl-chain aggregator` does so by itself."""
    _, ledger, account = _signing(config)
    ledger.deposit_bond(account, amount_wei)
    typer.echo(f"free bond: {ledger.account(account.address).free_bond_wei} wei")


@bond_app.command("request")
def bond_request(
    amount_wei: Annotated[int | None, typer.Argument(min=1, help="All that is free by default.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Ask free bond back; it is paid after the unbonding time."""
    _, ledger, account = _signing(config)
    asked_wei = ledger.account(account.address).free_bond_wei if amount_wei is None else amount_wei
    ledger.request_bond(account, asked_wei)
    typer.echo(f"{asked_wei} wei can be taken out (`fl-chain rewards withdraw`) from")
    typer.echo(f"  {_moment(ledger, ledger.account(account.address).releasable_at)}")
