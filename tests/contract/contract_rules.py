"""What each function of the contract can refuse and emit, read from its source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
MEMBER = re.compile(r"\b(?:(?:function|modifier)\s+(\w+)|(constructor))\s*\([^)]*\)([^{;]*)\{")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a transaction may meet.

    Attributes:
        errors: custom errors that it may revert with.
        events: events that it may emit.
    """

    errors: frozenset[str]
    events: frozenset[str]


def rules() -> dict[str, Rules]:
    """Return the rules of the constructor and of each function that sends a transaction.

    A challenge is handed over to the verifier's function of the same name, whose errors come back.
    """
    members, verifier = _read("TrainingLedger.sol"), _read("ChallengeVerifier.sol")
    callable_ = [
        name
        for name, (head, _) in members.items()
        if name == "constructor" or (re.search(r"\bexternal\b", head) and not re.search(r"\bview\b", head))
    ]
    own = {name: _rules_of(name, members) for name in callable_}
    return own | {
        name: Rules(rule.errors | _rules_of(name, verifier).errors, rule.events)
        for name, rule in own.items()
        if name.startswith("challenge")
    }


def masked_rules() -> dict[str, Rules]:
    """Return the errors that the masks' functions may revert with, and the events that they may emit.

    What only the ledger can refuse of the two challenges is not among them.
    """
    own = _read("MaskChallenges.sol") | _read("SecureAggregation.sol")
    members = _read("ChallengeVerifier.sol") | _read("MaskState.sol") | own
    return {
        name: _rules_of(name, members)
        for name, (head, _) in own.items()
        if re.search(r"\bexternal\b", head) and _rules_of(name, members) != Rules(frozenset(), frozenset())
    }


def _read(name: str) -> dict[str, tuple[str, str]]:
    source = (CONTRACTS / name).read_text(encoding="utf-8")
    members: dict[str, tuple[str, str]] = {}
    for member, (head, body) in _members(re.sub(r"//[^\n]*", "", source)):
        # Of a contract and its base, both constructors run.
        known = members.get(member, ("", ""))
        members[member] = (known[0] + head, known[1] + body)
    return members


def _members(source: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for found in MEMBER.finditer(source):
        depth, end = 1, found.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 1
        yield found[1] or found[2], (found[3], source[found.end() : end])


def _rules_of(name: str, members: dict[str, tuple[str, str]]) -> Rules:
    reached, pending = set(), [name]
    while pending:
        current = pending.pop()
        if current in reached:
            continue
        reached.add(current)
        head, body = members[current]
        pending += [word for word in re.findall(r"\w+", head) if word in members]
        pending += [word for word in re.findall(r"\b(\w+)\(", body) if word in members]
    bodies = [members[member][1] for member in reached]
    errors = {error for body in bodies for error in re.findall(r"\brevert (?:I\w+\.)?(\w+)\(", body)}
    if "obstacle" in members[name][1]:
        # Reverts with an error that was encoded before; whoever else asks for the obstacle goes on without.
        errors |= set(re.findall(r"\b(\w+)\.selector", members["_obstacle"][1]))
    events = {event for body in bodies for event in re.findall(r"\bemit (\w+)\(", body)}
    return Rules(frozenset(errors), frozenset(events))
