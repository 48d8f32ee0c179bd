import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    import benchmarks.harness

    return benchmarks.harness


def test_a_result_file_has_these_keys_and_no_path_of_this_machine(
    harness: ModuleType, tmp_path: Path
) -> None:
    harness.write(harness.throughput("speed", "a peer", 3.0, [2.0, 1.0], "GB/s"), tmp_path)
    text = (tmp_path / "speed.json").read_text()
    found = json.loads(text)
    assert set(found) == {"name", "ratio", "peer", "ours", "theirs", "unit", "machine"}
    assert (found["ratio"], found["ours"], found["theirs"]) == (0.5, 1.5, 3.0)
    assert set(found["machine"]) == {"cpu", "cores", "python", "numpy"}
    assert str(ROOT) not in text


def test_contestants_take_turns_after_a_warm_up(harness: ModuleType) -> None:
    turns: list[str] = []
    seconds = harness.interleaved_medians([lambda: turns.append("a"), lambda: turns.append("b")], runs=5)
    assert turns == ["a", "b"] * 6
    assert len(seconds) == 2


def test_the_table_names_ratio_and_peer(harness: ModuleType) -> None:
    lines = harness.table([harness.throughput("speed", "a peer", 3.0, [2.0, 1.0], "GB/s")]).splitlines()
    assert lines[0].split()[:2] == ["benchmark", "ratio"]
    assert lines[1].split() == ["speed", "0.50", "1.50", "3.00", "GB/s", "a", "peer"]


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nonsense"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no such benchmark: nonsense; there are " in done.stderr
    assert "hashing" in done.stderr
