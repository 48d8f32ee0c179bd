"""CSV, Parquet and NumPy files: a table whose every column can be read, or `InputDataError`."""

from __future__ import annotations

import contextlib
import io
from functools import cache

import numpy as np
import polars as pl
from choices import Choices
from scratch import scratch

from fl_chain.errors import InputDataError
from fl_chain.learning.table import Table, column_statistics, read_table

COVERS = ("fl_chain.learning.table",)

SUFFIXES = (".csv", ".csv", ".csv.gz", ".csv.zst", ".parquet")
NUMPY_SUFFIXES = (".npz", ".npy")
CSV = b"price,shop,label\n1.5,a,yes\n2,b,no\n"


@cache
def parquet() -> bytes:
    out = io.BytesIO()
    frame = pl.read_csv(io.BytesIO(CSV)).with_columns(pl.lit(None).alias("none"), day=pl.date(2020, 1, 2))
    frame.write_parquet(out, compression="uncompressed", statistics=False)
    return out.getvalue()


@cache
def arrays(suffix: str) -> bytes:
    out = io.BytesIO()
    x, shop = np.arange(6.0).reshape(3, 2), np.array(["a", "b", "a"])
    if suffix == ".npz":
        np.savez(out, x=x, shop=shop)
    else:
        np.save(out, x)
    return out.getvalue()


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    number = choices.below(len(SUFFIXES) + 1 + len(NUMPY_SUFFIXES))
    content = choices.rest()
    suffix = SUFFIXES[min(number, len(SUFFIXES) - 1)]
    if number == len(SUFFIXES):  # a true Parquet file with a few bytes changed
        content = _altered(parquet(), Choices(content))
    elif number > len(SUFFIXES):
        suffix = NUMPY_SUFFIXES[number - len(SUFFIXES) - 1]
        content = _altered(arrays(suffix), Choices(content))
    path = scratch() / f"table{suffix}"
    path.write_bytes(content)
    try:
        table = read_table(str(path))
    except InputDataError:
        return
    assert len(table) > 0
    for column in [*table.columns, "missing"]:
        _read(table, column)


def _read(table: Table, column: str) -> None:
    with contextlib.suppress(InputDataError):
        assert len(table.text(column)) == len(table)
    try:
        assert table.numbers(column).shape == (len(table),)
        column_statistics(table, [column])
    except InputDataError:
        pass


def _altered(true: bytes, choices: Choices) -> bytes:
    content = bytearray(true)
    for _ in range(4):
        if choices.are_over:
            break
        at = choices.below(len(content))
        content[at] = choices.byte()
    return bytes(content)


def seeds() -> list[bytes]:
    return [
        b"\0" + CSV,
        b"\0a\n",
        b'\0"a\n,\n',
        b"\2" + CSV,
        b"\4" + parquet(),
        b"\5\0\1",
        b"\6\0\1",
        b"\7",
        b"\7\x40\1",
        b"\0a,a\n1,nan\n",
        b"\0\xff\n1",
    ]
