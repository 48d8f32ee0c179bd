"""How long the state machine of the two ledgers runs.

A fixed number of runs, the same each time; or ``FL_CHAIN_ORACLE_RUNS`` runs, other ones each time, whose
failures are shrunk: give pytest ``--timeout 0`` with it.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

FIXED_RUNS = 25
RULES_PER_RUN = 50


@pytest.fixture(scope="session")
def oracle_settings() -> settings:
    """The state machine's settings."""
    runs = os.environ.get("FL_CHAIN_ORACLE_RUNS")
    return settings(
        max_examples=int(runs or FIXED_RUNS),
        stateful_step_count=RULES_PER_RUN,
        derandomize=runs is None,
        phases=(Phase.generate,) if runs is None else (Phase.generate, Phase.shrink),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
