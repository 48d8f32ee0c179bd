"""The node is killed before and after whatever it takes and writes, alone and with those who ask it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from disturbances import AGGREGATOR, DEVNET, WORKERS, Disturbances, Faults
from points import FaultPoint, both
from stage import verify_survival

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CHAIN: Faults = {
    DEVNET: [
        *both("mine register"),
        *both("mine openRound"),
        *both("mine submit"),
        *both("mine depositBond"),
        *both("mine post"),
        *both("mine finalize"),
        *both("mine claim"),
        *both("mine leave"),
        *both("mine withdraw"),
    ],
}

CHAIN_AND_ACTORS: Faults = {
    DEVNET: [FaultPoint("commit", kind="full disk"), *both("commit"), *both("mine requestBond")],
    WORKERS[0]: both("ledger submit"),
    AGGREGATOR: both("ledger post"),
}

# Away for longer than the deadlines of submission, of the named aggregator, and of any posting.
LONG_AWAY: Faults = {
    DEVNET: [
        FaultPoint("mine submit", "after", down_s=150),
        FaultPoint("mine post", "before", down_s=150),
        FaultPoint("mine post", "after", down_s=300),
        FaultPoint("mine submit", "before", down_s=150),
        FaultPoint("mine post", "before", down_s=300),
        FaultPoint("mine claim", "after", down_s=1000),
    ],
}

RUNS = {"chain": CHAIN, "chain and actors": CHAIN_AND_ACTORS, "away for longer than deadlines": LONG_AWAY}


@pytest.mark.parametrize("faults", RUNS.values(), ids=RUNS.keys())
def test_a_run_survives_a_node_that_is_killed_anywhere(
    tmp_path: Path, undisturbed_root: bytes, record_property: Callable[[str, object], None], faults: Faults
) -> None:
    verify_survival(tmp_path, Disturbances(faults), undisturbed_root, record_property)
