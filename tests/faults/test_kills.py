"""Every process is killed before and after whatever it does to the outside; see the printed matrix.

One run takes many blows: each actor has a list of them in the order of its life, and is started again after
each. A run counts as a whole, so every cell of it says: the process fell there and went on, nothing was lost,
nothing came twice, and the final model is that of the run that nobody disturbed.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from points import both
from trial import AGGREGATOR, CELL, DEVNET, WORKERS, Faults, trial

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

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
        *both("rename updates"),
        *both("broadcast claim"),
        *both("broadcast leave"),
        *both("broadcast withdraw"),
    ],
    WORKERS[2]: both("outbox note"),
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
    DEVNET: [*both("commit"), *both("mine requestBond")],
    WORKERS[0]: both("ledger submit"),
    AGGREGATOR: both("ledger post"),
}

RUNS = {
    "every step": STEPS,
    "every broadcast": BROADCASTS,
    "chain": CHAIN,
    "chain and actors": CHAIN_AND_ACTORS,
}


@pytest.mark.parametrize("faults", RUNS.values(), ids=RUNS.keys())
def test_a_run_survives_being_killed_anywhere(
    tmp_path: Path,
    undisturbed_root: bytes,
    record_property: Callable[[str, object], None],
    faults: Faults,
) -> None:
    for actor, points in faults.items():
        for point in points:
            record_property(CELL, (actor, str(point)))
    with trial(tmp_path, faults) as run:
        run.run_to_the_end()
        run.verify(model_root=undisturbed_root)


def test_the_matrix_has_every_actor_and_both_sides_of_each_blow() -> None:
    cells = {
        (actor, point) for faults in RUNS.values() for actor, points in faults.items() for point in points
    }
    assert len(cells) >= 80
    for actor in (*WORKERS, AGGREGATOR, DEVNET):
        calls = {point.call for who, point in cells if who == actor}
        assert calls
        assert {point for who, point in cells if who == actor} == {p for call in calls for p in both(call)}
