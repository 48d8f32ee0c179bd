"""The processes of a simulation: each trains its own participants, and keeps their rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Protocol

from fl_chain.errors import FlChainError
from fl_chain.simulation.trainer import Ground, Job, Trained, Trainer

AHEAD = 4  # jobs that a process is told of before it has answered the first: a pipe holds many more


class WorkerFailed(FlChainError):
    """A process of a simulation could not go on."""


class Crew(Protocol):
    """Whoever trains."""

    def train(self, jobs: Sequence[Job]) -> Iterator[Trained]:
        """Train participants; the results come in the order of the jobs, as soon as they are there."""
        ...

    def close(self) -> None:
        """End."""
        ...


class OwnProcess:
    """Trains in this process."""

    def __init__(self, ground: Ground) -> None:
        self._trainer = Trainer(ground)

    def train(self, jobs: Sequence[Job]) -> Iterator[Trained]:
        """See `Crew.train`."""
        return map(self._trainer.train, jobs)

    def close(self) -> None:
        """Nothing is left to end."""


class Pool:
    """Processes that are forked once, so that they share what was read before.

    A participant always comes to the same one.
    """

    def __init__(self, ground: Ground, jobs: int) -> None:
        ground.shares.gather()
        context = get_context("fork")
        self._numbers = {name: number for number, name in enumerate(ground.shares.names)}
        self._pipes: list[Connection] = []
        self._processes: list[ForkProcess] = []
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            # A process that kept the ends of the others would never see them close.
            process = context.Process(target=_serve, args=(ground, theirs, [ours, *self._pipes]), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def train(self, jobs: Sequence[Job]) -> Iterator[Trained]:
        """See `Crew.train`.

        Raises:
            WorkerFailed: if a process ended, or could not train.
        """
        waiting: list[deque[Job]] = [deque() for _ in self._pipes]
        for job in jobs:
            waiting[self._place(job)].append(job)
        for pipe, own in zip(self._pipes, waiting, strict=True):
            for _ in range(min(AHEAD, len(own))):
                self._tell(pipe, own.popleft())
        for job in jobs:
            place = self._place(job)
            answer = self._received(place)
            if waiting[place]:
                self._tell(self._pipes[place], waiting[place].popleft())
            if isinstance(answer, str):
                raise WorkerFailed(f"participant {job.name} in round {job.round}: {answer}")
            yield answer

    def close(self) -> None:
        """End every process."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()
                process.join()

    def _place(self, job: Job) -> int:
        return self._numbers[job.name] % len(self._pipes)

    def _tell(self, pipe: Connection, job: Job) -> None:
        with _noticing_the_end():
            pipe.send(job)

    def _received(self, place: int) -> Trained | str:
        with _noticing_the_end():
            answer: Trained | str = self._pipes[place].recv()
        return answer


@contextmanager
def _noticing_the_end() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise WorkerFailed(
            "a process of the simulation ended on the way: free memory or take fewer, and go on with --resume"
        ) from error


def open_crew(ground: Ground, jobs: int) -> Crew:
    """Start whoever trains."""
    return OwnProcess(ground) if jobs == 1 else Pool(ground, jobs)


def _serve(ground: Ground, pipe: Connection, foreign: Sequence[Connection]) -> None:
    for one in foreign:
        one.close()
    trainer: Trainer | None = None
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            trainer = trainer or Trainer(ground)
            answer: Trained | str = trainer.train(job)
        except FlChainError as error:
            answer = str(error)
        except Exception as error:  # whatever it is, the process that asked has to hear of it
            answer = f"{type(error).__name__}: {error}"
        try:
            pipe.send(answer)
        except OSError:
            return
