import threading
import time
from collections.abc import Iterator

import pytest
from naive_tree import naive_root, random_lanes

from fl_chain.commitment import native
from fl_chain.commitment.merkle import BLOCK_BYTES
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import vector_root, vector_tree

BLOCK_LANES = BLOCK_BYTES // 4
LARGE = 2 * BLOCK_LANES + 1025


@pytest.fixture(scope="module")
def pool() -> Iterator[HashingPool]:
    assert native.kernels() is not None
    with HashingPool(2) as shared:
        yield shared


@pytest.mark.parametrize(
    "dimension", [2 * BLOCK_LANES, 2 * BLOCK_LANES + 1, LARGE, 5 * BLOCK_LANES - 1, 9 * BLOCK_LANES]
)
def test_threads_find_the_same_tree(pool: HashingPool, dimension: int) -> None:
    lanes = random_lanes(dimension)
    expected = vector_tree(lanes)
    assert vector_tree(lanes, pool=pool) == expected
    assert pool.is_started
    assert expected.root == naive_root(lanes.tobytes())


def test_a_part_of_a_vector_is_hashed_where_it_lies(pool: HashingPool) -> None:
    lanes = random_lanes(LARGE + 3)
    part = lanes[3:]
    part.flags.writeable = False
    assert vector_root(part, pool=pool) == vector_root(part.copy())


def test_small_vectors_start_no_thread(pool: HashingPool) -> None:
    with HashingPool(2) as idle:
        vector_root(random_lanes(2 * BLOCK_LANES - 1), pool=idle)
        assert not idle.is_started
        vector_root(random_lanes(2 * BLOCK_LANES), pool=idle)
        assert idle.is_started


def test_one_thread_is_the_calling_one(pool: HashingPool) -> None:
    with HashingPool(1) as alone:
        lanes = random_lanes(LARGE)
        assert vector_root(lanes, pool=alone) == vector_root(lanes)
        assert not alone.is_started


def test_without_compiled_loops_no_thread_waits_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_chain.commitment.pool.hashing_for", lambda size_bytes: None)
    assert not HashingPool(2).is_worthwhile(1 << 40)


@pytest.mark.parametrize("threads", [0, -1])
def test_a_pool_needs_a_thread(threads: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HashingPool(threads)


def test_threads_end_with_the_pool_and_start_again_on_demand() -> None:
    lanes = random_lanes(LARGE)
    with HashingPool(2) as short:
        root = vector_root(lanes, pool=short)
        assert any(thread.name.startswith("hashing") for thread in threading.enumerate())
    assert not short.is_started
    with short:
        assert vector_root(lanes, pool=short) == root


def test_the_first_error_is_raised_and_what_has_not_begun_is_left_out() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise OSError("no disk")
        time.sleep(0.01)  # all of them would take ten seconds

    with HashingPool(1) as alone, pytest.raises(OSError, match="no disk"):
        alone.map(work, range(1000))
    assert len(begun) < 1000


def test_threads_may_share_a_pool(pool: HashingPool) -> None:
    vectors = [random_lanes(LARGE, seed) for seed in range(4)]
    roots: dict[int, bytes] = {}

    def work(number: int) -> None:
        roots[number] = vector_root(vectors[number], pool=pool)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [roots[number] for number in range(4)] == [vector_root(lanes) for lanes in vectors]
