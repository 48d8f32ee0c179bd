import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fl_chain.config import (
    CategoricalColumn,
    ModelSettings,
    NumericColumn,
    TableTaskSettings,
    TrainingSettings,
)
from fl_chain.errors import ConfigError, InputDataError
from fl_chain.learning.table import Table, read_table
from fl_chain.learning.table_task import TableTask, split_rows

CSV = """shop,age,colour,bought
a,10,red,yes
a,20,blue,no
a,30,red,yes
a,40,green,no
b,50,red,no
b,60,blue,yes
b,70,red,no
"""

SETTINGS = TableTaskSettings(
    label="bought",
    positive="yes",
    owner_column="shop",
    numeric=(NumericColumn(name="age", mean=40, std=20),),
    categorical=(CategoricalColumn(name="colour", categories=("blue", "red"), other=True),),
    test_fraction=0.25,
)


def task(**changes: object) -> TableTask:
    return TableTask(SETTINGS.model_copy(update=changes), ModelSettings())


def csv(folder: Path, text: str = CSV) -> str:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def rows_of(task_: TableTask, owner: str, source: str) -> set[tuple[float, ...]]:
    data = task_.load(owner, source)
    inputs = torch.cat([data.train.inputs, data.test.inputs])
    targets = torch.cat([data.train.targets, data.test.targets])
    return {(*row, target) for row, target in zip(inputs.tolist(), targets.tolist(), strict=True)}


# ---------------------------------------------------------------- what a good table gives


def test_columns_become_standardised_numbers_and_one_hot_categories(tmp_path: Path) -> None:
    assert rows_of(task(), "a", csv(tmp_path)) == {
        (-1.5, 0, 1, 0, 1),
        (-1.0, 1, 0, 0, 0),
        (-0.5, 0, 1, 0, 1),
        (0.0, 0, 0, 1, 0),
    }
    assert task().n_features == 4


def test_parquet_and_compressed_csv_hold_the_same_table(tmp_path: Path) -> None:
    plain = csv(tmp_path)
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    pl.read_csv(plain).write_parquet(tmp_path / "table.parquet")
    expected = rows_of(task(), "b", plain)
    assert rows_of(task(), "b", str(tmp_path / "table.csv.gz")) == expected
    assert rows_of(task(), "b", str(tmp_path / "table.parquet")) == expected


def test_white_space_around_values_does_not_matter(tmp_path: Path) -> None:
    spaced = CSV.replace("a,10,red,yes", "a , 10,red , yes")
    assert rows_of(task(), "a", csv(tmp_path, spaced)) == rows_of(task(), "a", csv(tmp_path))


def test_without_mean_and_std_the_owners_own_training_rows_give_them(tmp_path: Path) -> None:
    data = task(numeric=(NumericColumn(name="age"),)).load("a", csv(tmp_path))
    age = data.train.inputs[:, 0].numpy()
    assert abs(age.mean()) < 1e-6
    assert age.std() == pytest.approx(1, rel=1e-5)


def test_a_constant_column_standardises_to_zero(tmp_path: Path) -> None:
    constant = "age,bought\n5,yes\n5,no\n5,yes\n"
    settings = {"numeric": (NumericColumn(name="age"),), "categorical": (), "owner_column": None}
    data = task(**settings).load("", csv(tmp_path, constant))
    assert data.train.inputs.tolist() == [[0.0], [0.0]]


def test_without_an_owner_column_every_row_is_the_participants(tmp_path: Path) -> None:
    data = task(owner_column=None).load("anyone", csv(tmp_path))
    assert len(data.train) + len(data.test) == 7
    assert task(owner_column=None).owners(csv(tmp_path)) == ()


def test_owners_are_those_that_the_table_names(tmp_path: Path) -> None:
    assert task().owners(csv(tmp_path)) == ("a", "b")


def test_the_tasks_own_source_is_read_where_the_participant_names_none(tmp_path: Path) -> None:
    assert len(task(source=csv(tmp_path)).load("a", None).train) == 3


def test_train_and_evaluate(tmp_path: Path) -> None:
    whole = task(test_fraction=0.25)
    data, model = whole.load("a", csv(tmp_path)), whole.model(0)
    before = whole.evaluate(model, data.train)["loss"]
    loss = whole.train(model, data.train, TrainingSettings(local_epochs=50), 1)
    assert loss < before
    assert whole.evaluate(model, data.train)["loss"] < before


# ---------------------------------------------------------------- the split


def test_a_split_parts_the_rows_and_holds_out_the_share() -> None:
    rows = np.arange(100, 300)
    train, test = split_rows(rows, 0.3, 0, "a")
    assert sorted([*train, *test]) == list(rows)
    assert len(test) == 60


def test_a_split_depends_on_seed_and_owner_and_on_nobody_elses_rows() -> None:
    rows = np.arange(50)
    first = split_rows(rows, 0.3, 0, "a")[1]
    assert np.array_equal(first, split_rows(rows, 0.3, 0, "a")[1])
    assert np.array_equal(first + 1000, split_rows(rows + 1000, 0.3, 0, "a")[1])
    assert not np.array_equal(first, split_rows(rows, 0.3, 1, "a")[1])
    assert not np.array_equal(first, split_rows(rows, 0.3, 0, "b")[1])


