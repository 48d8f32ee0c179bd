"""The steps that a run needs after a deadline, and that anyone may take.

Nobody's absence may stop a run, so every worker and aggregator looks for a due step, each with a patience of
its own: the first to lose patience sends the transaction, the others see that it is done.
"""

from __future__ import annotations

from enum import Enum

from fl_chain.ledger.history import History
from fl_chain.records import Round, RoundStatus


class Step(Enum):
    """A permissionless transaction that moves a run on."""

    OPEN_ROUND = "openRound"
    CLOSE_ROUND = "closeRound"
    VOID_ROUND = "voidRound"
    FINALIZE = "finalize"


def active_round(history: History) -> Round | None:
    """Return the round that takes submissions or waits for a posting; None where there is none.

    Where a posting fell, that is its round, and the rounds after it are void.
    """
    active = history.state.active
    return history.rounds[active] if active else None


def due_step(history: History, now: int) -> tuple[Step, int, int] | None:
    """Return the step that is due at chain time ``now``.

    Returns:
        The step, the round that it concerns, and the chain time in seconds since which it is due; None where
        nothing is due.
    """
    policy = history.policy
    active = active_round(history)
    if active is not None:
        if active.status is RoundStatus.OPEN:
            due, step = active.since + policy.submission_s, Step.CLOSE_ROUND
        else:
            due, step = active.since + policy.posting_s + policy.takeover_s, Step.VOID_ROUND
        if now >= due:
            return step, active.id, due
    finalizable = _finalizable_since(history, now)
    if finalizable is not None:
        return Step.FINALIZE, history.state.settled + 1, finalizable
    if active is None and _can_open(history, now):
        return Step.OPEN_ROUND, history.state.latest + 1, _idle_since(history)
    return None


def is_over(history: History, now: int) -> bool:
    """Return whether no round can ever open again."""
    state, policy = history.state, history.policy
    last_step = history.rounds[state.tip].step if state.tip else 0
    return (
        state.latest >= state.ends_after
        or now >= state.ends_at
        or last_step >= policy.max_rounds
        or policy.is_budget_spent(state.latest)
    )


def has_ended(history: History, now: int) -> bool:
    """Return whether the run is over and every round of it settled."""
    return is_over(history, now) and history.state.settled == history.state.latest


def _idle_since(history: History) -> int:
    """Return since when no round is under way: a round that was posted again may be older than the newest."""
    latest, settled = history.state.latest, history.state.settled
    if latest == 0:
        return history.deployed_at
    return max(history.rounds[round_id].since for round_id in range(min(settled + 1, latest), latest + 1))


def _finalizable_since(history: History, now: int) -> int | None:
    following = history.state.settled + 1
    if following > history.state.latest:
        return None
    current = history.rounds[following]
    if current.status is RoundStatus.POSTED:
        due = history.postings[following].finalizable_at
        return due if now >= due else None
    return current.since if current.status is RoundStatus.VOID else None


def _can_open(history: History, now: int) -> bool:
    state, policy = history.state, history.policy
    return (
        not is_over(history, now)
        and state.registered >= policy.quorum
        and state.latest - state.settled < policy.max_unfinal_rounds
        and state.pool_wei >= policy.reward_wei + policy.aggregator_reward_wei
    )
