"""``fl-chain data partition``: one data set divided between participants, for experiments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from fl_chain.config import data_places
from fl_chain.data.partition import Drawing, Kind, Partition, by_owner, class_counts, drawn
from fl_chain.errors import ConfigError, InputDataError

if TYPE_CHECKING:
    from fl_chain.learning.table import Table as OwnersTable

OWNER = "owner"
CLASSES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a partition needs to know of a data set; None where it has no such column."""

    n_rows: int
    labels: npt.NDArray[Any] | None
    owners: list[str] | None
    table: OwnersTable | None


def partition(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, or a table of your own.")],
    *,
    by: Annotated[
        str, typer.Option(help=f"How rows are divided: {', '.join([OWNER, *(kind.value for kind in Kind)])}.")
    ] = OWNER,
    owner_column: Annotated[str | None, typer.Option(help="Else the data set's first.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Else the data set's own.")] = None,
    participants: Annotated[int, typer.Option(min=1, help="How many; not with owners.")] = 10,
    concentration: Annotated[
        float, typer.Option(help="Of the Dirichlet distribution: the smaller, the more uneven.")
    ] = 0.5,
    shards_each: Annotated[int, typer.Option(min=1, help="Shards of classes for each participant.")] = 2,
    min_rows: Annotated[int, typer.Option(min=1, help="Draw until each participant has as many.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same partition.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (SVG) here.")] = None,
    indices: Annotated[
        Path | None, typer.Option(help="Write every participant's row numbers here, as .npz.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Write every participant's rows into this folder, as Parquet.")
    ] = None,
) -> None:
    """Divide a data set between participants, and show who has what."""
    rows = _read(name, owner_column, label_column)
    if by == OWNER:
        names, parts = _by_owner(name, rows)
    else:
        drawing = Drawing(_kind(by), participants, concentration, shards_each, min_rows)
        parts = drawn(drawing, rows.n_rows, rows.labels, np.random.default_rng(seed))
        names = tuple(str(number) for number in range(len(parts)))
    labels = np.full(rows.n_rows, "rows") if rows.labels is None else rows.labels
    classes, counts = class_counts(labels, parts)
    _print(names, classes, counts)
    if plot is not None:
        from fl_chain.data.partition_plot import partition_svg

        _write(plot, partition_svg(f"{name} by {by}", names, classes, counts))
    if indices is not None:
        np.savez_compressed(_made(indices), **dict(zip(names, parts, strict=True)))  # type: ignore[arg-type]
    if tables is not None:
        if rows.table is None:
            raise ConfigError(f"{name} is no table, so --tables has nothing to write; use --indices")
        for who, part in zip(names, parts, strict=True):
            rows.table.write_rows(part, _made(tables / f"{_file_name(who)}.parquet"))


def _read(name: str, owner_column: str | None, label_column: str | None) -> _Rows:
    from fl_chain.data.catalogue import BUILTIN_PREFIX, CATALOGUE_PREFIX, DATASETS
    from fl_chain.data.reading import read_images, read_roles
    from fl_chain.learning.table import read_table

    known = DATASETS.get(name)
    if known is not None and known.form == "idx":
        digits = read_images(name, data_places()).train_labels
        return _Rows(len(digits), digits, None, None)
    if known is not None and known.form == "roles":
        roles = read_roles(name, data_places())
        speakers = [role for role, lines in roles.items() for _ in lines]
        return _Rows(len(speakers), None, speakers, None)
    if known is not None:
        owner_column = owner_column or (known.owners[0] if known.owners else None)
        label_column = label_column or known.label
        name = (BUILTIN_PREFIX if known.is_embedded else CATALOGUE_PREFIX) + name
    table = read_table(name)
    return _Rows(
        n_rows=len(table),
        labels=None if label_column is None else np.array(table.text(label_column)),
        owners=None if owner_column is None else table.text(owner_column),
        table=table,
    )


def _by_owner(name: str, rows: _Rows) -> tuple[tuple[str, ...], Partition]:
    if rows.owners is None:
        raise InputDataError(f"{name} names no owners: say --owner-column, or another --by")
    return by_owner(rows.owners)


def _kind(by: str) -> Kind:
    try:
        return Kind(by)
    except ValueError:
        kinds = ", ".join([OWNER, *(kind.value for kind in Kind)])
        raise ConfigError(f"rows cannot be divided by {by!r}; --by is one of {kinds}") from None


def _print(names: tuple[str, ...], classes: list[str], counts: npt.NDArray[np.int64]) -> None:
    shown = Table("participant", "rows", "of them", box=None)
    for who, row in zip(names, counts, strict=True):
        own = [f"{label}: {count:,}" for label, count in zip(classes, row.tolist(), strict=True) if count]
        rest = ", …" if len(own) > CLASSES_SHOWN else ""
        shown.add_row(who, f"{row.sum():,}", ", ".join(own[:CLASSES_SHOWN]) + rest)
    Console(soft_wrap=True, highlight=False, markup=False).print(shown)


def _file_name(who: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in who) or "_"


def _made(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return path


def _write(path: Path, text: str) -> None:
    try:
        _made(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
