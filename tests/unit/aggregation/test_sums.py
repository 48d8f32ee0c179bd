import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_chain.aggregation.sums import BLOCK_LANES, PartialSum, PartialSums
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.partial_sums import children, level_sizes

Submissions = list[Lanes | None]


def random_submissions(
    count: int, dimension: int, seed: int, excluded: set[int] = frozenset()
) -> Submissions:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2**32, (count, dimension), dtype=np.uint32).astype(LANE)
    return [None if index in excluded else drawn[index] for index in range(count)]


def streamed(submissions: Submissions, dimension: int) -> tuple[dict[tuple[int, int], list[int]], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}

    def keep(completed: PartialSum) -> None:
        found[completed.level, completed.position] = completed.lanes.tolist()

    return found, added_up(submissions, PartialSums(dimension, keep)).tolist()


def added_up(submissions: Submissions, sums: PartialSums) -> Lanes:
    for lanes in submissions:
        sums.add(lanes)
    sums.finish()
    return sums.total


def ignore(_: PartialSum) -> None:
    """For tests of the total alone."""


def plain(submissions: Submissions, dimension: int) -> dict[tuple[int, int], list[int]]:
    below = [[0] * dimension if lanes is None else lanes.tolist() for lanes in submissions]
    found = {}
    for level, size in enumerate(level_sizes(len(submissions)), start=1):
        groups = [children(level, position, len(submissions)) for position in range(size)]
        below = [[sum(below[c][i] for c in group) % 2**32 for i in range(dimension)] for group in groups]
        found.update({(level, position): lanes for position, lanes in enumerate(below)})
    return found


@pytest.mark.parametrize(
    "count", [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 71, 72, 73, 128, 511, 512, 513, 576, 577, 600]
)
def test_every_partial_sum_at_group_borders(count: int) -> None:
    submissions = random_submissions(count, 3, seed=count)
    found, total = streamed(submissions, 3)
    assert found == plain(submissions, 3)
    assert total == found[len(level_sizes(count)), 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 6), st.data())
def test_every_partial_sum_with_exclusions(count: int, dimension: int, data: st.DataObject) -> None:
    excluded = data.draw(st.sets(st.integers(0, count - 1)))
    submissions = random_submissions(count, dimension, seed=count, excluded=excluded)
    found, total = streamed(submissions, dimension)
    assert found == plain(submissions, dimension)
    assert total == [sum(int(v[i]) for v in submissions if v is not None) % 2**32 for i in range(dimension)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 100), st.integers(0, 2**32))
def test_the_total_does_not_depend_on_the_order(count: int, seed: int) -> None:
    submissions = random_submissions(count, 4, seed)
    shuffled = random.Random(seed).sample(submissions, count)
    assert streamed(submissions, 4)[1] == streamed(shuffled, 4)[1]


def test_levels_come_in_ascending_positions() -> None:
    seen: dict[int, list[int]] = {}
    sums = PartialSums(1, lambda completed: seen.setdefault(completed.level, []).append(completed.position))
    added_up(random_submissions(130, 1, seed=0), sums)
    assert seen == {1: list(range(17)), 2: [0, 1, 2], 3: [0]}


def test_an_excluded_group_is_the_zero_vector() -> None:
    submissions = random_submissions(20, 2, seed=3, excluded=set(range(8, 16)))
    found, _ = streamed(submissions, 2)
    assert found[1, 1] == [0, 0]


def test_nothing_included_is_zero() -> None:
    assert streamed([None] * 9, 2) == ({(1, 0): [0, 0], (1, 1): [0, 0], (2, 0): [0, 0]}, [0, 0])


def test_sums_across_blocks() -> None:
    dimension = 2 * BLOCK_LANES + 7
    submissions = random_submissions(10, dimension, seed=5)
    expected = np.sum([lanes.astype(np.uint64) for lanes in submissions if lanes is not None], axis=0) % 2**32
    assert np.array_equal(added_up(submissions, PartialSums(dimension, ignore)), expected)


def test_memory_is_one_vector_a_level() -> None:
    places: set[int] = set()
    sums = PartialSums(2, lambda completed: places.add(completed.lanes.ctypes.data))
    added_up(random_submissions(200, 2, seed=1), sums)
    assert len(places) == len(level_sizes(200))


def test_a_completed_sum_cannot_be_written_and_updates_stay_as_they_are() -> None:
    submissions = random_submissions(8, 3, seed=2)
    before = [lanes.tolist() for lanes in submissions if lanes is not None]
    completed: list[PartialSum] = []
    added_up(submissions, PartialSums(3, completed.append))
    with pytest.raises(ValueError, match="read-only"):
        completed[0].lanes[0] = 1
    assert [lanes.tolist() for lanes in submissions if lanes is not None] == before


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="dimension"):
        PartialSums(0, ignore)
    sums = PartialSums(4, ignore)
    with pytest.raises(ValueError, match="nothing was added"):
        sums.finish()
    with pytest.raises(ValueError, match="after finish"):
        _ = sums.total
    with pytest.raises(ValueError, match="5 lanes, the sum 4"):
        sums.add(np.zeros(5, dtype=LANE))
    with pytest.raises(ValueError, match="big-endian"):
        sums.add(np.zeros(4, dtype=np.uint32))
    sums.add(None)
    sums.finish()
    for refused in (sums.finish, lambda: sums.add(None)):
        with pytest.raises(ValueError, match="already"):
            refused()
