"""Puts slow files first, and prints the matrix of what was done to whom by the tests under faults/.

The matrix stands here because only this file is read by the process that prints when tests run in several.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

CELL, TALLY = "fault cell", "fault tally"  # as in faults/stage.py


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, so that no process is left with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each actor and disturbance, and what was lost or doubled in all runs."""
    cells: dict[str, dict[str, bool]] = defaultdict(dict)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    runs = ended = 0
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = getattr(report, "user_properties", ())
            found = [value for name, value in properties if name == CELL]
            for actor, disturbance in found:
                cells[actor][disturbance] = cells[actor].get(disturbance, True) and outcome == "passed"
            runs += bool(found)
            for name, value in properties:
                if name == TALLY:
                    ended += 1
                    for what, count in value.items():
                        counts[what].update(count)
    if not cells:
        return
    terminalreporter.section("fault matrix")
    for actor in sorted(cells):
        for disturbance, is_green in cells[actor].items():
            terminalreporter.write_line(f"{actor:<13} {disturbance:<62} {'ok' if is_green else 'FAILED'}")
    total = sum(len(disturbances) for disturbances in cells.values())
    green = sum(is_green for disturbances in cells.values() for is_green in disturbances.values())
    terminalreporter.write_line(f"{green} of {total} cells green, in {runs} runs")
    for what, count in counts.items():
        terminalreporter.write_line(
            f"{what:<13} {count['due']:>4} due, {count['lost']} lost, {count['doubled']} doubled"
        )
    amiss = sum(count["lost"] + count["doubled"] for count in counts.values())
    uncounted = "" if ended == runs else f", and {runs - ended} runs that did not end"
    terminalreporter.write_line(f"lost or doubled submissions, claims and payouts: {amiss}{uncounted}")
