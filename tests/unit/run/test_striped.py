"""A round derived in stripes by several threads: right where everything is, and never otherwise."""

import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "attacks"))

from lies import LIES, told
from rounds import PostedRoundCase, random_world

from fl_chain.commitment.chunks import lane_bytes
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import root_of_chunk_hashes
from fl_chain.records import ZERO_DIGEST
from fl_chain.run.striped import SHARED_BYTES, WORTHWHILE_BYTES, StripedRounds
from fl_chain.run.verdicts import Right
from fl_chain.store import Store

SHAPES = [(1, 1, 0), (9, 1025, 3), (3, 131_073, 0), (65, 2048, 2)]  # submissions, lanes, excluded


@pytest.fixture(scope="module")
def striped() -> Iterator[StripedRounds]:
    with HashingPool(2) as pool:
        yield StripedRounds(pool)


def published(case: PostedRoundCase, folder: Path) -> Store:
    store, stored = Store([str(folder)]), case.claim.stored
    for submission in case.claim.submissions:
        update = case.blobs.updates[submission.index]
        is_cut = not update.lanes[stored.dimension :].any()
        lanes = update.lanes[: stored.dimension] if is_cut else update.lanes
        store.write_update(
            submission.participant,
            submission.sealed_root,
            update.opening,
            lanes,
            run=stored.run,
            round=stored.round,
        )
    store.write_model(stored.base_model_root, case.blobs.base_model())
    return store


@pytest.mark.parametrize(("count", "dimension", "excluded"), SHAPES)
def test_a_right_round_gives_its_model(
    striped: StripedRounds, tmp_path: Path, count: int, dimension: int, excluded: int
) -> None:
    world = random_world(
        np.random.default_rng(count), count, dimension, excluded=excluded, is_extreme=count == 3
    )
    case = world.posted()
    found = striped.right(case.claim, published(case, tmp_path))
    assert isinstance(found, Right)
    total = world.honest_sums()[-1][0]
    expected = world.model_of(total)[:dimension]
    assert np.array_equal(found.model, expected)
    unposted = replace(
        case.claim,
        stored=replace(case.claim.stored, model_root=ZERO_DIGEST, sums_hash=ZERO_DIGEST),
        partial_sum_roots=(),
    )
    made = striped.aggregate(unposted, Store([str(tmp_path)]))
    assert made is not None
    assert made.partial_sum_roots == tuple(case.claim.partial_sum_roots)
    assert made.model_root == case.claim.stored.model_root
    assert np.array_equal(made.model, expected)
    assert np.array_equal(made.total, total[:dimension])
    roots = [root_of_chunk_hashes(hashes, dimension) for hashes in made.chunk_hashes]
    assert tuple(roots) == made.partial_sum_roots


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_passes(striped: StripedRounds, tmp_path: Path, lie: str) -> None:
    rng = np.random.default_rng(5)
    world = random_world(rng, 10, 1500, excluded=2)
    case = told(world, lie, rng)
    assert case is not None
    assert striped.right(case.claim, published(case, tmp_path)) is None


@pytest.mark.parametrize("damage", ["altered", "missing", "truncated", "other base"])
def test_damaged_files_do_not_pass(striped: StripedRounds, tmp_path: Path, damage: str) -> None:
    world = random_world(np.random.default_rng(2), 9, 3000)
    case = world.posted()
    store = published(case, tmp_path)
    assert striped.right(case.claim, store) is not None
    assert striped.aggregate(case.claim, store) is not None
    _, submission = world.opened[4]
    stored = case.claim.stored
    path = store.update_file(
        submission.participant, submission.sealed_root, 3000, run=world.run, round=world.round
    )
    assert path is not None
    if damage == "altered":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-4])
    else:
        base = store.model_file(stored.base_model_root, 3000)
        assert base is not None
        base.write_bytes(bytes(lane_bytes(case.blobs.base_model()))[::-1])
    assert striped.right(case.claim, store) is None
    assert striped.aggregate(case.claim, store) is None


@pytest.mark.parametrize(
    "made_up",
    [{"included_weight": 0}, {"included_weight": 2**40}, {"partial_sum_roots": ()}, {"weight": 2**32 - 1}],
    ids=["no weight", "too much weight", "no sums", "a weight beyond any lane"],
)
def test_what_no_ledger_says_does_not_pass(
    striped: StripedRounds, tmp_path: Path, made_up: dict[str, Any]
) -> None:
    case = random_world(np.random.default_rng(2), 9, 3000).posted()
    store, claim = published(case, tmp_path), case.claim
    changes = dict(made_up)
    if "weight" in changes:
        weight = changes.pop("weight")
        submissions = [replace(one, weight=weight) for one in claim.submissions]
        claim = replace(claim, submissions=submissions)
    if "included_weight" in changes:
        claim = replace(claim, stored=replace(claim.stored, included_weight=changes.pop("included_weight")))
    assert striped.right(replace(claim, **changes), store) is None


def test_more_files_than_may_be_open_are_left_to_the_long_way(
    striped: StripedRounds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = random_world(np.random.default_rng(2), 9, 3000).posted()
    store, open_file = published(case, tmp_path), os.open
    opened: list[int] = []

    def few(path: str, flags: int) -> int:
        if len(opened) == 5:
            raise OSError(errno.EMFILE, "too many open files")
        opened.append(open_file(path, flags))
        return opened[-1]

    monkeypatch.setattr("fl_chain.run.stripes.os.open", few)
    assert striped.right(case.claim, store) is None
    monkeypatch.undo()
    for descriptor in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_only_large_rounds_are_worth_it() -> None:
    world = random_world(np.random.default_rng(1), 2, 10)
    assert not StripedRounds(HashingPool(2)).is_worthwhile(world.posted().claim)
    assert WORTHWHILE_BYTES > SHARED_BYTES > 10 * 4 * 2


@pytest.mark.parametrize(("loaded", "least"), [(True, SHARED_BYTES), (False, WORTHWHILE_BYTES)])
def test_the_size_from_which_a_round_is_worth_it(
    loaded: bool, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_chain.run.striped.kernels_for", lambda size_bytes: loaded or None)
    claim = random_world(np.random.default_rng(1), 2, 10).posted().claim
    rounds = StripedRounds(HashingPool(2))
    for dimension, is_worthwhile in ((least // 8, True), (least // 8 - 1, False)):
        sized = replace(claim, stored=replace(claim.stored, dimension=dimension))
        assert rounds.is_worthwhile(sized) is is_worthwhile
