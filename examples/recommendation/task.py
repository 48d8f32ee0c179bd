"""Which items a customer orders next: an embedding model with negative sampling.

A basket is what a customer orders on one invoice. A customer's taste is the mean of the embeddings of the
items that it ordered before; an item's score is its product with the taste, plus the item's own popularity,
plus a bonus for what was ordered before.

Training tells the items of the next basket from items drawn at random
(negative sampling: Mikolov et al., "Distributed Representations of Words and Phrases", NeurIPS 2013).

Baskets are split in time: those before 1 October 2011 are trained on, those from that day on are held out. A
held-out basket is predicted from all of the customer's earlier baskets, as a shop would do that day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn

from fl_chain.config import TrainingSettings, data_places
from fl_chain.data.online_retail import sales
from fl_chain.errors import InputDataError, NonFiniteValue
from fl_chain.learning.task import Examples, OwnerData

SPLIT = datetime(2011, 10, 1)
ITEM_BASKETS = 20  # an item is in the catalogue if so many baskets before the split have it
HISTORY, BASKET = 60, 24  # items that are looked at: the newest of the history, the first of the basket
DIMENSION, NEGATIVES = 16, 48
TOP = 10
LEAST_TRAIN, LEAST_TEST = 20, 10  # baskets of a participant
GROUPS = 6
CHUNK = 512  # baskets scored at a time


class BasketModel(nn.Module):
    """Scores items for customers; item 0 is the padding and no item."""

    def __init__(self, n_items: int, rng: np.random.Generator) -> None:
        super().__init__()

        def start() -> nn.Parameter:
            values = rng.uniform(-0.1, 0.1, (n_items + 1, DIMENSION)).astype(np.float32)
            return nn.Parameter(torch.from_numpy(values))

        self.taste, self.item = start(), start()
        self.popularity = nn.Parameter(torch.zeros(n_items + 1))
        self.repeat = nn.Parameter(torch.ones(1))

    def forward(self, history: torch.Tensor) -> torch.Tensor:
        """Return the score of every item, (customers, items + 1), from histories (customers, HISTORY)."""
        known = (history > 0).float()
        ordered = torch.zeros(len(history), len(self.popularity)).scatter_add_(1, history, known)
        return self._tastes(history) @ self.item.T + self.popularity + self.repeat * torch.log1p(ordered)

    def scores(self, history: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """Return the scores of some items, shape (customers, n), from histories and items (customers, n)."""
        ordered = (items[:, :, None] == history[:, None, :]).sum(dim=2)
        products = torch.einsum(
            "cd,cnd->cn", self._tastes(history), nn.functional.embedding(items, self.item)
        )
        return products + self.popularity[items] + self.repeat * torch.log1p(ordered)

    def _tastes(self, history: torch.Tensor) -> torch.Tensor:
        known = (history > 0).float()
        weights = known / known.sum(dim=1, keepdim=True).clamp(min=1.0)
        return torch.einsum("ch,chd->cd", weights, nn.functional.embedding(history, self.taste))


@dataclass
class NextBasket:
    """The task; participants are countries, or groups of customers by the worth of their first order."""

    by_group: bool = False

    @property
    def participants(self) -> tuple[str, ...]:
        """Those with enough baskets, sorted."""
        return tuple(sorted(self._owners))

    def model(self, seed: int) -> nn.Module:
        """Return the untrained model."""
        return BasketModel(len(self._baskets.items), np.random.default_rng(seed))

    def load(self, owner: str, source: str | None) -> OwnerData:
        """Return an owner's baskets: histories and what was ordered next."""
        del source
        if owner not in self._owners:
            raise InputDataError(f"{owner!r} has too few baskets; there are {', '.join(self.participants)}")
        rows = self._owners[owner]
        is_test = self._baskets.is_test[rows]
        return OwnerData(self._examples(rows[~is_test]), self._examples(rows[is_test]))

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        """Train by Adam; each basket has negatives of its own."""
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        n_items = len(self._baskets.items)
        total = 0.0
        for _ in range(settings.local_epochs):
            total = 0.0
            for rows in torch.randperm(len(examples), generator=generator).split(settings.batch_size):
                history, basket = examples.inputs[rows], examples.targets[rows]
                negatives = torch.randint(1, n_items + 1, (len(rows), NEGATIVES), generator=generator)
                scores = model.scores(history, torch.cat([basket, negatives], dim=1))
                is_item = (basket > 0).float()
                per_basket = is_item.sum(dim=1).clamp(min=1.0)
                wanted = -nn.functional.logsigmoid(scores[:, :BASKET]) * is_item
                # A negative that is in the basket is none.
                is_negative = (basket[:, :, None] != negatives[:, None, :]).all(dim=1)
                unwanted = -nn.functional.logsigmoid(-scores[:, BASKET:]) * is_negative
                loss = (wanted.sum(dim=1) / per_basket + unwanted.mean(dim=1)).mean()
                if not torch.isfinite(loss):
                    raise NonFiniteValue("the loss is not finite; lower learning_rate")
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(rows)
        return total / len(examples)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        """Return hit rate and NDCG of the ten best of all items."""
        model.eval()
        with torch.no_grad():
            return ranking_metrics(
                (model(history), basket)
                for history, basket in zip(
                    examples.inputs.split(CHUNK), examples.targets.split(CHUNK), strict=True
                )
            )

    def most_popular(self, data: OwnerData) -> dict[str, float]:
        """Return the metrics of what is in most of the participant's own training baskets."""
        counts = _counts(data.train.targets, len(self._baskets.items))
        return ranking_metrics([(counts.expand(len(data.test), -1), data.test.targets)])

    def own_most_frequent(self, data: OwnerData) -> dict[str, float]:
        """Return the metrics of what the customer itself ordered most, then what is popular."""
        counts = _counts(data.train.targets, len(self._baskets.items))
        popular = counts / (counts.max() + 1)
        known = (data.test.inputs > 0).float()
        ordered = torch.zeros(len(known), len(popular)).scatter_add_(1, data.test.inputs, known)
        return ranking_metrics([(ordered + popular, data.test.targets)])

    def _examples(self, rows: npt.NDArray[np.intp]) -> Examples:
        return Examples(
            torch.from_numpy(self._baskets.histories[rows]), torch.from_numpy(self._baskets.targets[rows])
        )

    @cached_property
    def _owners(self) -> dict[str, npt.NDArray[np.intp]]:
        names = self._baskets.groups if self.by_group else self._baskets.countries
        found = {}
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            n_test = int(self._baskets.is_test[rows].sum())
            if len(rows) - n_test >= LEAST_TRAIN and n_test >= LEAST_TEST:
                found[str(name)] = rows
        return found

    @cached_property
    def _baskets(self) -> Baskets:
        return read_baskets()


