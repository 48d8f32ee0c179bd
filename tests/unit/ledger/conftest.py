"""A deployed ledger on a chain of this process, with a clock that the tests move."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from deployed_runs import Run, deployed_run


@pytest.fixture
def run() -> Iterator[Run]:
    """A run with three registered participants and its first round open."""
    with deployed_run() as prepared:
        prepared.start()
        yield prepared
