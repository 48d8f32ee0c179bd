"""What an attack is, and what a rule is that stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from arena import Arena, arena_at, calls_remembered, noticed, shipped_instead
from contract_switches import mask

from fl_chain.audit import AuditReport
from fl_chain.errors import FlChainError, LedgerReverted


class Who(StrEnum):
    """Who attacks, or with what."""

    AGGREGATOR = "aggregator"
    PARTICIPANT = "participant"
    OPERATOR = "operator"
    STORE = "store"
    NETWORK = "chain and network"
    CHALLENGER = "challenger"
    INPUT = "auditor's input"


class Outcome(StrEnum):
    """What becomes of an attack."""

    PREVENTED = "prevented"
    DETECTED = "detected by the audit"
    CHALLENGEABLE = "challengeable on chain"
    UNDETECTED = "not detected"


@dataclass(frozen=True, slots=True)
class Stopped:
    """The attack got nowhere, or was seen."""

    by: tuple[str, ...]  # errors of the contract, kinds of findings, or the rule itself


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The attacker has what it wanted, and nobody knows."""

    gain: str


Result = Stopped | Succeeded


@dataclass(frozen=True, slots=True)
class Patch:
    """A place in the package's code where something else stands while a rule is off."""

    module: str
    name: str  # dotted, from the module on
    instead: Any = None
    wrap: Callable[[Any], Any] | None = None  # makes what stands there instead of what stood there

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put it there for as long as the context lasts."""
        owner: Any = import_module(self.module)
        *path, last = self.name.split(".")
        for part in path:
            owner = getattr(owner, part)
        instead = self.instead if self.wrap is None else self.wrap(getattr(owner, last))
        with patch.object(owner, last, instead):
            yield


@dataclass(frozen=True, slots=True)
class Rule:
    """Something that stops attacks, and how it is switched off in a test.

    Attributes:
        text: what it demands, in words.
        where: the function that holds it.
        switches: of the instrumented contract.
        patches: of the package's code.
    """

    text: str
    where: str
    switches: tuple[str, ...] = ()
    patches: tuple[Patch, ...] = ()

    @contextmanager
    def off(self) -> Iterator[None]:
        """Switch off what is in this process; the contract's switches are `arena_at`'s."""
        with ExitStack() as stack:
            for one in self.patches:
                stack.enter_context(one.applied())
            yield


@dataclass(frozen=True, slots=True)
class Layer:
    """A rule that stops an attack once all layers before it are off, and by what that is known."""

    rule: Rule
    says: str


@dataclass(frozen=True, slots=True)
class Attack:
    """One numbered attack."""

    number: int
    title: str
    who: Who
    outcome: Outcome
    does: str  # what the attacker does
    layers: tuple[Layer, ...]  # the first one stops it; each further one would, if those before it were not
    why: str  # of what is not detected: why, and what is left to do
    run: Callable[[Arena], Result]
    phase: str
    policy: dict[str, object] = field(default_factory=dict)
    token: str = ""
    is_switchable: bool = False

    def outcome_with(self, off: Sequence[Rule], folder: Path, *, on_instrumented: bool = False) -> Result:
        """Attack while some rules are off.

        Args:
            off: the rules.
            folder: an empty one.
            on_instrumented: attack the instrumented contract even where none of its rules is off.
        """
        switches = [name for rule in off for name in rule.switches]
        with ExitStack() as stack:
            stack.enter_context(calls_remembered())
            arena = arena_at(
                self.phase,
                folder,
                rules_off=mask(switches),
                is_switchable=self.is_switchable or on_instrumented,
                rules=self.policy,
                token=self.token,
            )
            stack.callback(arena.chain.close)
            if arena.is_switchable:
                stack.enter_context(shipped_instead(arena.rules_off))
            for rule in off:
                stack.enter_context(rule.off())
            stack.enter_context(arena.resources)
            return self.run(arena)


ATTACKS: list[Attack] = []


def attack(
    number: int,
    title: str,
    who: Who,
    does: str,
    *layers: tuple[Rule, str],
    outcome: Outcome = Outcome.PREVENTED,
    phase: str = "registered",
    why: str = "",
    policy: dict[str, object] | None = None,
    token: str = "",
    is_switchable: bool = False,
) -> Callable[[Callable[[Arena], Result]], Callable[[Arena], Result]]:
    """Register a function as a numbered attack."""

    def registered(run: Callable[[Arena], Result]) -> Callable[[Arena], Result]:
        ATTACKS.append(
            Attack(
                number,
                title,
                who,
                outcome,
                does,
                tuple(Layer(*layer) for layer in layers),
                why,
                run,
                phase,
                policy or {},
                token,
                is_switchable,
            )
        )
        return run

    return registered


def attempt(call: Callable[[], object], gain: str, *, holds: Callable[[], bool] = lambda: True) -> Result:
    """Try something; what refuses it names itself.

    Args:
        call: the attack.
        gain: what it is good for.
        holds: checks that it was good for that, so that no attack counts which merely went through.
    """
    try:
        call()
    except LedgerReverted as error:
        return Stopped((error.name,))
    except FlChainError as error:
        return Stopped((type(error).__name__,))
    assert holds(), "the attack went through, but its author has nothing from it"
    return Succeeded(gain)


def audited(report: AuditReport, gain: str) -> Result:
    """Say what an audit makes of an attack: whatever it says of it, a warning too, is no success."""
    kinds = noticed(report)
    return Stopped(kinds) if kinds else Succeeded(gain)


def attempt_audit(audit: Callable[[], AuditReport], gain: str) -> Result:
    """Let somebody audit; an audit that refuses what it is given names itself."""
    try:
        report = audit()
    except FlChainError as error:
        return Stopped((type(error).__name__,))
    return audited(report, gain)


def attacks() -> list[Attack]:
    """Return every attack, in the order of their numbers."""
    for module in (
        "aggregator",
        "participant",
        "operator",
        "store",
        "network",
        "challenger",
        "input",
        "masks",
        "encryption",
    ):
        import_module(f"by_{module}")
    return sorted(ATTACKS, key=lambda one: one.number)
