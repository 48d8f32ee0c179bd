from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest
from command_line import COMMAND, called
from typer.testing import CliRunner

from fl_chain.audit import AuditReport, audit_run
from fl_chain.audit.checks import CheckId
from fl_chain.cli.main import app
from fl_chain.config import (
    ClientPrivacySettings,
    CohortSettings,
    EncryptionSettings,
    FileTaskSettings,
    MaskingSettings,
    ModelSettings,
    PolicySettings,
    RunSettings,
    TableTaskSettings,
    TrainingSettings,
)
from fl_chain.data.orange_juice import logistic_regression
from fl_chain.errors import ConfigError, FlChainError, InputDataError, OutputExists, WrongChain
from fl_chain.ledger.devnet import background_server, open_chain
from fl_chain.ledger.memory.client import CALLS_NAME, open_memory_chain
from fl_chain.records import RoundStatus
from fl_chain.report.schema import parse_report, parse_summary
from fl_chain.run.folder import read_run_folder
from fl_chain.simulation import Progress, SimulationChoices, crew, engine, open_simulation
from fl_chain.simulation.crew import Pool, WorkerFailed
from fl_chain.simulation.phases import PhaseClock
from fl_chain.store import Store

TASK, MODEL, TRAINING = logistic_regression()
MEMORY = SimulationChoices(n_participants=6, division="iid", ledger="memory")
TESTER = SimulationChoices(n_participants=6, division="iid", ledger="tester")


def settings(rounds: int = 3, **changes: object) -> RunSettings:
    content = {
        "seed": 7,
        "task": TASK,
        "model": MODEL,
        "training": TRAINING,
        "policy": PolicySettings(rounds=rounds, quorum=2),
        **changes,
    }
    return RunSettings.model_validate(content)


def test_what_hides_participants_from_one_another_is_not_simulated(tmp_path: Path) -> None:
    for privacy in (EncryptionSettings(kind="he"), MaskingSettings(kind="secagg")):
        run = settings(privacy=privacy, policy=PolicySettings(rounds=1, quorum=3))
        with pytest.raises(ConfigError, match=f"fl-chain demo --privacy {privacy.kind}"):
            simulated(tmp_path / privacy.kind, run=run)


def simulated(
    folder: Path, choices: SimulationChoices = MEMORY, run: RunSettings | None = None, **options: bool
) -> bytes:
    """Run a simulation to its end and return the root of its last model."""
    with open_simulation(folder, run or settings(), choices, **options) as simulation:
        history = simulation.run()
        assert history.state.settled == history.state.latest
        return history.model_root(history.state.tip)


def audited(folder: Path) -> AuditReport:
    """Audit what a simulation has left in its folder."""
    found = read_run_folder(folder)
    with found.open_ledger() as ledger:
        return audit_run(ledger, Store(found.store_urls))


def test_owners_are_judged_on_their_own_rows_and_time_is_kept(tmp_path: Path) -> None:
    owners = SimulationChoices(ledger="memory", jobs=2)
    with open_simulation(tmp_path / "run", settings(2), owners) as simulation:
        history = simulation.run(judges_own=True)
    assert len(simulation.names) == 5
    for who in simulation.names:
        assert set(simulation.own[who]) == {1, 2}
        assert {"training_loss", "auroc"} <= set(simulation.own[who][1])
    aurocs = {scores[2]["auroc"] for scores in simulation.own.values()}
    assert min(aurocs) < simulation.metrics[2]["auroc"] < max(aurocs)
    seconds = simulation.phases.seconds
    assert set(seconds) == {1, 2} == set(history.postings)
    assert all(
        {"train", "submit", "publish", "aggregate", "evaluate"} <= set(own) for own in seconds.values()
    )


def test_shared_rows_are_nobody_s_own(tmp_path: Path) -> None:
    with open_simulation(tmp_path / "run", settings(1), MEMORY) as simulation:
        simulation.run(judges_own=True)
    assert len(simulation.own) == 6
    assert all(set(scores[1]) == {"training_loss"} for scores in simulation.own.values())


