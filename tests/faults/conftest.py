"""Prints the matrix of actors and blows after the tests."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from trial import CELL, trial


@pytest.fixture(scope="session")
def undisturbed_root(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The final model's root of a run that nobody disturbs."""
    folder: Path = tmp_path_factory.mktemp("undisturbed")
    with trial(folder, {}) as run:
        run.run_to_the_end()
        run.verify(model_root=None)
        return run.model_root()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each actor and blow that the tests of this folder have recorded."""
    cells: dict[str, dict[str, bool]] = defaultdict(dict)
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == CELL:
                    actor, blow = value
                    cells[actor][blow] = cells[actor].get(blow, True) and outcome == "passed"
    if not cells:
        return
    terminalreporter.section("fault matrix")
    for actor in sorted(cells):
        for blow, is_green in cells[actor].items():
            terminalreporter.write_line(f"{actor:<12} {blow:<48} {'ok' if is_green else 'FAILED'}")
    total = sum(len(blows) for blows in cells.values())
    green = sum(is_green for blows in cells.values() for is_green in blows.values())
    terminalreporter.write_line(f"{green} of {total} cells green")
