"""Run slither over the contracts; fail on a finding without an explanation, and on the reverse."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compile_contracts import CONTRACTS, ROOT, SETTINGS, find_compiler, read_sources

EXPLANATIONS = CONTRACTS / "slither.toml"
SLITHER = ROOT / ".venv-slither" / "bin" / "slither"
TIMEOUT_S = 240
# Explained statement by statement; of the others, a function has one finding for all its statements.
BY_STATEMENT = ("High", "Medium")


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """What a detector reports, at a place that does not move with the lines.

    Attributes:
        detector: slither's name of it.
        place: contract and function or variable; a statement after a colon.
    """

    detector: str
    place: str


def analyse(
    sources: Mapping[str, str], slither: Path = SLITHER, folder: Path = CONTRACTS
) -> list[tuple[Finding, str]]:
    """Return what slither finds in source units, each with its description.

    What touches libraries from npm alone is left out: they are reviewed elsewhere.

    Args:
        sources: the text of every source unit, by its path in ``folder``.
        slither: the program.
        folder: where the units, and node_modules, lie.

    Raises:
        SystemExit: if slither or the compiler is missing, or either of them fails.
    """
    if not slither.is_file():
        raise SystemExit(f"{slither} is missing; run `make slither`, which installs it")
    request = {
        "language": "Solidity",
        "sources": {unit: {"content": text} for unit, text in sources.items()},
        "settings": {"evmVersion": SETTINGS["evmVersion"], "viaIR": True, "optimizer": {"enabled": False}},
    }
    with tempfile.TemporaryDirectory() as scratch:
        compiler = Path(scratch, "solc")
        words = (sys.executable, str(ROOT / "scripts" / "syntax_trees.py"), str(find_compiler()))
        compiler.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        compiler.chmod(0o755)
        # From elsewhere: beside a foundry.toml, crytic-compile takes the file for a project of forge's.
        Path(scratch, "input.json").write_text(json.dumps(request), encoding="utf-8")
        command = [str(slither), "input.json", "--compile-force-framework", "Solc-json"]
        command += ["--solc", str(compiler), "--solc-working-dir", str(folder)]
        command += ["--json", "output.json"]
        run = subprocess.run(  # noqa: S603 -- a list, and no shell
            command, cwd=scratch, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
        try:
            output = json.loads(Path(scratch, "output.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SystemExit(f"slither failed:\n{run.stdout}{run.stderr}") from None
    if not output["success"]:
        raise SystemExit(f"slither failed:\n{output['error']}\n{run.stderr}")
    return list(_found(result for result in output["results"].get("detectors", []) if _is_ours(result)))


def _is_ours(result: Mapping[str, Any]) -> bool:
    # Slither's own filter drops what touches a filtered file anywhere, and so our calls of the libraries.
    files = [element["source_mapping"]["filename_absolute"] for element in result["elements"]]
    return not files or any("node_modules" not in Path(file).parts for file in files)


def _found(results: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Finding, str]]:
    for result in results:
        first, *others = result["elements"]
        place = _place(first)
        statements = [element["name"] for element in others if element["type"] == "node"]
        if result["impact"] in BY_STATEMENT and statements:
            for statement in statements:
                yield Finding(result["check"], f"{place}: {statement}"), result["description"]
        else:
            yield Finding(result["check"], place), result["description"]


def _place(element: Mapping[str, Any]) -> str:
    if element["type"] == "pragma":
        return "pragma"
    names = [element["name"]]
    while (parent := element.get("type_specific_fields", {}).get("parent")) is not None:
        element = parent
        names.append(element["name"])
    return ".".join(reversed(names))


def explanations(text: str) -> list[Finding]:
    """Return the findings that an explanations file accepts.

    Raises:
        SystemExit: if an entry says no reason, or names no place.
    """
    accepted = []
    for entry in tomllib.loads(text)["accepted"]:
        if not entry["reason"].strip() or not entry["at"]:
            raise SystemExit(f"an entry for {entry['detector']} has no reason or no place")
        accepted += [Finding(entry["detector"], place) for place in entry["at"]]
    return accepted


def unexplained(
    found: Iterable[tuple[Finding, str]], accepted: Iterable[Finding]
) -> list[tuple[Finding, str]]:
    """Return the findings that no explanation is left for; one explanation covers one finding."""
    left = Counter(accepted)
    missing = []
    for finding, description in found:
        if left[finding]:
            left[finding] -= 1
        else:
            missing.append((finding, description))
    return missing


def unfounded(found: Iterable[tuple[Finding, str]], accepted: Iterable[Finding]) -> list[Finding]:
    """Return the explanations that match no finding any more."""
    return sorted((Counter(accepted) - Counter(finding for finding, _ in found)).elements())


def main() -> int:
    """Run the command line; 0 is success, 1 a difference between findings and explanations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slither", type=Path, default=SLITHER, help="the program (default: %(default)s)")
    options = parser.parse_args()
    accepted = explanations(EXPLANATIONS.read_text(encoding="utf-8"))
    found = analyse(read_sources(), options.slither)
    name = EXPLANATIONS.relative_to(ROOT)
    missing, stale = unexplained(found, accepted), unfounded(found, accepted)
    for finding, description in missing:
        print(f"not explained: {finding.detector} at {finding.place!r}\n{description}", file=sys.stderr)
    for finding in stale:
        print(f"explained, but not found: {finding.detector} at {finding.place!r}", file=sys.stderr)
    if missing or stale:
        print(f"mend the contract, or say in {name} why it stays", file=sys.stderr)
        return 1
    for detector, count in sorted(Counter(finding.detector for finding, _ in found).items()):
        print(f"{detector:24}{count:4}")
    print(f"slither: {len(found)} findings, each explained in {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
