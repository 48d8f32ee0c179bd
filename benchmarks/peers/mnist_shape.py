"""The networks and rows of `benchmarks.mnist_shaped`, in torch alone, as Flower's environment has no more."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = 10
NOISE = 4.0


def logistic() -> nn.Module:
    """Return a softmax regression with torch's own first values; 7,850 parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, CLASSES))


def cnn() -> nn.Module:
    """Return the network of McMahan et al. 2017 for MNIST; 1,663,370 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.ReLU(),
        nn.Linear(512, CLASSES),
    )


def rows(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw inputs, shape (count, 1, 28, 28), and labels: ten prototypes, the same for all, with noise."""
    prototypes = torch.randn((CLASSES, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    labels = torch.randint(CLASSES, (count,), generator=generator)
    noise = torch.randn((count, 1, 28, 28), generator=generator)
    return prototypes[labels] + NOISE * noise, labels
