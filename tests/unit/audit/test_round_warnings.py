"""Each kind of warning about a round, and of finding about its blobs, as a real run gives it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from blob_runs import BlobRun, blob_run, random_lanes

from fl_chain.audit import AuditReport, Kind
from fl_chain.audit.rounds import CLAMPED_SHARE
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.records import AggregationKind, Digest, ExclusionReason

DIMENSION = 3000
GENESIS = random_lanes(DIMENSION, 0)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[BlobRun]:
    with blob_run(tmp_path, GENESIS) as built:
        yield built


def kinds(report: AuditReport) -> list[Kind]:
    """Return the kinds of all findings and warnings, but that there is no run document."""
    return [one.kind for one in (*report.findings, *report.warnings) if one.kind is not Kind.POLICY_DIFFERS]


def updates(seed: int, number: int = 3) -> list[Lanes]:
    return [random_lanes(DIMENSION, 100 * seed + index) for index in range(number)]


def test_honest_rounds_give_nothing(run: BlobRun) -> None:
    run.play(updates(1))
    run.play(updates(2))
    report = run.audit()
    assert kinds(report) == []
    assert all(item.verified for item in report.rounds[:2])


def test_a_copy_of_anothers_update_and_a_repetition_of_ones_own_differ(run: BlobRun) -> None:
    first = updates(1)
    run.play(first)
    run.play([first[1], first[1], random_lanes(DIMENSION, 9)])
    report = run.audit()
    assert kinds(report) == [Kind.UPDATE_COPIED, Kind.UPDATE_REPEATED]
    assert [one.participant for one in report.warnings] == [one.address for one in run.participants[:2]]


def test_a_rescaled_copy_is_named_in_the_round_after(run: BlobRun) -> None:
    first = updates(1)
    run.play(first)
    halved = (first[0].view(">i4") // 2).astype(">i4").view(LANE)
    run.play([random_lanes(DIMENSION, 9), halved, random_lanes(DIMENSION, 10)])
    report = run.audit()
    assert kinds(report) == [Kind.UPDATE_NEARLY_COPIED]
    assert "in round 1" in report.warnings[0].detail


def at_the_limit(clamped: int, dimension: int) -> Lanes:
    genesis = np.zeros(dimension, dtype=">i4")
    genesis[:clamped] = 2**31 - 1
    return genesis.view(LANE)


@pytest.mark.parametrize(("clamped", "is_named"), [(2, False), (3, True)])
def test_clamped_lanes_are_named_from_a_share_on(tmp_path: Path, clamped: int, is_named: bool) -> None:
    dimension = 2 * CLAMPED_SHARE + 1
    with blob_run(tmp_path, at_the_limit(clamped, dimension)) as run:
        run.play([np.full(dimension, 50_000 + seed, dtype=">i4").view(LANE) for seed in range(3)])
        report = run.audit()
    assert (Kind.LANES_CLAMPED in kinds(report)) is is_named
    assert report.rounds[0].clamped_lanes == clamped


def test_objections_to_a_right_posting_are_named(run: BlobRun) -> None:
    run.play(updates(1))
    object_to(run, 0)
    assert kinds(run.audit()) == [Kind.POSTING_OBJECTED]
    object_to(run, 1)
    report = run.audit()
    assert kinds(report) == [Kind.REJECTED_THOUGH_RIGHT]
    assert report.rounds[0].fallen[0].founded


def test_objections_to_a_posting_that_cannot_be_derived_are_what_they_are_for(run: BlobRun) -> None:
    given = updates(1)
    for number, lanes in enumerate(given):
        run.submit(number, lanes)
    run.post(given, model_root=Digest(b"\x5a" * 32))
    for number in (0, 1):
        object_to(run, number)
    assert kinds(run.audit()) == []


def test_a_posting_of_a_kind_that_no_challenge_judges_is_not_called_right(tmp_path: Path) -> None:
    with blob_run(tmp_path, GENESIS, aggregation=AggregationKind.RESULT) as run:
        for number in range(3):
            run.submit(number, random_lanes(DIMENSION, number, most=30_000), weight=1)
        history = run.ledger.sync()
        run.ledger.post(
            run.aggregator,
            round=1,
            digest=history.rounds[1].digest,
            exclusions=[],
            partial_sum_roots=[],
            result_root=Digest(b"\x5b" * 32),
            model_root=Digest(b"\x5a" * 32),
        )
        for number in (0, 1):
            object_to(run, number)
        report = run.audit()
    assert kinds(report) == []
    assert report.rounds[0].fallen[0].founded


def object_to(run: BlobRun, number: int) -> None:
    history = run.ledger.sync()
    submission = history.submissions[1][number]
    run.ledger.object(run.participants[number], model_root=history.model_root(1), submission=submission)


def test_a_lie_that_is_hidden_asks_for_objections(run: BlobRun) -> None:
    given = updates(1)
    for number, lanes in enumerate(given):
        run.submit(number, lanes)
    run.post(given, model_root=Digest(b"\x5a" * 32))
    report = run.audit()
    assert kinds(report) == [Kind.MODEL_BLOB_MISSING, Kind.MODEL_DIFFERS, Kind.CHALLENGE_POSSIBLE]
    assert report.warnings[0].advice is not None
    assert "fl-chain object --round 1" in report.warnings[0].advice
    run.clock.now += run.ledger.policy().challenge_s
    run.ledger.finalize(run.operator)
    report = run.audit()
    assert report.warnings[0].kind is Kind.CHALLENGE_MISSED


def test_a_wrongful_exclusion_names_the_round_to_object_to(run: BlobRun) -> None:
    given = updates(1)
    for number, lanes in enumerate(given):
        run.submit(number, lanes)
    run.clock.now += run.ledger.policy().publication_s
    run.post(given, excluded=[(0, ExclusionReason.OUT_OF_RANGE)])
    report = run.audit()
    assert kinds(report) == [Kind.WRONGFUL_EXCLUSION]
    (finding,) = (one for one in report.findings if one.kind is Kind.WRONGFUL_EXCLUSION)
    assert finding.advice is not None
    assert "--round 1`" in finding.advice


def test_missing_blobs_are_grouped_by_who_should_hold_them(run: BlobRun, tmp_path: Path) -> None:
    import json

    run.play(updates(1))
    run.play(updates(2))
    victim = run.participants[1].address
    for path in (tmp_path / "store" / "updates" / victim).iterdir():
        path.unlink()
    for folder in ("sums", "documents"):
        for path in (tmp_path / "store" / folder).iterdir():
            path.unlink()
    report = run.audit()
    found = kinds(report)
    assert found.count(Kind.UPDATE_MISSING) == found.count(Kind.MODEL_UNDERIVABLE) == 2
    underivable = next(one for one in report.findings if one.kind is Kind.MODEL_UNDERIVABLE)
    assert underivable.advice is not None
    assert "audit again" in underivable.advice
    groups = {one["role"]: one for one in json.loads(report.to_json())["missing"]}
    assert groups["participant"]["holder"] == victim
    assert [blob["round"] for blob in groups["participant"]["blobs"]] == [1, 2]
    assert groups["aggregator"]["holder"] == run.aggregator.address
    assert len(groups["aggregator"]["blobs"]) == 4  # two sums, and the updates that it included
    assert groups["operator"]["holder"] == run.operator.address
    assert len(groups["operator"]["blobs"]) == 2


def test_a_model_whose_genesis_is_gone_names_a_next_step(run: BlobRun, tmp_path: Path) -> None:
    run.play(updates(1))
    genesis = "0x" + run.ledger.definition().genesis_model_root.hex()
    (tmp_path / "store" / "models" / genesis).unlink()
    report = run.audit()
    assert kinds(report) == [Kind.GENESIS_MISSING, Kind.MODEL_UNDERIVABLE]
    assert report.findings[-1].advice is not None
    assert "Have the model of genesis published again" in report.findings[-1].advice
    assert report.blobs.updates == 3  # they are checked all the same


def test_memory_holds_a_few_vectors_whatever_the_run(tmp_path: Path) -> None:
    dimension = 300_000
    with blob_run(tmp_path, random_lanes(dimension, 0), participants=9, max_unfinal_rounds=16) as run:
        for number in range(3):
            run.play([random_lanes(dimension, 50 * number + index) for index in range(9)])
        run.models.clear()
        tracemalloc.start()
        report = run.audit()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert all(item.verified for item in report.rounds[:3])
    vector = 4 * dimension
    assert peak < 14 * vector  # 27 updates, 6 sums and 4 models were read