def test_of_too_many_nobody_is_judged_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for most, judged in ((5, True), (4, False)):
        monkeypatch.setattr(engine, "MOST_JUDGED", most)
        with open_simulation(tmp_path / str(most), settings(1), SimulationChoices(ledger="memory")) as own:
            own.run(judges_own=True)
        assert all(("auroc" in scores[1]) is judged for scores in own.own.values())


def test_a_run_without_any_scores_is_drawn_from_its_ledger(tmp_path: Path) -> None:
    simulated(tmp_path / "run", MEMORY, settings(2))
    drawn = CliRunner().invoke(app, ["plot", str(tmp_path / "run"), "--out", str(tmp_path / "run.svg")])
    assert drawn.exit_code == 0, drawn.output
    picture = (tmp_path / "run.svg").read_text()
    assert "by the chain clock" in picture
    for phase in ("submission", "posting", "finality"):
        assert f"round 2: {phase} " in picture


def test_a_table_of_owners_is_read_before_processes_part(tmp_path: Path) -> None:
    lines = ["shop,price,bought"]
    lines += [f"{'abc'[row % 3]},{row % 7},{'yes' if row % 7 > 3 else 'no'}" for row in range(90)]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(lines) + "\n")
    task = TableTaskSettings(
        source=str(table),
        label="bought",
        positive="yes",
        owner_column="shop",
        numeric=({"name": "price", "mean": 3.0, "std": 2.0},),
    )
    run = settings(1, task=task)
    root = simulated(tmp_path / "two", SimulationChoices(ledger="memory", jobs=2), run)
    assert root == simulated(tmp_path / "one", SimulationChoices(ledger="memory", jobs=1), run)


class Killed(Exception):
    """Stands for the end of a process: nothing is tidied up but files that the system would close."""


def killed_after(folder: Path, choices: SimulationChoices, trainings: int) -> None:
    seen = 0

    def say(progress: Progress) -> None:
        nonlocal seen
        seen += progress.metrics is None
        if seen == trainings:
            raise Killed

    with pytest.raises(Killed), open_simulation(folder, settings(), choices) as simulation:
        simulation.run(say)


def test_ledgers_and_processes_make_no_difference_to_the_model(tmp_path: Path) -> None:
    in_two = SimulationChoices(n_participants=6, division="iid", ledger="memory", jobs=2)
    roots = {
        simulated(tmp_path / "memory"),
        simulated(tmp_path / "tester", TESTER),
        simulated(tmp_path / "pool", in_two),
    }
    assert len(roots) == 1
    for name in ("memory", "tester", "pool"):
        report = audited(tmp_path / name)
        assert report.verdict == "pass"
        assert [item.included for item in report.rounds] == [6, 6, 6]
        assert not list((tmp_path / name / "outbox").rglob("0x*/0x*"))
    other = simulated(tmp_path / "other", MEMORY, settings(seed=8))
    assert other not in roots


@pytest.mark.parametrize("slow_dimension", [1, 1 << 40], ids=["in parts", "together"])
def test_how_long_anything_took_leaves_no_trace_on_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_dimension: int
) -> None:
    monkeypatch.setattr(engine, "SLOW_DIMENSION", slow_dimension)
    heads = []
    for name, seconds in (("timed", time.perf_counter), ("stopped", lambda: 0.0)):
        monkeypatch.setattr(engine, "PhaseClock", lambda seconds=seconds: PhaseClock(seconds))
        with open_simulation(tmp_path / name, settings(2), TESTER) as simulation:
            simulation.run()
            heads.append(simulation.ledger.head().hash)
    assert heads[0] == heads[1]


def test_a_round_goes_in_parts_where_training_takes_long() -> None:
    assert engine.parts_of(engine.SLOW_DIMENSION - 1) == 1
    assert engine.parts_of(engine.SLOW_DIMENSION) == engine.PARTS


