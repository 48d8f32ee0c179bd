"""Write ``docs/attacks.md`` from the registry of numbered attacks, or compare it with ``--check``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "attacks.md"
NUMBERED = ROOT / "tests" / "attacks" / "numbered"

HEAD = """# Attacks

Each of these attacks is a short program in [tests/attacks/numbered](../tests/attacks/numbered) that
works against the real contract on a chain of its own, real stores and the real roles. The tables say
what becomes of it, and by which rule.

{counts}

- **prevented**: it gets nowhere; the rule refuses it, or the work goes on without it.
- **challengeable on chain**: it is posted, and one transaction takes it down: a proof, or the
  submitters' objections.
- **detected by the audit**: it happened, and the audit has a finding or, where it is called a warning,
  a warning.
- **not detected**: it works. [Each has its reason](#what-is-not-detected-and-why), and a test that
  shows it.

No rule is taken on trust. For every attack that is stopped, the rule is switched off and the attack has
to succeed; where another rule stops it then, that one is named as the second line, and both are
switched off. `make attacks` tries all of it and prints what happened. Rules of the contract are
switched off in an instrumented copy of it, which has a switch at each of {switches} rules and is
otherwise the same source; rules of the package by putting something in the place of the named function
that accepts everything.

This page is made by `make figures`.
"""


def registered() -> Sequence[Any]:
    """Return every attack."""
    if str(NUMBERED) not in sys.path:
        sys.path.append(str(NUMBERED))
    from registry import attacks

    return attacks()


def page() -> str:
    """Return the page."""
    found = registered()
    from contract_switches import NAMES
    from registry import Outcome, Who

    parts = [HEAD.format(counts=_counts(found, list(Outcome)), switches=len(NAMES))]
    for who in Who:
        own = [one for one in found if one.who is who]
        rows = [(one.number, f"**{one.title}**: {one.does}", one.outcome.value, _lines(one)) for one in own]
        parts.append(f"\n## By {_by(who.value)}\n\n{_table(('', 'attack', 'outcome', 'by'), rows)}")
    parts.append("\n## What is not detected, and why\n\n")
    parts += [
        f"- **{one.number}, {one.title}**: {one.why}\n" for one in found if one.outcome is Outcome.UNDETECTED
    ]
    parts.append("\n## Rules switched off\n\n")
    rows = [
        (
            one.number,
            _code(layers),
            _code(one.layers[len(layers) : len(layers) + 1]) or "nothing: it succeeds",
        )
        for one in found
        for layers in (one.layers[:off] for off in range(1, len(one.layers) + 1))
    ]
    parts.append(_table(("attack", "switched off", "stopped by"), rows))
    return "".join(parts)


def _by(who: str) -> str:
    return {
        "aggregator": "the aggregator",
        "participant": "participants",
        "operator": "the operator",
        "store": "the store",
        "chain and network": "chain and network",
        "challenger": "challengers",
        "auditor's input": "what an auditor is given",
    }[who]


def _counts(found: Sequence[Any], outcomes: Sequence[Any]) -> str:
    counts = Counter(one.outcome for one in found)
    said = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in outcomes)
    return f"{len(found)} attacks: {said}."


def _lines(attack: Any) -> str:
    if not attack.layers:
        return "[why](#what-is-not-detected-and-why)"
    first, *more = attack.layers
    said = f"{first.rule.text} ({first.rule.where})"
    return said + "".join(f"; second line: {one.rule.text} ({one.rule.where})" for one in more)


def _code(layers: Iterable[Any]) -> str:
    return " and ".join(f"{one.rule.text} ({one.rule.where})" for one in layers)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(str(cell) for cell in line)} |\n" for line in (head, *rows)]
    return "".join([lines[0], "|---" * len(head) + "|\n", *lines[1:]])


def main() -> int:
    """Run the command line; 0 is success, 1 a page that is not current."""
    parser = argparse.ArgumentParser(description="Write docs/attacks.md from the registry of attacks.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    text = page()
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE.relative_to(ROOT)} is not current: run `make figures`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
