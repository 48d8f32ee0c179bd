"""Some hundreds of random corruptions; `make corruptions` tries ten thousand and prints a table by class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from corrupted_answers import ANSWER_KINDS
from corrupted_blobs import BLOB_KINDS, Corruption, needed_blobs
from corrupted_events import EVENT_KINDS, decoded, told_logs
from corruption_table import COUNT, SEED, Row, corruption, table, tried, what_is_said, written
from finished_run import FinishedRun, finished_run

from fl_chain.records import FallReason, RoundStatus
from fl_chain.run import striped

TRIED = 400


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedRun]:
    with finished_run(tmp_path_factory.mktemp("run")) as recorded:
        recorded.record()
        yield recorded


def test_the_run_has_everything_in_it(run: FinishedRun) -> None:
    history = run.history
    assert {one.status for one in history.rounds.values()} == {RoundStatus.FINAL, RoundStatus.VOID}
    assert [one.reason for one in history.fallen] == [FallReason.RANGE]
    assert history.postings[1].exclusions
    assert len(history.objections) == 1
    assert len(history.claims) > 4
    assert {type(event).__name__ for event in run.events} >= {"Withdrawn", "ParticipantLeft", "PoolWithdrawn"}


def test_a_clean_run_has_no_finding_by_any_node(run: FinishedRun) -> None:
    for with_proofs in (True, False):
        report = run.audit(with_proofs=with_proofs)
        assert report.findings == []
        assert [one.kind.value for one in report.warnings] == ["posting_objected"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers", [range(TRIED), range(TRIED, TRIED + TRIED // 2)], ids=["by update", "in one pass"]
)
def test_every_corruption_that_changes_meaning_is_found(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch, numbers: range
) -> None:
    if numbers.start:  # rounds as small as these are else read update by update
        monkeypatch.setattr(striped, "WORTHWHILE_BYTES", 0)
    trials = [tried(run, SEED, number, with_comparison=False) for number in numbers]
    missed = [one for one in trials if one.corruption.changes_meaning and not one.is_found]
    assert [(one.number, one.corruption.kind, one.corruption.what) for one in missed] == []
    kinds = {one.corruption.kind for one in trials}
    assert len(kinds) == len({*BLOB_KINDS, *EVENT_KINDS, *ANSWER_KINDS})
    assert sum(one.corruption.changes_meaning for one in trials) > len(numbers) * 3 // 4
    assert run.audit().findings == []  # every file was put back


def test_what_changes_no_meaning_is_decided_from_the_true_run(run: FinishedRun) -> None:
    names = {path.relative_to(run.folder).as_posix() for path in run.blobs()}
    needed = needed_blobs(run)
    assert needed < names
    assert {name.split("/")[0] for name in names - needed} <= {"models", "sums", "updates"}
    _, logs = told_logs(run)
    assert decoded(logs) == list(run.events)
    logs[0]["removed"] = True
    assert decoded(logs) == list(run.events)
    logs[0]["logIndex"] = "0x7"
    assert decoded(logs) != list(run.events)


def test_a_corruption_follows_from_seed_and_number(run: FinishedRun) -> None:
    assert corruption(run, SEED, 5) == corruption(run, SEED, 5)
    assert len({repr(corruption(run, SEED, number)) for number in range(30)}) == 30
    assert corruption(run, SEED + 1, 5) != corruption(run, SEED, 5)


def test_what_is_not_found_is_counted_as_missed(run: FinishedRun) -> None:
    nothing = Corruption("blob: none", "nothing is altered", changes_meaning=True)
    assert what_is_said(run, nothing) == ""
    for log in (None, {}, 7):
        unknown = replace(nothing, answers={told_logs(run)[0]: [log]})
        assert what_is_said(run, unknown).startswith("MalformedResponse")
    trial = replace(tried(run, SEED, 0), corruption=nothing, is_found=False, number=8)
    row = Row()
    row.add(trial)
    assert (row.tried, row.found, row.missed) == (1, 0, [8])
    assert "| all | 1 | 0 | 0 | 1 |" in table({"blob: none": row})
    assert COUNT == 10_000
    page = written("a\n<!-- table -->\nold\n<!-- end of table -->\nb\n", "new", 3)
    assert page == "a\n<!-- table -->\nSeed 3:\n\nnew\n<!-- end of table -->\nb\n"
