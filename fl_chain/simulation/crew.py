"""The processes of a simulation: each trains its own participants, and keeps their rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Protocol, TypeVar

from fl_chain.errors import FlChainError
from fl_chain.simulation.trainer import Ground, Job, Made, Trained, Trainer

AHEAD = 4  # jobs that a process is told of before it has answered the first: a pipe holds many more
WRITTEN_ASIDE = 1 << 17  # lanes of an update from which on another thread writes it: a change of threads pays

Result = TypeVar("Result")


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
    with suppress(EOFError, OSError):
        _Trainee(ground, pipe).serve()


class _Trainee:
    """A process of the pool: it trains, and writes a large update while it trains the next one."""

    def __init__(self, ground: Ground, pipe: Connection) -> None:
        self._ground = ground
        self._pipe = pipe
        self._trainer: Trainer | None = None

    def serve(self) -> None:
        """Train whoever is asked for, until nobody asks any more.

        Raises:
            EOFError, OSError: then.
        """
        is_large = self._ground.dimension >= WRITTEN_ASIDE
        with ThreadPoolExecutor(1) as writer:
            writing: Future[None] | None = None
            while True:
                job = self._pipe.recv()
                made = _attempted(partial(self._made, job))
                if writing is not None:
                    writing.result()  # one is written at a time: no more of them are held, and none overtakes
                writing = writer.submit(self._answer, made) if is_large else None
                if writing is None:
                    self._answer(made)

    def _made(self, job: Job) -> Made:
        return self._own_trainer().made(job)

    def _own_trainer(self) -> Trainer:
        self._trainer = self._trainer or Trainer(self._ground)
        return self._trainer

    def _answer(self, made: Made | str) -> None:
        """Write an update, and say so: whoever hears of it finds it in the store."""
        self._pipe.send(made if isinstance(made, str) else _attempted(lambda: self._written(made)))

    def _written(self, made: Made) -> Trained:
        self._own_trainer().write(made)
        return made.trained


def _attempted(work: Callable[[], Result]) -> Result | str:
    """Return what came of work, or why nothing did."""
    try:
        return work()
    except FlChainError as error:
        return str(error)
    except Exception as error:  # whatever it is, the process that asked has to hear of it
        return f"{type(error).__name__}: {error}"
