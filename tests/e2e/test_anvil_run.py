"""The main job on anvil: worker, aggregator and audit as processes of their own, and what stays of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import COMMAND, called, run_command
from commands import simulated_root

from fl_chain.ledger.anvil import FIXED_RULES, running_anvil

pytestmark = [pytest.mark.node, pytest.mark.slow, pytest.mark.timeout(300)]

ROUNDS, SEED = 2, 3


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished demonstration on anvil: its folder and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "anvil"
    choices = ("--rounds", str(ROUNDS), "--seed", str(SEED), "--chain", "anvil")
    result = run_command("demo", "--out", str(out), *choices)
    assert result.returncode == 0, result.stdout + result.stderr
    return out, result.stdout


def digest_of_folder(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def test_the_demo_passes_its_audit_and_finds_the_flipped_bit(finished: tuple[Path, str]) -> None:
    out, said = finished
    report = json.loads((out / "audit.json").read_text())
    assert report["verdict"] == "pass"
    assert [item["included"] for item in report["rounds"]] == [5] * ROUNDS
    assert all(item["verified"] for item in report["rounds"])
    assert {one["claimed_wei"] for one in report["participants"]} == {ROUNDS * (10**16 // 5)}
    assert "update_altered" in said
    assert json.loads((out / "run.json").read_text())["chain_kind"] == "anvil"


def test_the_model_is_that_of_its_seed(finished: tuple[Path, str], tmp_path: Path) -> None:
    summary = json.loads((finished[0] / "summary.json").read_text())
    assert summary["model_root"] == simulated_root(tmp_path / "simulated", seed=SEED, rounds=ROUNDS)


def test_the_folder_alone_audits_the_same_and_stays_untouched(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    out, _ = finished
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("run.json", "chain", "store"):
        source = out / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, moved / name)
    before = digest_of_folder(moved)

    result = run_command("audit", "--run", str(moved), "--json", str(tmp_path / "report.json"))

    assert result.returncode == 0, result.stderr
    assert digest_of_folder(moved) == before
    # The saved chain is audited at its last block, which came after the demonstration's own audit.
    again, first = (json.loads(path.read_text()) for path in (tmp_path / "report.json", out / "audit.json"))
    assert again["rounds"] == first["rounds"]
    assert again["checks"] == first["checks"]
    status = called("status", "--run", str(moved), "--json")
    assert json.loads(status.stdout)["models"] == ROUNDS


def test_an_audit_over_the_network_says_the_same(finished: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = finished
    run = json.loads((out / "run.json").read_text())
    state = shutil.copy(out / "chain" / "state.json", tmp_path / "state.json")
    with running_anvil(arguments=[*FIXED_RULES, "--load-state", str(state), "--no-mining"]) as anvil:
        arguments = ["audit", "--ledger", run["ledger"], "--store", str(out / "store")]
        for rpc, other in ((anvil.websocket_url, str(anvil.ipc_path)), (anvil.url, anvil.url)):
            result = called(*arguments, "--rpc", rpc, "--compare-rpc", other)
            assert result.returncode == 0, result.stdout + result.stderr
            assert "PASS" in result.stdout


def test_an_altered_chain_is_not_audited(finished: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = finished
    altered = tmp_path / "altered"
    shutil.copytree(out / "store", altered / "store")
    shutil.copy(out / "run.json", altered / "run.json")
    state = json.loads((out / "chain" / "state.json").read_text())
    ledger = json.loads((out / "run.json").read_text())["ledger"]
    state["accounts"][ledger]["balance"] = "0x1"
    (altered / "chain").mkdir()
    (altered / "chain" / "state.json").write_text(json.dumps(state))
    result = called("audit", "--run", str(altered))
    assert result.returncode == 2
    assert "the state of block" in result.stderr


def test_where_anvil_is_missing_demo_and_audit_say_how_to_get_it(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    out, _ = finished
    # The package as it is installed, away from the source tree with its node_modules, and an empty PATH.
    shutil.copytree(Path(__file__).parents[2] / "fl_chain", tmp_path / "fl_chain")
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    for arguments in (
        ["demo", "--chain", "anvil", "--out", str(tmp_path / "demo")],
        ["audit", "--run", str(out)],
    ):
        result = subprocess.run(
            [sys.executable, *COMMAND[1:], *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 2, result.stdout
        assert "anvil is not installed: `npm ci` in the folder `contracts`" in result.stderr
    assert not (tmp_path / "demo").exists()
