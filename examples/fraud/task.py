"""Fraudulent bids in auctions, and customers who will not pay: two tables of several owners each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_chain.config import ModelSettings, TrainingSettings
from fl_chain.errors import InputDataError
from fl_chain.learning.metrics import binary_metrics
from fl_chain.learning.models import build_model
from fl_chain.learning.table import Table, read_table
from fl_chain.learning.table_task import split_rows
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd

TEST_FRACTION = 0.3
HIDDEN = (16,)
MARKETPLACES = 8

SHILL_FEATURES = (
    *("Bidder_Tendency", "Bidding_Ratio", "Successive_Outbidding", "Last_Bidding", "Auction_Bids"),
    *("Starting_Price_Average", "Early_Bidding", "Winning_Ratio"),
)

MONTHS = range(1, 7)
DELAYS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
LIMIT_BANDS = (50_000, 150_000, 300_000)
BAND_NAMES = ("to 50k", "to 150k", "to 300k", "above 300k")
EDUCATIONS = {"1": "graduate", "2": "university", "3": "school"}


@dataclass(frozen=True, slots=True)
class _Rows:
    inputs: npt.NDArray[np.float32]  # shape (rows, features)
    targets: npt.NDArray[np.float32]  # shape (rows,)
    owners: npt.NDArray[np.str_]  # shape (rows,)
    groups: npt.NDArray[np.str_]  # shape (rows,): rows of a group are never apart, in training and held out


@dataclass
class _TwoClasses:
    """A perceptron with one hidden layer on number columns."""

    split_seed: int = 0

    @property
    def participants(self) -> tuple[str, ...]:
        """Whose rows there are, sorted."""
        return tuple(sorted(set(self._rows.owners.tolist())))

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model."""
        return build_model(ModelSettings(kind="mlp", hidden=HIDDEN), self._rows.inputs.shape[1], seed=seed)

    def load(self, owner: str, source: str | None) -> OwnerData:
        """Return an owner's rows, whole groups held out."""
        del source
        rows = np.flatnonzero(self._rows.owners == owner)
        if len(rows) == 0:
            raise InputDataError(f"no row belongs to {owner!r}; there are {', '.join(self.participants)}")
        names, group_of = np.unique(self._rows.groups[rows], return_inverse=True)
        _, held_out = split_rows(np.arange(len(names)), TEST_FRACTION, self.split_seed, owner)
        is_held_out = np.isin(group_of, held_out)
        return OwnerData(self._examples(rows[~is_held_out]), self._examples(rows[is_held_out]))

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        """Train by SGD on the logistic loss."""
        return train_sgd(model, examples, nn.functional.binary_cross_entropy_with_logits, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        """Return AUROC, average precision and the recalls at 1% and 5% false positives."""
        model.eval()
        with torch.no_grad():
            return binary_metrics(examples.targets.numpy(), model(examples.inputs).numpy())

    def _examples(self, rows: npt.NDArray[np.intp]) -> Examples:
        return Examples(torch.from_numpy(self._rows.inputs[rows]), torch.from_numpy(self._rows.targets[rows]))

    @cached_property
    def _rows(self) -> _Rows:
        raise NotImplementedError


class ShillBidding(_TwoClasses):
    """Which bids are the seller's own, to drive the price. Auctions stay whole, at one of eight markets."""

    @cached_property
    def _rows(self) -> _Rows:
        table = read_table("catalogue:shill_bidding")
        auctions = np.array(table.text("Auction_ID"))
        inputs = np.stack([table.numbers(name) for name in SHILL_FEATURES], axis=1)  # all within 0 to 1
        owners = np.array([f"market {_bucket(auction)}" for auction in auctions])
        return _Rows(inputs.astype(np.float32), _labels(table, "Class"), owners, auctions)


class PaymentRisk(_TwoClasses):
    """Who will be in default next month. Twelve lenders, by their customers' education and credit limit.

    The 468 customers of another or an unknown education are left out: too few to judge a lender by.

    Sex, age and marriage are left out: who decides on credit by them breaks the law in many countries.
    """

    @cached_property
    def _rows(self) -> _Rows:
        table = read_table("catalogue:credit_card_default")
        education = np.array(table.text("EDUCATION"))
        kept = np.isin(education, list(EDUCATIONS))
        limit = table.numbers("LIMIT_BAL")
        columns = [np.log(limit) - 11.5]
        columns += [table.numbers(name) / 2 for name in DELAYS]
        columns += [np.clip(table.numbers(f"BILL_AMT{month}") / limit, -1, 2) for month in MONTHS]
        columns += [np.log1p(table.numbers(f"PAY_AMT{month}")) / 4 - 1.5 for month in MONTHS]
        bands = np.searchsorted(LIMIT_BANDS, limit)  # a limit of exactly 50,000 is "to 50k"
        owners = np.array(
            [
                f"{EDUCATIONS[level]}, {BAND_NAMES[band]}"
                for level, band in zip(education[kept].tolist(), bands[kept].tolist(), strict=True)
            ]
        )
        inputs = np.stack(columns, axis=1)[kept].astype(np.float32)
        rows = np.flatnonzero(kept).astype(str)
        return _Rows(inputs, _labels(table, "class")[kept], owners, rows)


def _labels(table: Table, column: str) -> npt.NDArray[np.float32]:
    return table.numbers(column).astype(np.float32)


def _bucket(auction: str) -> int:
    return hashlib.sha256(auction.encode()).digest()[0] % MARKETPLACES + 1
