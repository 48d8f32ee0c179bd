"""Hashing on several cores: processes over shared memory.

Threads gain nothing at 4 KiB chunks: each call into SHA-256 is too short for giving up the interpreter's
lock to pay. The processes start when the first large vector comes, import nothing but hashing, and end with
the pool or with the process that owns it, however that ends. Shared memory is anonymous (memfd): it has no
name that could be left behind, and no limit of its own in a container, as /dev/shm has.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from itertools import count
from types import TracebackType

import numpy as np

from fl_chain.commitment.chunks import LANE, Lanes, chunk_count, lane_bytes
from fl_chain.commitment.merkle import BLOCK_BYTES, CHUNK_BYTES, HASH_BYTES
from fl_chain.commitment.pool_process import Command, Verb, receive_exactly
from fl_chain.errors import HashingProcessDied

IS_SUPPORTED = hasattr(os, "memfd_create")  # Linux; elsewhere everything is hashed in the calling process

_IN_HAND = 2  # blocks that a process has at once, so that it never waits for the next
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from fl_chain.commitment.pool_process import serve; serve()"


@dataclass(frozen=True, slots=True)
class _Segment:
    """A piece of shared memory, without the mapping whose end frees it."""

    id: int
    file: int  # descriptor
    address: int  # in this process
    size: int  # bytes


class _Process:
    """One hashing process and the socket that leads to it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._child = subprocess.Popen(  # noqa: S603 - this interpreter, with our own code
                [sys.executable, "-I", "-c", _BOOT, str(theirs.fileno()), *sys.path],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._mapped: set[int] = set()

    @property
    def pid(self) -> int:
        return self._child.pid

    def fileno(self) -> int:
        return self._socket.fileno()

    def request(self, segment: _Segment, offset: int, length: int) -> None:
        """Ask for the hashes of a block; `answer` waits for them."""
        try:
            if segment.id not in self._mapped:
                mapping = Command(Verb.MAP, segment.id, length=segment.size)
                socket.send_fds(self._socket, [mapping.pack()], [segment.file])
                self._mapped.add(segment.id)
            self._socket.sendall(Command(Verb.HASH, segment.id, offset, length).pack())
        except OSError as error:
            raise self._death() from error

    def answer(self, length: int) -> bytes:
        try:
            return receive_exactly(self._socket, length)
        except (OSError, EOFError) as error:
            raise self._death() from error

    def forget(self, segment: _Segment) -> None:
        if segment.id in self._mapped:
            self._mapped.discard(segment.id)
            self._socket.sendall(Command(Verb.UNMAP, segment.id).pack())

    def stop(self) -> None:
        self._socket.close()
        self._child.wait()

    def _death(self) -> HashingProcessDied:
        self.stop()
        return HashingProcessDied(
            f"a hashing process ended with status {self._child.returncode}. If that is -9, the machine may "
            "be short of memory: free some, or use fewer processes. Repeating the call starts new ones."
        )


class HashingPool:
    """Processes that share the hashing of large vectors; a context manager.

    With one process, everything is hashed in the calling process. A pool may be used from several threads,
    one call at a time. `lanes` allocates vectors that are hashed where they lie; others are copied block by
    block.

    Args:
        processes: how many, usually the number of cores.

    Raises:
        ValueError: if that is less than one.
    """

    def __init__(self, processes: int) -> None:
        if processes < 1:
            raise ValueError(f"{processes} hashing processes: need at least 1")
        self.processes = processes
        self._lock = threading.Lock()
        self._crew: list[_Process] = []
        self._segments: dict[int, _Segment] = {}
        self._segment_ids = count()
        self._dropped: deque[int] = deque()
        self._staging: tuple[mmap.mmap, _Segment] | None = None

    def __enter__(self) -> HashingPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes that run now; none before the first large vector."""
        return tuple(process.pid for process in self._crew)

    def close(self) -> None:
        """End the processes. Vectors from `lanes` stay valid; the next large vector starts new processes."""
        with self._lock:
            self._end_crew()
            self._staging = None

    def lanes(self, dimension: int) -> Lanes:
        """Return a new vector of zeros that every process can hash without a copy.

        Args:
            dimension: lanes, at least 1.

        Returns:
            Big-endian lanes, shape (dimension,); the memory is freed with the last array that refers to it.

        Raises:
            ValueError: if the dimension is out of range.
        """
        chunk_count(dimension)
        if not IS_SUPPORTED or self.processes == 1:
            return np.zeros(dimension, dtype=LANE)
        with self._lock:
            memory, _ = self._allocate(dimension * LANE.itemsize)
        return np.frombuffer(memory, dtype=LANE)

    def is_worthwhile(self, size_bytes: int) -> bool:
        """Return whether a vector is large enough for several processes."""
        return IS_SUPPORTED and self.processes > 1 and size_bytes >= 2 * BLOCK_BYTES

    def hash_blocks(self, lanes: Lanes) -> tuple[bytes, bytes]:
        """Return the chunk hashes of a vector and the roots of its blocks, as `merkle.hash_blocks`.

        Args:
            lanes: shape (dimension,), contiguous big-endian uint32.

        Returns:
            The hashes of the chunks that hold lanes, and the roots of their blocks, the last block filled
            up with zero chunks; 32 bytes each.

        Raises:
            HashingProcessDied: if a process ended, as when the machine is short of memory.
        """
        view = lane_bytes(lanes)
        with self._lock:
            self._crew += [_Process() for _ in range(self.processes - len(self._crew))]
            try:
                answers = self._answers(view, lanes.ctypes.data)
            except BaseException:
                self._end_crew()  # an answer that nobody has read would be taken for the next call's
                raise
        hashes = b"".join([answer[:-HASH_BYTES] for answer in answers])
        return hashes, b"".join([answer[-HASH_BYTES:] for answer in answers])

    def _answers(self, view: memoryview, address: int) -> list[bytes]:
        segment = self._segment_at(address, len(view))
        starts = range(0, len(view), BLOCK_BYTES)
        answers = [b""] * len(starts)
        slots = deque(range(_IN_HAND * len(self._crew)))
        waiting: dict[_Process, deque[tuple[int, int]]] = {process: deque() for process in self._crew}
        for number, start in enumerate(starts):
            if not slots:
                slots.append(_await_answer(waiting, view, answers))
            process = min(self._crew, key=lambda candidate: len(waiting[candidate]))
            slot = slots.popleft()
            block = view[start : start + BLOCK_BYTES]
            if segment is None:
                process.request(self._stage(block, slot), slot * BLOCK_BYTES, len(block))
            else:
                process.request(segment, address - segment.address + start, len(block))
            waiting[process].append((number, slot))
        while any(waiting.values()):
            _await_answer(waiting, view, answers)
        return answers

    def _stage(self, block: memoryview, slot: int) -> _Segment:
        if self._staging is None:
            self._staging = self._allocate(_IN_HAND * self.processes * BLOCK_BYTES)
        memory, segment = self._staging
        memory[slot * BLOCK_BYTES : slot * BLOCK_BYTES + len(block)] = block
        return segment

    def _allocate(self, size: int) -> tuple[mmap.mmap, _Segment]:
        file = os.memfd_create("fl_chain lanes")
        try:
            os.ftruncate(file, size)
            memory = mmap.mmap(file, size)
        except BaseException:
            os.close(file)
            raise
        segment = _Segment(next(self._segment_ids), file, _address(memory), size)
        self._segments[segment.id] = segment
        weakref.finalize(memory, self._drop, segment.id).atexit = False
        return memory, segment

    def _segment_at(self, address: int, size: int) -> _Segment | None:
        self._forget_dropped()
        for segment in self._segments.values():
            if segment.address <= address and address + size <= segment.address + segment.size:
                return segment
        return None

    def _drop(self, segment_id: int) -> None:
        # The garbage collector may call this at any point of any thread, also of one that holds the lock.
        self._dropped.append(segment_id)
        if self._lock.acquire(blocking=False):
            try:
                self._forget_dropped()
            finally:
                self._lock.release()

    def _forget_dropped(self) -> None:
        while self._dropped:
            segment = self._segments.pop(self._dropped.popleft())
            os.close(segment.file)
            try:
                for process in self._crew:
                    process.forget(segment)
            except OSError:
                self._end_crew()

    def _end_crew(self) -> None:
        while self._crew:
            self._crew.pop().stop()


def _await_answer(
    waiting: dict[_Process, deque[tuple[int, int]]], view: memoryview, answers: list[bytes]
) -> int:
    """Wait for a process to answer, keep what it says, and return the slot that is free again."""
    poll = select.poll()
    busy = {process.fileno(): process for process, blocks in waiting.items() if blocks}
    for file in busy:
        poll.register(file, select.POLLIN)
    process = busy[poll.poll()[0][0]]
    number, slot = waiting[process].popleft()
    length = min(BLOCK_BYTES, len(view) - number * BLOCK_BYTES)
    answers[number] = process.answer((-(-length // CHUNK_BYTES) + 1) * HASH_BYTES)
    return slot


def _address(memory: mmap.mmap) -> int:
    return int(np.frombuffer(memory, dtype=np.uint8).ctypes.data)
