"""Write the figures in ``docs/`` from the files that hold them, or compare them with ``--check``.

A page has a figure between ``<!-- figures: NAME -->`` and ``<!-- end -->``; the rest is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CONTRACTS = ROOT / "contracts"
RESULTS = ROOT / "benchmarks" / "results"
ARTIFACTS = ROOT / "fl_chain" / "ledger" / "artifacts"
BLOCK = re.compile(r"(<!-- figures: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CODE_LIMIT, CREATION_LIMIT = 24_576, 49_152


def benchmarks() -> str:
    """Return what each benchmark measured against its peer."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    return table(
        ("benchmark", "ours", "the peer's", "unit", "peer", "ratio"),
        [
            (
                f"`{one['name']}`",
                significant(one["ours"]),
                significant(one["theirs"]),
                one["unit"],
                one["peer"],
                f"{one['ratio']:.2f}",
            )
            for one in results
        ],
    )


def machine() -> str:
    """Return what the benchmarks were measured on."""
    machines = [json.loads(path.read_text(encoding="utf-8"))["machine"] for path in RESULTS.glob("*.json")]
    seen = {
        f"{one['cores']} cores of an {one['cpu']}, Python {one['python']}, NumPy {one['numpy']}"
        for one in machines
    }
    return "Measured on " + "; ".join(sorted(seen)) + ".\n"


def thousand_submissions() -> str:
    """Return how long a round of 1,000 submissions takes on the in-memory ledger."""
    result = json.loads((RESULTS / "memory_ledger.json").read_text(encoding="utf-8"))
    return f"1,000 submissions to the in-memory ledger take {1000 / result['ours']:.3f} s.\n"


def robustness() -> str:
    """Return what attackers leave of each aggregation rule's accuracy."""
    cells = json.loads((RESULTS / "robustness.json").read_text(encoding="utf-8"))["cells"]
    attacks = list(dict.fromkeys(cell["attack"] for cell in cells if cell["attack"] is not None))
    found = {(cell["rule"], cell["attack"]): cell for cell in cells}
    return table(
        ("rule", "nobody attacks", *attacks),
        [
            (
                f"`{rule.partition(',')[0]}`{''.join(rule.partition(',')[1:])}",
                f"{found[rule, None]['accuracy']:.3f} ± {found[rule, None]['deviation']:.3f}",
                *(
                    f"{found[rule, attack]['accuracy']:.3f} ({found[rule, attack]['of_clean']:.2f})"
                    for attack in attacks
                ),
            )
            for rule in dict.fromkeys(cell["rule"] for cell in cells)
        ],
    )


def gas() -> str:
    """Return the gas of every call."""
    stored = json.loads((CONTRACTS / "gas.json").read_text(encoding="utf-8"))
    return table(("call", "gas"), [(f"`{name}`", f"{used:,}") for name, used in stored.items()])


def code() -> str:
    """Return the sizes of the contracts' code."""
    rows = []
    for contract in ("TrainingLedger", "MaskedLedger", "SecureAggregation", "MaskChallenges"):
        artifact = json.loads((ARTIFACTS / f"{contract}.json").read_text(encoding="utf-8"))
        sizes = [(len(artifact[key]) - 2) // 2 for key in ("deployedBytecode", "bytecode")]
        rows += [
            (f"`{contract}` on the chain", f"{sizes[0]:,}", f"{CODE_LIMIT:,}", "EIP-170"),
            ("its creation, without arguments", f"{sizes[1]:,}", f"{CREATION_LIMIT:,}", "EIP-3860"),
        ]
    return table(("code", "bytes", "limit", "of"), rows)


def forge() -> str:
    """Return how much forge runs in each of its two budgets."""
    sources = [path.read_text(encoding="utf-8") for path in sorted((CONTRACTS / "test").rglob("*.sol"))]
    tests = sum(len(re.findall(r"\bfunction test\w+\(", text)) for text in sources)
    fuzzed = sum(len(re.findall(r"\bfunction test\w+\(\w+ ", text)) for text in sources)
    campaigns = sum(len(re.findall(r"\bcontract \w*Invariants\w*Test\b", text)) for text in sources)
    profiles = tomllib.loads((CONTRACTS / "foundry.toml").read_text(encoding="utf-8"))["profile"]
    rows: list[tuple[str, ...]] = [("tests", f"{tests}", f"{tests}")]
    rows += [
        ("of them fuzzed", f"{fuzzed}", f"{fuzzed}"),
        ("invariant campaigns", f"{campaigns}", f"{campaigns}"),
    ]
    for name, section, key in (
        ("inputs per fuzzed test", "fuzz", "runs"),
        ("runs per campaign", "invariant", "runs"),
        ("calls per run", "invariant", "depth"),
    ):
        rows.append((name, *(f"{profiles[profile][section][key]:,}" for profile in ("default", "deep"))))
    return table(("", "`make test`", "`make invariants`"), rows)


def slither() -> str:
    """Return how many findings of each detector are accepted."""
    entries = tomllib.loads((CONTRACTS / "slither.toml").read_text(encoding="utf-8"))["accepted"]
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry["detector"]] += len(entry["at"])
    rows = [(f"`{detector}`", str(count)) for detector, count in sorted(counts.items())]
    return table(("detector", "findings, each with its reason"), [*rows, ("all", str(counts.total()))])


