"""torch's own datasets, as tasks in a Python file return them: the same model as from rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from fl_chain.config import TrainingSettings
from fl_chain.errors import InputDataError
from fl_chain.learning.definition import ModelDefinition
from fl_chain.learning.loading import load_task_file
from fl_chain.learning.participant import Comparison, LocalLearner
from fl_chain.learning.task import Examples, OwnerData, Rows, class_labels, joined, n_rows, selected
from fl_chain.learning.training import train_sgd

OWN_MODEL_AND_DATASET = """
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from fl_chain.learning.task import OwnerData
from fl_chain.learning.training import train_sgd


class Squares(Dataset):
    def __init__(self, first, last):
        self.numbers = range(first, last)

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, position):
        x = self.numbers[position] / 20
        return torch.tensor([x]), torch.tensor([x * x])


class Curve(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, inputs):
        return self.layers(inputs)


class Task:
    def model(self, seed):
        return Curve()

    def load(self, owner, source):
        first = {"left": -20, "right": 0}[owner]
        return OwnerData(Squares(first, first + 20), Squares(first, first + 20))

    def train(self, model, examples, settings, seed):
        return train_sgd(model, examples, nn.functional.mse_loss, settings, seed=seed)

    def evaluate(self, model, examples):
        with torch.no_grad():
            losses = [nn.functional.mse_loss(model(x), y).item() for x, y in DataLoader(examples)]
        return {"mse": sum(losses) / len(losses)}
"""


class Pairs(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.examples.inputs[row], self.examples.targets[row]


def examples() -> Examples:
    inputs = torch.linspace(-1, 1, 33)[:, None]
    return Examples(inputs, 3 * inputs)


def test_a_dataset_and_the_same_rows_in_memory_give_the_same_bytes() -> None:
    models = []
    for rows in (examples(), Pairs(examples())):
        torch.manual_seed(0)
        model = nn.Linear(1, 1)
        loss = train_sgd(
            model, rows, nn.functional.mse_loss, TrainingSettings(local_epochs=2, batch_size=8), seed=3
        )
        models.append((loss, model.weight.detach().numpy().tobytes(), model.bias.detach().numpy().tobytes()))
    assert models[0] == models[1]


def test_a_task_of_ones_own_with_module_and_dataset(tmp_path: Path) -> None:
    path = tmp_path / "my_task.py"
    path.write_text(OWN_MODEL_AND_DATASET)
    task = load_task_file(path, "Task")
    training = TrainingSettings(local_epochs=20, learning_rate=0.1, batch_size=4)
    learner = LocalLearner(task, training, owner="left", seed=1)
    start = learner.genesis_values()
    update = learner.train(start, round_id=1)
    assert update.n_examples == learner.n_examples == 20
    assert learner.evaluate(update.values)["mse"] < 0.5 * learner.evaluate(start)["mse"]
    assert np.array_equal(learner.train(start, round_id=1).values, update.values)
    comparison = Comparison(task, training, owners=["left", "right"], seed=1)
    assert comparison.evaluate(comparison.train_alone(["left", "right"], rounds=1))["mse"] < 0.1


class Line:
    """One weight and a bias, learnt from whatever rows it is given."""

    def model(self, seed: int) -> nn.Module:
        return nn.Linear(1, 1)

    def load(self, owner: str, source: str | None) -> OwnerData:
        raise NotImplementedError

    def train(self, model: nn.Module, examples: Rows, settings: TrainingSettings, seed: int) -> float:
        return train_sgd(model, examples, nn.functional.mse_loss, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Rows) -> dict[str, float]:
        raise NotImplementedError


@pytest.mark.parametrize(
    "algorithm", [{"algorithm": "fedprox", "proximal_mu": 0.5}, {"algorithm": "scaffold"}], ids=str
)
def test_an_algorithm_gives_the_same_bytes_from_a_dataset_as_from_memory(
    algorithm: dict[str, object],
) -> None:
    training = TrainingSettings.model_validate({"local_epochs": 2, "batch_size": 8, **algorithm})
    definition = ModelDefinition(Line(), seed=1, training=training)
    base = definition.genesis_values()
    made = [definition.train(base, rows, training, seed=3) for rows in (examples(), Pairs(examples()))]

    assert made[0].n_examples == made[1].n_examples == 33
    assert np.array_equal(made[0].values, made[1].values)
    plain = definition.train(base, examples(), TrainingSettings(local_epochs=2, batch_size=8), seed=3)
    assert algorithm["algorithm"] == "scaffold" or not np.array_equal(plain.values, made[0].values)


def test_rows_are_selected_and_have_classes_in_memory_and_in_a_dataset() -> None:
    rows = Examples(torch.arange(4.0)[:, None], torch.tensor([0, 1, 1, 2]))
    for given in (rows, Pairs(rows)):
        chosen = selected(given, np.array([3, 1]))
        assert n_rows(chosen) == 2
        labels = class_labels(chosen)
        assert labels is not None
        assert labels.tolist() == [2, 1]
    for without in (examples(), Pairs(examples())):
        assert class_labels(without) is None


def test_rows_are_joined_in_one_way() -> None:
    assert n_rows(joined([examples(), examples()])) == 66
    assert n_rows(joined([Pairs(examples()), Pairs(examples())])) == 66
    with pytest.raises(InputDataError, match="all in one way"):
        joined([examples(), Pairs(examples())])


def test_a_dataset_that_does_not_know_its_size_is_refused() -> None:
    class Stream(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(3))

    with pytest.raises(InputDataError, match="__len__"):
        n_rows(Stream())
