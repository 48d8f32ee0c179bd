"""Federated, local-only and pooled on the same held-out rows, over several seeds.

All three start from the same first model and train with the same settings for the same number of rounds of
local epochs. Federated: through the ledger, see `examples.federation`. Local-only: each participant by
itself. Pooled: one party that holds everybody's rows. Every model is judged on every participant's own
held-out rows.

Local-only is also given what federated is not: of the rounds that are judged, the one whose model suits
those very held-out rows best; and where a participant has less than 1,000 rows, twice the rounds. Nobody can
know the best one, so this is an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from examples.federation import federated_rounds
from fl_chain.config import RunSettings, TrainingSettings
from fl_chain.learning.participant import LocalLearner, ModelDefinition
from fl_chain.learning.task import OwnerData, Task, joined, n_rows
from fl_chain.learning.training import derive_seed
from fl_chain.policy import run_policy

Values = npt.NDArray[np.float32]
Scores = dict[str, float]
TaskFactory = Callable[[int], Task]
"""From a seed, which may divide the rows anew, to the task."""

FEDERATED, LOCAL, LOCAL_BEST, POOLED = "federated", "local", "local_best", "pooled"
REGIMES = (FEDERATED, LOCAL, LOCAL_BEST, POOLED)

JUDGED_ROUNDS = 10
FEW_ROWS, MORE_ROUNDS = 1000, 2


@dataclass(frozen=True, slots=True)
class Study:
    """What is compared.

    Attributes:
        name: of the example.
        settings: of the run: rounds, training, policy.
        task: from a seed.
        participants: whose rows.
        metric: which decides, of those that the task evaluates.
        higher_is_better: of that metric.
        references: rules that need no training: from a participant's rows to its scores.
    """

    name: str
    settings: RunSettings
    task: TaskFactory
    participants: tuple[str, ...]
    metric: str
    higher_is_better: bool = True
    references: Mapping[str, Callable[[Task, OwnerData], Scores]] = field(default_factory=dict)


@dataclass(slots=True)
class SeedOutcome:
    """One seed's scores: by regime and participant, and the metric's mean over participants by round."""

    scores: dict[str, dict[str, Scores]]
    curves: dict[str, list[float]]
    references: dict[str, dict[str, Scores]]
    model_root: str
    rows: dict[str, tuple[int, int]]
    dimension: int


def run_seed(study: Study, seed: int, progress: Callable[[str], None] | None = None) -> SeedOutcome:
    """Return all regimes' scores for one seed."""
    say = _named(study.name, progress)
    task = _Kept(study.task(seed), study.participants)
    settings = study.settings.model_copy(update={"seed": seed})
    rounds = settings.policy.rounds
    judge = _Judge(study, task, ModelDefinition(task, seed=seed))
    outcome = SeedOutcome(
        scores={},
        curves={},
        references={
            name: {who: rule(task.task, task.data[who]) for who in study.participants}
            for name, rule in study.references.items()
        },
        model_root="",
        rows={who: (n_rows(data.train), n_rows(data.test)) for who, data in task.data.items()},
        dimension=judge.definition.manifest.dimension,
    )

    learners = {
        who: LocalLearner(task, settings.training, owner=who, seed=seed) for who in study.participants
    }
    shown = judged_rounds(rounds)
    by_round = []
    for made in federated_rounds(run_policy(settings), learners):
        if made.round in shown:
            by_round.append(judge.all(made.values))
            say(f"seed {seed}: federated round {made.round} of {rounds}: {judge.mean(by_round[-1]):.4f}")
        outcome.model_root = "0x" + made.model_root.hex()
    outcome.scores[FEDERATED] = by_round[-1]
    outcome.curves[FEDERATED] = [judge.mean(scores) for scores in by_round]

    def trained_on(owners: Sequence[str], last: int = rounds) -> Iterable[Values]:
        made = _trained(judge.definition, task, settings.training, owners, rounds=last, seed=seed)
        return (
            values for number, values in enumerate(made, start=1) if number in shown or number % rounds == 0
        )

    alone = {
        who: [
            judge.one(values, who)
            for values in trained_on([who], rounds * (MORE_ROUNDS if outcome.rows[who][0] < FEW_ROWS else 1))
        ]
        for who in study.participants
    }
    say(f"seed {seed}: every participant alone")
    outcome.scores[LOCAL] = {who: scores[len(shown) - 1] for who, scores in alone.items()}
    outcome.scores[LOCAL_BEST] = {who: judge.best(scores) for who, scores in alone.items()}
    outcome.curves[LOCAL] = [
        judge.mean({who: alone[who][number] for who in alone}) for number in range(len(shown))
    ]

    pooled_by_round = [judge.all(values) for values in trained_on(study.participants)]
    say(f"seed {seed}: everybody's rows pooled")
    outcome.scores[POOLED] = pooled_by_round[-1]
    outcome.curves[POOLED] = [judge.mean(scores) for scores in pooled_by_round]
    return outcome


def _named(name: str, progress: Callable[[str], None] | None) -> Callable[[str], None]:
    return (lambda _: None) if progress is None else (lambda line: progress(f"{name}, {line}"))


def judged_rounds(rounds: int) -> tuple[int, ...]:
    """Return the rounds whose models are judged: about ten, the first and the last among them."""
    return tuple(sorted({round(number) for number in np.linspace(1, rounds, min(rounds, JUDGED_ROUNDS))}))


def run_study(
    study: Study, seeds: Sequence[int], progress: Callable[[str], None] | None = None
) -> list[SeedOutcome]:
    """Return every seed's outcome."""
    return [run_seed(study, seed, progress) for seed in seeds]


def _trained(
    definition: ModelDefinition,
    task: _Kept,
    training: TrainingSettings,
    owners: Sequence[str],
    *,
    rounds: int,
    seed: int,
) -> Iterator[Values]:
    """Yield the model of some owners' rows, without federation, after each round's epochs."""
    rows = joined([task.data[owner].train for owner in owners])
    values = definition.genesis_values()
    for number in range(1, rounds + 1):
        step_seed = derive_seed(seed, number, "+".join(owners))
        values = definition.train(values, rows, training, seed=step_seed).values
        yield values


class _Kept:
    """A task that reads each participant's rows once."""

    def __init__(self, task: Task, participants: Sequence[str]) -> None:
        self.task = task
        self.data = {who: task.load(who, None) for who in participants}
        self.model, self.train, self.evaluate = task.model, task.train, task.evaluate

    def load(self, owner: str, source: str | None) -> OwnerData:
        del source
        return self.data[owner]


class _Judge:
    def __init__(self, study: Study, task: _Kept, definition: ModelDefinition) -> None:
        self.definition = definition
        self._study = study
        self._task = task

    def one(self, values: Values, who: str) -> Scores:
        return self.definition.evaluate(values, self._task.data[who].test)

    def all(self, values: Values) -> dict[str, Scores]:
        return {who: self.one(values, who) for who in self._study.participants}

    def mean(self, scores: Mapping[str, Scores]) -> float:
        return float(np.mean([own[self._study.metric] for own in scores.values()]))

    def best(self, scores: Sequence[Scores]) -> Scores:
        sign = 1 if self._study.higher_is_better else -1
        return max(scores, key=lambda own: sign * own[self._study.metric])