def test_the_order_of_owners_in_the_file_changes_no_split(tmp_path: Path) -> None:
    lines = CSV.splitlines()
    swapped = "\n".join([lines[0], *lines[5:], *lines[1:5]]) + "\n"
    mixed = "\n".join([lines[0], lines[5], lines[1], lines[2], lines[6], lines[3], lines[7], lines[4]]) + "\n"
    expected = [task().load(owner, csv(tmp_path)).test.inputs.tolist() for owner in "ab"]
    for text in (swapped, mixed):
        assert [task().load(owner, csv(tmp_path, text)).test.inputs.tolist() for owner in "ab"] == expected


@pytest.mark.parametrize(
    ("n_rows", "fraction", "n_test"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 2), (10, 0.99, 9)]
)
def test_neither_part_is_ever_empty(n_rows: int, fraction: float, n_test: int) -> None:
    train, test = split_rows(np.arange(n_rows), fraction, 0, "a")
    assert (len(train), len(test)) == (n_rows - n_test, n_test)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_one_row_cannot_be_split(n_rows: int) -> None:
    with pytest.raises(InputDataError, match="two are needed"):
        split_rows(np.arange(n_rows), 0.5, 0, "a")


# ---------------------------------------------------------------- what a bad table gets


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("age", "years", "no column 'age'; it has shop, years, colour, bought"),
        ("a,20,blue,no", "a,twenty,blue,no", "row 3 of the number column 'age' holds 'twenty'"),
        ("a,20,blue,no", "a,nan,blue,no", "row 3 of the number column 'age' holds 'nan'"),
        ("a,20,blue,no", "a,inf,blue,no", "row 3 of the number column 'age' holds 'inf'"),
        ("a,20,blue,no", "a,,blue,no", "column 'age' has no value in row 3"),
        ("a,20,blue,no", "a,20,,no", "column 'colour' has no value in row 3"),
        ("a,20,blue,no", 'a,20,"  ",no', "column 'colour' has no value in row 3"),
        ("a,20,blue,no", ",20,blue,no", "column 'shop' has no value in row 3"),
        ("a,20,blue,no", "a,20,blue,", "column 'bought' has no value in row 3"),
        ("a,20,blue,no", "a,20,blue,maybe", "holds 3: 'maybe', 'no', 'yes'"),
        ("yes", "no", "holds 1: 'no'"),
        ("yes", "YES", "one of them 'yes'; it holds 2: 'YES', 'no'"),
    ],
)
def test_the_message_names_column_row_and_value(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    with pytest.raises(InputDataError) as caught:
        task().load("a", csv(tmp_path, CSV.replace(before, after)))
    assert message in str(caught.value)
    assert "table.csv" in str(caught.value) or "label column" in str(caught.value)


def test_rows_of_parquet_count_from_one(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    frame = pl.DataFrame(
        {"shop": ["a", "a"], "age": [1.0, None], "colour": ["red", "red"], "bought": ["yes", "no"]}
    )
    frame.write_parquet(path)
    with pytest.raises(InputDataError, match="row 2"):
        task().load("a", str(path))


def test_an_unknown_category_is_an_error_unless_other_is_declared(tmp_path: Path) -> None:
    strict = (CategoricalColumn(name="colour", categories=("blue", "red")),)
    with pytest.raises(InputDataError, match="row 5 of the column 'colour' holds 'green'"):
        task(categorical=strict).load("a", csv(tmp_path))


def test_an_owner_without_rows_is_refused_and_the_owners_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="'c': the column 'shop' holds 'a', 'b'"):
        task().load("c", csv(tmp_path))


def test_no_source_at_all() -> None:
    with pytest.raises(InputDataError, match=r"`data` in \[worker\]"):
        task().load("a", None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("table.txt", b"a,b\n1,2\n", "must end in"),
        ("table.csv", b"", "cannot be read as CSV"),
        ("table.csv", b"a,b\n", "no rows"),
        ("table.csv", b"a,b\n1,2,3\n", "cannot be read as CSV"),
        ("table.csv", b"a,b\n\xff\xfe,2\n", "cannot be read as CSV"),
        ("table.parquet", b"not parquet", "cannot be read as Parquet"),
        ("table.csv.gz", b"\x1f\x8bnot gzip", "cannot be read as CSV"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputDataError, match=message):
        read_table(str(tmp_path / name))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="there is no file"):
        read_table(str(tmp_path / "table.csv"))


def test_numbers_of_every_type_are_numbers() -> None:
    frame = pl.DataFrame({"i": [1, 2], "f": [1.5, 2.5], "b": [True, False], "s": ["1e3", "-2"]})
    table = Table(frame, origin="frame", first_row=1)
    assert [table.numbers(name).tolist() for name in "ifbs"] == [[1, 2], [1.5, 2.5], [1, 0], [1000, -2]]


# ---------------------------------------------------------------- what a bad declaration gets


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numeric": (), "categorical": ()}, "no inputs"),
        ({"numeric": (NumericColumn(name="age"), NumericColumn(name="age"))}, "twice"),
        ({"numeric": (NumericColumn(name="colour"),)}, "twice"),
        ({"numeric": (NumericColumn(name="bought"),)}, "label or owner"),
        ({"numeric": (NumericColumn(name="shop"),)}, "label or owner"),
        ({"owner_column": "bought"}, "both label and owner"),
        ({"numeric": (NumericColumn(name="age", mean=1),)}, "both mean and std"),
        ({"numeric": (NumericColumn(name="age", std=1),)}, "both mean and std"),
        ({"categorical": (CategoricalColumn(name="colour", categories=("a", "a")),)}, "category twice"),
    ],
)
def test_contradictions_are_configuration_errors(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task(**changes)
