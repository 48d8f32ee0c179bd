import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from fl_chain.config import TrainingSettings
from fl_chain.errors import NonFiniteValue
from fl_chain.learning.task import Examples
from fl_chain.learning.training import derive_seed, seeded_torch, train_sgd

LOSS = nn.functional.mse_loss


def line(rows: int = 64) -> Examples:
    inputs = torch.linspace(-1, 1, rows)[:, None]
    return Examples(inputs, 3 * inputs + 0.5)


def zero_line() -> nn.Linear:
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def trained(settings: TrainingSettings, seed: int = 1) -> bytes:
    model = zero_line()
    train_sgd(model, line(), LOSS, settings, seed=seed)
    return b"".join(p.detach().numpy().tobytes() for p in model.parameters())


def test_sgd_finds_a_line() -> None:
    model = zero_line()
    loss = train_sgd(model, line(), LOSS, TrainingSettings(local_epochs=60, learning_rate=0.2), seed=0)
    assert loss < 1e-4
    assert model.weight.item() == pytest.approx(3, abs=0.02)


def test_one_full_batch_step_is_gradient_descent() -> None:
    model, examples = zero_line(), line(4)
    train_sgd(
        model, examples, LOSS, TrainingSettings(local_epochs=1, batch_size=4, learning_rate=0.1), seed=0
    )
    x, y = examples.inputs.numpy().ravel(), examples.targets.numpy().ravel()
    assert model.weight.item() == pytest.approx(0.1 * 2 * np.mean(x * y), rel=1e-5)
    assert model.bias.item() == pytest.approx(0.1 * 2 * np.mean(y), rel=1e-5)


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    settings = TrainingSettings(local_epochs=2, batch_size=8)
    assert trained(settings) == trained(settings)
    assert trained(settings) != trained(settings, seed=2)


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    settings, weights = TrainingSettings(local_epochs=2, batch_size=8), []
    for seed in (5, 6):
        model = zero_line()
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        train_sgd(model, line(), LOSS, settings, seed=1)
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(model.weight.item())
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "change", [{"momentum": 0.9}, {"weight_decay": 0.1}, {"learning_rate": 0.05}, {"batch_size": 9}]
)
def test_every_setting_has_an_effect(change: dict[str, float]) -> None:
    settings = TrainingSettings(local_epochs=1, batch_size=8)
    assert trained(settings.model_copy(update=change)) != trained(settings)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_an_epoch_visits_each_row_once(batch_size: int) -> None:
    seen: list[float] = []

    def loss(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.extend(targets.flatten().tolist())
        return LOSS(output, targets)

    settings = TrainingSettings(local_epochs=2, batch_size=batch_size, learning_rate=1e-6)
    train_sgd(zero_line(), line(20), loss, settings, seed=3)
    assert len(seen) == 40
    assert sorted(seen[:20]) == sorted(seen[20:]) == sorted(line(20).targets.flatten().tolist())
    assert seen[:20] != seen[20:]


def test_divergence_is_an_error_with_advice() -> None:
    with pytest.raises(NonFiniteValue, match="learning_rate"):
        train_sgd(zero_line(), line(), LOSS, TrainingSettings(local_epochs=500, learning_rate=1e6), seed=0)


def test_a_frozen_layer_stays_as_it_is() -> None:
    model = nn.Sequential(zero_line(), zero_line())
    model[0].requires_grad_(False)
    train_sgd(model, line(), LOSS, TrainingSettings(local_epochs=1), seed=0)
    assert model[0].bias.item() == 0
    assert model[1].bias.item() != 0


def test_the_seed_of_a_round_is_the_documented_hash() -> None:
    material = b"fl_chain/training\x00" + (7).to_bytes(8, "big") + (3).to_bytes(8, "big") + "Zürich".encode()
    assert derive_seed(7, 3, "Zürich") == int.from_bytes(hashlib.sha256(material).digest()[:8], "big")


def test_seeds_differ_by_run_round_and_owner() -> None:
    seeds = {derive_seed(run, round_id, owner) for run in range(3) for round_id in range(5) for owner in "ab"}
    assert len(seeds) == 30


def test_seeded_torch_repeats_and_leaves_no_trace() -> None:
    state = torch.get_rng_state()
    draws = []
    for seed in (1, 1, 2):
        with seeded_torch(seed):
            draws.append(torch.rand(4).tolist())
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_examples_have_as_many_targets_as_inputs() -> None:
    with pytest.raises(ValueError, match="3 inputs but 2 targets"):
        Examples(torch.zeros(3, 1), torch.zeros(2))


@pytest.mark.parametrize("gathered_bytes", [1, 4 * 7 * 3, 10**6])
def test_rows_that_are_gathered_together_give_the_same_model(
    monkeypatch: pytest.MonkeyPatch, gathered_bytes: int
) -> None:
    expected = trained(TrainingSettings(batch_size=7, local_epochs=2))
    monkeypatch.setattr("fl_chain.learning.training.GATHERED_BYTES", gathered_bytes)
    assert trained(TrainingSettings(batch_size=7, local_epochs=2)) == expected
