"""The worked jobs by name: where their settings stand, what decides, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.study import Study
from fl_chain.config import RunSettings, TableTaskSettings, load_settings
from fl_chain.errors import ConfigError
from fl_chain.learning import build_task
from fl_chain.learning.loading import load_task_file
from fl_chain.learning.task import OwnerData, Task

ROOT = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Entry:
    """A study that can be run by name.

    Attributes:
        folder: below ``examples``; its settings are NAME.toml there.
        metric: which decides.
        higher_is_better: of that metric.
        seeds: how many the page is made of.
        references: names of the task's methods that judge a rule without training.
    """

    folder: str
    metric: str
    seeds: int = 3
    higher_is_better: bool = True
    references: tuple[str, ...] = ()


_BASKETS = ("most_popular", "own_most_frequent")

STUDIES: Mapping[str, Entry] = {
    "purchase_intention": Entry("purchase_intention", "average_precision", seeds=5),
    "shill_bidding": Entry("fraud", "average_precision"),
    "payment_risk": Entry("fraud", "average_precision"),
    "baskets_by_country": Entry("recommendation", "ndcg_at_10", references=_BASKETS),
    "baskets_by_group": Entry("recommendation", "ndcg_at_10", references=_BASKETS),
    "demand": Entry(
        "demand",
        "wape",
        higher_is_better=False,
        references=("seasonal_naive", "moving_average", "nothing"),
    ),
}


def load_study(name: str) -> Study:
    """Return a study by name.

    Raises:
        ConfigError: if there is none.
        InputDataError: if its data are not on this machine.
    """
    if name not in STUDIES:
        raise ConfigError(f"there is no example {name!r}; there are {', '.join(STUDIES)}")
    entry = STUDIES[name]
    settings = load_settings(ROOT / entry.folder / f"{name}.toml").run
    factory, participants = _task(settings)
    return Study(
        name=name.replace("_", " "),
        settings=settings,
        task=factory,
        participants=participants,
        metric=entry.metric,
        higher_is_better=entry.higher_is_better,
        references={rule.replace("_", " "): _reference(rule) for rule in entry.references},
    )


def _task(settings: RunSettings) -> tuple[Callable[[int], Task], tuple[str, ...]]:
    if isinstance(settings.task, TableTaskSettings):
        table = settings.task
        built: Any = build_task(table, settings.model)
        owners = built.owners(None)
        return lambda seed: build_task(table.model_copy(update={"split_seed": seed}), settings.model), owners
    if settings.task is None:
        raise ConfigError("the settings name no task")
    task: Any = load_task_file(ROOT.parent / settings.task.path, settings.task.factory)

    def factory(seed: int) -> Task:
        if hasattr(task, "split_seed"):  # rows that are split in time are split in one way only
            task.split_seed = seed
        return task  # type: ignore[no-any-return]

    return factory, task.participants


def _reference(rule: str) -> Callable[[Task, OwnerData], dict[str, float]]:
    return lambda task, data: getattr(task, rule)(data)  # type: ignore[no-any-return]
