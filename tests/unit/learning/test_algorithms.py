"""Each algorithm against a plain implementation of its paper, in NumPy and float64, on least squares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from fl_chain.config import TrainingSettings
from fl_chain.errors import UnsupportedModel
from fl_chain.learning.participant import ModelDefinition
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd
from fl_chain.learning.work import RoundWork

Vector = npt.NDArray[np.float64]
FEATURES, ROWS, RATE, EPOCHS, BATCH = 4, 20, 0.05, 3, 8
SETTINGS = {"learning_rate": RATE, "local_epochs": EPOCHS, "batch_size": BATCH}


class Regression:
    """Least squares by a linear layer without a bias, so that the vector is its weights."""

    def model(self, seed: int) -> nn.Module:
        layer = nn.Linear(FEATURES, 1, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    def load(self, owner: str, source: str | None) -> OwnerData:
        raise NotImplementedError

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        return train_sgd(model, examples, nn.functional.mse_loss, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        with torch.no_grad():
            return {"loss": float(nn.functional.mse_loss(model(examples.inputs), examples.targets))}


class OwnLoop(Regression):
    """As `Regression`, with a loop of its own that knows nothing of algorithms or limits."""

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=settings.learning_rate)
        for _ in range(settings.local_epochs):
            for rows in torch.split(torch.randperm(ROWS, generator=generator), settings.batch_size):
                optimizer.zero_grad()
                nn.functional.mse_loss(model(examples.inputs[rows]), examples.targets[rows]).backward()
                optimizer.step()
        return 0.0


def rows_of(client: int) -> Examples:
    rng = np.random.default_rng(client)
    inputs = rng.standard_normal((ROWS, FEATURES)).astype(np.float32)
    truth = rng.standard_normal((FEATURES, 1)).astype(np.float32)
    noise = rng.standard_normal((ROWS, 1)).astype(np.float32)
    return Examples(torch.from_numpy(inputs), torch.from_numpy(inputs @ truth + 0.1 * noise))


def batches(seed: int) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each step, as `train_sgd` draws them."""
    generator = torch.Generator().manual_seed(seed)
    return [
        rows.numpy()
        for _ in range(EPOCHS)
        for rows in torch.split(torch.randperm(ROWS, generator=generator), BATCH)
    ]


def gradient(weights: Vector, examples: Examples, rows: npt.NDArray[np.int64]) -> Vector:
    inputs, targets = examples.inputs.numpy()[rows], examples.targets.numpy()[rows, 0]
    residual = inputs.astype(np.float64) @ weights - targets
    return 2 * inputs.T.astype(np.float64) @ residual / len(rows)


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.model_validate({**SETTINGS, **changes})


def definition(training: TrainingSettings, task: Regression | None = None) -> ModelDefinition:
    return ModelDefinition(task or Regression(), seed=0, training=training)


@pytest.mark.parametrize("task", [Regression(), OwnLoop()])
def test_fedprox_is_its_paper_on_a_small_problem(task: Regression) -> None:
    training, mu = settings(algorithm="fedprox", proximal_mu=0.7), 0.7
    base = np.array([0.5, -1.0, 0.25, 2.0], dtype=np.float32)

    update = definition(training, task).train(base, rows_of(1), training, seed=11)

    weights = base.astype(np.float64)
    for rows in batches(11):
        weights = weights - RATE * (gradient(weights, rows_of(1), rows) + mu * (weights - base))
    np.testing.assert_allclose(update.values, weights, atol=2e-6)
    plain = definition(settings()).train(base, rows_of(1), settings(), seed=11).values
    assert np.linalg.norm(update.values - base) < np.linalg.norm(plain - base)


def reference_scaffold(clients: list[int], rounds: int) -> tuple[Vector, Vector, dict[int, Vector]]:
    """Algorithm 1 with option II, global step 1, full participation (Karimireddy et al. 2020)."""
    x, c = np.zeros(FEATURES), np.zeros(FEATURES)
    own = {client: np.zeros(FEATURES) for client in clients}
    for number in range(rounds):
        model_changes, control_changes = [], []
        for client in clients:
            y = x.copy()
            steps = batches(100 * number + client)
            for rows in steps:
                y = y - RATE * (gradient(y, rows_of(client), rows) - own[client] + c)
            new = own[client] - c + (x - y) / (len(steps) * RATE)
            model_changes.append(y - x)
            control_changes.append(new - own[client])
            own[client] = new
        x = x + np.mean(model_changes, axis=0)
        c = c + np.mean(control_changes, axis=0)
    return x, c, own


@pytest.mark.parametrize("task", [Regression(), OwnLoop()])
def test_scaffold_is_its_paper_with_equal_weights_and_everybody_in_it(task: Regression) -> None:
    training, clients = settings(algorithm="scaffold"), [1, 2, 3]
    model = definition(training, task)
    values, kept = model.genesis_values(), dict.fromkeys(clients)
    for number in range(4):
        updates = {
            client: model.train(
                values,
                rows_of(client),
                training,
                seed=100 * number + client,
                work=RoundWork(kept=kept[client]),
            )
            for client in clients
        }
        values = values + np.mean([u.values - values for u in updates.values()], axis=0, dtype=np.float32)
        kept = {client: update.kept for client, update in updates.items()}

    x, c, own = reference_scaffold(clients, 4)
    assert [tensor.name for tensor in model.manifest.tensors] == ["control/weight", "weight"]
    np.testing.assert_allclose(values, np.concatenate([c, x]), atol=2e-5)
    for client in clients:
        np.testing.assert_allclose(kept[client], own[client], atol=2e-5)
    np.testing.assert_allclose(c, np.mean(list(own.values()), axis=0), atol=1e-12)  # the paper's invariant


