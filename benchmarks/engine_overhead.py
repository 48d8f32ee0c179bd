"""What the simulation's engine adds to one client's work, and what Flower's adds."""

from __future__ import annotations

import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from benchmarks import mnist_shaped
from benchmarks.federated_round import TASKS, TRAINING
from benchmarks.flower import FlowerRounds, interpreter, peer_name
from benchmarks.harness import Result, cores, interleaved_medians, machine
from fl_chain.aggregation.quantise import committed_update
from fl_chain.commitment.native import kernels
from fl_chain.config import FileTaskSettings, PolicySettings, RunSettings
from fl_chain.learning import ModelDefinition
from fl_chain.run.updates import sealed_update
from fl_chain.simulation import Simulation, SimulationChoices, open_simulation
from fl_chain.simulation.crew import Pool
from fl_chain.simulation.trainer import Job, participant_secret

KIND = "OneBatchCnn"


def overhead(name: str, *, clients: int, rounds: int, installs: bool) -> Result:
    """Return the milliseconds that a client costs beside its own work, with one batch of the CNN.

    Args:
        name: of the result.
        clients: that train in every round.
        rounds: that are measured.
        installs: whether Flower's environment may be made.

    Raises:
        ConfigError: if there is no Flower.
    """
    python, rows = interpreter(installs=installs), mnist_shaped.OneBatchCnn.rows
    ours_s, training_s = engine_seconds(clients=clients, rounds=rounds)
    with FlowerRounds(python, KIND, clients=clients, rows=rows, rounds=1 + rounds) as flower:
        flower.round()
        round_s = statistics.median(flower.round() for _ in range(rounds))
    ours = 1e3 * ours_s
    theirs = 1e3 * (round_s - training_s * clients / cores()) / clients
    peer = peer_name("simulation, all of a round but training")
    return Result(
        name, round(theirs / ours, 4), peer, round(ours, 4), round(theirs, 4), "ms a client", machine()
    )


def engine_seconds(*, clients: int, rounds: int) -> tuple[float, float]:
    """Return what the engine adds to a client, and how long its training takes, in seconds.

    A process of the simulation's pool trains all of them; another one like it trains, quantises and seals the
    same without an engine.
    """
    run = RunSettings(
        task=FileTaskSettings(path=str(TASKS), factory=KIND),
        training=TRAINING,
        policy=PolicySettings(rounds=1, quorum=clients, close_at=clients),
    )
    choices = SimulationChoices(n_participants=clients, ledger="memory", jobs=2)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_simulation(Path(folder) / "run", run, choices) as simulation,
    ):
        bare = _Bare(simulation)
        pool = Pool(simulation.ground, 1)
        try:
            with ProcessPoolExecutor(1, get_context("fork"), _begin, (bare,)) as apart:
                engine_s, bare_s, training_s = interleaved_medians(
                    [
                        lambda: list(pool.train(bare.next_jobs())),
                        lambda: apart.submit(_work).result(),
                        lambda: apart.submit(_train).result(),
                    ],
                    rounds,
                )
        finally:
            pool.close()
    return (engine_s - bare_s) / clients, training_s / clients


class _Bare:
    """The same clients' work without an engine."""

    def __init__(self, simulation: Simulation) -> None:
        kernels()  # as whoever trains in a simulation has them
        ground = simulation.ground
        self._policy, self._run = ground.policy, ground.run
        self._definition = ModelDefinition(ground.shares.task, seed=0, training=TRAINING)
        self._base = self._definition.genesis_values()
        self._rows = [ground.shares.of(name).train for name in ground.shares.names]
        root = simulation.ledger.definition().genesis_model_root
        self.jobs = [
            Job(who, name, 1, 1, root, weight_cap=10, participation=1.0, kept=None)
            for who, name in simulation.names.items()
        ]

    def next_jobs(self) -> list[Job]:
        """Return the jobs of another round, whose updates are new files."""
        self.jobs = [replace(job, round=job.round + 1) for job in self.jobs]
        return self.jobs

    def train(self) -> None:
        """Train everybody."""
        for rows in self._rows:
            self._definition.train(self._base, rows, TRAINING, seed=7)

    def work(self) -> None:
        """Train, quantise and seal for everybody."""
        for job, rows in zip(self.jobs, self._rows, strict=True):
            values = self._definition.train(self._base, rows, TRAINING, seed=7).values
            quantisation, who = self._policy.ledger.quantisation, job.participant
            lanes, root = committed_update(values, self._base, job.weight_cap, quantisation)
            secret, base_root = participant_secret(self._policy.seed, job.name), job.base_model_root
            sealed_update(lanes, root, job.weight_cap, 1, base_root, secret, run=self._run, identity=who)


_bare: list[_Bare] = []  # of the process that works without an engine


def _begin(bare: _Bare) -> None:
    _bare.append(bare)


def _work() -> None:
    _bare[-1].work()


def _train() -> None:
    _bare[-1].train()
