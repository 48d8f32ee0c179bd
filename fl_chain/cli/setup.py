"""``fl-chain init`` and ``fl-chain key``: what a new user needs first."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from fl_chain.config import PASSWORD_VARIABLE, environment
from fl_chain.errors import KeyUnavailable, OutputExists

key_app = typer.Typer(help="Signing keys in encrypted keystore files.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("init")(init)
    app.add_typer(key_app, name="key")


def init(
    path: Annotated[Path, typer.Argument(help="Where to write the settings.")] = Path("fl_chain.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented settings file."""
    if path.exists() and not force:
        raise OutputExists(f"{path} exists: name another file, or replace it with --force")
    path.write_text(
        files("fl_chain.cli").joinpath("template.toml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    typer.echo(f"wrote {path}: fill in [chain], [store] and [worker]; the operator also [run.task]")


@key_app.command("new")
def key_new(
    path: Annotated[Path, typer.Argument(help="The keystore file to write.")] = Path("key.json"),
) -> None:
    """Make a signing key in an encrypted keystore; the password comes from FL_CHAIN_PASSWORD or a prompt."""
    from fl_chain.ledger.keys import new_keystore

    if path.exists():
        raise OutputExists(f"{path} exists and may hold a key: name another file")
    password = environment(PASSWORD_VARIABLE) or typer.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
    if not password:
        raise KeyUnavailable("an empty password protects nothing: give one")
    typer.echo(f"{new_keystore(path, password)}  {path}")
