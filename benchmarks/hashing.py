"""The vector root of 400 MB against raw SHA-256 over the same bytes, on one core and on two.

The peer is `hashlib.sha256` over everything on one core, and on two cores one over each half, in two
processes that wait for their turn as our threads do. All of them read the same memory.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.harness import Result, cores, interleaved_medians, throughput
from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import vector_root

DIMENSION = 100_000_000  # lanes: 400 MB
THREADS = 2
GIGABYTES = DIMENSION * 4 / 1e9


def results() -> list[Result]:
    """Return `hashing_1`, `hashing_2`, and the lower of them as `hashing`."""
    with HashingPool(THREADS) as pool:
        lanes = _shared(DIMENSION)
        lanes[:] = np.random.default_rng(0).integers(0, 2**32, DIMENSION, dtype=np.uint32)
        found = [_on_one_core(lanes)]
        if cores() >= THREADS:
            found.append(_on_two_cores(lanes, pool))
    lowest = min(found, key=lambda result: result.ratio)
    return [replace(lowest, name="hashing"), *found]


def _shared(dimension: int) -> Lanes:
    """Return lanes in memory that the peer's processes read too."""
    return np.frombuffer(mmap.mmap(-1, dimension * LANE.itemsize), dtype=LANE)


def _on_one_core(lanes: Lanes) -> Result:
    view = lane_bytes(lanes)
    seconds = interleaved_medians([lambda: vector_root(lanes), lambda: hashlib.sha256(view).digest()])
    return throughput("hashing_1", "hashlib.sha256, one core", GIGABYTES, seconds, "GB/s")


def _on_two_cores(lanes: Lanes, pool: HashingPool) -> Result:
    with _raw_processes(lane_bytes(lanes)) as connections:

        def raw() -> list[bytes]:
            for connection in connections:
                connection.send(None)
            return [connection.recv() for connection in connections]

        seconds = interleaved_medians([lambda: vector_root(lanes, pool=pool), raw])
    return throughput("hashing_2", "hashlib.sha256, two processes", GIGABYTES, seconds, "GB/s")


@contextmanager
def _raw_processes(view: memoryview) -> Iterator[list[Connection]]:
    context = get_context("fork")
    share = len(view) // THREADS
    parts = [view[number * share : (number + 1) * share] for number in range(THREADS)]
    pipes = [context.Pipe() for _ in parts]
    crew = [
        context.Process(target=_hash_on_demand, args=(part, theirs), daemon=True)
        for part, (_, theirs) in zip(parts, pipes, strict=True)
    ]
    try:
        for process in crew:
            process.start()
        yield [ours for ours, _ in pipes]
    finally:
        for process in crew:
            process.terminate()
            process.join()


def _hash_on_demand(part: memoryview, connection: Connection) -> None:
    while True:
        connection.recv()
        connection.send(hashlib.sha256(part).digest())
