"""The numbered attacks' modules, and an end to the runs that they keep."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def _runs_are_let_go_of() -> Iterator[None]:
    yield
    from arena import close_templates

    close_templates()