class NextBasketByGroup(NextBasket):
    """The task with groups of customers as participants."""

    def __init__(self) -> None:
        super().__init__(by_group=True)


@dataclass(frozen=True, slots=True)
class Baskets:
    """Baskets that have a history; item numbers begin with 1.

    Attributes:
        items: the catalogue's codes; number 1 is the first.
        histories: shape (baskets, HISTORY), what the customer ordered before, newest first, 0 for none.
        targets: shape (baskets, BASKET), the basket's items, 0 for none.
        is_test: shape (baskets,), from the split on.
        countries: shape (baskets,).
        groups: shape (baskets,), by the worth of the customer's first order.
    """

    items: tuple[str, ...]
    histories: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    is_test: npt.NDArray[np.bool_]
    countries: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]


def read_baskets() -> Baskets:
    """Return all baskets of known customers that ordered before."""
    lines = sales(data_places()).filter(pl.col("customer").is_not_null())
    sold = (lines.filter(pl.col("time") < SPLIT).group_by("item").agg(n=pl.col("invoice").n_unique())).filter(
        pl.col("n") >= ITEM_BASKETS
    )
    items = tuple(sold["item"].sort().to_list())
    number = {item: i for i, item in enumerate(items, start=1)}
    lines = lines.with_columns(number=pl.col("item").replace_strict(number, default=0, return_dtype=pl.Int64))
    baskets = (
        lines.group_by("customer", "invoice")
        .agg(
            time=pl.col("time").min(),
            country=pl.col("country").first(),
            size=pl.len(),
            numbers=pl.col("number").filter(pl.col("number") > 0).unique(maintain_order=True),
        )
        .sort("customer", "time", "invoice")
    )
    first = baskets.group_by("customer", maintain_order=True).first()
    edges = np.quantile(first["size"].to_numpy(), np.linspace(0, 1, GROUPS + 1)[1:-1])
    group = dict(zip(first["customer"], np.searchsorted(edges, first["size"].to_numpy()), strict=True))
    rows = list(_with_histories(baskets))
    return Baskets(
        items=items,
        histories=np.array([_padded(history[::-1], HISTORY) for history, _ in rows]),
        targets=np.array([_padded(basket["numbers"], BASKET) for _, basket in rows]),
        is_test=np.array([basket["time"] >= SPLIT for _, basket in rows]),
        countries=np.array([basket["country"] for _, basket in rows]),
        groups=np.array([f"group {group[basket['customer']] + 1}" for _, basket in rows]),
    )


def ranking_metrics(scored: Iterator[tuple[torch.Tensor, torch.Tensor]] | list) -> dict[str, float]:
    """Return hit rate and NDCG at ten.

    Args:
        scored: scores (baskets, items + 1), in which column 0 is no item, and baskets (baskets, BASKET).
    """
    hits, gains = [], []
    discounts = 1.0 / np.log2(np.arange(2, TOP + 2))
    for scores, baskets in scored:
        ranked = scores.clone()
        ranked[:, 0] = -torch.inf
        best = torch.topk(ranked, TOP, dim=1).indices.numpy()
        found = (best[:, :, None] == baskets.numpy()[:, None, :]).any(axis=2)
        sizes = np.minimum((baskets.numpy() > 0).sum(axis=1), TOP)
        ideal = np.array([discounts[:size].sum() for size in sizes])
        hits.append(found.any(axis=1))
        gains.append((found * discounts).sum(axis=1) / ideal)
    return {
        "hit_rate_at_10": float(np.concatenate(hits).mean()),
        "ndcg_at_10": float(np.concatenate(gains).mean()),
    }


def _with_histories(baskets: pl.DataFrame) -> Iterator[tuple[list[int], dict]]:
    customer, history = None, []
    for basket in baskets.iter_rows(named=True):
        if basket["customer"] != customer:
            customer, history = basket["customer"], []
        if history and basket["numbers"]:
            yield list(history), basket
        history += basket["numbers"]


def _padded(numbers: list[int], width: int) -> npt.NDArray[np.int64]:
    row = np.zeros(width, dtype=np.int64)
    kept = numbers[:width]
    row[: len(kept)] = kept
    return row


def _counts(baskets: torch.Tensor, n_items: int) -> torch.Tensor:
    return torch.bincount(baskets.flatten(), minlength=n_items + 1).float()
