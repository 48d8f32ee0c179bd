"""What becomes of each attack while its rules are switched off, one after the other.

``python tests/attacks/numbered/proofs_of_rules.py`` prints the table; it takes numbers of attacks, and fails
where something is not as the registry says.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from registry import Attack, Layer, Result, Stopped, Succeeded, attacks


@dataclass(frozen=True, slots=True)
class Trial:
    """An attack, tried with its first rules off."""

    attack: Attack
    off: tuple[Layer, ...]
    result: Result

    @property
    def is_as_said(self) -> bool:
        """Return whether the next rule stops it, or nothing does where none is left."""
        following = self.attack.layers[len(self.off) :]
        if following:
            return isinstance(self.result, Stopped) and following[0].says in self.result.by
        return isinstance(self.result, Succeeded)

    def __str__(self) -> str:
        off = "nothing off" if not self.off else " and ".join(one.rule.where for one in self.off) + " off"
        match self.result:
            case Succeeded(gain):
                became = f"succeeded: {gain}" if gain else "succeeded"
            case Stopped(by):
                became = f"stopped: {', '.join(by)}"
        sign = "" if self.is_as_said else "   NOT AS SAID"
        return f"{self.attack.number:>4}  {self.attack.title:<48} {off.replace('`', '')}  ->  {became}{sign}"


def trial(attack: Attack, off: int) -> Trial:
    """Try an attack with so many of its rules off."""
    layers = attack.layers[:off]
    with tempfile.TemporaryDirectory(prefix="fl-chain-attack-") as folder:
        return Trial(attack, layers, attack.outcome_with([one.rule for one in layers], Path(folder)))


def trials(attack: Attack) -> Iterator[Trial]:
    """Try an attack with none of its rules off, then one more each time, until all are."""
    for off in range(len(attack.layers) + 1):
        yield trial(attack, off)


def main() -> int:
    """Run the command line; 0 is success, 1 something that is not as the registry says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="attacks to try; all by default")
    wanted = parser.parse_args().numbers
    logging.disable(logging.CRITICAL)
    is_as_said = True
    for attack in attacks():
        if wanted and attack.number not in wanted:
            continue
        for one in trials(attack):
            print(one, flush=True)
            is_as_said &= one.is_as_said
    return 0 if is_as_said else 1


if __name__ == "__main__":
    sys.exit(main())
