"""Run the demonstration under each protection; print the table of docs/privacy.md.

python scripts/measure_privacy.py --out runs/privacy
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MODES = ("none", "secagg", "dp", "he")
COLUMNS = (
    "protection",
    "AUROC",
    "epsilon",
    "epsilon by the ledger",
    "bytes of updates",
    "bytes of keys and shares",
    "bytes of sums",
    "gas of a submission",
    "gas of the aggregator, a round",
    "time, to plain",
)
KEYS = ("setups", "shares", "releases", "identities", "cohort-keys", "sealed-keys")
SUMS = ("sums", "endorsements", "openings")
SUBMITTING = ("submit", "setUpKeys")
POSTING = ("post", "setUpKeysOf", "fixSurvivors", "publishSeeds")


def measured(mode: str, out: Path, rounds: int) -> tuple[float, tuple[str, ...]]:
    """Return how many seconds it took, and a row without that, in the order of the columns."""
    begun_s = time.monotonic()
    command = [sys.executable, "-m", "fl_chain", "demo", "--privacy", mode, "--out", str(out), "--force"]
    subprocess.run(  # noqa: S603 - this very program
        [*command, "--rounds", str(rounds)], check=True, stdout=subprocess.DEVNULL
    )
    took_s = time.monotonic() - begun_s
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    report = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    if report["verdict"] != "pass":
        raise SystemExit(f"the audit of {out} does not pass: see {out / 'audit.json'}")
    privacy, gas, store = report["run"]["privacy"], report["gas"]["run"], out / "store"
    submissions = gas["submit"]["calls"]
    return took_s, (
        f"`{mode}`",
        f"{summary['federated']['auroc']:.4f}",
        "" if privacy is None else f"{privacy['epsilon_millionths'] / 10**6:.3f}",
        "" if privacy is None else f"{privacy['ledger_epsilon_millionths'] / 10**6:.3f}",
        f"{stored_bytes(store, ('updates',)) / submissions:,.0f}",
        f"{stored_bytes(store, KEYS) / submissions:,.0f}",
        f"{stored_bytes(store, SUMS) / rounds:,.0f}",
        f"{used(gas, SUBMITTING) / submissions:,.0f}",
        f"{used(gas, POSTING) / rounds:,.0f}",
    )


def stored_bytes(store: Path, folders: Iterable[str]) -> int:
    """Return the size of all files below some folders of a store."""
    files = (path for folder in folders for path in (store / folder).rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())


def used(gas: Mapping[str, Any], calls: Iterable[str]) -> int:
    """Return the gas that all calls of some kinds used together."""
    return sum(int(gas[name]["gas"]) for name in calls if name in gas)


def main() -> None:
    """Run all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/privacy"), help="where the runs stay")
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|")
    first_s = 0.0
    for mode in MODES:
        took_s, row = measured(mode, chosen.out / mode, chosen.rounds)
        first_s = first_s or took_s
        print("| " + " | ".join((*row, f"{took_s / first_s:.2f}")) + " |", flush=True)


if __name__ == "__main__":
    main()
