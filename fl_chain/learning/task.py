"""What a participant learns: the interface that a task implements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset

from fl_chain.config import TrainingSettings
from fl_chain.errors import InputDataError


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows to learn from or to judge by.

    Attributes:
        inputs: shape (rows, ...), what the model takes.
        targets: shape (rows, ...), what the loss takes.
        groups: whom each row belongs to, int64 of shape (rows,); None where nothing says.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    groups: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"{len(self.inputs)} inputs but {len(self.targets)} targets")
        if self.groups is not None and len(self.groups) != len(self.inputs):
            raise ValueError(f"{len(self.inputs)} inputs but {len(self.groups)} groups")

    def __len__(self) -> int:
        return len(self.inputs)


Rows = Examples | Dataset[Any]
"""Rows in memory, or a map-style dataset whose items are pairs of an input and a target."""


def n_rows(rows: Rows) -> int:
    """Return how many rows there are.

    Raises:
        InputDataError: if a dataset does not know; the number is what a participant declares.
    """
    try:
        return len(rows)  # type: ignore[arg-type]
    except TypeError as error:
        raise InputDataError(
            f"a {type(rows).__name__} does not say how many rows it has: give it __len__ and __getitem__"
        ) from error


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several participants as one; a dataset is read when it is needed.

    Groups are each participant's own and are left out.
    """
    in_memory = [part for part in parts if isinstance(part, Examples)]
    if len(in_memory) == len(parts):
        return Examples(
            torch.cat([part.inputs for part in in_memory]), torch.cat([part.targets for part in in_memory])
        )
    if in_memory:
        raise InputDataError("some rows are in memory and some in a dataset; load all in one way")
    return ConcatDataset([part for part in parts if isinstance(part, Dataset)])


def selected(rows: Rows, numbers: npt.NDArray[np.intp]) -> Rows:
    """Return some of the rows, in the order given; a dataset is read when it is needed."""
    chosen = np.asarray(numbers, dtype=np.int64)
    if isinstance(rows, Dataset):
        return Subset(rows, chosen.tolist())
    picked = torch.from_numpy(chosen)
    groups = None if rows.groups is None else rows.groups[picked]
    return Examples(rows.inputs[picked], rows.targets[picked], groups)


def class_labels(rows: Rows) -> npt.NDArray[np.generic] | None:
    """Return a class for each row; None where targets are more than one number a row.

    A dataset is read once for them, item by item.
    """
    if isinstance(rows, Dataset):
        targets = [torch.as_tensor(rows[number][1]) for number in range(n_rows(rows))]
        if any(target.ndim for target in targets):
            return None
        return np.asarray([target.item() for target in targets])
    return rows.targets.numpy() if rows.targets.ndim == 1 else None


@dataclass(frozen=True, slots=True)
class OwnerData:
    """One participant's rows.

    Attributes:
        train: rows that it trains on; their number is its declared sample count.
        test: rows that it holds out.
    """

    train: Rows
    test: Rows


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

    def train(self, model: nn.Module, examples: Any, settings: TrainingSettings, seed: int) -> float:
        """Train the model in place and return the training loss; draw random numbers from ``seed`` alone.

        Args:
            model: changed in place.
            examples: the rows that ``load`` gave.
            settings: epochs, batch size, learning rate, ...
            seed: of this training, in [0, 2**64).
        """
        ...

    def evaluate(self, model: nn.Module, examples: Any) -> dict[str, float]:
        """Return metrics by name; leave out those that are undefined for these rows."""
        ...
