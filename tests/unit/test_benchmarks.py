import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fl_chain.errors import ConfigError

ROOT = Path(__file__).parents[2]
# What makes each benchmark small, and the least ratio that stands then; 0 where small figures say nothing.
ALONE = {"OVERHEAD_ROUNDS": 1, "INSTALLS": False}
ON_MNIST = {"mnist_2nn", "niid_bench", "robustness"}
NEED_WHAT_MAY_BE_MISSING = ON_MNIST | {"aggregation", "round_cnn", "round_lr"}
SMALL: dict[str, tuple[dict[str, object], float]] = {
    "aggregation": ({"DIMENSION": 1000, "PARTICIPANTS": 2, "INSTALLS": False}, 0),
    "anvil_submissions": ({"SUBMISSIONS": 40, "SENT_ONE_BY_ONE": 5, "RUNS": 1}, 0),
    "audit_run": ({"RUNS": 1, "ROUNDS": 1, "PARTICIPANTS": 2, "HIDDEN": (1000, 300)}, 0),
    "encrypted_sums": ({"DIMENSION": 5000}, 0),
    "event_decoding": ({"EVENTS": 400}, 8),
    "hashing": ({"DIMENSION": 10_000}, 0),
    "ledger_operations": ({"OPERATIONS": 1, "RUNS": 1}, 0),
    "masked_round": ({"PARTICIPANTS": 3, "ROWS": 10, "HIDDEN": 4, "RUNS": 1}, 0),
    "masking": ({"DIMENSION": 100_000}, 0),
    "memory_ledger": ({"MINED": 2, "RUNS": 3}, 50),
    "mnist_2nn": ({"TARGET": 0.1}, 0),
    "niid_bench": (
        {
            "EXAMPLES": 1000,
            "ROUNDS": {"dirichlet": 1, "two_classes": 1},
            "LOCAL_EPOCHS": 1,
            "KEPT": None,
        },
        0,
    ),
    "robustness": (
        {
            "ROUNDS": 10,
            "SEEDS": (1,),
            "RULE_NAMES": ("fedavg", "multi_krum, byzantine 4"),
            "ATTACK_NAMES": ("sign flip, 6",),
        },
        0.9,
    ),
    "round_cnn": (
        {
            "CLIENTS": 2,
            "KINDS": {"round_cnn": "OneBatchCnn"},
            "TURNS": 1,
            "ROUNDS": {"round_cnn": 1},
            **ALONE,
        },
        0,
    ),
    "round_lr": (
        {"CLIENTS": 2, "KINDS": {"round_lr": "SmallLogistic"}, "TURNS": 1, "ROUNDS": 1, "INSTALLS": False},
        0,
    ),
    "round_pipeline": ({"PARTICIPANTS": 1, "ROWS": 20, "RUNS": 1}, 0),
    "verify_round": ({"DIMENSION": 5000, "PARTICIPANTS": 3}, 0),
}


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


