"""Rounds of ours, with ledger and commitments, and of Flower's without, by turns."""

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
WARM_UP = 1  # turns: loading, forking, the first blocks


def compared(name: str, kind: str, *, clients: int, turns: int, rounds: int, installs: bool) -> Result:
    """Return the comparison of two medians, in rounds a second.

    Args:
        name: of the result.
        kind: a task of `benchmarks.mnist_shaped`, which says how many rows each client has.
        clients: that train in every round.
        turns: that are measured.
        rounds: of each turn.
        installs: whether Flower's environment may be made.

    Raises:
        ConfigError: if there is no Flower.
    """
    python, rows = interpreter(installs=installs), getattr(mnist_shaped, kind).rows
    count = (WARM_UP + turns) * rounds
    with FlowerRounds(python, kind, clients=clients, rows=rows, rounds=count) as flower:
        ours, theirs = round_seconds(kind, clients=clients, turns=turns, rounds=rounds, other=flower.round)
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
    kind: str, *, clients: int, turns: int, rounds: int, other: Callable[[], float] = lambda: 0.0
) -> tuple[list[float], list[float]]:
    """Return the seconds of a round of ours in each turn, and of what takes turns with it.

    A round of ours goes from the model before it to its own: training, quantising, sealing, submitting,
    closing, publishing, checking and summing, posting, and a look at a row of each client held out. The chain
    is executed beside the rounds that follow; a turn ends when the chain holds all of its rounds, so all of
    its work counts, and none of it lies beside the other side's.

    Args:
        kind: a task of `benchmarks.mnist_shaped`.
        clients: that train in every round, in as many processes as there are cores.
        turns: that are measured.
        rounds: of each turn, whose mean counts.
        other: the other side's round, which returns its seconds.
    """
    run = RunSettings(
        task=FileTaskSettings(path=str(TASKS), factory=kind),
        training=TRAINING,
        policy=PolicySettings(rounds=(WARM_UP + turns) * rounds, quorum=clients, close_at=clients),
    )
    choices = SimulationChoices(n_participants=clients, ledger="tester", jobs=cores())
    ours: list[float] = []
    theirs: list[float] = []

    with (
        tempfile.TemporaryDirectory() as folder,
        open_simulation(Path(folder) / "run", run, choices) as simulation,
    ):
        started = time.perf_counter()

        def say(progress: Progress) -> None:
            nonlocal started
            if progress.metrics is None or progress.round % rounds:
                return
            simulation.await_chain()
            ours.append((time.perf_counter() - started) / rounds)
            theirs.append(statistics.mean(other() for _ in range(rounds)))
            started = time.perf_counter()

        simulation.run(say)
    return ours[WARM_UP:], theirs[WARM_UP:]
