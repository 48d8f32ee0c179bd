"""How much the tests try that could go on for ever: what CI has time for, or, in `make test-long`, more."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("FL_CHAIN_TESTS") == "long"


def budget(usual: int, long: int) -> int:
    """Return how often something is tried: ``usual`` in `make test`, ``long`` in `make test-long`."""
    return long if IS_LONG else usual
