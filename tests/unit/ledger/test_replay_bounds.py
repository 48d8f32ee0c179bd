"""Events that no ledger emits are refused where they are replayed, so that nothing is computed from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from deployed_runs import POLICY, deployed_run, digest_of

from fl_chain.errors import MalformedResponse
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.records import Exclusion, ExclusionReason, RunId, VoidReason


@cache
def true_events() -> tuple[RunId, tuple[e.Event, ...]]:
    with deployed_run() as run:
        run.start()
        for number in range(3):
            run.submit(number)
        run.wait(POLICY.publication_s)
        run.post(1, excluded=[(0, ExclusionReason.UNREADABLE)])
        return run.ledger.run, tuple(run.ledger.events(0, run.node.head().number))


def replayed(kind: type[e.Event], alter: Callable[[Any], e.Event]) -> History:
    """Replay the run with one event altered, the last of its kind."""
    run, events = true_events()
    at = max(place for place, event in enumerate(events) if isinstance(event, kind))
    history = History(run)
    history.extend([*events[:at], alter(events[at]), *events[at + 1 :]])
    return history


def unread(*indices: int) -> tuple[Exclusion, ...]:
    return tuple(Exclusion(index, ExclusionReason.UNREADABLE) for index in indices)


ROOT = digest_of("another")
ALTERATIONS: dict[str, tuple[type[e.Event], Callable[[Any], e.Event]]] = {
    "no weight": (e.UpdateSubmitted, lambda one: replace(one, weight=0)),
    "too much weight": (e.UpdateSubmitted, lambda one: replace(one, weight=POLICY.max_total_weight - 3)),
    "closed with another digest": (e.RoundClosed, lambda one: replace(one, digest=ROOT)),
    "closed with another count": (e.RoundClosed, lambda one: replace(one, submissions=4)),
    "closed with another weight": (e.RoundClosed, lambda one: replace(one, total_weight=7)),
    "closed with others returning": (e.RoundClosed, lambda one: replace(one, returning=2)),
    "posted under another number": (e.RoundPosted, lambda one: replace(one, posting_number=1)),
    "posted without sums": (e.RoundPosted, lambda one: replace(one, partial_sum_roots=())),
    "posted with more sums": (e.RoundPosted, lambda one: replace(one, partial_sum_roots=(ROOT, ROOT))),
    "excluded beyond the last": (e.RoundPosted, lambda one: replace(one, exclusions=unread(3))),
    "excluded twice": (e.RoundPosted, lambda one: replace(one, exclusions=unread(1, 1))),
    "excluded out of order": (e.RoundPosted, lambda one: replace(one, exclusions=unread(1, 0))),
    "a policy beyond its bounds": (
        e.RunDeployed,
        lambda one: replace(one, policy=replace(one.policy, scale_bits=41)),
    ),
    "a vector beyond its bounds": (
        e.RunDeployed,
        lambda one: replace(one, definition=replace(one.definition, dimension=2**32 + 1)),
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_what_no_ledger_emits_is_refused(name: str) -> None:
    with pytest.raises(MalformedResponse, match="does not follow"):
        replayed(*ALTERATIONS[name])


def test_what_lies_just_within_the_bounds_is_taken() -> None:
    kind, events = e.RoundPosted, true_events()[1]
    assert replayed(kind, lambda one: replace(one, exclusions=unread(2))).postings[1].exclusions
    assert replayed(kind, lambda one: one).rounds[1].total_weight == 6
    assert len(events) > 10
    largest = replayed(e.RunDeployed, lambda one: replace(one, policy=replace(one.policy, scale_bits=40)))
    assert largest.policy.scale_bits == 40


def test_a_round_is_posted_once_it_has_closed() -> None:
    run, events = true_events()
    (posted,) = [event for event in events if isinstance(event, e.RoundPosted)]
    opened = [event for event in events if not isinstance(event, e.RoundClosed | e.RoundPosted)]
    first_round = [event for event in opened if getattr(event, "round", 1) == 1]
    with pytest.raises(MalformedResponse, match="closed round"):
        History(run).extend([*first_round, replace(posted, place=replace(posted.place, log_index=99))])


def test_a_bonus_without_submitters_is_refused_and_not_divided() -> None:
    run, events = true_events()
    history = History(run)
    history.extend(events)
    history.bonuses[2] = 7
    last = events[-1].place
    place = replace(last, block_number=last.block_number + 1)
    with pytest.raises(MalformedResponse, match="does not follow"):
        history.extend([e.RoundVoided(place, 2, VoidReason.BELOW_QUORUM)])
