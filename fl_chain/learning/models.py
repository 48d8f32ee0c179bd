"""The models that come with fl_chain: one logit per row, for two classes."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from fl_chain.config import ModelSettings


class LogitModel(nn.Sequential):
    """Layers whose last one gives a single logit; input (rows, features), output (rows,)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logit of the positive class for each row."""
        for layer in self:
            inputs = layer(inputs)
        return inputs.squeeze(-1)


def build_model(settings: ModelSettings, n_features: int, *, seed: int) -> nn.Module:
    """Return a fresh model of the configured kind.

    Logistic regression starts from zeros, its loss being convex. The MLP (ReLU) starts from uniform numbers
    within ``1 / sqrt(fan_in)`` (LeCun et al., Efficient BackProp, 1998), drawn by `uniform_start`.

    Args:
        settings: kind and hidden widths.
        n_features: inputs of a row.
        seed: of the start values.
    """
    if settings.kind == "logistic":
        model = LogitModel(OrderedDict(output=nn.Linear(n_features, 1)))
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = n_features
    for number, hidden in enumerate(settings.hidden, start=1):
        layers[f"hidden{number}"] = nn.Linear(width, hidden)
        layers[f"relu{number}"] = nn.ReLU()
        width = hidden
    layers["output"] = nn.Linear(width, 1)
    model = LogitModel(layers)
    uniform_start(model, seed=seed)
    return model


def uniform_start(model: nn.Module, *, seed: int) -> None:
    """Set every linear layer of a model to uniform numbers within ``1 / sqrt(fan_in)``.

    The numbers come from the raw PCG64 stream, seeded by SHA-256 of seed and tensor name, with nothing but
    exact float64 steps behind it, so that every machine derives the same first model; torch's own
    initialisers do not promise that.
    """
    with torch.no_grad():
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear):
                bound = 1.0 / math.sqrt(layer.in_features)
                for part, parameter in layer.named_parameters():
                    unit = _unit_interval(f"{name}.{part}", parameter.numel(), seed)
                    values = ((unit * 2.0 - 1.0) * bound).astype(np.float32)
                    parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))


def _unit_interval(name: str, count: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    key = hashlib.sha256(b"fl_chain/start\x00" + seed.to_bytes(8, "big") + name.encode()).digest()
    raw = np.random.PCG64(int.from_bytes(key, "big")).random_raw(count)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
