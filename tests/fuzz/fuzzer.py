"""Runs targets under atheris, each in a process of its own with a limit of time and memory.

    python tests/fuzz/fuzzer.py                         every target, 60 s each
    python tests/fuzz/fuzzer.py --seconds 600 blobs     one of them
    python tests/fuzz/fuzzer.py --keep blobs            and what reached new code goes into its corpus

A target is a module with ``fuzz(data: bytes) -> None``, which raises on a defect only, ``seeds()`` and
``COVERS``. An input that is found goes to ``crashes/<target>/``: mend the defect and commit the file with it.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType

from scratch import scratch, use_own_scratch

HERE = Path(__file__).resolve().parent
PACKAGE = "fuzz_targets"
INSTRUMENTED = ["fl_chain", PACKAGE]
PACKAGE_FOLDER = f"{HERE.parents[1]}/fl_chain/"
TraceFunction = Callable[[FrameType, str, object], object]

INPUT_TIMEOUT_S = 20  # one input takes milliseconds
SPARE_MEMORY_BYTES = 2 << 30  # on top of what the imports take
MOST_INPUT_BYTES = 4096
CORPUS_BYTES = 6000  # that a target keeps
GRACE_S = 60  # until a process that does not end by itself is killed


@dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    target: str
    is_clean: bool
    runs: int
    coverage: int  # edges of the instrumented code
    seconds: float
    detail: str  # the end of the process's output where something was found
    inputs: tuple[str, ...] = ()  # files that show it


@dataclass(frozen=True)
class Budget:
    """How long a target is fuzzed.

    Attributes:
        seconds: at least 1.
        seed: of the mutations. The order of inputs follows from it, their number from the machine's speed.
        input_timeout_s: what one input may take.
    """

    seconds: int
    seed: int
    input_timeout_s: int


def target_names() -> list[str]:
    """Return the names of all targets."""
    return sorted(path.stem for path in (HERE / PACKAGE).glob("*.py") if path.stem != "__init__")


def inputs_of(name: str) -> list[Path]:
    """Return the committed inputs of a target: its corpus and its past crashes."""
    return sorted(
        path for kind in ("corpus", "crashes") for path in (HERE / kind / name).glob("*") if path.is_file()
    )


def fuzz_target(name: str, module: ModuleType, budget: Budget, found: Path, *, keep: bool = False) -> Outcome:
    """Fuzz one target in a forked process.

    Args:
        name: of the target.
        module: the target, imported under instrumentation.
        budget: how long.
        found: the folder for inputs that show a defect.
        keep: add what reached new code to the committed corpus.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fl-chain-fuzz-") as scratch:
        work, log = Path(scratch) / "corpus", Path(scratch) / "log"
        found.mkdir(parents=True, exist_ok=True)
        before = set(found.iterdir())
        status = _in_child(lambda: _fuzz(name, module, work, found, budget), log, budget.seconds + GRACE_S)
        if keep and status == 0:
            _keep(name, module, work, Path(scratch))
        output = log.read_text(errors="replace")
    files = tuple(str(path) for path in sorted(set(found.iterdir()) - before))
    return Outcome(
        target=name,
        is_clean=status == 0,
        runs=_statistic(output, "stat::number_of_executed_units:"),
        coverage=_last_coverage(output),
        seconds=round(time.monotonic() - started, 1),
        detail="" if status == 0 else f"exit status {status}\n{output[-4000:]}",
        inputs=files,
    )


def _write_corpus(work: Path, name: str, module: ModuleType) -> None:
    work.mkdir()
    for content in [*module.seeds(), *(path.read_bytes() for path in inputs_of(name))]:
        (work / hashlib.sha1(content).hexdigest()).write_bytes(content)


def _in_child(act: Callable[[], None], log: Path, timeout_s: float) -> int:
    """Return the exit status of a forked process that acts; -9 where it had to be killed."""
    child = os.fork()
    if child == 0:
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            _limit_memory()
            act()
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else 1
        except BaseException:
            traceback.print_exc()
            status = 99
        else:
            status = 0
        sys.stdout.flush()
        sys.stderr.flush()
        # C's own exit, for it is there that libFuzzer writes what it found; Python's would unwind the
        # parent's frames, which this process has too.
        ctypes.CDLL(None).exit(status)
    ends = time.monotonic() + timeout_s
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -9
        time.sleep(0.02)


