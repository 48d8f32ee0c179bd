"""DP-SGD: what one row or one customer can change at most, and that nothing else trains beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fl_chain.config import RowPrivacySettings, TrainingSettings
from fl_chain.errors import InputDataError, NonFiniteValue, UnsupportedModel
from fl_chain.learning.definition import ModelDefinition
from fl_chain.learning.private import PrivateTraining
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd
from fl_chain.learning.work import PrivateWork, RoundWork
from fl_chain.privacy.noise import SecretStream

KEY = bytes(range(32))
LOSS = nn.functional.mse_loss
RATE = 0.5


class LineTask:
    """Two inputs, one output; rows are given."""

    def __init__(self, layers: Callable[[], nn.Module] = lambda: nn.Linear(2, 1)) -> None:
        self.layers = layers

    def model(self, seed: int) -> nn.Module:
        return self.layers()

    def load(self, owner: str, source: str | None) -> OwnerData:
        raise AssertionError("rows are given")

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        return train_sgd(model, examples, LOSS, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        return {}


def rows(count: int = 40, groups: torch.Tensor | None = None) -> Examples:
    inputs = torch.from_numpy(np.random.Generator(np.random.PCG64(3)).normal(size=(count, 2))).float()
    return Examples(inputs, inputs.sum(1, keepdim=True) + 5, groups)


def trained(
    privacy: RowPrivacySettings,
    examples: Examples,
    *,
    key: bytes = KEY,
    task: LineTask | None = None,
    training: TrainingSettings | None = None,
    base: np.ndarray | None = None,
) -> np.ndarray:
    training = training or TrainingSettings(learning_rate=RATE)
    definition = ModelDefinition(task or LineTask(), seed=0, training=training)
    base = np.zeros(definition.manifest.dimension, dtype=np.float32) if base is None else base
    work = RoundWork(private=PrivateWork(privacy, key))
    return definition.train(base, examples, training, seed=1, work=work).values


def in_order(values: np.ndarray) -> np.ndarray:
    """Return a model's weights and then its bias, which comes first in a vector."""
    return values[[1, 2, 0]]


def one_step(**changes: object) -> RowPrivacySettings:
    return RowPrivacySettings(**{"steps": 1, "sampling_rate": 1.0, **changes})


def noise_of_one_step(privacy: RowPrivacySettings, units: int, dimension: int = 3) -> np.ndarray:
    """Draw what the step drew, in the order of the parameters: two weights, one bias."""
    stream = SecretStream(KEY)
    stream.sampled(units, privacy.sampling_rate)
    parts = [stream.normal(2), stream.normal(1)] if dimension == 3 else [stream.normal(dimension)]
    return privacy.noise_multiplier * privacy.max_grad_norm * np.concatenate(parts)


def clipped_sum(examples: Examples, norm: float, groups: np.ndarray | None = None) -> np.ndarray:
    """Return the sum of clipped gradients at zero, by hand: of rows, or of groups."""
    x, y = examples.inputs.double().numpy(), examples.targets.double().numpy()
    gradients = np.concatenate([-2 * y * x, -2 * y], axis=1)
    if groups is not None:
        gradients = np.stack([gradients[groups == group].sum(0) for group in np.unique(groups)])
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    return (gradients * np.minimum(1, norm / (lengths + 1e-6))).sum(0)


