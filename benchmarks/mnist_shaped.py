"""A task of MNIST's shape without its data: ten blurred prototypes with noise, drawn by owner.

``Logistic`` has 7,850 parameters. ``Cnn`` is the network of McMahan et al. 2017 for MNIST: two 5x5
convolutions with 32 and 64 channels, each with 2x2 max pooling, 512 units: 1,663,370 parameters.
"""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from benchmarks.peers import mnist_shape
from fl_chain.config import TrainingSettings
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd

HELD_OUT = 1  # whoever measures does not evaluate


class Logistic:
    """Softmax regression on 600 rows a participant."""

    rows = 600

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model."""
        layer = mnist_shape.logistic()
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
        return layer

    def load(self, owner: str, source: str | None) -> OwnerData:
        """Draw an owner's rows."""
        seed = int.from_bytes(hashlib.sha256(owner.encode()).digest()[:7], "big")
        generator = torch.Generator().manual_seed(seed)
        return OwnerData(
            Examples(*mnist_shape.rows(self.rows, generator)),
            Examples(*mnist_shape.rows(HELD_OUT, generator)),
        )

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        """Train by SGD on cross entropy."""
        return train_sgd(model, examples, nn.functional.cross_entropy, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        """Return accuracy and loss."""
        model.eval()
        with torch.no_grad():
            outputs = torch.cat([model(part) for part in torch.split(examples.inputs, 1024)])
            loss = nn.functional.cross_entropy(outputs, examples.targets)
            return {
                "accuracy": float((outputs.argmax(1) == examples.targets).float().mean()),
                "loss": float(loss),
            }


class SmallLogistic(Logistic):
    """Softmax regression on 60 rows a participant, for runs of many."""

    rows = 60


class Cnn(Logistic):
    """The convolutional network."""

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model."""
        return mnist_shape.cnn()


class SmallCnn(Cnn):
    """The convolutional network on 60 rows a participant."""

    rows = 60


class OneBatchCnn(Cnn):
    """The convolutional network on one batch a participant."""

    rows = 10