@pytest.mark.parametrize(
    "aggregation",
    [
        {"rule": "multi_krum", "byzantine": 0, "keep": 2},
        {"rule": "fedadam", "learning_rate": 0.01},
        {"rule": "median"},
    ],
    ids=lambda aggregation: aggregation["rule"],
)
def test_every_kind_of_rule_gives_one_model_on_both_ledgers(
    tmp_path: Path, aggregation: dict[str, object]
) -> None:
    policy = PolicySettings(rounds=2, quorum=3, max_total_weight=6)
    run = settings(aggregation=aggregation, policy=policy)
    roots = {simulated(tmp_path / "memory", MEMORY, run), simulated(tmp_path / "tester", TESTER, run)}

    assert len(roots) == 1
    for name, is_on_chain in (("memory", False), ("tester", True)):
        report = audited(tmp_path / name)
        assert report.verdict == "pass"
        assert report.run["rule"] == aggregation["rule"]
        assert all(item.verified for item in report.rounds)
        assert bool(report.checks.get(CheckId.CODE)) is is_on_chain
        assert bool(report.checks.get(CheckId.SEEDS)) is is_on_chain
        assert bool(report.checks.get(CheckId.PROVEN_STATE)) is is_on_chain
        assert report.checks[CheckId.BLOCKS] > 0
        assert report.proofs is not None
        assert report.proofs["state"]["outcome"] == ("proven" if is_on_chain else "not_offered")
        parse_report(report.to_json().encode())


@pytest.mark.parametrize(("choices", "trainings"), [(MEMORY, 1), (MEMORY, 6), (MEMORY, 8), (TESTER, 8)])
def test_a_simulation_goes_on_where_it_was_stopped(
    tmp_path: Path, choices: SimulationChoices, trainings: int
) -> None:
    killed_after(tmp_path / "run", choices, trainings)
    found = simulated(tmp_path / "run", choices)

    assert found == simulated(tmp_path / "whole", MEMORY)
    assert audited(tmp_path / "run").verdict == "pass"


def test_an_update_whose_file_is_gone_is_trained_again(tmp_path: Path) -> None:
    killed_after(tmp_path / "run", MEMORY, 4)
    shutil.rmtree(tmp_path / "run" / "outbox")
    assert simulated(tmp_path / "run") == simulated(tmp_path / "whole")
    assert audited(tmp_path / "run").verdict == "pass"


def test_a_killed_process_is_resumed_by_the_same_command(tmp_path: Path) -> None:
    config = tmp_path / "fl_chain.toml"
    columns = ", ".join(
        f'{{name = "{one.name}", mean = {one.mean}, std = {one.std}}}' for one in TASK.numeric
    )
    config.write_text(
        "[run]\nseed = 7\n[run.policy]\nrounds = 3\nquorum = 2\n[run.task]\nkind = 'table'\n"
        f"source = 'builtin:orange_juice'\nlabel = 'Purchase'\npositive = 'MM'\nowner_column = 'StoreID'\n"
        f"test_fraction = 0.3\nnumeric = [{columns}]\n"
        "[run.training]\nlearning_rate = 0.1\nlocal_epochs = 5\nbatch_size = 32\n"
    )
    out = tmp_path / "run"
    command = ["simulate", "--config", str(config), "--out", str(out)]
    command += ["--participants", "6", "--division", "iid", "--ledger", "memory", "--jobs", "2"]
    with subprocess.Popen([*COMMAND, *command], stdout=subprocess.DEVNULL) as process:
        calls = out / "chain" / CALLS_NAME
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (calls.is_file() and b'"submit"' in calls.read_bytes()):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    refused = called(*command)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    ended = called(*command, "--resume")

    assert ended.returncode == 0, ended.stderr
    assert "audit: PASS" in ended.stdout
    assert {"audit.json", "audit.html", "summary.json", "run.json"} <= {path.name for path in out.iterdir()}
    declared = parse_summary((out / "summary.json").read_bytes())
    assert len(declared.participants) == 6
    assert declared.clock == "wall"
    found = read_run_folder(out)
    with found.open_ledger() as ledger:
        history = ledger.sync()
    assert history.model_root(history.state.tip) == simulated(tmp_path / "whole")


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"algorithm": "scaffold"}},
        {"training": {"algorithm": "fedprox", "proximal_mu": 0.1}},
        {"training": {"local": ("output.*",)}, "model": ModelSettings(kind="mlp", hidden=(4,))},
        {"cohort": CohortSettings(fraction=0.5)},
        {"cohort": CohortSettings(size=2, randomness="seed"), "training": {"algorithm": "scaffold"}},
    ],
    ids=["scaffold", "fedprox", "local", "cohort", "scaffold in cohorts"],
)
def test_every_algorithm_can_be_simulated_and_stopped(tmp_path: Path, changes: dict[str, object]) -> None:
    if "training" in changes:
        own = changes["training"]
        assert isinstance(own, dict)
        changes = {**changes, "training": TrainingSettings.model_validate({**TRAINING.model_dump(), **own})}
    run = settings(**changes)
    whole = simulated(tmp_path / "whole", MEMORY, run)

    def stop(progress: Progress) -> None:
        if progress.round == 1 and progress.trained == 1:
            raise Killed

    with pytest.raises(Killed), open_simulation(tmp_path / "run", run, MEMORY) as simulation:
        simulation.run(stop)
    assert simulated(tmp_path / "run", MEMORY, run) == whole
    report = audited(tmp_path / "run")
    assert report.verdict == "pass"
    size = 3 if run.cohort == CohortSettings(fraction=0.5) else 6 if run.cohort is None else 2
    assert [item.included for item in report.rounds] == [size] * 3


