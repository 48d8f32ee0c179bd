"""Every event at its place: whether the contract could have done this, then, for that account.

The history is replayed once more, and before each event the contract's rules are asked. What a lying node
makes up has to pass here although it never ran the contract: order, deadlines, rights, counts, amounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fl_chain.audit import account_steps, mask_steps, round_steps  # noqa: F401 - they register their rules
from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import AuditReport
from fl_chain.audit.step_rules import Problem, Walk, problems, unordered
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.records import FallReason, RoundStatus, RunId, VoidReason


def audit_events(run: RunId, events: Sequence[e.Event], report: AuditReport) -> None:
    """Check every event of a run against those before it."""
    history = History(run)
    walk = Walk(history)
    for event in events:
        report.count(CheckId.EVENT_ORDER)
        report.count(CheckId.EVENT_FIELDS)
        if isinstance(event, e.RoundPosted):
            report.count(CheckId.INCLUDED_WEIGHTS)
        for problem in (*_sequence_problems(event, walk), *_problems(event, walk)):
            _report(problem, event, report)
        _remember_voids(event, walk)
        history.extend([event])
        walk.previous = event
    if walk.to_void or walk.is_majority:
        last = events[-1]
        _report(unordered("what a posting's fall has to bring about did not happen"), last, report)


def _problems(event: e.Event, walk: Walk) -> Iterator[Problem]:
    """Yield an event's problems; one that names what never was is one by itself."""
    try:
        yield from problems(event, walk)
    except KeyError as error:
        yield unordered(f"it names what is not on the ledger: {error}")


def _report(problem: Problem, event: e.Event, report: AuditReport) -> None:
    name, place = type(event).__name__, event.place
    report.add(
        problem.kind,
        f"{name} in block {place.block_number}, log {place.log_index}: {problem.detail}",
        round=getattr(event, "round", None),
        participant=getattr(event, "participant", None),
        expected=problem.expected,
        actual=problem.actual,
    )


def _sequence_problems(event: e.Event, walk: Walk) -> Iterator[Problem]:
    """Yield where an event is not the one that has to come right after the one before."""
    previous = walk.previous
    if previous is not None and event.place.timestamp < previous.place.timestamp:
        yield unordered("its block is older than that of the event before")
    if walk.is_majority:
        is_fall = isinstance(event, e.PostingFell) and event.reason is FallReason.OBJECTIONS
        if not is_fall:
            yield unordered("more than half of the submitters have objected, and the posting did not fall")
    if walk.to_void:
        is_due = isinstance(event, e.RoundVoided) and event.round == walk.to_void[0]
        if not is_due:
            yield unordered(f"round {walk.to_void[0]} was built on what fell and was not voided")
            walk.to_void.clear()


def _remember_voids(event: e.Event, walk: Walk) -> None:
    """Keep which rounds a fall has to void, in their order."""
    rounds = walk.history.rounds
    if isinstance(event, e.PostingFell):
        later = range(event.round + 1, walk.history.state.latest + 1)
        walk.to_void = [number for number in later if rounds[number].status is not RoundStatus.VOID]
    elif (
        isinstance(event, e.RoundVoided)
        and event.reason is VoidReason.BASE_FELL
        and event.round in walk.to_void
    ):
        walk.to_void.remove(event.round)
