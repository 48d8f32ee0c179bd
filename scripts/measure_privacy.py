"""Run the demonstration without and with differential privacy; print the table of docs/privacy.md.

python scripts/measure_privacy.py --out runs/privacy
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

MODES = ("none", "dp")
CALLS = ("submit", "openRound", "post", "deploy")


def measured(mode: str, out: Path, rounds: int) -> tuple[str, ...]:
    """Return a row: the mode, AUROC, epsilon, bytes of updates and store, seconds, gas of calls."""
    begun_s = time.monotonic()
    command = [sys.executable, "-m", "fl_chain", "demo", "--privacy", mode, "--out", str(out), "--force"]
    subprocess.run(  # noqa: S603 - this very program
        [*command, "--rounds", str(rounds)], check=True, stdout=subprocess.DEVNULL
    )
    took_s = time.monotonic() - begun_s
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    report = json.loads((out / "audit.json").read_text(encoding="utf-8"))
    privacy, gas = report["run"]["privacy"], report["gas"]["run"]
    epsilon = "" if privacy is None else f"{privacy['epsilon_millionths'] / 10**6:.3f}"
    kept = "" if privacy is None else f"{privacy['ledger_epsilon_millionths'] / 10**6:.3f}"
    updates = sum(path.stat().st_size for path in (out / "store" / "updates").rglob("*") if path.is_file())
    used = ", ".join(f"{name} {gas[name]['gas'] // gas[name]['calls']:,}" for name in CALLS if name in gas)
    auroc = f"{summary['federated']['auroc']:.4f}"
    return (f"`{mode}`", auroc, epsilon, kept, f"{updates:,}", f"{took_s:.0f}", used)


def main() -> None:
    """Run both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/privacy"), help="where the runs stay")
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    print("| protection | AUROC | epsilon | epsilon by the ledger | bytes of updates | seconds | gas |")
    print("|---|---|---|---|---|---|---|")
    for mode in MODES:
        print("| " + " | ".join(measured(mode, chosen.out / mode, chosen.rounds)) + " |", flush=True)


if __name__ == "__main__":
    main()
