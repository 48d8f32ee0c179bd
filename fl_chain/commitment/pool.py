"""Hashing on several cores: threads in compiled loops that do not hold the interpreter's lock."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from fl_chain.commitment.merkle import BLOCK_BYTES, hash_block
from fl_chain.commitment.native import hashing_for

_Work = TypeVar("_Work")
_Done = TypeVar("_Done")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class HashingPool:
    """Threads that share the hashing of large vectors; a context manager.

    The threads start with the first large vector. Where there are no compiled loops they would only wait for
    one another, so that everything is hashed in the calling thread. A pool may be used from several threads.

    Args:
        threads: how many, usually the number of cores.

    Raises:
        ValueError: if that is less than one.
    """

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"{threads} hashing threads: need at least 1")
        self.threads = threads
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def __enter__(self) -> HashingPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_started(self) -> bool:
        """Whether there are threads now; there are none before the first large vector."""
        return self._executor is not None

    def close(self) -> None:
        """End the threads; the next large vector starts new ones."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(cancel_futures=True)

    def is_worthwhile(self, size_bytes: int) -> bool:
        """Return whether so many bytes are worth several threads here."""
        return self.threads > 1 and size_bytes >= 2 * BLOCK_BYTES and hashing_for(size_bytes) is not None

    def map(self, work: Callable[[_Work], _Done], pieces: Iterable[_Work]) -> list[_Done]:
        """Return what the work makes of each piece, in their order.

        The first error of a piece is raised here; pieces that have not begun by then are left out.
        """
        futures = self.begin(work, pieces)
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def begin(self, work: Callable[[_Work], _Done], pieces: Iterable[_Work]) -> tuple[Future[_Done], ...]:
        """Have the threads work on pieces, in their order, and do not wait for them."""
        executor = self._started()
        return tuple(executor.submit(work, piece) for piece in pieces)

    def ahead(
        self, work: Callable[[_Work], _Done], pieces: Iterable[_Work], *, size_bytes: int
    ) -> Iterator[_Done]:
        """Yield what the work makes of each piece, in order, while threads work on the next ones.

        Args:
            work: may run in several threads at once.
            pieces: as many are taken ahead as there are threads, so as many results wait in memory.
            size_bytes: of everything that the work hashes; small work stays in this thread.
        """
        if not self.is_worthwhile(size_bytes):
            yield from map(work, pieces)
            return
        executor, waiting = self._started(), deque[Future[_Done]]()
        try:
            for piece in pieces:
                waiting.append(executor.submit(work, piece))
                if len(waiting) > self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="hashing")
            return self._executor

    def hash_blocks(self, view: memoryview) -> list[tuple[bytes, bytes]]:
        """Return for each block of a vector its chunk hashes and its root; see `merkle.hash_block`.

        Args:
            view: one-dimensional, format ``B``.
        """
        starts = range(0, len(view), BLOCK_BYTES)
        return self.map(hash_block, [view[start : start + BLOCK_BYTES] for start in starts])
