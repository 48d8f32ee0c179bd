"""Between a PyTorch module and the flat float32 vector that the ledger's lanes stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_chain.errors import UnsupportedModel
from fl_chain.learning.manifest import Manifest, TensorEntry

_RUNNING_STATISTICS = (nn.modules.batchnorm._NormBase,)


def manifest_of(module: nn.Module) -> Manifest:
    """Return the manifest of a module's parameters; a tensor shared between layers counts once.

    Raises:
        UnsupportedModel: if the module keeps running statistics (BatchNorm), has parameters that are not
            float32 or whose size is not known yet, has none at all, or has names that are not ASCII.
    """
    _verify_no_running_statistics(module)
    entries = []
    for name, parameter in module.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise UnsupportedModel(f"{name} has no shape yet; give the lazy layer its size")
        dtype = str(parameter.dtype).removeprefix("torch.")
        entries.append(TensorEntry(name=name, shape=tuple(parameter.shape), dtype=dtype))
    return Manifest(tuple(sorted(entries, key=lambda entry: entry.name)))


def flatten(module: nn.Module, manifest: Manifest) -> npt.NDArray[np.float32]:
    """Return a module's parameters as one vector.

    Returns:
        A new array, shape (dimension,), float32.

    Raises:
        UnsupportedModel: if the module's parameters are not those of the manifest.
        NonFiniteValue: naming the tensor that holds NaN or infinity.
    """
    parameters = _parameters(module, manifest)
    values = np.empty(manifest.dimension, dtype=np.float32)
    for tensor, place in manifest.slices():
        values[place] = parameters[tensor.name].detach().cpu().numpy().reshape(-1)
    manifest.verify_values(values)
    return values


def load_vector(module: nn.Module, manifest: Manifest, values: npt.NDArray[np.float32]) -> None:
    """Set a module's parameters from a vector, which is copied.

    Args:
        module: changed in place.
        manifest: what the lanes stand for.
        values: shape (dimension,).

    Raises:
        UnsupportedModel: if the module's parameters are not those of the manifest.
        NonFiniteValue: naming the tensor that would become NaN or infinite.
    """
    manifest.verify_values(values)
    parameters = _parameters(module, manifest)
    with torch.no_grad():
        for tensor, place in manifest.slices():
            source = np.ascontiguousarray(values[place], dtype=np.float32).reshape(tensor.shape)
            parameters[tensor.name].copy_(torch.tensor(source))


def float_buffers(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of a module's float buffers, by name, for `verify_buffers_unchanged`."""
    return {name: value.clone() for name, value in module.named_buffers() if value.is_floating_point()}


def verify_buffers_unchanged(module: nn.Module, before: dict[str, torch.Tensor]) -> None:
    """Check that training changed no float buffer, since nobody aggregates those.

    Raises:
        UnsupportedModel: naming the first buffer that changed.
    """
    for name, value in module.named_buffers():
        if value.is_floating_point() and not torch.equal(value, before.get(name, torch.empty(0))):
            raise UnsupportedModel(
                f"training changed the buffer {name}, which is not aggregated. Replace BatchNorm by "
                "GroupNorm; make a state that must be learnt together a parameter."
            )


def _verify_no_running_statistics(module: nn.Module) -> None:
    for name, layer in module.named_modules():
        if isinstance(layer, _RUNNING_STATISTICS) and layer.track_running_stats:
            raise UnsupportedModel(
                f"the layer {name or type(layer).__name__} ({type(layer).__name__}) keeps running statistics "
                "that training changes and nobody aggregates. Use torch.nn.GroupNorm, or "
                "track_running_stats=False."
            )


def _parameters(module: nn.Module, manifest: Manifest) -> dict[str, nn.Parameter]:
    found = manifest_of(module)
    if found != manifest:
        raise UnsupportedModel(
            f"the model does not fit the run's manifest: it has {_summary(found)}, the manifest "
            f"{_summary(manifest)}. Take the task and the model settings that the run was deployed with."
        )
    return dict(module.named_parameters())


def _summary(manifest: Manifest) -> str:
    names = ", ".join(f"{tensor.name}{list(tensor.shape)}" for tensor in manifest.tensors[:4])
    return names + (f" and {len(manifest.tensors) - 4} more" if len(manifest.tensors) > 4 else "")
