"""A two-class task on a table, from configuration alone."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_chain.config import (
    CategoricalColumn,
    ModelSettings,
    NumericColumn,
    TableTaskSettings,
    TrainingSettings,
)
from fl_chain.errors import ConfigError, InputDataError
from fl_chain.learning.metrics import binary_metrics
from fl_chain.learning.models import build_model
from fl_chain.learning.table import Table, read_table
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd

_EVALUATION_ROWS = 65536  # rows a forward pass, so that memory stays bounded


class TableTask:
    """Columns in, one logit out; see `TableTaskSettings` for what can be declared.

    Inputs stand in declared order: the numeric columns, standardised, then the categories, one-hot. A
    participant's rows are split into training and held-out rows by `split_rows`, alone from its own rows and
    the split's seed.
    """

    def __init__(self, settings: TableTaskSettings, model: ModelSettings) -> None:
        """Check the declaration.

        Raises:
            ConfigError: if there are no inputs, a column is declared twice or is label or owner as well, a
                category is declared twice, or only one of mean and std is given.
        """
        _verify_declaration(settings)
        self._settings = settings
        self._model = model

    @property
    def n_features(self) -> int:
        """Inputs of a row."""
        return len(self._settings.numeric) + sum(_width(column) for column in self._settings.categorical)

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model."""
        return build_model(self._model, self.n_features, seed=seed)

    def owners(self, source: str | None) -> tuple[str, ...]:
        """Return the owners that a table names, sorted; empty where the task has no owner column.

        Raises:
            InputDataError: if the table cannot be read.
        """
        column = self._settings.owner_column
        return () if column is None else tuple(sorted(set(self._read(source).text(column))))

    def load(self, owner: str, source: str | None) -> OwnerData:
        """Return an owner's rows, converted and split.

        Args:
            owner: a value of the owner column; without such a column all rows are the participant's.
            source: a CSV or Parquet file; None: the task's own source.

        Raises:
            InputDataError: if the table is not what the task declares; naming column, row and value.
        """
        table = self._read(source)
        targets = self._targets(table)
        numbers = {column.name: table.numbers(column.name) for column in self._settings.numeric}
        categories = [_one_hot(table, column) for column in self._settings.categorical]
        rows = self._rows_of(owner, table)
        train, test = split_rows(rows, self._settings.test_fraction, self._settings.split_seed, owner)
        scaled = [_standardised(numbers[c.name], c, train)[:, None] for c in self._settings.numeric]
        inputs = np.concatenate([*scaled, *categories], axis=1).astype(np.float32)
        groups = self._groups(table)
        return OwnerData(_examples(inputs, targets, train, groups), _examples(inputs, targets, test, groups))

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        """Train by SGD on the logistic loss; see `train_sgd`."""
        return train_sgd(model, examples, nn.functional.binary_cross_entropy_with_logits, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        """Return AUROC, average precision, accuracy and loss; see `binary_metrics`."""
        model.eval()
        with torch.no_grad():
            logits = [model(inputs) for inputs in torch.split(examples.inputs, _EVALUATION_ROWS)]
        return binary_metrics(examples.targets.cpu().numpy(), torch.cat(logits).cpu().numpy())

    def _read(self, source: str | None) -> Table:
        chosen = source or self._settings.source
        if chosen is None:
            raise InputDataError(
                "there is no data to read: name a participant's table as `data` in [worker], or everybody's "
                "as `source` in [run.task]"
            )
        return read_table(chosen)

    def _targets(self, table: Table) -> npt.NDArray[np.float32]:
        values = table.text(self._settings.label)
        found = sorted(set(values))
        if len(found) != 2 or self._settings.positive not in found:
            shown = ", ".join(repr(value) for value in found[:6]) + (", ..." if len(found) > 6 else "")
            raise InputDataError(
                f"the label column {self._settings.label!r} must hold two classes, one of them "
                f"{self._settings.positive!r}; it holds {len(found)}: {shown}. Correct `label` or "
                "`positive`, or map the labels to two classes."
            )
        return np.array([value == self._settings.positive for value in values], dtype=np.float32)

    def _groups(self, table: Table) -> npt.NDArray[np.int64] | None:
        """Return a number for each row that stands for its group; None where no column says."""
        if self._settings.group_column is None:
            return None
        _, numbers = np.unique(np.asarray(table.text(self._settings.group_column)), return_inverse=True)
        return numbers.astype(np.int64)

    def _rows_of(self, owner: str, table: Table) -> npt.NDArray[np.intp]:
        column = self._settings.owner_column
        if column is None:
            return np.arange(len(table))
        owners = table.text(column)
        rows = np.flatnonzero(np.array([value == owner for value in owners], dtype=bool))
        if len(rows) == 0:
            known = sorted(set(owners))
            shown = ", ".join(repr(value) for value in known[:12]) + (", ..." if len(known) > 12 else "")
            raise InputDataError(
                f"no row belongs to the owner {owner!r}: the column {column!r} holds {shown}. Correct "
                "`owner`."
            )
        return rows


def split_rows(
    rows: npt.NDArray[np.intp], test_fraction: float, seed: int, owner: str
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Split an owner's rows into those to train on and those to hold out.

    The rows are ordered by numbers of the raw PCG64 stream, seeded by SHA-256 of the seed and the owner, so
    the split depends on nobody else's rows, nor on the release of any library.

    Args:
        rows: positions in the table, in file order.
        test_fraction: share to hold out, rounded to the nearest whole row, at least one.
        seed: in [0, 2**64).
        owner: whose rows.

    Returns:
        Training and held-out rows, each in file order; neither is empty.

    Raises:
        InputDataError: if there are fewer than two rows.
    """
    if len(rows) < 2:
        raise InputDataError(
            f"the owner {owner!r} has {len(rows)} rows; two are needed, to train and to hold out"
        )
    key = hashlib.sha256(b"fl_chain/split\x00" + seed.to_bytes(8, "big") + owner.encode()).digest()
    order = np.argsort(np.random.PCG64(int.from_bytes(key, "big")).random_raw(len(rows)), kind="stable")
    n_test = min(max(round(len(rows) * test_fraction), 1), len(rows) - 1)
    return rows[np.sort(order[n_test:])], rows[np.sort(order[:n_test])]


def _verify_declaration(settings: TableTaskSettings) -> None:
    names = [column.name for column in settings.numeric] + [column.name for column in settings.categorical]
    if not names:
        raise ConfigError("the task declares no inputs: list columns under `numeric` or `categorical`")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the column {name!r} is declared as an input twice; remove one")
        if name in {settings.label, settings.owner_column}:
            raise ConfigError(f"the column {name!r} is label or owner and must not be an input as well")
    if settings.label == settings.owner_column:
        raise ConfigError(f"the column {settings.label!r} cannot be both label and owner")
    for number in settings.numeric:
        if (number.mean is None) != (number.std is None):
            raise ConfigError(f"the column {number.name!r} needs both mean and std, or neither")
    for category in settings.categorical:
        if len(set(category.categories)) != len(category.categories):
            raise ConfigError(f"the column {category.name!r} lists a category twice; remove one")


def _width(column: CategoricalColumn) -> int:
    return len(column.categories) + column.other


def _standardised(
    numbers: npt.NDArray[np.float64], column: NumericColumn, train: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    if column.mean is not None and column.std is not None:
        mean, spread = column.mean, column.std
    else:
        mean, spread = float(numbers[train].mean()), float(numbers[train].std())
    scaled: npt.NDArray[np.float64] = (numbers - mean) / (spread if spread > 0 else 1.0)
    return scaled


def _one_hot(table: Table, column: CategoricalColumn) -> npt.NDArray[np.float64]:
    values = table.text(column.name)
    place = {category: index for index, category in enumerate(column.categories)}
    encoded = np.zeros((len(values), _width(column)))
    for row, value in enumerate(values):
        index = place.get(value, len(column.categories))
        if index == encoded.shape[1]:
            raise InputDataError(
                f"row {table.row_number(row)} of the column {column.name!r} holds {value!r}, which is none "
                f"of the declared categories ({', '.join(column.categories)}). Declare it, or set other = "
                "true."
            )
        encoded[row, index] = 1.0
    return encoded


def _examples(
    inputs: npt.NDArray[np.float32],
    targets: npt.NDArray[np.float32],
    rows: npt.NDArray[np.intp],
    groups: npt.NDArray[np.int64] | None,
) -> Examples:
    return Examples(
        torch.from_numpy(inputs[rows]),
        torch.from_numpy(targets[rows]),
        None if groups is None else torch.from_numpy(groups[rows]),
    )
