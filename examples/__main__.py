"""``python -m examples NAME``: run a worked job, write its results beside its page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from examples.catalogue import STUDIES, load_study
from examples.results import results, write
from examples.study import run_study
from fl_chain.errors import FlChainError

SEEDS = 3


def progress(line: str) -> None:
    """Print where a study is."""
    print(line, flush=True)


def main(arguments: list[str]) -> int:
    """Run the command line; 0 is success, 2 an error."""
    parser = argparse.ArgumentParser(prog="python -m examples", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="all, or some of: " + ", ".join(STUDIES))
    parser.add_argument("--seeds", type=int, help=f"how many; {SEEDS}, or what the page says, without it")
    parser.add_argument("--out", type=Path, help="write here, not beside the page")
    options = parser.parse_args(arguments)
    names = list(STUDIES) if options.names == ["all"] else options.names
    try:
        for name in names:
            study = load_study(name)
            seeds = range(options.seeds or STUDIES[name].seeds)
            outcomes = run_study(study, seeds, progress)
            folder = options.out or Path(__file__).parent / STUDIES[name].folder
            write(folder, name, results(study, seeds, outcomes))
            print(f"{study.name}: wrote {folder / name}.json, its picture and its page")
    except FlChainError as error:
        print(f"examples: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
