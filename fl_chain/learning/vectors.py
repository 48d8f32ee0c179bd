"""Between a PyTorch module and the flat float32 vector that the ledger's lanes stand for."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_chain.errors import UnsupportedModel
from fl_chain.learning.manifest import Manifest, TensorEntry

_RUNNING_STATISTICS = (nn.modules.batchnorm._NormBase,)


def manifest_of(module: nn.Module, local: Sequence[str] = ()) -> Manifest:
    """Return the manifest of a module's parameters; a tensor shared between layers counts once.

    Args:
        module: the model.
        local: names or shell-style patterns of tensors that stay with each participant: they are left out.

    Raises:
        UnsupportedModel: if the module keeps running statistics (BatchNorm), has parameters that are not
            float32 or whose size is not known yet, has none at all, or has names that are not ASCII.
    """
    _verify_no_running_statistics(module, local)
    entries = []
    for name, parameter in module.named_parameters():
        if _is_local(name, local):
            continue
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise UnsupportedModel(f"{name} has no shape yet; give the lazy layer its size")
        dtype = str(parameter.dtype).removeprefix("torch.")
        entries.append(TensorEntry(name=name, shape=tuple(parameter.shape), dtype=dtype))
    return Manifest(tuple(sorted(entries, key=lambda entry: entry.name)))


def _is_local(name: str, local: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in local)


def local_tensors(module: nn.Module, local: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the parameters and float buffers that stay with each participant, by name, in order of names.

    Raises:
        UnsupportedModel: if a pattern names no tensor, or one that is not float32.
    """
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    for pattern in local:
        if not any(fnmatchcase(name, pattern) for name in tensors):
            raise UnsupportedModel(
                f"`local` names {pattern!r}, and the model has no such tensor; it has {', '.join(tensors)}"
            )
    found = {name: tensors[name] for name in sorted(tensors) if _is_local(name, local)}
    floats = {name: tensor for name, tensor in found.items() if tensor.is_floating_point()}
    for name, tensor in floats.items():
        if tensor.dtype is not torch.float32:
            raise UnsupportedModel(f"{name} is {tensor.dtype}; local tensors must be float32")
    return floats


def read_local(tensors: dict[str, torch.Tensor]) -> npt.NDArray[np.float32]:
    """Return local tensors as one vector, in their order."""
    parts = [tensor.detach().cpu().numpy().reshape(-1) for tensor in tensors.values()]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def load_local(tensors: dict[str, torch.Tensor], values: npt.NDArray[np.float32]) -> None:
    """Set local tensors from a vector that `read_local` made; it is copied.

    Raises:
        ValueError: if it is of another size.
    """
    if values.shape != (sum(tensor.numel() for tensor in tensors.values()),):
        raise ValueError(f"the local tensors do not have {values.shape} elements")
    start = 0
    with torch.no_grad():
        for tensor in tensors.values():
            part = torch.from_numpy(values[start : start + tensor.numel()].copy())
            tensor.copy_(part.reshape(tensor.shape))
            start += tensor.numel()


def flatten(module: nn.Module, manifest: Manifest, local: Sequence[str] = ()) -> npt.NDArray[np.float32]:
    """Return a module's shared parameters as one vector.

    Returns:
        A new array, shape (dimension,), float32.

    Raises:
        UnsupportedModel: if the module's parameters are not those of the manifest.
        NonFiniteValue: naming the tensor that holds NaN or infinity.
    """
    parameters = shared_parameters(module, manifest, local)
    values = np.empty(manifest.dimension, dtype=np.float32)
    for tensor, place in manifest.slices():
        values[place] = parameters[tensor.name].detach().cpu().numpy().reshape(-1)
    manifest.verify_values(values)
    return values


def load_vector(
    module: nn.Module, manifest: Manifest, values: npt.NDArray[np.float32], local: Sequence[str] = ()
) -> None:
    """Set a module's shared parameters from a vector, which is copied.

    Args:
        module: changed in place.
        manifest: what the lanes stand for.
        values: shape (dimension,).
        local: what is left as it is; see `manifest_of`.

    Raises:
        UnsupportedModel: if the module's parameters are not those of the manifest.
        NonFiniteValue: naming the tensor that would become NaN or infinite.
    """
    manifest.verify_values(values)
    parameters = shared_parameters(module, manifest, local)
    # torch warns of arrays that it could not write to, even where it only reads.
    source = values if values.flags.writeable else values.copy()
    for name, part in tensor_views(source, manifest).items():
        with torch.no_grad():
            parameters[name].copy_(part)


def tensor_views(values: npt.NDArray[np.float32], manifest: Manifest) -> dict[str, torch.Tensor]:
    """Return the parts of a writable vector as tensors of their shapes, by name; nothing is copied."""
    whole = torch.from_numpy(values)
    return {tensor.name: whole[place].reshape(tensor.shape) for tensor, place in manifest.slices()}


def float_buffers(module: nn.Module, local: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """Return copies of a module's shared float buffers, by name, for `verify_buffers_unchanged`."""
    return {
        name: value.clone()
        for name, value in module.named_buffers()
        if value.is_floating_point() and not _is_local(name, local)
    }


def verify_buffers_unchanged(
    module: nn.Module, before: dict[str, torch.Tensor], local: Sequence[str] = ()
) -> None:
    """Check that training changed no shared float buffer, since nobody aggregates those.

    Raises:
        UnsupportedModel: naming the first buffer that changed.
    """
    for name, value in module.named_buffers():
        if not value.is_floating_point() or _is_local(name, local):
            continue
        if not torch.equal(value, before.get(name, torch.empty(0))):
            raise UnsupportedModel(
                f"training changed the buffer {name}, which is not aggregated. Replace BatchNorm by "
                "GroupNorm; make a state that must be learnt together a parameter; or name it under "
                "`local` in [run.training], so that it stays with each participant."
            )


def _verify_no_running_statistics(module: nn.Module, local: Sequence[str]) -> None:
    for name, layer in module.named_modules():
        if not isinstance(layer, _RUNNING_STATISTICS) or not layer.track_running_stats:
            continue
        prefix = f"{name}." if name else ""
        if not all(_is_local(prefix + one, local) for one in ("running_mean", "running_var")):
            raise UnsupportedModel(
                f"the layer {name or type(layer).__name__} ({type(layer).__name__}) keeps running statistics "
                "that training changes and nobody aggregates. Use torch.nn.GroupNorm, or "
                "track_running_stats=False, or name the layer under `local` in [run.training] (FedBN)."
            )


def shared_parameters(
    module: nn.Module, manifest: Manifest, local: Sequence[str] = ()
) -> dict[str, nn.Parameter]:
    """Return the parameters that the manifest lists, by name, in its order.

    Raises:
        UnsupportedModel: if the module's shared parameters are others.
    """
    found = manifest_of(module, local)
    if found != manifest:
        raise UnsupportedModel(
            f"the model does not fit the run's manifest: it has {_summary(found)}, the manifest "
            f"{_summary(manifest)}. Take the task and the model settings that the run was deployed with."
        )
    parameters = dict(module.named_parameters())
    return {tensor.name: parameters[tensor.name] for tensor in manifest.tensors}


def _summary(manifest: Manifest) -> str:
    names = ", ".join(f"{tensor.name}{list(tensor.shape)}" for tensor in manifest.tensors[:4])
    return names + (f" and {len(manifest.tensors) - 4} more" if len(manifest.tensors) > 4 else "")
