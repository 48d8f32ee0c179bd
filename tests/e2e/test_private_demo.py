"""The main job with rows hidden by differential privacy, updates masked or encrypted, and what is said."""

import json
from pathlib import Path

import pytest
from command_line import called, run_command

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]


def test_a_protected_demo_passes_its_audit_and_says_so_everywhere(tmp_path: Path) -> None:
    out = tmp_path / "private"
    result = run_command("demo", "--out", str(out), "--rounds", "1", "--seed", "3", "--privacy", "dp")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "privacy: DP-SGD hides every row" in result.stdout
    assert "the same without protection" in " ".join(result.stdout.split())
    report = json.loads((out / "audit.json").read_text())
    assert (report["verdict"], report["findings"]) == ("pass", [])
    assert report["run"]["privacy"]["rho_micro_spent"] == 156_250
    assert "declared, not proven" in (out / "audit.html").read_text()
    status = called("status", "--run", str(out), "--json")
    assert "0.15625 of 0.46875 zCDP" in json.loads(status.stdout)["privacy"]


def test_a_masked_demo_passes_its_audit_and_says_so_everywhere(tmp_path: Path) -> None:
    out = tmp_path / "masked"
    result = run_command("demo", "--out", str(out), "--rounds", "1", "--seed", "3", "--privacy", "secagg")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "privacy: secure aggregation" in result.stdout
    assert "finding  update_altered" in result.stdout  # of the copy in which a bit is flipped
    report = json.loads((out / "audit.json").read_text())
    assert (report["verdict"], report["findings"], report["warnings"]) == ("pass", [], [])
    assert report["run"]["protection"].startswith("secure aggregation")
    # Five stayed: five seeds were looked at, then five terms, then the sum.
    times = {one["id"]: one["times"] for one in report["checks"]}
    assert times["masks"] >= 11
    assert times["secrecy"] >= 10
    assert "secure aggregation" in (out / "audit.html").read_text()
    status = called("status", "--run", str(out), "--json")
    assert json.loads(status.stdout)["privacy"].startswith("secure aggregation")


def test_an_encrypted_demo_passes_its_audit_and_says_so_everywhere(tmp_path: Path) -> None:
    out = tmp_path / "encrypted"
    result = run_command("demo", "--out", str(out), "--rounds", "1", "--seed", "3", "--privacy", "he")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "privacy: homomorphic encryption: the 5 members" in result.stdout
    assert "the same without protection" in " ".join(result.stdout.split())
    assert "finding  update_altered" in result.stdout  # of the copy in which a bit is flipped
    report = json.loads((out / "audit.json").read_text())
    assert (report["verdict"], report["findings"], report["warnings"]) == ("pass", [], [])
    assert report["run"]["protection"].startswith("homomorphic encryption")
    times = {one["id"]: one["times"] for one in report["checks"]}
    assert (times["secrecy"], times["openings"]) == (5, 5)
    assert "homomorphic encryption" in (out / "audit.html").read_text()
    status = called("status", "--run", str(out), "--json")
    assert json.loads(status.stdout)["privacy"].startswith("homomorphic encryption")
    key = out / "participants" / "1" / "worker-state" / "encryption" / "cohort-key"
    assert called("audit", "--run", str(out), "--cohort-key", str(key)).returncode == 0
    missing = called("audit", "--run", str(out), "--cohort-key", str(tmp_path / "none"))
    assert missing.returncode == 2
    assert "keeps it in its state folder" in missing.stderr
