"""Convolutions channels last: trained to the same within rounding, and never where it may harm."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from fl_chain.config import RowPrivacySettings, TrainingSettings
from fl_chain.errors import UnsupportedModel
from fl_chain.learning import definition, dp_sgd
from fl_chain.learning.definition import ModelDefinition
from fl_chain.learning.memory_format import contiguous, lay_out, prefers_channels_last
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd
from fl_chain.learning.work import PrivateWork, RoundWork

TRAINING = TrainingSettings(learning_rate=0.1, batch_size=4, local_epochs=2)


class Viewing(nn.Module):
    """Flattens by `view`, which asks for contiguous tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.output = nn.Linear(4 * 36, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = self.convolution(inputs)
        flat: torch.Tensor = self.output(outputs.view(len(outputs), -1))
        return flat


def pictures(channels: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(6, 5, 3), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(20, 3),
    )


def chained(*extra: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), *extra)


class PictureTask:
    """Three classes of random pictures; rows are given."""

    def __init__(self, layers: type[nn.Module] | None = None, channels: int = 3) -> None:
        self.layers, self.channels = layers, channels

    def model(self, seed: int) -> nn.Module:
        return pictures(self.channels) if self.layers is None else self.layers()

    def load(self, owner: str, source: str | None) -> OwnerData:
        raise AssertionError("rows are given")

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        return train_sgd(model, examples, nn.functional.cross_entropy, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        with torch.no_grad():
            return {"loss": float(nn.functional.cross_entropy(model(examples.inputs), examples.targets))}


def rows(channels: int = 3, *, is_last: bool = False) -> Examples:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn((12, channels, 8, 8), generator=generator)
    if is_last:
        inputs = inputs.to(memory_format=torch.channels_last)
    return Examples(inputs, torch.randint(3, (12,), generator=generator))


def trained(task: PictureTask, examples: Examples, work: RoundWork | None = None) -> np.ndarray:
    model = ModelDefinition(task, seed=3, training=TRAINING)
    return model.train(model.genesis_values(), examples, TRAINING, seed=1, work=work).values


def is_channels_last(model: nn.Module) -> bool:
    return any(
        parameter.dim() == 4
        and parameter.is_contiguous(memory_format=torch.channels_last)
        and not parameter.is_contiguous()
        for parameter in model.parameters()
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_last", [False, True])
def test_training_gives_the_same_model_within_rounding(
    channels: int, is_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, examples = PictureTask(channels=channels), rows(channels, is_last=is_last)
    laid_out = trained(task, examples)
    assert np.array_equal(laid_out, trained(task, examples))
    monkeypatch.setattr(definition, "lay_out", lambda module: None)
    plain = trained(task, rows(channels))
    base = ModelDefinition(task, seed=3, training=TRAINING).genesis_values()
    assert np.abs(laid_out - plain).max() < 1e-5
    assert np.abs(plain - base).max() > 1e-2


def test_a_model_is_laid_out_and_keeps_its_values_and_its_vector() -> None:
    model = pictures()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lay_out(model)
    assert is_channels_last(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    base = ModelDefinition(PictureTask(), seed=3, training=TRAINING).genesis_values()
    tensors = ModelDefinition(PictureTask(), seed=3, training=TRAINING).named_tensors(base)
    assert all(tensor.flags.c_contiguous for tensor in tensors.values())
    assert np.array_equal(np.concatenate([tensors[name].reshape(-1) for name in sorted(tensors)]), base)


@pytest.mark.parametrize(
    "model",
    [
        Viewing(),
        nn.Sequential(Viewing()),
        chained(Viewing()),
        nn.Linear(2, 1),
        chained(nn.ModuleList([nn.ReLU()])),
    ],
    ids=["own", "own in a chain", "own behind a convolution", "no convolution", "another container"],
)
def test_other_models_stay_as_they_are(model: nn.Module) -> None:
    lay_out(model)
    assert not prefers_channels_last(model)
    assert not is_channels_last(model)


def test_a_module_that_counts_on_the_order_trains() -> None:
    assert np.isfinite(trained(PictureTask(Viewing), rows())).all()


def private() -> RoundWork:
    return RoundWork(
        private=PrivateWork(RowPrivacySettings(noise_multiplier=0.3, sampling_rate=1, steps=2), bytes(32))
    )


@pytest.mark.parametrize("is_last", [False, True])
def test_private_training_gives_the_same_model_within_rounding(
    is_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid_out = trained(PictureTask(), rows(is_last=is_last), private())
    monkeypatch.setattr(definition, "lay_out", lambda module: None)
    monkeypatch.setattr(dp_sgd, "contiguous", lambda model: nullcontext())
    assert np.abs(laid_out - trained(PictureTask(), rows(), private())).max() < 1e-5


def test_gradients_of_rows_that_do_not_add_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Opacus reads past the strides of channels-last pictures; here nobody prevents it.
    monkeypatch.setattr(dp_sgd, "contiguous", lambda model: nullcontext())
    with pytest.raises(UnsupportedModel, match="do not add up"):
        trained(PictureTask(), rows(), private())


def test_contiguous_puts_back_what_was_there() -> None:
    model = pictures()
    lay_out(model)
    model[0].weight.data = model[0].weight.data.contiguous()
    before = [(one.clone(), one.stride()) for one in model.parameters()]
    with contiguous(model):
        assert all(parameter.is_contiguous() for parameter in model.parameters())
    after = list(model.parameters())
    assert is_channels_last(model)
    assert [one.stride() for one in after] == [stride for _, stride in before]
    assert all(torch.equal(one, value) for one, (value, _) in zip(after, before, strict=True))
