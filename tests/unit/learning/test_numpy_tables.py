"""NumPy files as tables: arrays become columns, and what cannot is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fl_chain.config import ModelSettings, NumericColumn, TableTaskSettings
from fl_chain.errors import InputDataError
from fl_chain.learning.table import read_table
from fl_chain.learning.table_task import TableTask


def test_arrays_of_one_and_two_dimensions_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.arange(6.0).reshape(3, 2), shop=np.array(["a", "b", "a"]), bought=[True, False, True])
    table = read_table(str(path))
    assert table.columns == ["x.0", "x.1", "shop", "bought"]
    assert table.numbers("x.1").tolist() == [1.0, 3.0, 5.0]
    assert table.text("shop") == ["a", "b", "a"]
    assert table.text("bought") == ["true", "false", "true"]


def test_a_structured_array_and_a_plain_matrix(tmp_path: Path) -> None:
    rows = np.array([(1, 2.5), (3, 4.5)], dtype=[("n", "i4"), ("v", "f8")])
    np.save(tmp_path / "s.npy", rows)
    assert read_table(str(tmp_path / "s.npy")).numbers("v").tolist() == [2.5, 4.5]
    np.save(tmp_path / "m.npy", np.array([[1, 2], [3, 4]]))
    assert read_table(str(tmp_path / "m.npy")).columns == ["0", "1"]


def test_a_task_trains_on_them_by_configuration_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    values = np.linspace(-1, 1, 20)
    np.savez(path, x=np.stack([values, -values], axis=1), y=(values > 0).astype(int))
    columns = (NumericColumn(name="x.0"), NumericColumn(name="x.1"))
    settings = TableTaskSettings(label="y", positive="1", numeric=columns)
    data = TableTask(settings, ModelSettings()).load("", str(path))
    assert data.train.inputs.shape == (16, 2)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3), "y": np.zeros(4)}, "not of one length: x has 3, y has 4"),
        ({"x": np.zeros((2, 2, 2))}, r"'x' has the shape \(2, 2, 2\)"),
        ({"x": np.array(1.0)}, r"'x' has the shape \(\)"),
        ({"x": np.array([1j])}, "neither numbers nor text"),
        ({"x": np.array(["2020-01-01"], dtype="M8[D]")}, "neither numbers nor text"),
        ({"x": np.array([{}], dtype=object)}, "without pickled objects"),
        ({"x": np.zeros(0)}, "holds no rows"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputDataError, match=message):
        read_table(str(path))


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_what_is_no_numpy_file_is_refused(tmp_path: Path, name: str) -> None:
    for content in (b"", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00", b"text"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputDataError, match="cannot be read as NumPy"):
            read_table(str(tmp_path / name))