def audit_checks() -> str:
    """Return every check of the audit, what it proves and what it can find."""
    from fl_chain.audit.checks import CHECKS

    return table(
        ("check", "compares", "proves, where it finds nothing", "can find"),
        [
            (f"`{one.id}`", one.title, one.proves, ", ".join(f"`{kind}`" for kind in one.kinds) or "exit 2")
            for one in CHECKS
        ],
    )


def audit_kinds() -> str:
    """Return every kind of finding, the rule that it breaks and what to do."""
    from fl_chain.audit.kinds import RULES

    return table(
        ("kind", "severity", "rule", "what to do"),
        [
            (
                f"`{kind}`",
                rule.severity,
                f"{rule.text} ([{rule.page.split('#')[0]}]({rule.page}))",
                rule.advice,
            )
            for kind, rule in RULES.items()
        ],
    )


def audit_facts() -> str:
    """Return every fact on the ledger and in the stores with the checks that cover it."""
    from fl_chain.audit.coverage import (
        BLOBS,
        ENCRYPTION_BLOBS,
        EVENTS,
        MASK_BLOBS,
        MASK_EVENTS,
        MASK_VIEWS,
        VIEWS,
    )

    def named(checks: Iterable[str]) -> str:
        return ", ".join(f"`{check}`" for check in checks)

    rows = [
        ("event", f"`{name}`", field, named(own))
        for name, e in (EVENTS | MASK_EVENTS).items()
        for field, own in e.items()
    ]
    rows += [
        ("view", f"`{name}`", "all that it returns", named(own)) for name, own in (VIEWS | MASK_VIEWS).items()
    ]
    blobs = {**BLOBS, **MASK_BLOBS, **ENCRYPTION_BLOBS}
    rows += [("blob", f"`{name}`", "every copy", named(own)) for name, own in blobs.items()]
    return table(("", "fact", "field", "checks"), rows)


FIGURES: dict[str, Callable[[], str]] = {
    figure.__name__: figure
    for figure in (
        benchmarks,
        machine,
        thousand_submissions,
        robustness,
        gas,
        code,
        forge,
        slither,
        audit_checks,
        audit_kinds,
        audit_facts,
    )
}


def significant(value: float) -> str:
    """Return a figure with three digits, or all of them before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a Markdown table."""
    cells = list(head)
    lines = [f"| {' | '.join(line)} |\n" for line in (cells, *rows)]
    return "".join([lines[0], "|---" * len(cells) + "|\n", *lines[1:]])


def filled(page: str) -> str:
    """Return a page with its figures in place.

    Raises:
        KeyError: the page asks for a figure that there is not.
    """
    return BLOCK.sub(lambda found: f"{found[1]}{FIGURES[found[2]]()}{found[3]}", page)


def pages() -> list[Path]:
    """Return the pages that hold figures."""
    return [path for path in sorted(DOCS.glob("*.md")) if BLOCK.search(path.read_text(encoding="utf-8"))]


def main() -> int:
    """Run the command line; 0 is success, 1 a page that is not current."""
    parser = argparse.ArgumentParser(description="Write the figures in docs/ from the files that hold them.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    stale = [path for path in pages() if filled(text := path.read_text(encoding="utf-8")) != text]
    for path in stale:
        if options.check:
            print(f"{path.relative_to(ROOT)} is not current: run `make figures`", file=sys.stderr)
        else:
            path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
