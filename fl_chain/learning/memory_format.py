"""How a model's convolutions lie in memory: channels last, where that changes nothing but the speed.

On a CPU torch pools and convolves faster where the channels of a pixel lie side by side (torch's tutorial
"Channels Last Memory Format in PyTorch"). A module of the user's may count on the other order, by ``view``,
so only models that are made of torch's own layers one after the other are laid out anew. Who wants it of
another one calls ``module.to(memory_format=torch.channels_last)`` in the task's ``model``; it stays so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def prefers_channels_last(module: nn.Module) -> bool:
    """Return whether a model, on a CPU, is one whose convolutions are laid out channels last."""
    layers = list(module.modules())
    return (
        any(isinstance(layer, nn.Conv2d) for layer in layers)
        and all(_is_torchs_own(layer) for layer in layers)
        and all(parameter.device.type == "cpu" for parameter in module.parameters())
    )


def lay_out(module: nn.Module) -> None:
    """Lay a model out channels last, in place, if it `prefers_channels_last`; its values stay the same."""
    if prefers_channels_last(module):
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextmanager
def contiguous(module: nn.Module) -> Iterator[None]:
    """Lay a model out row by row within, for who counts on it, and as before afterwards."""
    others = [(one, one.stride()) for one in module.parameters() if not one.is_contiguous()]
    for parameter, _ in others:
        parameter.data = parameter.data.contiguous()
    try:
        yield
    finally:
        for parameter, stride in others:
            data = parameter.data
            strided = torch.empty_strided(data.shape, stride, dtype=data.dtype, device=data.device)
            parameter.data = strided.copy_(data)


def _is_torchs_own(layer: nn.Module) -> bool:
    is_chain = type(layer) is nn.Sequential
    return is_chain or (type(layer).__module__.startswith("torch.nn.modules.") and not list(layer.children()))
