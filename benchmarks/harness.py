"""What every benchmark shares: interleaved runs, the machine, the result file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
RUNS = 7


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on."""

    cpu: str
    cores: int
    python: str
    numpy: str


@dataclass(frozen=True, slots=True)
class Result:
    """One comparison, in the form of its file."""

    name: str
    ratio: float  # ours against theirs; above 1 is better than the peer
    peer: str
    ours: float  # in ``unit``
    theirs: float
    unit: str
    machine: Machine


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> Machine:
    """Return the machine that this runs on."""
    return Machine(_cpu_model(), cores(), platform.python_version(), np.__version__)


def interleaved_medians(contestants: Sequence[Callable[[], object]], runs: int = RUNS) -> list[float]:
    """Return the median seconds of each contestant.

    Each runs once to warm up, and then all of them by turns, so that what else the machine does meets all
    alike.
    """
    for contestant in contestants:
        contestant()
    seconds: list[list[float]] = [[] for _ in contestants]
    for _ in range(runs):
        for contestant, taken in zip(contestants, seconds, strict=True):
            start = time.perf_counter()
            contestant()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def throughput(name: str, peer: str, work: float, seconds: Sequence[float], unit: str) -> Result:
    """Return the comparison of two throughputs.

    Args:
        name: of the benchmark and its file.
        peer: what ours is compared with.
        work: done in each run, in the unit without its "/s".
        seconds: ours, theirs.
        unit: of the throughput.
    """
    ours, theirs = seconds
    return Result(
        name, round(theirs / ours, 4), peer, round(work / ours, 4), round(work / theirs, 4), unit, machine()
    )


def write(result: Result, folder: Path = RESULTS) -> None:
    """Write a result to ``<name>.json``."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(asdict(result), indent=2) + "\n"
    (folder / f"{result.name}.json").write_text(text, encoding="ascii")


def table(results: Sequence[Result]) -> str:
    """Return results as a table of plain text."""
    rows = [("benchmark", "ratio", "ours", "theirs", "unit", "peer")]
    rows += [(r.name, f"{r.ratio:.2f}", f"{r.ours:.2f}", f"{r.theirs:.2f}", r.unit, r.peer) for r in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else "unknown"