def test_one_step_is_the_clipped_sum_with_the_keys_noise() -> None:
    privacy, examples = one_step(noise_multiplier=0.7, max_grad_norm=2.0), rows()
    expected = -RATE * (clipped_sum(examples, 2.0) + noise_of_one_step(privacy, 40)) / 40
    assert in_order(trained(privacy, examples)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_group_is_clipped_as_one() -> None:
    groups = np.arange(40) % 7
    privacy = one_step(unit="group", max_grad_norm=3.0)
    examples = rows(groups=torch.from_numpy(groups))
    expected = -RATE * (clipped_sum(examples, 3.0, groups) + noise_of_one_step(privacy, 7)) / 7
    assert in_order(trained(privacy, examples)) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_all_rows_of_a_customer_change_a_sum_by_the_norm_at_most(scale: float) -> None:
    """The sensitivity that the noise is made for, for a customer of one row and of thirty."""
    groups = torch.tensor([0] * 30 + [1 + number for number in range(10)])
    privacy, examples = one_step(unit="group", max_grad_norm=1.5), rows(groups=groups)
    changed = Examples(examples.inputs.clone(), examples.targets.clone(), groups)
    changed.targets[:30] *= -scale
    difference = trained(privacy, examples) - trained(privacy, changed)
    assert 0.1 < np.linalg.norm(difference) * 11 / RATE <= 2 * 1.5 + 1e-3


def test_groups_are_drawn_as_a_whole() -> None:
    groups = torch.tensor([0] * 20 + [1] * 20)
    privacy = one_step(unit="group", sampling_rate=0.5, noise_multiplier=0.3, max_grad_norm=1e-6)
    seen = set()
    for number in range(24):
        key = bytes([number]) * 32
        drawn = SecretStream(key).sampled(2, 0.5)
        value = trained(privacy, rows(groups=groups), key=key)
        seen.add(tuple(drawn))
        assert np.abs(value).max() < 1e-5
    assert len(seen) == 4  # nobody at all among them: noise alone is a step too


def test_same_key_same_bytes_and_another_key_others() -> None:
    privacy = RowPrivacySettings(steps=5, sampling_rate=0.3)
    assert trained(privacy, rows()).tobytes() == trained(privacy, rows()).tobytes()
    assert trained(privacy, rows()).tobytes() != trained(privacy, rows(), key=KEY[::-1]).tobytes()


def test_more_layers_and_the_plain_training_afterwards() -> None:
    task = LineTask(lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)))
    training = TrainingSettings(local_epochs=2, learning_rate=0.1)
    definition = ModelDefinition(task, seed=0, training=training)
    base = definition.genesis_values()
    plain = definition.train(base, rows(), training, seed=1).values
    work = RoundWork(private=PrivateWork(RowPrivacySettings(steps=30, sampling_rate=0.9), KEY))
    private = definition.train(base, rows(), training, seed=1, work=work)
    again = definition.train(base, rows(), training, seed=1).values
    assert np.array_equal(plain, again), "Opacus leaves nothing behind"
    assert not np.array_equal(private.values, plain)
    assert private.n_examples == 40


def test_it_learns_where_the_noise_is_small_for_the_rows() -> None:
    privacy = RowPrivacySettings(steps=150, sampling_rate=0.2, max_grad_norm=5.0)
    values = trained(privacy, rows(4000), training=TrainingSettings(learning_rate=0.2))
    assert in_order(values) == pytest.approx([1, 1, 5], abs=0.2)


def test_a_proximal_term_is_added_after_the_noise() -> None:
    privacy, examples = RowPrivacySettings(steps=4, sampling_rate=1.0), rows()
    far = np.array([3, -3, 1], dtype=np.float32)
    prox = TrainingSettings(learning_rate=0.05, algorithm="fedprox", proximal_mu=10.0)
    plain = trained(privacy, examples, base=far, training=TrainingSettings(learning_rate=0.05))
    pulled = trained(privacy, examples, base=far, training=prox)
    assert np.linalg.norm(pulled - far) < np.linalg.norm(plain - far)


# ---------------------------------------------------------------------- what is refused


def test_groups_have_to_be_named() -> None:
    with pytest.raises(InputDataError, match="group_column"):
        trained(one_step(unit="group"), rows())


def test_a_model_whose_rows_mix_is_refused() -> None:
    task = LineTask(lambda: nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False), nn.Linear(2, 1)))
    with pytest.raises(UnsupportedModel, match="single row"):
        trained(one_step(), rows(), task=task, base=np.zeros(7, dtype=np.float32))


def test_a_task_that_trains_by_itself_is_found_out() -> None:
    class Own(LineTask):
        def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
            torch.optim.SGD(model.parameters(), lr=0.1)
            return 0.0

    with pytest.raises(UnsupportedModel, match="loop of its own"):
        trained(one_step(), rows(), task=Own())


def test_a_task_that_trains_twice_is_refused() -> None:
    class Twice(LineTask):
        def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
            super().train(model, examples, settings, seed)
            return super().train(model, examples, settings, seed)

    with pytest.raises(UnsupportedModel, match="twice"):
        trained(one_step(), rows(), task=Twice())


def test_a_loss_that_is_not_finite_is_refused() -> None:
    examples = rows()
    examples.targets[0] = float("inf")
    with pytest.raises(NonFiniteValue):
        trained(one_step(), examples)


def test_nothing_is_protected_outside_the_round() -> None:
    training = PrivateTraining(PrivateWork(one_step(), KEY))
    with pytest.raises(UnsupportedModel):
        training.verify_used()
