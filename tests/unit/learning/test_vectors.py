import numpy as np
import pytest
import torch
from torch import nn

from fl_chain.errors import NonFiniteValue, UnsupportedModel
from fl_chain.learning.manifest import is_finite
from fl_chain.learning.vectors import (
    flatten,
    float_buffers,
    load_local,
    load_vector,
    local_tensors,
    manifest_of,
    read_local,
    verify_buffers_unchanged,
)


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.GroupNorm(1, 3), nn.Flatten(), nn.Linear(12, 2))


def test_vector_and_module_are_two_forms_of_one_model() -> None:
    module = convolutional()
    manifest = manifest_of(module)
    values = np.random.default_rng(0).standard_normal(manifest.dimension).astype(np.float32)
    load_vector(module, manifest, values)
    assert flatten(module, manifest).tobytes() == values.tobytes()


def test_tensors_lie_in_bytewise_order_row_by_row() -> None:
    module = nn.Linear(3, 2)
    manifest = manifest_of(module)
    load_vector(module, manifest, np.arange(8, dtype=np.float32))
    assert [tensor.name for tensor in manifest.tensors] == ["bias", "weight"]
    assert module.bias.tolist() == [0, 1]
    assert module.weight.tolist() == [[2, 3, 4], [5, 6, 7]]


def test_a_read_only_vector_is_copied_not_shared() -> None:
    module = nn.Linear(1, 1)
    manifest = manifest_of(module)
    values = np.ones(2, np.float32)
    values.flags.writeable = False
    load_vector(module, manifest, values)
    with torch.no_grad():
        module.bias += 1
    assert values.tolist() == [1, 1]


def test_a_shared_tensor_counts_once() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = module[0].weight
    assert manifest_of(module).dimension == 2 + 4 + 2


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(2), nn.SyncBatchNorm(2), nn.InstanceNorm1d(2, track_running_stats=True)]
)
def test_running_statistics_are_refused_with_advice(layer: nn.Module) -> None:
    with pytest.raises(UnsupportedModel, match="GroupNorm"):
        manifest_of(nn.Sequential(nn.Linear(2, 2), layer))


def test_norms_without_running_statistics_are_welcome() -> None:
    manifest_of(
        nn.Sequential(
            nn.BatchNorm1d(2, track_running_stats=False), nn.LayerNorm(2), nn.InstanceNorm1d(2, affine=True)
        )
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64])
def test_other_dtypes_are_refused_with_advice(dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedModel, match=r"model\.float\(\)"):
        manifest_of(nn.Linear(2, 2, dtype=dtype))


def test_empty_lazy_and_oddly_named_models_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="no parameters"):
        manifest_of(nn.ReLU())
    with pytest.raises(UnsupportedModel, match="lazy"):
        manifest_of(nn.LazyLinear(2))
    odd = nn.Module()
    odd.register_parameter("größe", nn.Parameter(torch.zeros(1)))
    with pytest.raises(UnsupportedModel, match="ASCII"):
        manifest_of(odd)


def test_a_model_that_is_not_the_manifests_is_refused() -> None:
    manifest = manifest_of(nn.Linear(3, 1))
    with pytest.raises(UnsupportedModel, match="manifest"):
        flatten(nn.Linear(4, 1), manifest)
    with pytest.raises(UnsupportedModel, match="manifest"):
        load_vector(nn.Linear(1, 3), manifest, np.zeros(4, np.float32))


def test_nan_in_a_module_or_a_vector_names_the_tensor() -> None:
    module = nn.Linear(2, 1)
    manifest = manifest_of(module)
    with pytest.raises(NonFiniteValue, match="bias"):
        load_vector(module, manifest, np.array([np.nan, 0, 0], np.float32))
    with torch.no_grad():
        module.weight[0, 1] = float("inf")
    with pytest.raises(NonFiniteValue, match=r"weight\[0, 1\]"):
        flatten(module, manifest)


def test_a_buffer_that_changed_is_found_and_one_that_did_not_is_not() -> None:
    module = nn.Linear(1, 1)
    module.register_buffer("ema", torch.zeros(2))
    module.register_buffer("steps", torch.zeros(1, dtype=torch.int64))
    before = float_buffers(module)
    module.steps += 1
    verify_buffers_unchanged(module, before)
    module.ema += 1
    with pytest.raises(UnsupportedModel, match="ema"):
        verify_buffers_unchanged(module, before)


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))


def test_local_tensors_are_in_no_manifest_and_keep_their_values() -> None:
    module, local = normalised(), ("1.*", "2.bias")
    manifest = manifest_of(module, local)
    assert [tensor.name for tensor in manifest.tensors] == ["0.bias", "0.weight", "2.weight"]
    tensors = local_tensors(module, local)
    assert list(tensors) == ["1.bias", "1.running_mean", "1.running_var", "1.weight", "2.bias"]
    before = read_local(tensors)
    load_vector(module, manifest, np.zeros(manifest.dimension, np.float32), local)
    assert read_local(tensors).tobytes() == before.tobytes()
    load_local(tensors, np.arange(before.size, dtype=np.float32))
    assert module[1].running_var.tolist() == [6, 7, 8]
    assert flatten(module, manifest, local).tolist() == [0] * manifest.dimension
    with pytest.raises(ValueError, match="elements"):
        load_local(tensors, np.zeros(before.size + 1, np.float32))


def test_running_statistics_may_change_where_they_stay_local() -> None:
    module, local = normalised(), ("1.*",)
    before = float_buffers(module, local)
    module(torch.randn(8, 2))
    verify_buffers_unchanged(module, before, local)
    with pytest.raises(UnsupportedModel, match="local"):
        manifest_of(module, ("1.running_mean",))  # its variance would be nobody's


def test_a_pattern_that_names_nothing_or_everything_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="no such tensor"):
        local_tensors(normalised(), ("3.*",))
    with pytest.raises(UnsupportedModel, match="no parameters"):
        manifest_of(normalised(), ("*",))


def test_a_local_tensor_of_another_type_is_refused() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1, dtype=torch.float64))
    with pytest.raises(UnsupportedModel, match="float32"):
        local_tensors(module, ("1.*",))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_found_wherever_it_is(bad: float) -> None:
    for place in (0, 511, 1023):
        values = np.ones(1024, np.float32)
        values[place] = bad
        assert not is_finite(values)
    assert is_finite(np.full(1024, 3e38, np.float32))  # whose squares are not
