"""A round of ours, with ledger and commitments, and one of Flower's without, by turns."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import mnist_shaped
from benchmarks.flower import FlowerRounds, interpreter, peer_name
from benchmarks.harness import Result, cores, machine
from fl_chain.config import FileTaskSettings, PolicySettings, RunSettings, TrainingSettings
from fl_chain.simulation import Progress, SimulationChoices, open_simulation

TASKS = Path(__file__).with_name("mnist_shaped.py")
TRAINING = TrainingSettings(learning_rate=0.01, local_epochs=1, batch_size=10)
WARM_UP = 2  # rounds: loading, forking, the first blocks


def compared(name: str, kind: str, *, clients: int, rounds: int, installs: bool) -> Result:
    """Return the comparison of two medians, in rounds a second.

    Args:
        name: of the result.
        kind: a task of `benchmarks.mnist_shaped`, which says how many rows each client has.
        clients: that train in every round.
        rounds: that are measured.
        installs: whether Flower's environment may be made.

    Raises:
        ConfigError: if there is no Flower.
    """
    python, rows = interpreter(installs=installs), getattr(mnist_shaped, kind).rows
    with FlowerRounds(python, kind, clients=clients, rows=rows, rounds=WARM_UP + rounds) as flower:
        ours, theirs = round_seconds(kind, clients=clients, rounds=rounds, turn=flower.round)
    our_s, their_s = statistics.median(ours), statistics.median(theirs)
    peer = peer_name(f"simulation, {clients} clients of {rows} rows, no ledger")
    return Result(
        name,
        round(their_s / our_s, 4),
        peer,
        round(1 / our_s, 4),
        round(1 / their_s, 4),
        "rounds/s",
        machine(),
    )


def round_seconds(
    kind: str, *, clients: int, rounds: int, turn: Callable[[], float] = lambda: 0.0
) -> tuple[list[float], list[float]]:
    """Return the seconds of our rounds, and those of what takes turns with them.

    A round of ours goes from the model before it to its own: training, quantising, sealing, submitting,
    closing, publishing, checking and summing, posting, and a look at a row of each client held out.

    Args:
        kind: a task of `benchmarks.mnist_shaped`.
        clients: that train in every round, in as many processes as there are cores.
        rounds: that are measured.
        turn: the other side's round, which returns its seconds.
    """
    run = RunSettings(
        task=FileTaskSettings(path=str(TASKS), factory=kind),
        training=TRAINING,
        policy=PolicySettings(rounds=WARM_UP + rounds, quorum=clients, close_at=clients),
    )
    choices = SimulationChoices(n_participants=clients, ledger="tester", jobs=cores())
    ours: list[float] = []
    theirs: list[float] = []
    started = time.perf_counter()

    def say(progress: Progress) -> None:
        nonlocal started
        if progress.metrics is None:
            return
        ours.append(time.perf_counter() - started)
        theirs.append(turn())
        started = time.perf_counter()

    with (
        tempfile.TemporaryDirectory() as folder,
        open_simulation(Path(folder) / "run", run, choices) as simulation,
    ):
        simulation.run(say)
    return ours[WARM_UP:], theirs[WARM_UP:]
