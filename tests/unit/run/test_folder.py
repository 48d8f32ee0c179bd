import json
from pathlib import Path

import pytest

from fl_chain.errors import ConfigError, OutputExists
from fl_chain.run.folder import RunFolder, prepare_folder, read_run_folder

LEDGER = "0x" + "ab" * 20


def test_a_folder_reads_back_what_was_written(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path, chain_id=5, ledger=LEDGER, deployed_block=3, store=("a", "b"))
    folder.write()
    assert read_run_folder(tmp_path) == folder
    assert folder.store_urls == (str(tmp_path / "a"), str(tmp_path / "b"))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.json"):
        read_run_folder(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"ledger": "0x12"},
        {"chain": "../elsewhere"},
        {"store": ["/etc"]},
        {"store": ["s3://bucket"]},
        {"chain_id": "5"},
        {"surprise": 1},
        {"chain_kind": "geth"},
        {"store": None},
    ],
)
def test_a_forged_run_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    RunFolder(path=tmp_path, chain_id=5, ledger=LEDGER, deployed_block=3).write()
    content = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(content | change))
    with pytest.raises(ConfigError):
        read_run_folder(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "null", "[" * 100_000])
def test_a_run_file_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError):
        read_run_folder(tmp_path)


def test_a_run_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "run"
    prepare_folder(out, force=False)
    (out / "blob").write_text("x")
    with pytest.raises(OutputExists, match="--force"):
        prepare_folder(out, force=False)
    assert (out / "blob").exists()
    prepare_folder(out, force=True)
    assert not (out / "blob").exists()


def test_a_foreign_folder_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExists, match="choose another"):
        prepare_folder(tmp_path, force=True)
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(OutputExists):
        prepare_folder(path, force=True)
