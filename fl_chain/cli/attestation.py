"""``fl-chain sign-report`` and ``verify-report``: an auditor's signature over a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fl_chain.cli.connection import DEFAULT_CONFIG, ConfigOption, load_key, parse_address, settings_of
from fl_chain.config import Settings
from fl_chain.errors import ConfigError, OutputExists

ReportArgument = Annotated[Path, typer.Argument(metavar="REPORT", help="What `audit --json` wrote.")]
SUFFIX = ".sig"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("sign-report")(sign_report)
    app.command("verify-report")(verify_report)


def sign_report(
    report: ReportArgument,
    out: Annotated[Path | None, typer.Option(help="Where to; beside the report by default.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Sign an audit's report with the key in the settings or of the environment (EIP-191)."""
    from fl_chain.audit.attestation import attest, statement

    content = _read(report)
    # An auditor needs no settings but a key, which may come from the environment.
    settings = settings_of(config) if config.exists() else Settings()
    attestation = attest(content, load_key(settings.keys))
    target = out or report.with_name(report.name + SUFFIX)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(attestation.to_json())
    except FileExistsError as error:
        raise OutputExists(f"{target} exists: name another file with --out, or remove it") from error
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}") from error
    typer.echo(statement(content))
    typer.echo(f"signed by {attestation.signer} in {target}")


def verify_report(
    report: ReportArgument,
    attestation: Annotated[
        Path | None, typer.Argument(metavar="[SIGNATURE]", help="Beside the report by default.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Who has to have signed.")] = None,
) -> None:
    """Check who signed a report. Exit 0: this very report, by that account; 2: not so."""
    from fl_chain.audit.attestation import parse_attestation, statement, verify_attestation

    content = _read(report)
    parsed = parse_attestation(_read(attestation or report.with_name(report.name + SUFFIX)))
    verify_attestation(content, parsed, by=None if by is None else parse_address(by, "--by"))
    typer.echo(statement(content))
    typer.echo(f"signed by {parsed.signer}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
