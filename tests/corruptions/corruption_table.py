"""Audits a finished run again and again, each time with one random corruption in it; counts what is found.

    python tests/corruptions/corruption_table.py                       ten thousand
    python tests/corruptions/corruption_table.py --count 500 --seed 3
    python tests/corruptions/corruption_table.py --only 4711           one of them, to look into it

A corruption is found where the audit has a finding or ends with one of the project's own errors.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

sys.path.extend(str(Path(__file__).parents[1] / name) for name in ("roles", "attacks"))

from corrupted_answers import ANSWER_KINDS
from corrupted_blobs import BLOB_KINDS, Corrupt, Corruption
from corrupted_events import EVENT_KINDS
from finished_run import FinishedRun, finished_run
from lying_nodes import PROOF_METHODS

from fl_chain.errors import FlChainError

COUNT, SEED = 10_000, 1
CRASH = "CRASH: "
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
COMPARED_EVERY = 5  # lie is told by a node without proofs too
PROOFS = tuple(f'["{method}"' for method in PROOF_METHODS)
FAMILIES: tuple[tuple[tuple[Corrupt, ...], int], ...] = (
    (BLOB_KINDS, 40),
    (EVENT_KINDS, 36),
    (ANSWER_KINDS, 24),
)


@dataclass(frozen=True)
class Trial:
    """What became of one corruption."""

    number: int
    corruption: Corruption
    is_found: bool
    is_found_without_proofs: bool | None  # None where it was not tried
    said: str  # the first finding, or the error


@dataclass
class Row:
    """What became of a class of corruptions."""

    tried: int = 0
    meaningless: int = 0
    found: int = 0
    missed: list[int] = field(default_factory=list)  # their numbers
    found_without_proofs: int = 0
    missed_without_proofs: int = 0

    def add(self, trial: Trial) -> None:
        """Count a trial."""
        self.tried += 1
        if not trial.corruption.changes_meaning:
            self.meaningless += 1
            return
        if trial.is_found:
            self.found += 1
        else:
            self.missed.append(trial.number)
        self.found_without_proofs += trial.is_found_without_proofs is True
        self.missed_without_proofs += trial.is_found_without_proofs is False


def corruption(run: FinishedRun, seed: int, number: int) -> Corruption:
    """Return the corruption of a number; each follows from seed and number alone."""
    chance = Random(f"{seed}/{number}")
    (kinds,) = chance.choices([kinds for kinds, _ in FAMILIES], [share for _, share in FAMILIES])
    return chance.choice(kinds)(run, chance)


@contextmanager
def _in_place(one: Corruption) -> Iterator[None]:
    """Alter files, and put back what was there."""
    before = {path: path.read_bytes() for path in one.files}
    try:
        for path, content in one.files.items():
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def what_is_said(run: FinishedRun, one: Corruption, *, with_proofs: bool = True) -> str:
    """Return the first thing that an audit says of a corrupted run; empty where it passes."""
    try:
        with _in_place(one):
            report = run.audit(one.answers, with_proofs=with_proofs)
    except FlChainError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:  # as bad as a miss, and the others are tried all the same
        return f"{CRASH}{error!r}"
    return next((f"{finding.kind.value}: {finding.detail}" for finding in report.findings), "")


def tried(run: FinishedRun, seed: int, number: int, *, with_comparison: bool = True) -> Trial:
    """Corrupt a run and audit it.

    Blobs are corrupted by themselves: nothing that the node says is other than it was, so the node of their
    audit offers no proofs, which saves half of the time and finds less, if anything. Nor does that of a lie
    in a view which nobody asks for where the storage is proven.

    Args:
        run: true.
        seed: of all corruptions.
        number: of this one.
        with_comparison: audit lies about anything but proofs a second time, by a node that offers none.
    """
    one = corruption(run, seed, number)
    with_proofs = bool(one.answers) and run.is_asked_with_proofs(one.answers)
    said = what_is_said(run, one, with_proofs=with_proofs)
    without: bool | None = None
    if with_comparison and not all(request.startswith(PROOFS) for request in one.answers):
        without = _is_found(what_is_said(run, one, with_proofs=False))
    return Trial(number, replace(one, files={}, answers={}), _is_found(said), without, said)


def _is_found(said: str) -> bool:
    return said != "" and not said.startswith(CRASH)


def all_tried(run: FinishedRun, seed: int, numbers: Sequence[int], processes: int) -> Iterator[Trial]:
    """Yield what becomes of each corruption; every process corrupts a copy of the store of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        context = multiprocessing.get_context("fork")
        with context.Pool(processes, _begin, (run, seed, scratch)) as pool:
            yield from pool.imap_unordered(_try_one, numbers, chunksize=25)


_work: dict[str, Any] = {}


def _begin(run: FinishedRun, seed: int, scratch: str) -> None:
    folder = Path(scratch) / str(os.getpid())
    shutil.copytree(run.folder, folder)
    _work.update(run=replace(run, folder=folder), seed=seed)


def _try_one(number: int) -> Trial:
    return tried(_work["run"], _work["seed"], number, with_comparison=number % COMPARED_EVERY == 0)


def table(rows: dict[str, Row]) -> str:
    """Return the counts as a table for people."""
    lines = [
        "| class | tried | changed no meaning | found | missed | without proofs: found | missed |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    total = Row()
    for name, row in sorted(rows.items()):
        lines.append(_line(name, row))
        for part in ("tried", "meaningless", "found", "found_without_proofs", "missed_without_proofs"):
            setattr(total, part, getattr(total, part) + getattr(row, part))
        total.missed += row.missed
    return "\n".join([*lines, _line("all", total)])


def _line(name: str, row: Row) -> str:
    is_lie = row.found_without_proofs + row.missed_without_proofs > 0
    without = [row.found_without_proofs, row.missed_without_proofs] if is_lie else ["", ""]
    cells = [name, row.tried, row.meaningless, row.found, len(row.missed), *without]
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells) + " |"


def written(page: str, shown: str, seed: int) -> str:
    """Return a page with the table between its two marks replaced."""
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\nSeed {seed}:\n\n{shown}\n{END}{after}"


def main() -> int:
    """Run the command line; the exit status is 1 where something was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", type=Path, help="a page, whose table is replaced")
    parser.add_argument("--only", type=int, help="the number of one corruption")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as scratch, finished_run(Path(scratch)) as run:
        run.record()
        started = time.monotonic()
        numbers = range(options.count) if options.only is None else [options.only]
        for done, trial in enumerate(all_tried(run, options.seed, numbers, options.processes), 1):
            one = trial.corruption
            rows.setdefault(one.kind, Row()).add(trial)
            if (one.changes_meaning and not trial.is_found) or options.only is not None:
                print(f"{trial.number}: {one.kind}: {one.what}: {trial.said or 'MISSED'}", flush=True)
            if done % 500 == 0:
                print(f"{done} of {options.count}", file=sys.stderr, flush=True)
        seconds = time.monotonic() - started
    shown = table(rows)
    each_ms = 1000 * seconds * options.processes / len(numbers)
    print(f"{shown}\n\n{len(numbers)} corruptions, seed {options.seed}: {each_ms:.0f} ms each and process")
    if options.write is not None:
        page = written(options.write.read_text(encoding="utf-8"), shown, options.seed)
        options.write.write_text(page, encoding="utf-8")
    return 1 if any(row.missed for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
