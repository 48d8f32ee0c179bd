import hashlib

import numpy as np
import pytest
import torch

from fl_chain.config import ModelSettings
from fl_chain.learning.models import build_model
from fl_chain.learning.vectors import flatten, manifest_of

MLP = ModelSettings(kind="mlp", hidden=(5, 3))


def values(settings: ModelSettings, seed: int) -> np.ndarray:
    model = build_model(settings, 4, seed=seed)
    return flatten(model, manifest_of(model))


def test_one_logit_a_row() -> None:
    for settings in (ModelSettings(), MLP, ModelSettings(kind="mlp", hidden=())):
        assert build_model(settings, 4, seed=0)(torch.zeros(7, 4)).shape == (7,)


def test_names_and_shapes() -> None:
    logistic = manifest_of(build_model(ModelSettings(), 4, seed=0))
    assert [(t.name, t.shape) for t in logistic.tensors] == [("output.bias", (1,)), ("output.weight", (1, 4))]
    mlp = manifest_of(build_model(MLP, 4, seed=0))
    assert [t.name for t in mlp.tensors] == [
        f"{layer}.{part}" for layer in ("hidden1", "hidden2", "output") for part in ("bias", "weight")
    ]
    assert mlp.dimension == 5 * 4 + 5 + 3 * 5 + 3 + 3 + 1


def test_logistic_regression_starts_from_zero() -> None:
    assert not values(ModelSettings(), 9).any()


def test_the_start_of_an_mlp_follows_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = values(MLP, 3)
    torch.manual_seed(2)
    assert values(MLP, 3).tobytes() == first.tobytes()
    assert values(MLP, 4).tobytes() != first.tobytes()


def test_the_start_is_uniform_within_the_bound() -> None:
    model = build_model(ModelSettings(kind="mlp", hidden=(500,)), 16, seed=0)
    weight = model.hidden1.weight.detach().numpy()
    assert np.abs(weight).max() <= 0.25
    assert np.abs(weight).max() > 0.249
    assert weight.std() == pytest.approx(0.25 / np.sqrt(3), rel=0.02)


def test_the_start_is_the_documented_stream() -> None:
    key = hashlib.sha256(b"fl_chain/start\x00" + (3).to_bytes(8, "big") + b"output.bias").digest()
    raw = np.random.PCG64(int.from_bytes(key, "big")).random_raw(1)[0]
    expected = np.float32(((int(raw) >> 11) * 2.0**-53 * 2 - 1) / np.sqrt(3.0))
    assert build_model(MLP, 4, seed=3).output.bias.item() == expected