def test_with_a_cohort_scaffold_scales_the_control_variate_as_the_paper_does() -> None:
    """``c + |S| / N * mean``: the mean over the cohort that the ledger takes gets the factor beforehand."""
    training = settings(algorithm="scaffold")
    model = definition(training)
    base = model.genesis_values()
    whole = model.train(base, rows_of(1), training, seed=1)
    quarter = model.train(base, rows_of(1), training, seed=1, work=RoundWork(participation=0.25))

    assert whole.values[FEATURES:].tobytes() == quarter.values[FEATURES:].tobytes()  # the model
    np.testing.assert_allclose(quarter.values[:FEATURES], whole.values[:FEATURES] / 4, rtol=1e-6)
    assert whole.kept is not None
    assert quarter.kept is not None
    assert whole.kept.tobytes() == quarter.kept.tobytes()


@pytest.mark.parametrize("changes", [{"algorithm": "fedprox", "proximal_mu": 0.1}, {"algorithm": "scaffold"}])
def test_the_same_seed_gives_the_same_bytes(changes: dict[str, object]) -> None:
    training = settings(**changes)
    base = definition(training).genesis_values()
    first, second = (definition(training).train(base, rows_of(2), training, seed=3) for _ in range(2))
    assert first.values.tobytes() == second.values.tobytes()
    other = definition(training).train(base, rows_of(2), training, seed=4)
    assert other.values.tobytes() != first.values.tobytes()


@pytest.mark.parametrize("task", [Regression(), OwnLoop()])
@pytest.mark.parametrize(("time_s", "steps"), [(0.0, 1), (3.9, 3), (4.0, 4), (8.9, 8), (9.0, 9), (99.0, 9)])
def test_training_stops_where_another_batch_would_not_end_in_time(
    task: Regression, time_s: float, steps: int
) -> None:
    """A step takes a second by this clock; a batch in any case."""
    ticks = iter(range(100))
    work = RoundWork(time_s=time_s, clock=lambda: float(next(ticks)))
    base = np.zeros(FEATURES, dtype=np.float32)

    update = definition(settings(), task).train(base, rows_of(1), settings(), seed=5, work=work)

    weights = base.astype(np.float64)
    for rows in batches(5)[:steps]:
        weights = weights - RATE * gradient(weights, rows_of(1), rows)
    np.testing.assert_allclose(update.values, weights, atol=2e-6)
    assert update.n_examples == min(ROWS, steps * BATCH)


def test_a_task_without_an_optimiser_is_refused_where_its_steps_have_to_be_reached() -> None:
    class Closed(Regression):
        def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
            return 0.0

    base = np.zeros(FEATURES, dtype=np.float32)
    definition(settings(), Closed()).train(base, rows_of(1), settings(), seed=0)
    with pytest.raises(UnsupportedModel, match="optimiser"):
        definition(settings(), Closed()).train(
            base, rows_of(1), settings(), seed=0, work=RoundWork(time_s=1.0)
        )


def test_nothing_of_an_algorithm_is_left_behind_when_training_fails() -> None:
    class Failing(Regression):
        def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
            super().train(model, examples, settings, seed)
            raise RuntimeError("on the way")

    training, base = settings(algorithm="fedprox", proximal_mu=5.0), np.ones(FEATURES, dtype=np.float32)
    with pytest.raises(RuntimeError, match="on the way"):
        definition(training, Failing()).train(base, rows_of(1), training, seed=0)
    plain = definition(settings()).train(base, rows_of(1), settings(), seed=11).values
    weights = base.astype(np.float64)
    for rows in batches(11):
        weights = weights - RATE * gradient(weights, rows_of(1), rows)
    np.testing.assert_allclose(plain, weights, atol=2e-6)


def test_a_parameter_under_the_control_prefix_is_refused() -> None:
    class Odd(Regression):
        def model(self, seed: int) -> nn.Module:
            module = nn.Module()
            module.register_parameter("control/x", nn.Parameter(torch.zeros(2)))
            return module

    with pytest.raises(UnsupportedModel, match="control"):
        definition(settings(algorithm="scaffold"), Odd())


def test_the_control_variate_of_a_name_beyond_the_prefix_stands_in_between() -> None:
    class Two(Regression):
        def model(self, seed: int) -> nn.Module:
            return nn.ModuleDict({"a": nn.Linear(2, 1, bias=False), "z": nn.Linear(3, 1, bias=False)})

    model = definition(settings(algorithm="scaffold"), Two())
    names = [tensor.name for tensor in model.manifest.tensors]
    assert names == ["a.weight", "control/a.weight", "control/z.weight", "z.weight"]
    layout = model._layout
    vector = np.arange(10, dtype=np.float32)
    shared, control = layout.split(vector)
    assert shared.tolist() == [0, 1, 7, 8, 9]
    assert control is not None
    assert control.tolist() == [2, 3, 4, 5, 6]
    assert layout.joined(shared, control).tolist() == vector.tolist()
