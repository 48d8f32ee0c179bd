"""Dividing the rows of one data set between participants, as experiments on federated learning do.

Each function is pure: what it draws comes from the generator that it is given. It returns a tuple of disjoint
index arrays that cover all rows, one array a participant, each in ascending order. NumPy promises the same
draws from the same seed within one of its releases only, so a partition that others have to repeat is written
down, not drawn again.

Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification", 2019 (`dirichlet_mixtures`). Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos:
An Experimental Study", ICDE 2022 (`dirichlet_shares`, `dirichlet_sizes`). McMahan et al., AISTATS 2017
(`class_shards`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.errors import ConfigError, InputDataError

Indices = npt.NDArray[np.intp]
Partition = tuple[Indices, ...]

MOST_DRAWS = 1000


class Kind(StrEnum):
    """How rows are divided, apart from by their owner."""

    IID = "iid"
    DIRICHLET = "dirichlet"
    DIRICHLET_SHARES = "dirichlet-shares"
    SHARDS = "shards"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A division that is drawn.

    Attributes:
        kind: which function of this module.
        n_participants: at least one.
        concentration: of the Dirichlet distribution; above 0.
        shards_each: shards of classes for each participant.
        min_rows: each participant has at least as many.
    """

    kind: Kind
    n_participants: int
    concentration: float = 0.5
    shards_each: int = 2
    min_rows: int = 1


def drawn(
    drawing: Drawing, n_rows: int, labels: npt.NDArray[Any] | None, rng: np.random.Generator
) -> Partition:
    """Divide rows as a drawing says.

    Args:
        drawing: how.
        n_rows: how many there are.
        labels: a class for each row; needed but for `Kind.IID` and `Kind.SIZE`.
        rng: drawn from.

    Raises:
        ConfigError: if the rows cannot be divided so.
        InputDataError: if there are no classes and they are needed.
    """
    n, concentration, least = drawing.n_participants, drawing.concentration, drawing.min_rows
    _verify_counts(n_rows, n, least)
    if drawing.kind is Kind.IID:
        return iid(n_rows, n, rng)
    if drawing.kind is Kind.SIZE:
        return dirichlet_sizes(n_rows, n, concentration, rng, min_rows=least)
    if labels is None:
        raise InputDataError(f"rows without classes cannot be divided by {drawing.kind}: take iid or size")
    if drawing.kind is Kind.SHARDS:
        return class_shards(labels, n, rng, shards_each=drawing.shards_each)
    if drawing.kind is Kind.DIRICHLET:
        return dirichlet_mixtures(labels, n, concentration, rng)
    return dirichlet_shares(labels, n, concentration, rng, min_rows=least)


def by_owner(owners: Sequence[str]) -> tuple[tuple[str, ...], Partition]:
    """Divide rows by what names their owner.

    Args:
        owners: a name for each row.

    Returns:
        The names, sorted, and each one's rows.

    Raises:
        InputDataError: if there are no rows.
    """
    if len(owners) == 0:
        raise InputDataError("there are no rows to divide")
    names, codes = np.unique(np.asarray(owners, dtype=str), return_inverse=True)
    return tuple(str(name) for name in names), _grouped(codes, len(names))


def iid(n_rows: int, n_participants: int, rng: np.random.Generator) -> Partition:
    """Divide rows at random into parts whose sizes differ by one at most."""
    _verify_counts(n_rows, n_participants)
    return _sorted(np.array_split(rng.permutation(n_rows), n_participants))


def dirichlet_mixtures(
    labels: npt.NDArray[Any], n_participants: int, concentration: float, rng: np.random.Generator
) -> Partition:
    """Give every participant as many rows, in a mixture of classes of its own (Hsu et al. 2019).

    Each mixture is drawn from a Dirichlet distribution around the classes' shares of all rows; rows of a
    class are drawn without replacement, and a mixture is renormalised over the classes that are left.

    Args:
        labels: shape (rows,), whatever `numpy.unique` takes.
        n_participants: at least one, at most the rows.
        concentration: above 0; towards 0 each participant has one class, towards infinity all have the same.
        rng: drawn from.
    """
    _verify_counts(len(labels), n_participants)
    _verify_concentration(concentration)
    classes = _shuffled_classes(labels, rng)
    left = np.array([len(rows) for rows in classes])
    shares = left / left.sum()
    taken = np.zeros(len(classes), dtype=np.intp)
    parts = []
    for size in _sizes(len(labels), n_participants):
        # Shares that underflow to 0 everywhere would leave nothing to draw from, so a trace is added.
        mixture = rng.dirichlet(concentration * shares) + 1e-12 * shares
        wanted = _drawn_counts(mixture, left, size, rng)
        parts.append(
            np.concatenate([rows[t : t + w] for rows, t, w in zip(classes, taken, wanted, strict=True)])
        )
        taken += wanted
        left -= wanted
    return _sorted(parts)


