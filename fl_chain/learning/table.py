"""CSV and Parquet tables: columns read as what the task declares, or a clear refusal with row and value."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from fl_chain.data.catalogue import builtin_csv, is_builtin
from fl_chain.errors import InputDataError

_CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
_PARQUET_SUFFIXES = (".parquet", ".pq")
_READ_PARQUET = "import sys, polars; polars.read_parquet(sys.argv[1])"
_MOST_MESSAGE = 500  # characters
# Its readers panic at some malformed files, and a panic is not even an Exception.
_READ_FAILURES = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


class Table:
    """A table whose columns are converted one at a time, so that messages can name column, row and value."""

    def __init__(self, frame: pl.DataFrame, *, origin: str, first_row: int) -> None:
        """Wrap a frame.

        Args:
            frame: the columns as they were read; a CSV's are all text.
            origin: what to call the table in messages.
            first_row: the number that messages give to the first row: 2 where a header line precedes it.
        """
        self._frame = frame
        self._origin = origin
        self._first_row = first_row

    def __len__(self) -> int:
        return self._frame.height

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in file order."""
        return self._frame.columns

    def text(self, column: str) -> list[str]:
        """Return a column as text without surrounding white space.

        Raises:
            InputDataError: if there is no such column or a value is missing.
        """
        series = self._column(column).cast(pl.String).str.strip_chars()
        self._verify_present(series.is_null() | (series == ""), column)
        return series.to_list()

    def numbers(self, column: str) -> npt.NDArray[np.float64]:
        """Return a column as finite numbers.

        Returns:
            Shape (rows,), float64.

        Raises:
            InputDataError: if there is no such column, or a value is missing, text, NaN or infinite.
        """
        series = self._column(column)
        if series.dtype == pl.String:
            series = series.str.strip_chars()
            self._verify_present(series.is_null() | (series == ""), column)
        else:
            self._verify_present(series.is_null(), column)
        numbers = series.cast(pl.Float64, strict=False)
        bad = (numbers.is_null() | ~numbers.is_finite()).fill_null(value=True)
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise InputDataError(
                f"{self._origin}: row {row + self._first_row} of the number column {column!r} holds "
                f"{str(series[row])!r}, which is not a finite number. Correct the value, or declare the "
                "column as categorical."
            )
        return numbers.to_numpy()

    def row_number(self, row: int) -> int:
        """Return what messages call the row at a position from 0."""
        return row + self._first_row

    def _column(self, name: str) -> pl.Series:
        if name not in self._frame.columns:
            raise InputDataError(
                f"{self._origin} has no column {name!r}; it has {', '.join(self._frame.columns)}. Correct "
                "the task's column names, or the header of the file."
            )
        return self._frame[name]

    def _verify_present(self, missing: pl.Series, column: str) -> None:
        if missing.any():
            row = int(missing.arg_max() or 0)
            raise InputDataError(
                f"{self._origin}: column {column!r} has no value in row {row + self._first_row} and in "
                f"{int(missing.sum()) - 1} more. Fill the gaps or remove the rows; nothing is guessed."
            )


def read_table(source: str) -> Table:
    """Return the table in a file or an embedded data set.

    Args:
        source: a path that ends in .csv, .csv.gz, .csv.zst, .parquet or .pq; or ``builtin:NAME``.

    Raises:
        InputDataError: if it cannot be read as such, or holds no rows.
    """
    if is_builtin(source):
        return _table(_read_csv(io.BytesIO(builtin_csv(source)), source), source, first_row=2)
    name = source.lower()
    if not name.endswith(_CSV_SUFFIXES + _PARQUET_SUFFIXES):
        wanted = ", ".join(_CSV_SUFFIXES + _PARQUET_SUFFIXES)
        raise InputDataError(f"{source} is not a table that can be read: its name must end in {wanted}")
    if not Path(source).is_file():
        raise InputDataError(f"there is no file {source}; name the participant's table in [worker] data")
    if name.endswith(_PARQUET_SUFFIXES):
        _verify_survivable(source)
        try:
            frame = pl.read_parquet(source)
        except _READ_FAILURES as error:
            raise InputDataError(f"{source} cannot be read as Parquet: {error}") from error
        return _table(frame, source, first_row=1)
    return _table(_read_csv(Path(source), source), source, first_row=2)


def _verify_survivable(source: str) -> None:
    """Read a Parquet file in a process of its own first.

    At some malformed files the reader asks for more memory than there is, and ends its process by that.

    Raises:
        InputDataError: the process did not survive, or the file cannot be read.
    """
    command = [sys.executable, "-c", _READ_PARQUET, source]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    if done.returncode != 0:
        said = next(iter(done.stderr.strip().splitlines()), "its reader ended without a word")
        raise InputDataError(f"{source} cannot be read as Parquet: {said}"[:_MOST_MESSAGE])


def _read_csv(file: io.BytesIO | Path, origin: str) -> pl.DataFrame:
    try:
        return pl.read_csv(file, infer_schema=False)
    except _READ_FAILURES as error:
        raise InputDataError(
            f"{origin} cannot be read as CSV in UTF-8 with a header line: {error}"
        ) from error


def _table(frame: pl.DataFrame, origin: str, *, first_row: int) -> Table:
    if frame.is_empty():
        raise InputDataError(f"{origin} holds no rows")
    return Table(frame, origin=origin, first_row=first_row)


def column_statistics(table: Table, columns: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation (of the population) of number columns, by name.

    Raises:
        InputDataError: as `Table.numbers`.
    """
    values = {column: table.numbers(column) for column in columns}
    return {column: (float(numbers.mean()), float(numbers.std())) for column, numbers in values.items()}
