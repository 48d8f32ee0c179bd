"""`fl-chain data`: what it prints and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fl_chain.cli.main import app
from fl_chain.config import data_places
from fl_chain.data.catalogue import DATASETS
from fl_chain.data.partition_plot import partition_svg
from fl_chain.errors import ConfigError, DatasetUnavailable, FlChainError, InputDataError
from fl_chain.learning.table import read_table

CSV = "shop,bought,price\n" + "".join(f"{'ab'[i % 2]},{i % 3 == 0},{i}\n" for i in range(30))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["data", *arguments], env={"COLUMNS": "200"})
    if isinstance(result.exception, FlChainError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def no_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FL_CHAIN_DATA", str(tmp_path / "data"))
    return tmp_path


def test_the_list_names_every_set() -> None:
    output = run("list")
    assert all(name in output for name in DATASETS)


def test_a_description_names_origin_and_licence() -> None:
    output = run("describe", "online_shoppers")
    assert "CC BY 4.0" in output
    assert "archive.ics.uci.edu/static/public/468" in output
    assert DATASETS["online_shoppers"].files[0].sha256.hex() in output


def test_places_are_read_from_the_environment(no_places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = data_places()
    assert places.folders[0] == no_places / "data"
    assert places.cache == no_places / "cache" / "fl_chain" / "data"
    monkeypatch.setenv("FL_CHAIN_DATA", "/a:/b")
    assert data_places().folders[:2] == (Path("/a"), Path("/b"))


def test_fetching_a_set_that_is_embedded_names_its_file() -> None:
    assert run("fetch", "orange_juice").strip().endswith("orange_juice.csv")


def test_fetching_an_unknown_set_names_the_known_ones() -> None:
    with pytest.raises(InputDataError, match="shakespeare"):
        run("fetch", "apple_juice")


def test_owners_divide_the_embedded_set(tmp_path: Path) -> None:
    output = run("partition", "orange_juice", "--plot", str(tmp_path / "p.svg"))
    assert "CH: 85, MM: 72" in output
    assert (tmp_path / "p.svg").read_text().count("<title>") == 1 + 2 * 5


def test_a_table_of_ones_own_is_divided_and_written(table: Path, tmp_path: Path) -> None:
    arguments = ("--by", "dirichlet", "--label-column", "bought", "--participants", "3", "--seed", "5")
    indices, folder = tmp_path / "i.npz", tmp_path / "parts"
    outputs = [
        run("partition", str(table), *arguments, "--indices", str(indices), "--tables", str(folder))
        for _ in range(2)
    ]
    assert outputs[0] == outputs[1]
    rows = np.load(indices)
    assert sorted(np.concatenate([rows[name] for name in rows]).tolist()) == list(range(30))
    for name in rows:
        assert read_table(str(folder / f"{name}.parquet")).numbers("price").tolist() == rows[name].tolist()


def test_what_cannot_be_divided_so_is_said(table: Path) -> None:
    with pytest.raises(InputDataError, match="--owner-column"):
        run("partition", str(table))
    with pytest.raises(InputDataError, match="take iid or size"):
        run("partition", str(table), "--by", "shards")
    with pytest.raises(ConfigError, match="--by is one of owner, iid"):
        run("partition", str(table), "--by", "moon")


def test_a_set_that_is_not_there_is_said(no_places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "fl_chain.learning.table.data_places",
        lambda: type(data_places())((no_places,), no_places / "cache"),
    )
    with pytest.raises(DatasetUnavailable, match="fl-chain data fetch online_shoppers"):
        run("partition", "online_shoppers")


def test_a_picture_escapes_names_and_joins_the_rarest_classes() -> None:
    counts = np.arange(1, 31)[None, :].repeat(2, axis=0)
    picture = partition_svg("<t>", ["a&b", "c"], [f"class {i}" for i in range(30)], counts)
    assert "&lt;t&gt;" in picture
    assert "a&amp;b, others: 66" in picture  # 1 + ... + 11
    assert "<t>" not in picture
