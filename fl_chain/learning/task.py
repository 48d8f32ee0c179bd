"""What a participant learns: the interface that a task implements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from fl_chain.config import TrainingSettings


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows to learn from or to judge by.

    Attributes:
        inputs: shape (rows, ...), what the model takes.
        targets: shape (rows, ...), what the loss takes.
    """

    inputs: torch.Tensor
    targets: torch.Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"{len(self.inputs)} inputs but {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class OwnerData:
    """One participant's rows.

    Attributes:
        train: rows that it trains on; their number is its declared sample count.
        test: rows that it holds out.
    """

    train: Examples
    test: Examples


@runtime_checkable
class Task(Protocol):
    """Implement these four to train whatever PyTorch can."""

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model; the same seed gives the same values on every participant's machine."""
        ...

    def load(self, owner: str, source: str | None) -> OwnerData:
        """Return the rows of one owner.

        Args:
            owner: whose rows.
            source: the participant's own data file, or None.
        """
        ...

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        """Train the model in place and return the training loss; draw random numbers from ``seed`` alone."""
        ...

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        """Return metrics by name; leave out those that are undefined for these rows."""
        ...
