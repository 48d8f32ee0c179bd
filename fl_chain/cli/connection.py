"""From settings to the parts that the commands work with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer

from fl_chain.config import (
    PASSWORD_VARIABLE,
    PRIVATE_KEY_VARIABLE,
    ChainSettings,
    KeySettings,
    Settings,
    environment,
    load_settings,
)
from fl_chain.errors import (
    ConfigError,
    KeyUnavailable,
    LedgerError,
    LedgerReverted,
    StateUnwritable,
    StoreError,
    WrongChain,
    WrongCode,
)
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.keys import read_keystore
from fl_chain.ledger.node import Node, connect
from fl_chain.records import Address, address

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The settings file.", show_default=True, dir_okay=False)
]
DEFAULT_CONFIG = Path("fl_chain.toml")

PATIENCE_S = 600.0  # of failures
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
REFUSALS = 3  # of the contract in a row; each costs gas

Result = TypeVar("Result")


class Actor(Protocol):
    """A role that moves a run on step by step."""

    def step(self) -> bool:
        """Do what is due next; return whether anything was done."""

    def is_done(self) -> bool:
        """Return whether nothing is left to do."""


def settings_of(path: Path) -> Settings:
    """Return the settings of a file."""
    return load_settings(path)


def open_node(chain: ChainSettings) -> Node:
    """Connect to the first node that answers."""
    return connect(chain.rpc, chain_id=chain.chain_id)


def open_ledger(chain: ChainSettings) -> Ledger:
    """Connect to the ledger that the settings name, and check that it is one."""
    if chain.ledger is None:
        raise ConfigError(
            "the settings name no ledger: set `ledger` in [chain] to what `fl-chain deploy` printed"
        )
    try:
        ledger = address(chain.ledger)
    except ValueError as error:
        raise ConfigError(f"`ledger` in [chain] is {error}") from error
    return Ledger.open(
        open_node(chain), ledger, confirmations=chain.confirmations, deployed_block=chain.deployed_block
    )


def parse_address(text: str, name: str) -> Address:
    """Return the address that an argument or option holds.

    Raises:
        ConfigError: if it is none.
    """
    try:
        return address(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def load_key(keys: KeySettings) -> bytes:
    """Return the signing key from the keystore, or else from the environment; it is never logged.

    Raises:
        KeyUnavailable: if there is none, or it cannot be opened.
    """
    if keys.keystore is not None:
        return read_keystore(keys.keystore, _password(keys))
    value = environment(PRIVATE_KEY_VARIABLE)
    if value is None:
        raise KeyUnavailable(
            "no signing key: name a keystore in [keys] (`fl-chain key new` makes one) or set "
            f"{PRIVATE_KEY_VARIABLE}"
        )
    try:
        key = bytes.fromhex(value.removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise KeyUnavailable(f"{PRIVATE_KEY_VARIABLE} does not hold a private key: 64 hexadecimal digits")
    return key


def _password(keys: KeySettings) -> str:
    if keys.password_file is not None:
        try:
            return keys.password_file.read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise KeyUnavailable(
                f"cannot read the password file {keys.password_file}: {error.strerror}"
            ) from error
    password = environment(PASSWORD_VARIABLE)
    if password is None:
        raise KeyUnavailable(
            f"{keys.keystore} needs its password: set {PASSWORD_VARIABLE} or `password_file`"
        )
    return password


def open_account(settings: Settings, node: Node) -> Account:
    """Return the account that signs."""
    chain = settings.chain
    return Account(
        node,
        load_key(settings.keys),
        receipt_timeout_s=chain.receipt_timeout_s,
        replace_after_s=chain.replace_after_s,
        max_fee_wei=int(chain.max_fee_gwei * 10**9),
    )


def persist(
    action: Callable[[], Result],
    *,
    say: Callable[[str], None],
    pause_s: float = FIRST_PAUSE_S,
    patience_s: float = PATIENCE_S,
) -> Result:
    """Try an action until it succeeds, waiting longer each time, while what is in the way may pass.

    A node that is away, refuses or answers nonsense, a transaction that was not taken or not mined in time,
    a store or a disk that takes nothing: all these may be over in a while. Wrong settings, another chain or
    contract, and what the contract refuses several times in a row, are not.

    Args:
        action: is called again after each failure.
        say: called with a message whenever something else is in the way than before.
        pause_s: seconds until the second attempt; doubled each time, up to `LONGEST_PAUSE_S`.
        patience_s: seconds of failures after which the last one is raised.

    Raises:
        FlChainError: what does not pass.
    """
    failing_since = time.monotonic()
    said, refusals = "", 0
    while True:
        try:
            return action()
        except (LedgerError, StoreError, StateUnwritable) as error:
            refusals = refusals + 1 if isinstance(error, LedgerReverted) else 0
            is_over = time.monotonic() - failing_since >= patience_s
            if is_over or isinstance(error, WrongChain | WrongCode) or refusals == REFUSALS:
                raise
            if str(error) != said:
                said = str(error)
                say(f"will try again: {error}")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def run_actor(
    actor: Actor, *, poll_s: float, say: Callable[[str], None], patience_s: float = PATIENCE_S
) -> None:
    """Step an actor until it is done; what may pass is waited for.

    Args:
        actor: worker or aggregator.
        poll_s: seconds between two looks at a quiet chain.
        say: called with a message when something is in the way.
        patience_s: seconds of failures after which the last one is raised.

    Raises:
        FlChainError: see `persist`.
    """
    while True:
        moved, is_done = persist(lambda: _stepped(actor), say=say, pause_s=poll_s, patience_s=patience_s)
        if is_done:
            return
        if not moved:
            time.sleep(poll_s)


def _stepped(actor: Actor) -> tuple[bool, bool]:
    moved = actor.step()
    return moved, not moved and actor.is_done()