def test_a_node_of_its_own_records_a_simulation_as_well(tmp_path: Path) -> None:
    policy = PolicySettings(
        rounds=2, quorum=2, submission_s=60, publication_s=5, posting_s=30, takeover_s=30, challenge_s=1
    )
    with open_chain() as chain, background_server(chain) as url:
        choices = SimulationChoices(n_participants=6, division="iid", ledger="node", rpc=url)
        with open_simulation(tmp_path / "run", settings(policy=policy), choices) as simulation:
            history = simulation.run()
            assert history.state.settled == history.state.latest == 2
            assert audit_run(simulation.ledger, simulation.store).verdict == "pass"
    whole = settings(policy=policy.model_copy(update={"challenge_s": 2}))
    assert history.model_root(2) == simulated(tmp_path / "memory", MEMORY, whole)


@pytest.mark.parametrize("division", ["iid", "dirichlet", "dirichlet-shares", "shards", "size"])
def test_rows_are_divided_as_experiments_do(tmp_path: Path, division: str) -> None:
    choices = SimulationChoices(n_participants=6, division=division, ledger="memory")
    run = settings(1, seed=2)
    with open_simulation(tmp_path / "one", run, choices) as simulation:
        shares = simulation.ground.shares
        rows = [len(shares.of(name).train) for name in shares.names]
        assert sum(rows) == 748
        assert (max(rows) - min(rows) <= 2) == (division in ("iid", "dirichlet", "shards"))
        weights = {s.weight for s in simulation.run().submissions[1]}
    assert weights == set(rows)


def test_every_owner_of_the_data_takes_part_by_default(tmp_path: Path) -> None:
    choices = SimulationChoices(ledger="memory")
    with open_simulation(tmp_path / "run", settings(1), choices) as simulation:
        history = simulation.run()
        assert len(history.submissions[1]) == 5
        assert history.rounds[1].status is RoundStatus.FINAL
        assert simulation.metrics[1].keys() >= {"auroc", "accuracy"}
        assert simulation.losses[1] > 0