def dirichlet_shares(
    labels: npt.NDArray[Any],
    n_participants: int,
    concentration: float,
    rng: np.random.Generator,
    *,
    min_rows: int = 1,
) -> Partition:
    """Divide each class in shares of its own, so that classes and sizes are skewed (Li et al. 2022).

    Args:
        labels: shape (rows,), whatever `numpy.unique` takes.
        n_participants: at least one.
        concentration: above 0; the smaller, the more uneven.
        rng: drawn from.
        min_rows: everything is drawn again until each participant has as many.

    Raises:
        ConfigError: if so many rows for each are never drawn.
    """
    _verify_counts(len(labels), n_participants, min_rows)
    _verify_concentration(concentration)

    def draw() -> Partition:
        parts: list[list[Indices]] = [[] for _ in range(n_participants)]
        for rows in _shuffled_classes(labels, rng):
            shares = rng.dirichlet(np.full(n_participants, concentration))
            cuts = np.rint(np.cumsum(shares)[:-1] * len(rows)).astype(np.intp)
            for part, own in zip(parts, np.split(rows, cuts), strict=True):
                part.append(own)
        return _sorted([np.concatenate(part) for part in parts])

    return _drawn_until(draw, min_rows, concentration)


def class_shards(
    labels: npt.NDArray[Any], n_participants: int, rng: np.random.Generator, *, shards_each: int = 2
) -> Partition:
    """Sort rows by class, cut them in equal shards, deal some to each (McMahan et al. 2017, pathological).

    Args:
        labels: shape (rows,), sortable.
        n_participants: at least one.
        rng: deals the shards.
        shards_each: for each participant; two in the paper.
    """
    if shards_each < 1:
        raise ConfigError(f"there are {shards_each} shards for each participant; there must be at least 1")
    n_shards = n_participants * shards_each
    _verify_counts(len(labels), n_shards)
    shards = np.array_split(np.argsort(labels, kind="stable"), n_shards)
    dealt = rng.permutation(n_shards).reshape(n_participants, shards_each)
    return _sorted([np.concatenate([shards[number] for number in own]) for own in dealt])


def dirichlet_sizes(
    n_rows: int,
    n_participants: int,
    concentration: float,
    rng: np.random.Generator,
    *,
    min_rows: int = 1,
) -> Partition:
    """Divide rows at random into parts of uneven sizes: quantity skew (Li et al. 2022).

    Args:
        n_rows: how many there are.
        n_participants: at least one.
        concentration: above 0; the smaller, the more uneven.
        rng: drawn from.
        min_rows: the sizes are drawn again until each participant has as many.

    Raises:
        ConfigError: if so many rows for each are never drawn.
    """
    _verify_counts(n_rows, n_participants, min_rows)
    _verify_concentration(concentration)
    order = rng.permutation(n_rows)

    def draw() -> Partition:
        shares = rng.dirichlet(np.full(n_participants, concentration))
        cuts = np.rint(np.cumsum(shares)[:-1] * n_rows).astype(np.intp)
        return tuple(np.split(order, cuts))

    return _sorted(_drawn_until(draw, min_rows, concentration))


def class_counts(labels: npt.NDArray[Any], partition: Partition) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the classes, sorted, and how many rows of each every participant has.

    Returns:
        Names, and counts of shape (participants, classes).
    """
    names, codes = np.unique(labels, return_inverse=True)
    counts = [np.bincount(codes[rows], minlength=len(names)) for rows in partition]
    return [str(name) for name in names], np.array(counts, dtype=np.int64)


def _drawn_until(draw: Callable[[], Partition], min_rows: int, concentration: float) -> Partition:
    for _ in range(MOST_DRAWS):
        parts = draw()
        if min(len(part) for part in parts) >= min_rows:
            return parts
    raise ConfigError(
        f"{MOST_DRAWS} draws with concentration {concentration:g} never gave everyone {min_rows} rows; "
        "raise the concentration, or take fewer participants or a lower minimum"
    )


def _drawn_counts(
    mixture: npt.NDArray[np.float64], left: npt.NDArray[Any], size: int, rng: np.random.Generator
) -> npt.NDArray[Any]:
    """Draw how many rows of each class a participant gets: ``size`` in all, and none that are not left."""
    wanted = np.zeros(len(mixture), dtype=np.intp)
    while (missing := size - int(wanted.sum())) > 0:
        open_mixture = np.where(left > wanted, mixture, 0.0)
        wanted += rng.multinomial(missing, open_mixture / open_mixture.sum())
        np.minimum(wanted, left, out=wanted)
    return wanted


def _shuffled_classes(labels: npt.NDArray[Any], rng: np.random.Generator) -> list[Indices]:
    names, codes = np.unique(labels, return_inverse=True)
    return [rng.permutation(rows) for rows in _grouped(codes, len(names))]


def _grouped(codes: npt.NDArray[np.intp], n_groups: int) -> Partition:
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_groups))
    return tuple(np.split(order, ends[:-1]))


def _sizes(n_rows: int, n_participants: int) -> list[int]:
    return [len(part) for part in np.array_split(np.arange(n_rows), n_participants)]


def _sorted(parts: Sequence[Indices]) -> Partition:
    return tuple(np.sort(part) for part in parts)


def _verify_counts(n_rows: int, n_parts: int, min_rows: int = 1) -> None:
    if n_parts < 1 or min_rows < 1:
        raise ConfigError(f"{n_parts} parts of at least {min_rows} rows: both must be at least 1")
    if n_parts * min_rows > n_rows:
        raise ConfigError(
            f"{n_rows} rows cannot be divided into {n_parts} parts of at least {min_rows}; ask for fewer"
        )


def _verify_concentration(concentration: float) -> None:
    if not (concentration > 0 and np.isfinite(concentration)):
        raise ConfigError(f"the concentration is {concentration:g}; it must be a finite number above 0")