def test_each_benchmark_has_its_small_form(harness: ModuleType) -> None:
    import benchmarks.__main__

    assert benchmarks.__main__.names() == sorted(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_each_benchmark_runs_and_keeps_its_least_ratio(
    harness: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    benchmark = importlib.import_module(f"benchmarks.{name}")
    constants, least_ratio = SMALL[name]
    for constant, value in constants.items():
        monkeypatch.setattr(benchmark, constant, value)
    try:
        results = benchmark.results()
    except ConfigError as error:
        if name not in NEED_WHAT_MAY_BE_MISSING:
            raise
        pytest.skip(f"not measured on this machine: {error}")
    assert results[0].name == name
    assert {f"{result.name}.json" for result in results} <= {path.name for path in harness.RESULTS.iterdir()}
    assert all(result.ours > 0 and result.theirs > 0 for result in results)
    assert all(result.ratio > least_ratio for result in results)


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


@pytest.mark.parametrize("kind", ["SmallLogistic", "OneBatchCnn"])
def test_our_side_of_a_round_runs_without_flower(kind: str) -> None:
    from benchmarks.federated_round import round_seconds

    turns: list[float] = []

    def turn() -> float:
        turns.append(1.0)
        return 1.0

    ours, theirs = round_seconds(kind, clients=2, turns=1, rounds=2, other=turn)
    assert len(ours) == 1
    assert ours[0] > 0
    assert theirs == [1.0]
    assert len(turns) == 4  # one turn to warm up, of two rounds as well


def test_our_side_of_the_overhead_runs_without_flower() -> None:
    from benchmarks.engine_overhead import engine_seconds

    _, training_s = engine_seconds(clients=2, rounds=1)
    assert training_s > 0


def test_our_side_of_aggregation_runs_without_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import aggregation

    monkeypatch.setattr(aggregation, "DIMENSION", 1000)
    assert all(seconds > 0 for seconds in aggregation.our_seconds())


def test_without_its_environment_nothing_is_compared_with_flower(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks.flower import PYTHON_VARIABLE, interpreter

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="no environment with Flower"):
        interpreter(installs=False)
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    with pytest.raises(ConfigError, match="has no Flower"):
        interpreter(installs=False)


def test_the_mean_collapses_and_multi_krum_does_not(harness: ModuleType) -> None:
    stored = json.loads((harness.RESULTS / "robustness.json").read_text())
    kept = {(cell["rule"], cell["attack"]): cell["of_clean"] for cell in stored["cells"]}
    assert kept["fedavg", "sign flip, 6"] < 0.2
    own = {attack: share for (rule, attack), share in kept.items() if rule == "multi_krum, byzantine 4"}
    assert len(own) == 7
    assert min(own.values()) >= 0.9
    assert stored["ratio"] == own["sign flip, 6"]


def test_attackers_send_what_their_attacks_say(harness: ModuleType) -> None:
    from benchmarks import robustness

    rng = np.random.default_rng(0)
    honest, attackers, misled = (rng.normal(size=(n, 5)).astype(np.float32) for n in (16, 4, 4))
    learned = robustness.Learned(honest, attackers, misled)
    assert np.allclose(robustness.ATTACKS["sign flip, 6"](learned), -6 * attackers)
    assert np.array_equal(robustness.ATTACKS["label flip"](learned), misled)
    ipm = robustness.ATTACKS["IPM, 0.5"](learned)
    assert ipm.shape == (4, 5)
    assert np.allclose(ipm, -0.5 * honest.mean(axis=0))
    alie = robustness.ATTACKS["ALIE, 1.5"](learned)
    assert np.allclose((honest.mean(axis=0) - alie) / honest.std(axis=0), 1.5, atol=1e-4)
    assert robustness.most_deviations(20, 4) == pytest.approx(0.1573, abs=1e-4)


def test_niid_bench_divides_every_row_once(harness: ModuleType) -> None:
    from benchmarks import niid_bench

    labels = np.random.default_rng(0).integers(0, 10, 3000).astype(np.uint8)
    for name, divide in niid_bench.DIVISIONS.items():
        parts = divide(labels, np.random.default_rng(niid_bench.SEED))
        assert len(parts) == 10
        assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(3000))
        classes = [len(np.unique(labels[rows])) for rows in parts]
        assert (set(classes) == {2}) is (name == "two_classes")


def test_niid_bench_goes_on_where_it_was_stopped(
    harness: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks import niid_bench

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 200).astype(np.uint8)
    images = rng.integers(0, 255, (200, 28, 28)).astype(np.uint8)
    examples = niid_bench._examples(images, labels)
    division = niid_bench.two_classes(labels, rng)
    monkeypatch.setattr(niid_bench, "LOCAL_EPOCHS", 1)

    def lanes(folder: Path, rounds: int) -> bytes:
        monkeypatch.setattr(niid_bench, "KEPT", folder)
        monkeypatch.setattr(niid_bench, "ROUNDS", {"two_classes": rounds})
        niid_bench._Run("two_classes", examples, examples, division).accuracy()
        with np.load(folder / "two_classes.npz") as kept:
            assert kept["round"] == rounds
            return bytes(kept["model"].tobytes())

    whole = lanes(tmp_path / "whole", 2)
    first = lanes(tmp_path / "parts", 1)
    assert first != whole
    assert lanes(tmp_path / "parts", 2) == whole