def _limit_memory() -> None:
    used_pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = used_pages * resource.getpagesize() + SPARE_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _fuzz(name: str, module: ModuleType, work: Path, found: Path, budget: Budget) -> None:
    import atheris

    use_own_scratch()
    _write_corpus(work, name, module)  # here, because a library's threads do not outlive a fork
    arguments = [
        name,
        str(work),
        f"-max_total_time={budget.seconds}",
        f"-seed={budget.seed}",
        f"-timeout={budget.input_timeout_s}",
        f"-max_len={MOST_INPUT_BYTES}",
        f"-artifact_prefix={found}/",
        "-rss_limit_mb=0",  # the limit of the address space stands for it
        "-print_final_stats=1",
    ]
    dictionary = HERE / "dictionaries" / f"{name}.txt"
    if dictionary.is_file():
        arguments.append(f"-dict={dictionary}")
    atheris.Setup(arguments, module.fuzz)
    atheris.Fuzz()


def _keep(name: str, module: ModuleType, work: Path, scratch: Path) -> None:
    """Make what was found the committed corpus: inputs that reach new lines, smallest first, up to its limit.

    libFuzzer's own merge starts its program anew for that, which a forked process has no command line for.
    """
    corpus, chosen = HERE / "corpus" / name, scratch / "chosen"

    def choose() -> None:
        use_own_scratch()
        inputs = sorted(work.iterdir(), key=lambda one: (one.stat().st_size, one.name))
        chosen.write_text("\n".join(path.name for path in _covering(module, inputs)))

    if _in_child(choose, scratch / "choose-log", 600) != 0:
        print((scratch / "choose-log").read_text(errors="replace")[-2000:], flush=True)
        return  # and leave the corpus as it is
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    size = 0
    for found in chosen.read_text().splitlines():
        content = (work / found).read_bytes()
        size += len(content)
        if size > CORPUS_BYTES:
            break
        (corpus / hashlib.sha1(content).hexdigest()[:16]).write_bytes(content)


def _covering(module: ModuleType, inputs: Sequence[Path]) -> list[Path]:
    """Return the inputs that each reach a line of fl_chain which none before it has reached."""
    reached: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE_FOLDER):
            return None
        if event == "line":
            reached.add((file, frame.f_lineno))
        return note

    chosen = []
    for path in inputs:
        before = len(reached)
        sys.settrace(note)
        try:
            module.fuzz(path.read_bytes())
        finally:
            sys.settrace(None)
        if len(reached) > before:
            chosen.append(path)
    return chosen


def _statistic(output: str, name: str) -> int:
    return next((int(line.split()[-1]) for line in output.splitlines() if line.startswith(name)), 0)


def _last_coverage(output: str) -> int:
    counts = [int(line.split("cov: ")[1].split()[0]) for line in output.splitlines() if "cov: " in line]
    return counts[-1] if counts else 0


def import_instrumented(names: Sequence[str], package: str = PACKAGE) -> dict[str, ModuleType]:
    """Import targets and all that they use, fl_chain under instrumentation."""
    import atheris

    with atheris.instrument_imports(include=[*INSTRUMENTED, package]):
        return {name: import_module(f"{package}.{name}") for name in names}


def main() -> int:
    """Run the command line; the exit status is 1 where a target was not clean."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", help="all by default")
    parser.add_argument(
        "--seconds", type=int, default=int(os.environ.get("FUZZ_SECONDS", "60")), help="a target"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--input-timeout", type=int, default=INPUT_TIMEOUT_S, help="seconds that one input may take"
    )
    parser.add_argument("--package", default=PACKAGE)
    parser.add_argument("--found", type=Path, default=HERE / "crashes", help="folder for what is found")
    parser.add_argument("--keep", action="store_true", help="merge what reached new code into the corpus")
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    options = parser.parse_args()
    scratch()  # of this process, so that what is left in it by the others is removed
    modules = import_instrumented(options.targets or target_names(), options.package)
    if options.package == PACKAGE:
        import recordings

        recordings.dialogue()
        recordings.small_chain()
    budget = Budget(options.seconds, options.seed, options.input_timeout)
    outcomes = []
    for name, module in modules.items():
        outcome = fuzz_target(name, module, budget, options.found / name, keep=options.keep)
        outcomes.append(outcome)
        state = "clean" if outcome.is_clean else f"FOUND {' '.join(outcome.inputs)}\n{outcome.detail}"
        print(
            f"{name}: {outcome.runs} inputs, {outcome.coverage} edges, {outcome.seconds} s, {state}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes]))
    return 0 if all(outcome.is_clean for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