def test_memory_stays_flat_over_rounds(tmp_path: Path) -> None:
    """What is kept of a round is its record on the ledger, far less than one of its 6 updates."""
    task = FileTaskSettings(path=str(Path("benchmarks/mnist_shaped.py").resolve()), factory="Logistic")
    training = TrainingSettings(learning_rate=0.01, local_epochs=1, batch_size=300)
    run = settings(14, task=task, training=training)
    choices = SimulationChoices(n_participants=6, ledger="memory")
    held: dict[int, int] = {}

    def say(progress: Progress) -> None:
        if progress.metrics is not None:
            gc.collect()  # what is garbage is not kept, however seldom the interpreter looks for it
            held[progress.round] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        with open_simulation(tmp_path / "run", run, choices) as simulation:
            simulation.run(say)
    finally:
        tracemalloc.stop()
    update_bytes = 4 * 7850
    assert (held[14] - held[4]) / 10 < 1.5 * update_bytes


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ledger": "paper"}, "no ledger"),
        ({"division": "by taste"}, "divided by"),
        ({"division": "iid"}, "number of participants"),
        ({"ledger": "node"}, "address"),
        ({"rpc": "http://127.0.0.1:1"}, "address"),
        ({"n_participants": -1}, "participants"),
        ({"jobs": 0}, "process"),
    ],
)
def test_choices_that_make_no_sense_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SimulationChoices(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run", "choices", "error", "says"),
    [
        (RunSettings(), MEMORY, ConfigError, "no task"),
        (
            settings(training=TrainingSettings(deadline_share=0.5)),
            MEMORY,
            ConfigError,
            "deadline_share",
        ),
        (settings(), SimulationChoices(n_participants=6, ledger="memory"), InputDataError, "5 owners"),
        (
            settings(),
            SimulationChoices(n_participants=10_000, division="iid", ledger="memory"),
            ConfigError,
            "10,?000|participants",
        ),
        (
            settings(policy=PolicySettings(max_total_weight=5, quorum=2)),
            MEMORY,
            ConfigError,
            "max_total_weight",
        ),
        (
            settings(),
            SimulationChoices(n_participants=6, division="iid", ledger="memory", device="nonsense"),
            ConfigError,
            "no device",
        ),
        (
            settings(),
            SimulationChoices(n_participants=6, division="iid", ledger="memory", device="meta"),
            ConfigError,
            "no device",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    tmp_path: Path,
    run: RunSettings,
    choices: SimulationChoices,
    error: type[FlChainError],
    says: str,
) -> None:
    with pytest.raises(error, match=says), open_simulation(tmp_path / "run", run, choices) as simulation:
        simulation.run()


def test_a_folder_of_another_simulation_is_not_touched(tmp_path: Path) -> None:
    root = simulated(tmp_path / "run")
    with pytest.raises(OutputExists, match="other settings"):
        simulated(tmp_path / "run", MEMORY, settings(seed=8))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("keep")
    with pytest.raises(OutputExists, match="not a run's folder"):
        simulated(tmp_path / "mine")
    assert (tmp_path / "mine" / "letter").read_text() == "keep"
    assert simulated(tmp_path / "run") == root  # nothing is left to do
    assert simulated(tmp_path / "run", MEMORY, settings(seed=8), force=True) != root


def test_a_participant_that_cannot_train_ends_the_simulation_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "task.py"
    path.write_text(
        "from benchmarks.mnist_shaped import Logistic\n"
        "class Task(Logistic):\n"
        "    def load(self, owner, source):\n"
        "        if owner == '0003': raise RuntimeError('no rows here')\n"
        "        return super().load(owner, source)\n"
    )
    task = FileTaskSettings(path=str(path), factory="Task")
    choices = SimulationChoices(n_participants=4, ledger="memory", jobs=2)
    with (
        pytest.raises(WorkerFailed, match="participant 0003 in round 1: RuntimeError: no rows here"),
        open_simulation(tmp_path / "run", settings(task=task), choices) as simulation,
    ):
        simulation.run()


def test_an_update_that_is_written_beside_training_is_there_when_it_is_answered_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "WRITTEN_ASIDE", 1)
    in_two = SimulationChoices(n_participants=6, division="iid", ledger="memory", jobs=2)
    assert simulated(tmp_path / "aside", in_two, settings(1)) == simulated(tmp_path / "own", run=settings(1))
    with open_simulation(tmp_path / "run", settings(1), in_two) as simulation:
        (tmp_path / "run" / "outbox").write_text("no folder")
        with pytest.raises(WorkerFailed, match=r"participant 0000 in round 1: .*outbox"):
            simulation.run()


def test_what_is_wrong_with_the_data_shows_before_anything_is_deployed(tmp_path: Path) -> None:
    task = TASK.model_copy(update={"source": None})
    choices = SimulationChoices(n_participants=4, ledger="memory", jobs=2)
    with (
        pytest.raises(InputDataError, match=r"`source` in \[run.task\]"),
        open_simulation(tmp_path / "run", settings(task=task), choices),
    ):
        pass
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_process_that_dies_is_noticed(tmp_path: Path) -> None:
    choices = SimulationChoices(n_participants=6, division="iid", ledger="memory", jobs=2)

    with open_simulation(tmp_path / "run", settings(), choices) as simulation:
        pool = simulation._crew
        assert isinstance(pool, Pool)
        pool._processes[0].kill()
        pool._processes[0].join()
        with pytest.raises(WorkerFailed, match="--resume"):
            simulation.run()
    assert simulated(tmp_path / "run", choices) == simulated(tmp_path / "whole")


# ---------------------------------------------------------------------- the saved in-memory ledger


def test_many_participants_hide_themselves_by_noise_on_their_updates(tmp_path: Path) -> None:
    privacy = ClientPrivacySettings(noise_multiplier=2.0, max_update_norm=0.05, rho_budget=0.3)
    with open_simulation(tmp_path / "run", settings(5, privacy=privacy), MEMORY) as simulation:
        history = simulation.run()
        report = audit_run(simulation.ledger, simulation.store)
    assert history.state.latest == 2  # of five: the budget is spent
    assert {one.weight for round_ in history.submissions.values() for one in round_} == {1}
    assert report.verdict == "pass"
    assert report.run["privacy"]["unit"] == "client"


def test_a_line_that_was_not_written_to_its_end_is_dropped(tmp_path: Path) -> None:
    killed_after(tmp_path / "run", MEMORY, 8)
    calls = tmp_path / "run" / "chain" / CALLS_NAME
    whole = calls.read_bytes()
    head = open_memory_chain(calls.parent).head
    calls.write_bytes(whole + b'{"now": 18000')
    assert open_memory_chain(calls.parent).head == head
    assert simulated(tmp_path / "run") == simulated(tmp_path / "whole")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"version": 2', b'"version": 1'),
        (b'"name": "submit"', b'"name": "submitt"'),
        (b'"value_wei": 0', b'"value_wei": 1'),
        (b'{"now"', b'["now"'),
    ],
)
def test_calls_that_the_ledger_refuses_are_no_ledger(tmp_path: Path, before: bytes, after: bytes) -> None:
    simulated(tmp_path / "run", MEMORY, settings(1))
    calls = tmp_path / "run" / "chain" / CALLS_NAME
    content = calls.read_bytes()
    assert before in content
    calls.write_bytes(content.replace(before, after))
    with pytest.raises(ConfigError, match="ledger's calls"):
        open_memory_chain(calls.parent)


def test_an_altered_call_shows_in_the_audit(tmp_path: Path) -> None:
    simulated(tmp_path / "run", MEMORY, settings(1))
    calls = tmp_path / "run" / "chain" / CALLS_NAME
    lines = calls.read_bytes().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if b'"post"' in line)
    root = b'"}, {"bytes": "'.join(lines[place].split(b'"}, {"bytes": "')[:-1])
    last = lines[place][len(root) :]
    flipped = last.replace(b"0", b"1", 1) if b"0" in last else last.replace(b"1", b"0", 1)
    calls.write_bytes(b"".join([*lines[:place], root + flipped, *lines[place + 1 :]]))
    report = audited(tmp_path / "run")
    assert report.verdict == "fail"


def test_a_folder_with_another_ledger_is_refused(tmp_path: Path) -> None:
    simulated(tmp_path / "run", MEMORY, settings(1))
    run_file = tmp_path / "run" / "run.json"
    run_file.write_text(run_file.read_text().replace('"chain_id": 1,', '"chain_id": 2,'))
    with pytest.raises(WrongChain):
        audited(tmp_path / "run")
