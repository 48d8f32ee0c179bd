"""The main job as a user runs it: real chain, real processes, real store."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from command_line import called, run_command
from commands import simulated_root

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Demo = tuple[Path, str]


def test_the_demo_passes_its_audit(demo_run: Demo) -> None:
    out, _ = demo_run
    report = json.loads((out / "audit.json").read_text())
    assert report["verdict"] == "pass"
    assert report["findings"] == []
    assert len(report["rounds"]) == 10
    assert len(report["participants"]) == 5
    assert all(item["verified"] and item["included"] == 5 for item in report["rounds"])
    assert report["blobs"]["updates"] == 50
    assert len(report["chain"]["block_hash"]) == 66
    assert len(report["chain"]["code_hash"]) == 66


def test_federated_beats_the_mean_of_the_stores_alone(demo_run: Demo) -> None:
    out, _ = demo_run
    summary = json.loads((out / "summary.json").read_text())
    local = [score["auroc"] for score in summary["local"].values()]
    assert len(local) == 5
    assert summary["federated"]["auroc"] > sum(local) / len(local)
    assert 0.5 < summary["pooled"]["auroc"] < 1


def test_a_finished_run_can_be_drawn(demo_run: Demo, tmp_path: Path) -> None:
    out, _ = demo_run
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["participants"]) == set(summary["local"])
    assert all(len(one["rounds"]) == 10 for one in summary["participants"].values())
    assert summary["clock"] == "chain"
    assert set(summary["seconds"]) == {str(number) for number in range(1, 11)}
    drawn = called("plot", str(out), "--out", str(tmp_path / "run.svg"))
    assert drawn.returncode == 0, drawn.stderr
    picture = (tmp_path / "run.svg").read_text()
    for title in ("Fairness: auroc", "each participant&#39;s own rows", "by the chain clock", "Norm of each"):
        assert title in picture


def test_the_demo_names_the_flipped_bit(demo_run: Demo) -> None:
    out, said = demo_run
    assert "update_altered" in said
    assert "round" in said
    report_before = json.loads((out / "audit.json").read_text())
    tampered = called(
        "audit", "--run", str(out), "--store", str(out / "store-tampered"), "--json", str(out / "t.json")
    )
    assert tampered.returncode == 1
    findings = json.loads((out / "t.json").read_text())["findings"]
    altered = [finding for finding in findings if finding["kind"] == "update_altered"]
    assert len(altered) == 1
    addresses = {participant["participant"] for participant in report_before["participants"]}
    assert altered[0]["participant"] in addresses
    assert 1 <= altered[0]["round"] <= 10
    assert altered[0]["expected"] != altered[0]["actual"]
    assert altered[0]["participant"] in said


def test_the_page_follows_from_the_report_alone(demo_run: Demo, tmp_path: Path) -> None:
    out, said = demo_run
    assert str(out / "audit.html") in said
    page = (out / "audit.html").read_text()
    report = json.loads((out / "audit.json").read_text())
    for item in report["rounds"]:
        assert item["model_root"] in page
        assert all(one["sealed_root"] in page for one in item["participants"])
    assert "Declared by the run, not audited" in page

    again = ("--html", str(tmp_path / "again.html"), "--summary", str(out / "summary.json"))
    result = called("report", str(out / "audit.json"), *again)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "again.html").read_text() == page


def test_what_is_no_report_makes_no_page(demo_run: Demo, tmp_path: Path) -> None:
    out, _ = demo_run
    target = tmp_path / "page.html"
    for wrong, said in ((out / "summary.json", "no audit report"), (tmp_path / "away.json", "cannot read")):
        result = called("report", str(wrong), "--html", str(target))
        assert result.returncode == 2
        assert result.stderr.startswith("fl-chain: ")
        assert said in result.stderr
        assert not target.exists()


def test_an_audit_draws_its_findings_and_does_without_unreadable_scores(
    demo_run: Demo, tmp_path: Path
) -> None:
    out, _ = demo_run
    moved = tmp_path / "run"
    moved.mkdir()
    shutil.copy(out / "run.json", moved)
    shutil.copytree(out / "chain", moved / "chain")
    shutil.copytree(out / "store-tampered", moved / "store")
    (moved / "summary.json").write_text('{"federated": "<script>"}')
    page = tmp_path / "page.html"
    result = run_command("audit", "--run", str(moved), "--html", str(page))
    assert result.returncode == 1
    assert "no learning curves" in result.stderr
    assert "update altered" in page.read_text()
    assert "auroc" not in page.read_text()


def test_every_reward_is_claimed(demo_run: Demo) -> None:
    out, _ = demo_run
    report = json.loads((out / "audit.json").read_text())
    assert {p["claimed_wei"] for p in report["participants"]} == {10 * (10**16 // 5)}
    assert all(p["unclaimed_wei"] == 0 for p in report["participants"])


def digest_of_folder(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def test_a_moved_folder_audits_the_same_and_stays_untouched(demo_run: Demo, tmp_path: Path) -> None:
    out, _ = demo_run
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("run.json", "chain", "store"):
        source = out / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, moved / name)
    before = digest_of_folder(moved)

    reports = []
    for name, run in (("first.json", run_command), ("second.json", called)):
        result = run("audit", "--run", str(moved), "--json", str(tmp_path / name))
        assert result.returncode == 0, result.stderr
        assert "PASS" in result.stdout
        reports.append((tmp_path / name).read_bytes())

    assert reports[0] == reports[1]
    assert digest_of_folder(moved) == before


def test_a_run_is_not_overwritten_without_being_asked(demo_run: Demo) -> None:
    out, _ = demo_run
    result = called("demo", "--out", str(out))
    assert result.returncode == 2
    assert "--force" in result.stderr
    assert (out / "audit.json").exists()


def test_status_and_rewards_read_a_finished_run(demo_run: Demo) -> None:
    out, _ = demo_run
    status = called("status", "--run", str(out), "--json")
    assert status.returncode == 0, status.stderr
    shown = json.loads(status.stdout)
    assert (shown["models"], shown["settled"], shown["ended"]) == (10, 10, True)
    assert shown["privacy"].startswith("none: every auditor")
    rewards = called("rewards", "list", "--run", str(out))
    assert rewards.returncode == 0, rewards.stderr
    assert rewards.stdout.count("20000000000000000") == 5


def test_the_model_is_that_of_its_seed_in_whichever_processes(demo_run: Demo, tmp_path: Path) -> None:
    """The run on anvil, of another seed, is held to the same; see `test_anvil_run`."""
    out, _ = demo_run
    summary = json.loads((out / "summary.json").read_text())
    assert summary["model_root"] == simulated_root(tmp_path / "same", seed=0, rounds=10)
    assert summary["model_root"] != simulated_root(tmp_path / "other", seed=1, rounds=10)


@pytest.mark.parametrize("missing", ["chain", "run.json"])
def test_a_run_that_is_not_whole_cannot_be_audited(demo_run: Demo, tmp_path: Path, missing: str) -> None:
    out, _ = demo_run
    shutil.copytree(out / "store", tmp_path / "store")
    shutil.copytree(out / "chain", tmp_path / "chain")
    shutil.copy(out / "run.json", tmp_path / "run.json")
    path = tmp_path / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = called("audit", "--run", str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.startswith("fl-chain: ")


def test_missing_blobs_are_findings_that_say_who_holds_them(demo_run: Demo, tmp_path: Path) -> None:
    out, _ = demo_run
    store = tmp_path / "store"
    shutil.copytree(out / "store", store)
    victim = sorted((store / "updates").iterdir())[0]
    for path in victim.iterdir():
        path.unlink()
    result = called("audit", "--run", str(out), "--store", str(store), "--json", str(tmp_path / "r.json"))
    assert result.returncode == 1
    findings = json.loads((tmp_path / "r.json").read_text())["findings"]
    missing = [finding for finding in findings if finding["kind"] == "update_missing"]
    assert {finding["participant"] for finding in missing} == {victim.name}
    assert len(missing) == 10


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("documents", {"policy_altered", "manifest_altered"}),
        ("models", {"model_blob_altered", "genesis_altered"}),
        ("sums", {"sum_blob_altered"}),
        ("updates", {"update_altered"}),
    ],
)
def test_each_kind_of_altered_blob_has_its_finding(
    demo_run: Demo, tmp_path: Path, folder: str, kind: set[str]
) -> None:
    out, _ = demo_run
    store = tmp_path / "store"
    shutil.copytree(out / "store", store)
    for path in (store / folder).rglob("*"):
        if path.is_file():
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
    result = called("audit", "--run", str(out), "--store", str(store), "--json", str(tmp_path / "r.json"))
    assert result.returncode == 1
    found = {finding["kind"] for finding in json.loads((tmp_path / "r.json").read_text())["findings"]}
    assert kind <= found
