"""Workers and aggregator are killed before and after whatever they do to the outside; see the printed matrix.

One run takes many blows: each actor has a list of them in the order of its life, and is started again after
each. A run counts as a whole, so every cell of it says: the process fell there and went on, nothing was lost,
nothing came twice, and the final model is that of the run that nobody disturbed.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from disturbances import AGGREGATOR, WORKERS, Disturbances, Faults
from points import both
from stage import verify_survival

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS: Faults = {
    WORKERS[0]: [
        *both("ledger register"),
        *both("store read_model"),
        *both("train"),
        *both("outbox save"),
        *both("ledger submit"),
        *both("store write_update"),
        *both("store read_update"),
        *both("ledger claim"),
        *both("ledger leave"),
        *both("ledger withdraw"),
    ],
    WORKERS[1]: [
        *both("broadcast register"),
        *both("broadcast submit"),
        *both("rename outbox update"),
        *both("rename updates"),
        *both("broadcast claim"),
        *both("broadcast leave"),
        *both("broadcast withdraw"),
    ],
    WORKERS[2]: [*both("outbox note"), *both("rename outbox note")],
    AGGREGATOR: [
        *both("ledger open_round"),
        *both("store has_update"),
        *both("store read_update"),
        *both("store write_sum"),
        *both("store write_model"),
        *both("ledger deposit_bond"),
        *both("ledger post"),
        *both("ledger finalize"),
        *both("ledger request_bond"),
        *both("ledger withdraw"),
    ],
}

BROADCASTS: Faults = {
    AGGREGATOR: [
        *both("outbox note"),
        *both("broadcast openRound"),
        *both("rename sums"),
        *both("rename models"),
        *both("broadcast depositBond"),
        *both("broadcast post"),
        *both("broadcast finalize"),
        *both("broadcast requestBond"),
        *both("broadcast withdraw"),
    ],
}

RUNS = {"every step": STEPS, "every broadcast": BROADCASTS}


@pytest.mark.parametrize("faults", RUNS.values(), ids=RUNS.keys())
def test_a_run_survives_actors_that_are_killed_anywhere(
    tmp_path: Path, undisturbed_root: bytes, record_property: Callable[[str, object], None], faults: Faults
) -> None:
    verify_survival(tmp_path, Disturbances(faults), undisturbed_root, record_property)


def test_every_blow_falls_before_and_after() -> None:
    cells = {
        (actor, point) for faults in RUNS.values() for actor, points in faults.items() for point in points
    }
    assert len(cells) >= 70
    assert {actor for actor, _ in cells} == {*WORKERS, AGGREGATOR}
    for actor, point in cells:
        assert all((actor, other) in cells for other in both(point.call))
