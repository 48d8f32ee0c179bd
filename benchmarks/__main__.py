"""Runs every benchmark, or those that are named: ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys

import benchmarks
from benchmarks.flower import PYTHON_VARIABLE
from benchmarks.harness import Result, table, write
from fl_chain.errors import ConfigError

SUPPORT = {
    "__main__",
    "engine_overhead",
    "federated_round",
    "flower",
    "harness",
    "mnist_shaped",
    "sealed_rounds",
}


def names() -> list[str]:
    """Return the benchmarks of this package: every module with a ``results`` function."""
    return sorted(
        module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in SUPPORT
    )


def main() -> int:
    """Run, write `benchmarks/results/<name>.json`, print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios against named peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names())}; none: all")
    parser.add_argument(
        "--peer-python", metavar="PATH", help="a Python that has Flower, see benchmarks/flower.py"
    )
    options = parser.parse_args()
    if options.peer_python:
        os.environ[PYTHON_VARIABLE] = options.peer_python
    chosen = options.names or names()
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names())}")
    found: list[Result] = []
    missing: list[str] = []
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            results = importlib.import_module(f"benchmarks.{name}").results()
        except ConfigError as error:
            missing.append(f"{name} was not measured: {error}")
            continue
        for result in results:
            write(result)
            found.append(result)
    print(table(found))
    print(*missing, sep="\n", end="\n" if missing else "", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
