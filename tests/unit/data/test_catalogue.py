import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fl_chain.config import NumericColumn
from fl_chain.data import orange_juice
from fl_chain.data.catalogue import DATASETS, builtin_csv, is_builtin, verify_content
from fl_chain.errors import DigestMismatch, InputDataError
from fl_chain.learning.table import column_statistics, read_table

SCRIPT = Path(__file__).parents[3] / "scripts" / "column_statistics.py"


def test_the_embedded_file_is_the_published_one() -> None:
    content = builtin_csv("builtin:orange_juice")
    assert hashlib.sha256(content).digest() == DATASETS["orange_juice"].files[0].sha256
    assert content.count(b"\n") == 1071


def test_a_changed_file_is_refused() -> None:
    content = builtin_csv("builtin:orange_juice")
    with pytest.raises(DigestMismatch, match="install fl_chain again"):
        verify_content(
            DATASETS["orange_juice"].files[0],
            content.replace(b"\n", b"\r\n"),
            advice="install fl_chain again",
        )


def test_an_unknown_set_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InputDataError, match="builtin:orange_juice"):
        builtin_csv("builtin:apple_juice")


@pytest.mark.parametrize(
    ("source", "expected"), [("builtin:x", True), ("builtin.csv", False), ("a/b.csv", False)]
)
def test_is_builtin(source: str, expected: bool) -> None:
    assert is_builtin(source) is expected


def test_the_public_means_and_deviations_are_those_of_the_file() -> None:
    names = [column.name for column in orange_juice.FEATURES]
    statistics = column_statistics(read_table(orange_juice.SOURCE), names)
    for column in orange_juice.FEATURES:
        mean, std = statistics[column.name]
        assert (f"{column.mean:.4g}", f"{column.std:.4g}") == (f"{mean:.4g}", f"{std:.4g}")


def test_the_command_prints_settings_that_can_be_pasted() -> None:
    names = [column.name for column in orange_juice.FEATURES]
    command = [sys.executable, str(SCRIPT), orange_juice.SOURCE, *names]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    columns = tomllib.loads(result.stdout)["run"]["task"]["numeric"]
    assert tuple(NumericColumn(**column) for column in columns) == orange_juice.FEATURES


def test_the_command_names_a_column_that_is_not_there() -> None:
    command = [sys.executable, str(SCRIPT), orange_juice.SOURCE, "Taste"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("builtin:orange_juice has no column 'Taste'")


def test_the_owners_are_the_stores_of_the_file() -> None:
    table = read_table(orange_juice.SOURCE)
    assert tuple(sorted(set(table.text("StoreID")))) == orange_juice.OWNERS


def test_no_input_names_the_owner_or_repeats_another() -> None:
    names = {column.name for column in orange_juice.FEATURES}
    assert not names & {"Purchase", "StoreID", "STORE", "Store7"}
    derived = {"SalePriceMM", "SalePriceCH", "PriceDiff", "ListPriceDiff", "PctDiscMM", "PctDiscCH"}
    assert not names & derived
