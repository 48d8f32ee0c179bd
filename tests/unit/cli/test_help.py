"""Help is shown as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
import typer

from fl_chain.cli.main import app


def texts(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    yield path, command.help or ""
    for parameter in command.params:
        yield f"{path} {parameter.name}", getattr(parameter, "help", None) or ""
    for name, one in getattr(command, "commands", {}).items():
        yield from texts(one, f"{path} {name}")


TEXTS = dict(texts(typer.main.get_command(app), "fl-chain"))


@pytest.mark.parametrize("where", TEXTS)
def test_nothing_in_brackets_is_taken_for_markup(where: str) -> None:
    assert not re.search(r"(?<!\\)\[[a-z]", TEXTS[where])
