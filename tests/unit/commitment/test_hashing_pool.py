import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from naive_tree import naive_root, random_lanes

from fl_chain.commitment.chunks import LANE
from fl_chain.commitment.merkle import BLOCK_BYTES
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import vector_root, vector_tree
from fl_chain.errors import HashingProcessDied

BLOCK_LANES = BLOCK_BYTES // 4
LARGE = 2 * BLOCK_LANES + 1025


@pytest.fixture(scope="module")
def pool() -> Iterator[HashingPool]:
    with HashingPool(2) as shared:
        yield shared


@pytest.mark.parametrize(
    "dimension", [2 * BLOCK_LANES, 2 * BLOCK_LANES + 1, LARGE, 5 * BLOCK_LANES - 1, 9 * BLOCK_LANES]
)
def test_processes_find_the_same_tree(pool: HashingPool, dimension: int) -> None:
    private = random_lanes(dimension)
    shared = pool.lanes(dimension)
    shared[:] = private
    expected = vector_tree(private)
    assert vector_tree(shared, pool=pool) == expected
    assert vector_tree(private, pool=pool) == expected
    assert expected.root == naive_root(private.tobytes())


def test_a_part_of_a_shared_vector_is_hashed_where_it_lies(pool: HashingPool) -> None:
    shared = pool.lanes(LARGE + 3)
    shared[:] = random_lanes(LARGE + 3)
    part = shared[3:]
    part.flags.writeable = False
    assert vector_root(part, pool=pool) == vector_root(part.copy())


def test_what_is_written_after_a_call_is_seen_by_the_next(pool: HashingPool) -> None:
    shared = pool.lanes(LARGE)
    assert vector_root(shared, pool=pool) == vector_root(np.zeros(LARGE, dtype=LANE))
    shared[-1] = 1
    assert vector_root(shared, pool=pool) == vector_root(shared.copy())


def test_small_vectors_start_no_process() -> None:
    with HashingPool(2) as idle:
        assert idle.process_ids == ()
        vector_root(random_lanes(2 * BLOCK_LANES - 1), pool=idle)
        assert idle.process_ids == ()
        vector_root(random_lanes(2 * BLOCK_LANES), pool=idle)
        assert len(idle.process_ids) == 2


def test_one_process_is_the_calling_one() -> None:
    with HashingPool(1) as alone:
        lanes = alone.lanes(LARGE)
        assert vector_root(lanes, pool=alone) == vector_root(np.zeros(LARGE, dtype=LANE))
        assert alone.process_ids == ()


@pytest.mark.parametrize("processes", [0, -1])
def test_a_pool_needs_a_process(processes: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HashingPool(processes)


def test_an_empty_vector_is_refused(pool: HashingPool) -> None:
    with pytest.raises(ValueError, match="dimension"):
        pool.lanes(0)


def test_processes_end_with_the_pool_and_start_again_on_demand() -> None:
    lanes = random_lanes(LARGE)
    with HashingPool(2) as short:
        shared = short.lanes(LARGE)
        shared[:] = lanes
        root = vector_root(shared, pool=short)
        ended = short.process_ids
    assert short.process_ids == ()
    assert not any(is_running(process_id) for process_id in ended)
    assert np.array_equal(shared, lanes)
    with short:
        assert vector_root(shared, pool=short) == root


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_dead_process_is_an_error_and_the_next_call_works(capfd: pytest.CaptureFixture[str]) -> None:
    lanes = random_lanes(LARGE)
    with HashingPool(2) as struck:
        root = vector_root(lanes, pool=struck)
        os.kill(struck.process_ids[0], signal.SIGKILL)
        with pytest.raises(HashingProcessDied, match="status -9"):
            vector_root(lanes, pool=struck)
        assert vector_root(lanes, pool=struck) == root
    assert capfd.readouterr().err == ""


def test_an_interrupted_call_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    lanes = random_lanes(8 * BLOCK_LANES)
    with HashingPool(2) as interrupted:
        root = vector_root(lanes, pool=interrupted)

        def hash_until_interrupted() -> None:
            threading.Timer(0.02, signal.raise_signal, [signal.SIGINT]).start()
            while True:
                vector_root(lanes, pool=interrupted)

        with pytest.raises(KeyboardInterrupt):
            hash_until_interrupted()
        assert vector_root(lanes, pool=interrupted) == root
    assert capfd.readouterr().err == ""


def test_memory_is_given_back_with_the_last_array() -> None:
    with HashingPool(2) as frugal:
        before = open_files()
        shared = frugal.lanes(LARGE)
        view = shared[10:20]
        del shared
        gc.collect()
        assert open_files() > before
        del view
        gc.collect()
        assert open_files() == before
        kept = frugal.lanes(LARGE)
        vector_root(kept, pool=frugal)
        process_id = frugal.process_ids[0]
        mapped = shared_mappings(process_id)
        del kept
        gc.collect()
        vector_root(frugal.lanes(LARGE), pool=frugal)  # an answer, so the release before it was heard
        assert shared_mappings(process_id) <= mapped


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def shared_mappings(process_id: int) -> int:
    return Path(f"/proc/{process_id}/maps").read_text().count("fl_chain lanes")


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


def test_processes_need_neither_numpy_nor_torch_nor_the_main_script() -> None:
    code = (
        "import sys; import fl_chain.commitment.pool_process; "
        "print([name for name in ('numpy', 'torch', 'multiprocessing') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_processes_end_when_their_owner_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(
        "import os, signal\n"
        "import numpy as np\n"
        "from fl_chain.commitment.chunks import LANE\n"
        "from fl_chain.commitment.pool import HashingPool\n"
        "from fl_chain.commitment.tree import vector_root\n"
        "pool = HashingPool(2)\n"
        f"vector_root(np.zeros({LARGE}, dtype=LANE), pool=pool)\n"
        "print(*pool.process_ids, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    owner = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
    assert owner.returncode == -signal.SIGKILL
    # The processes inherit standard output, so the call above returns only when the last of them has ended.
    assert len(owner.stdout.split()) == 2
