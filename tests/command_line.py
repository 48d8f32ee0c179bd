"""The command line as a user runs it, and the same without a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

from fl_chain.cli import main

COMMAND = [sys.executable, "-m", "fl_chain"]


def run_command(*arguments: str, limit_s: float = 240.0) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, and return what it said."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=limit_s, check=False
    )


def called(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which has everything loaded; what it logs goes to pytest.

    Args:
        arguments: of the command.
        environment: all of it; None: this process's own.
    """
    command, code = ["fl-chain", *arguments], None
    variables = os.environ if environment is None else environment
    with (
        patch.object(sys, "argv", command),
        patch.dict(os.environ, variables, clear=True),
        redirect_stdout(StringIO()) as stdout,
        redirect_stderr(StringIO()) as stderr,
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int | None)
    return subprocess.CompletedProcess(command, code or 0, stdout.getvalue(), stderr.getvalue())
