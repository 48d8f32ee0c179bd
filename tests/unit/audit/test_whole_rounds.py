"""A round that is read in one pass is reported as one that is read update by update."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blob_runs import BlobRun, blob_run, random_lanes

from fl_chain.audit import audit_run
from fl_chain.audit.run import Progress
from fl_chain.audit.whole_rounds import WholeRound, WholeRounds
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.ledger.history import History
from fl_chain.records import Digest, ExclusionReason, Posting
from fl_chain.run import striped
from fl_chain.run.postings import PostingClaim

DIMENSION = 140_001  # two stripes, of which the second is short
PARTICIPANTS = 17  # two sums of the first level


def both_reports(run: BlobRun, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[bool]]:
    """Return what both ways of reading report, and of each round whether it was right as a whole."""
    derive, found = WholeRounds.derived, list[WholeRound | None]()

    def noted(self: WholeRounds, history: History, posting: Posting) -> WholeRound | None:
        found.append(derive(self, history, posting))
        return found[-1]

    monkeypatch.setattr(striped, "WORTHWHILE_BYTES", 1 << 62)
    one_by_one = run.audit().to_json()
    monkeypatch.setattr(striped, "WORTHWHILE_BYTES", 0)
    monkeypatch.setattr(WholeRounds, "derived", noted)
    whole = run.audit().to_json()
    monkeypatch.undo()
    assert whole == one_by_one
    return whole, [one is not None for one in found]


def updates(seed: int) -> list[Lanes]:
    return [random_lanes(DIMENSION, 100 * seed + index) for index in range(PARTICIPANTS)]


def two_honest_rounds(run: BlobRun) -> None:
    run.play(updates(1))
    run.play(updates(2))


def excluded_as_by_mistake(run: BlobRun) -> None:
    lanes = updates(2)
    for number, one in enumerate(lanes):
        run.submit(number, one)
    run.clock.now += run.ledger.policy().publication_s
    run.post(lanes, excluded=[(3, ExclusionReason.OUT_OF_RANGE), (15, ExclusionReason.UNREADABLE)])


def zero_and_copied(run: BlobRun) -> None:
    lanes = updates(2)
    lanes[4] = lanes[5]
    lanes[16] = lanes[0] * 0
    run.play([one.astype(LANE) for one in lanes])


def wrong_model(run: BlobRun) -> None:
    lanes = updates(2)
    for number, one in enumerate(lanes):
        run.submit(number, one)
    run.post(lanes, model_root=Digest(bytes(32)))


def out_of_range(run: BlobRun) -> None:
    lanes = updates(2)
    lanes[7][DIMENSION - 1] = 2**31 - 1
    run.play(lanes)


def unpublished(run: BlobRun) -> None:
    lanes = updates(2)
    for number, one in enumerate(lanes):
        run.submit(number, one, publish=number != 9)
    run.post(lanes)


@pytest.mark.parametrize(
    ("play", "is_whole"),
    [
        (two_honest_rounds, True),
        (excluded_as_by_mistake, True),
        (zero_and_copied, True),
        (wrong_model, False),
        (out_of_range, False),
        (unpublished, False),
    ],
    ids=["honest", "exclusions", "copies", "wrong model", "out of range", "unpublished"],
)
def test_both_ways_report_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, play: Callable[[BlobRun], None], is_whole: bool
) -> None:
    with blob_run(tmp_path, random_lanes(DIMENSION, 0), participants=PARTICIPANTS) as run:
        play(run)
        _, whole = both_reports(run, monkeypatch)
    assert whole
    assert set(whole) == {is_whole}


def test_two_stores_are_both_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with blob_run(tmp_path, random_lanes(DIMENSION, 0), participants=PARTICIPANTS) as run:
        run.play(updates(1))
        run.store = type(run.store)([str(tmp_path / "store"), str(tmp_path / "empty")])
        report, whole = both_reports(run, monkeypatch)
    assert whole == [True]
    assert '"stores": 2' in report or '"stores":2' in report


def test_each_round_is_begun_once_and_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = striped.StripedRounds.begin, list[int]()

    def noted(self: striped.StripedRounds, claim: PostingClaim, *rest: Any) -> striped.BegunRound | None:
        begun.append(claim.stored.round)
        return begin(self, claim, *rest)

    seen = list[tuple[int, list[int]]]()
    monkeypatch.setattr(striped, "WORTHWHILE_BYTES", 0)
    monkeypatch.setattr(striped.StripedRounds, "begin", noted)
    with blob_run(tmp_path, random_lanes(DIMENSION, 0), participants=PARTICIPANTS) as run:
        for number in (1, 2, 3):
            run.play(updates(number))
        report = audit_run(
            run.ledger, run.store, progress=lambda progress: seen.append((progress.round, [*begun]))
        )
    assert [item.verified for item in report.rounds][:3] == [True, True, True]
    assert begun == [1, 2, 3]
    assert dict(seen) == {1: [1, 2], 2: [1, 2, 3], 3: [1, 2, 3], 4: [1, 2, 3]}  # 4 is open


def test_a_round_that_is_not_right_between_two_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blob_run(tmp_path, random_lanes(DIMENSION, 0), participants=PARTICIPANTS) as run:
        run.play(updates(1))
        unpublished(run)
        run.play(updates(3))
        _, whole = both_reports(run, monkeypatch)
    assert whole == [True, False, True]


def test_an_audit_that_is_broken_off_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(striped, "WORTHWHILE_BYTES", 0)
    with blob_run(tmp_path, random_lanes(DIMENSION, 0), participants=PARTICIPANTS) as run:
        two_honest_rounds(run)
        with pytest.raises(KeyboardInterrupt):
            audit_run(run.ledger, run.store, progress=stop)
        open_files = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
    assert [one for one in open_files if one.startswith(f"{tmp_path / 'store'}/")] == []
