"""What the rules of single events share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

from fl_chain.audit.kinds import Kind
from fl_chain.ledger.events import Event, PostingObjected
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing about an event that the contract cannot have done."""

    kind: Kind
    detail: str
    expected: str | None = None
    actual: str | None = None


@dataclass(slots=True)
class Walk:
    """A run up to the event that is looked at."""

    history: History
    previous: Event | None = None
    to_void: list[int] = field(default_factory=list)  # rounds that the next events have to void

    @property
    def is_majority(self) -> bool:
        """Whether the event before is an objection that takes a posting down."""
        last = self.previous
        if not isinstance(last, PostingObjected):
            return False
        current = self.history.rounds[last.round]
        return current.status is RoundStatus.POSTED and 2 * last.objections > current.submissions


@singledispatch
def problems(event: Event, walk: Walk) -> Iterator[Problem]:
    """Yield what the contract cannot have done about an event, given those before it."""
    raise NotImplementedError(f"{type(event).__name__} has no rule")


def unordered(detail: str) -> Problem:
    """Return that a step came when it could not."""
    return Problem(Kind.OUT_OF_ORDER, detail)


def differing(**fields: tuple[Any, Any]) -> Iterator[Problem]:
    """Yield each field that is another than expected.

    Args:
        fields: by name, what is expected and what the event says.
    """
    for name, (expected, actual) in fields.items():
        if expected != actual:
            what = f"its {name.rstrip('_').replace('_', ' ')} is not what the events before it give"
            yield Problem(Kind.EVENT_DIFFERS, what, shown(expected), shown(actual))


def shown(value: Any) -> str:
    """Return a value as a finding has it."""
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
