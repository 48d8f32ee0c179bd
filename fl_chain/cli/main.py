"""All command groups put together. The single ``except`` of the program is in ``main``."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from fl_chain.cli import (
    actors,
    attestation,
    audit,
    chain,
    challenges,
    data,
    demo,
    inspection,
    participant,
    personalise,
    plot,
    report,
    setup,
    simulate,
)
from fl_chain.cli.terminal import PrintableFormatter, printable
from fl_chain.errors import FlChainError

EXIT_ERROR = 2  # 1 is kept for an audit that has findings

app = typer.Typer(
    name="fl-chain",
    help="Federated learning on an EVM ledger, open to anyone's audit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (
    setup,
    simulate,
    chain,
    actors,
    challenges,
    participant,
    personalise,
    audit,
    inspection,
    report,
    plot,
    attestation,
    data,
    demo,
):
    group.register(app)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Federated learning on an EVM ledger, open to anyone's audit."""
    is_actor = context.invoked_subcommand in ("worker", "aggregator", "watch", "devnet")
    logged = logging.StreamHandler(sys.stderr)
    logged.setFormatter(PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logging.DEBUG if verbose else logging.INFO if is_actor else logging.WARNING
    logging.basicConfig(level=level, handlers=[logged])
    for foreign in ("web3", "urllib3", "eth", "asyncio", "aiohttp", "websockets", "fsspec"):
        logging.getLogger(foreign).setLevel(logging.WARNING)
    if context.invoked_subcommand in ("audit", "demo") and not verbose:
        logging.getLogger("fl_chain.store").setLevel(logging.ERROR)  # the report says it, with the round
    if show_version:
        typer.echo(version("fl-chain"))
        raise typer.Exit


def main() -> None:
    """Run the command line; the exit code is 0, 1 for audit findings, 2 for an error."""
    try:
        app()
    except FlChainError as error:
        Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(
            f"fl-chain: {printable(error)}"
        )
        sys.exit(EXIT_ERROR)
