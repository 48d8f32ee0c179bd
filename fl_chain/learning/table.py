"""CSV, Parquet and NumPy tables: columns read as declared, or a clear refusal with row and value."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fl_chain.config import data_places
from fl_chain.data.catalogue import builtin_csv, dataset, is_builtin, is_catalogued
from fl_chain.data.places import located
from fl_chain.errors import InputDataError

_CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zst")
_PARQUET_SUFFIXES = (".parquet", ".pq")
_READ_PARQUET = "import sys, polars; polars.read_parquet(sys.argv[1])"
_MOST_MESSAGE = 500  # characters
_NUMPY_SUFFIXES = (".npz", ".npy")
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

    def write_rows(self, rows: npt.NDArray[np.intp], path: Path) -> None:
        """Write some rows, with all columns, as Parquet.

        Raises:
            InputDataError: if the file cannot be written.
        """
        try:
            self._frame[rows].write_parquet(path)
        except _READ_FAILURES as error:
            raise InputDataError(f"cannot write {path}: {error}") from error

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
    """Return the table in a file or a data set of the catalogue.

    A NumPy file holds numbers or text: in an .npz every one-dimensional array is a column of its name, and of
    a two-dimensional one ``x`` the columns are ``x.0``, ``x.1`` and so on; an .npy holds one structured array
    with its fields as columns, or a two-dimensional one with the columns ``0``, ``1`` and so on.

    Args:
        source: a path that ends in .csv, .csv.gz, .csv.zst, .parquet, .pq, .npz or .npy; or ``builtin:NAME``,
            or ``catalogue:NAME``.

    Raises:
        InputDataError: if it cannot be read as such, or holds no rows.
        DigestMismatch: if a catalogued file is another one.
    """
    if is_builtin(source):
        return _table(_read_csv(io.BytesIO(builtin_csv(source)), source), source, first_row=2)
    if is_catalogued(source):
        return _read_catalogued(source)
    name = source.lower()
    if not name.endswith(_CSV_SUFFIXES + _PARQUET_SUFFIXES + _NUMPY_SUFFIXES):
        wanted = ", ".join(_CSV_SUFFIXES + _PARQUET_SUFFIXES + _NUMPY_SUFFIXES)
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
    if name.endswith(_NUMPY_SUFFIXES):
        return _table(_read_numpy(Path(source)), source, first_row=1)
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


def _read_catalogued(source: str) -> Table:
    found = dataset(source)
    if found.form != "table":
        raise InputDataError(f"the data set {found.name} is no table: read it in a Python file's task")
    return read_table(str(located(found, data_places())[0]))


def _read_numpy(path: Path) -> pl.DataFrame:
    try:
        # No pickles: whoever wrote the file would run code here.
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            arrays = dict(content.items()) if isinstance(content, np.lib.npyio.NpzFile) else _fields(content)
    except Exception as error:  # a malformed header leads its readers to errors of a dozen classes
        raise InputDataError(
            f"{path} cannot be read as NumPy's own format, without pickled objects: {error}"
        ) from error
    columns: dict[str, npt.NDArray[Any]] = {}
    for name, array in arrays.items():
        columns |= _array_columns(name, array, str(path))
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputDataError(
            f"the arrays of {path} are not of one length: "
            + ", ".join(f"{name} has {length}" for name, length in lengths.items())
        )
    return pl.DataFrame({name: pl.Series(values) for name, values in columns.items()})


def _fields(array: npt.NDArray[Any]) -> Mapping[str, npt.NDArray[Any]]:
    if array.dtype.names is not None:
        return {name: np.ascontiguousarray(array[name]) for name in array.dtype.names}
    return {"": array}


def _array_columns(name: str, array: npt.NDArray[Any], origin: str) -> dict[str, npt.NDArray[Any]]:
    if array.dtype.kind not in "biufU":
        raise InputDataError(f"{origin}: the array {name!r} holds {array.dtype}, neither numbers nor text")
    if array.ndim == 1 and name:
        return {name: array}
    if array.ndim == 2:
        prefix = f"{name}." if name else ""
        return {f"{prefix}{i}": np.ascontiguousarray(array[:, i]) for i in range(array.shape[1])}
    raise InputDataError(
        f"{origin}: the array {name!r} has the shape {array.shape}; a column has one dimension, columns two"
    )


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
