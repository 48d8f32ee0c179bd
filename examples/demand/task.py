"""How much of an item a country orders on each day of the coming week: a small sequence model.

A row is an item in a country on a day: the 30 trading days before (the shop is closed on Saturdays, so a
week has six) and the six to come. Both are divided by the mean of the 30 days, so that items that sell much
and little look alike. Rows whose forecast ends before 3 October 2011 are trained on; from that day on they
are held out.
WAPE is the sum of the absolute errors over the sum of the demand, which favours forecasts of the median, so
training minimises the absolute error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from fl_chain.config import TrainingSettings, data_places
from fl_chain.data.online_retail import sales
from fl_chain.errors import InputDataError
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd

SPLIT = date(2011, 10, 3)
WEEK = 6  # trading days
PAST = 5 * WEEK
STEP = WEEK  # trading days between two forecasts that are trained on
ITEMS = {"United Kingdom": 60}  # of each country those that sell on most days before the split
OTHER_ITEMS = 20
COUNTRIES = (
    *("United Kingdom", "EIRE", "Germany", "France", "Spain", "Belgium", "Netherlands", "Switzerland"),
)
MOST = 12.0  # times the mean: what is above counts as that, for the network
CHANNELS, KERNEL, DILATIONS = 16, 4, (1, 4)


class DemandModel(nn.Module):
    """Causal convolutions over the past days (Bai et al. 2018); their last state gives the next week."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, CHANNELS, CHANNELS)
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, KERNEL, dilation=dilation)
            for before, after, dilation in zip(widths[:-1], widths[1:], DILATIONS, strict=True)
        )
        self.head = nn.Linear(CHANNELS + WEEK + 2, WEEK)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the demand of the next days in means of the past ones, from (rows, PAST + 1).

        The last column is the mean itself, which is learnt from as its logarithm.
        """
        past = inputs[:, :PAST].clamp(max=MOST)
        is_sold = (past > 0).float()
        level = 0.2 * torch.log1p(inputs[:, PAST:])
        state = torch.stack([past, is_sold], dim=1)
        for layer in self.layers:
            state = nn.functional.relu(layer(state))  # no padding: each day looks back only
        share = is_sold.mean(dim=1, keepdim=True)
        forecast: torch.Tensor = self.head(torch.cat([state[:, :, -1], past[:, -WEEK:], share, level], dim=1))
        return forecast


@dataclass
class Demand:
    """The task; participants are countries."""

    @property
    def participants(self) -> tuple[str, ...]:
        """The countries."""
        return COUNTRIES

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model."""
        model = DemandModel()
        rng = np.random.default_rng(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                values = rng.uniform(-0.2, 0.2, tuple(parameter.shape)).astype(np.float32)
                parameter.copy_(torch.from_numpy(values))
        return model

    def load(self, owner: str, source: str | None) -> OwnerData:
        """Return a country's rows; the targets are in means of the past, as the inputs."""
        del source
        if owner not in COUNTRIES:
            raise InputDataError(f"{owner!r} is none of {', '.join(COUNTRIES)}")
        days, series = self._series
        split = int(np.searchsorted(days, np.datetime64(SPLIT)))
        # A forecast for trading days t to t + WEEK - 1 is trained on if its last day is before the split.
        train = range(PAST, split - WEEK + 1, STEP)
        test = range(split, len(days) - WEEK + 1, WEEK)
        return OwnerData(_rows(series[owner], train), _rows(series[owner], test))

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        """Train by SGD on the absolute error; an item counts by the root of what it sells."""
        weighted = Examples(
            examples.inputs, torch.cat([examples.targets, examples.inputs[:, PAST:].sqrt()], dim=1)
        )
        return train_sgd(model, weighted, weighted_error, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        """Return WAPE by day, and of the sums over the week."""
        model.eval()
        with torch.no_grad():
            return wape_metrics(model(examples.inputs).clamp(min=0), examples)

    def seasonal_naive(self, data: OwnerData) -> dict[str, float]:
        """Return the metrics of last week again."""
        return wape_metrics(data.test.inputs[:, PAST - WEEK : PAST], data.test)

    def moving_average(self, data: OwnerData) -> dict[str, float]:
        """Return the metrics of the mean of the past days, each day."""
        return wape_metrics(torch.ones(len(data.test), WEEK), data.test)

    def nothing(self, data: OwnerData) -> dict[str, float]:
        """Return the metrics of no demand at all: 1 by definition, and hard to beat where demand is rare."""
        return wape_metrics(torch.zeros(len(data.test), WEEK), data.test)

    @cached_property
    def _series(self) -> tuple[npt.NDArray[np.datetime64], dict[str, npt.NDArray[np.float32]]]:
        return read_series()


def read_series() -> tuple[npt.NDArray[np.datetime64], dict[str, npt.NDArray[np.float32]]]:
    """Return the trading days, and for each country the demand of its items, shape (items, days)."""
    lines = sales(data_places()).with_columns(day=pl.col("time").dt.date())
    days = lines["day"].unique().sort()
    place = {day: i for i, day in enumerate(days)}
    series = {}
    for country in COUNTRIES:
        own = lines.filter(pl.col("country") == country)
        before = own.filter(pl.col("day") < SPLIT).group_by("item").agg(n=pl.col("day").n_unique())
        kept = before.sort(["n", "item"], descending=[True, False])["item"].head(
            ITEMS.get(country, OTHER_ITEMS)
        )
        table = np.zeros((len(kept), len(days)), dtype=np.float32)
        row = {item: i for i, item in enumerate(kept)}
        sums = own.filter(pl.col("item").is_in(kept.implode())).group_by("item", "day")
        for item, day, quantity in sums.agg(pl.col("quantity").sum()).iter_rows():
            table[row[item], place[day]] = quantity
        series[country] = table
    return days.to_numpy().astype("datetime64[D]"), series


def weighted_error(forecast: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error; the last column of the targets is each row's weight."""
    weights = targets[:, WEEK:]
    return ((forecast - targets[:, :WEEK]).abs() * weights).mean() / weights.mean()


def wape_metrics(forecast: torch.Tensor, examples: Examples) -> dict[str, float]:
    """Return the weighted absolute percentage errors.

    Args:
        forecast: shape (rows, WEEK), in means of the past.
        examples: their last input column is that mean.
    """
    mean = examples.inputs[:, PAST:]
    expected, actual = forecast * mean, examples.targets * mean
    errors, sums = (expected - actual).abs().sum(), (expected - actual).sum(dim=1).abs().sum()
    return {"wape": float(errors / actual.sum()), "wape_of_week": float(sums / actual.sum())}


def _rows(series: npt.NDArray[np.float32], starts: range) -> Examples:
    """Return a row for each item and start, but for items that sold nothing in the past days."""
    inputs, targets = [], []
    for start in starts:
        past, future = series[:, start - PAST : start], series[:, start : start + WEEK]
        mean = past.mean(axis=1, keepdims=True)
        is_sold = mean[:, 0] > 0
        past, future, mean = past[is_sold], future[is_sold], mean[is_sold]
        inputs.append(np.concatenate([past / mean, mean], axis=1))
        targets.append(future / mean)
    return Examples(torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets)))
