"""The rules of events about rounds."""

from __future__ import annotations

from collections.abc import Iterator

from fl_chain.audit.kinds import Kind
from fl_chain.audit.mask_steps import member_problems, unmasking_problems
from fl_chain.audit.step_rules import Problem, Walk, differing, problems, unordered
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.ledger.replay import listed_roots
from fl_chain.records import (
    ZERO_ADDRESS,
    ZERO_DIGEST,
    AggregationKind,
    ExclusionReason,
    FallReason,
    Round,
    RoundStatus,
    VoidReason,
)
from fl_chain.run.keeper import is_over

_UNUSABLE = (ExclusionReason.UNREADABLE, ExclusionReason.OUT_OF_RANGE)


@problems.register
def _(event: e.RoundOpened, walk: Walk) -> Iterator[Problem]:
    history, now = walk.history, event.place.timestamp
    state, policy = history.state, history.policy
    if state.active:
        yield unordered(f"round {state.active} was still under way")
    if policy.is_budget_spent(state.latest):
        yield unordered("the privacy budget was spent")
    elif is_over(history, now):
        yield unordered("the run was over")
    if state.registered < policy.quorum:
        yield unordered("too few participants were registered")
    if state.latest - state.settled >= policy.max_unfinal_rounds:
        yield unordered("too many rounds waited for finality")
    if state.pool_wei < policy.reward_wei + policy.aggregator_reward_wei:
        yield unordered("the pool could not pay for it")
    base = history.rounds.get(state.tip)
    yield from differing(
        base_round=(state.tip, event.base_round),
        step=(1 if base is None else base.step + 1, event.step),
        deadline=(now + policy.submission_s, event.deadline),
        expected=(history.round_or_genesis(state.latest).returning, event.expected),
    )


@problems.register
def _(event: e.UpdateSubmitted, walk: Walk) -> Iterator[Problem]:
    history, current = walk.history, walk.history.rounds.get(event.round)
    known = history.participants.get(event.participant)
    if current is None or current.status is not RoundStatus.OPEN:
        yield unordered("the round was not open")
        return
    deadline = current.since + history.policy.submission_s
    if event.place.timestamp >= deadline:
        yield Problem(
            Kind.LATE_SUBMISSION,
            "it came after the deadline",
            f"before {deadline}",
            str(event.place.timestamp),
        )
    if known is None or known.barred_from <= event.round:
        yield unordered("the participant was not registered, or was suspended")
    if any(one.participant == event.participant for one in history.submissions[event.round]):
        yield unordered("the participant had submitted before")
    if current.total_weight + event.weight > history.policy.max_total_weight:
        yield unordered("the round's weight was over its bound")
    if history.is_masked:
        yield from member_problems(event, history)


@problems.register
def _(event: e.RoundClosed, walk: Walk) -> Iterator[Problem]:
    history, current = walk.history, walk.history.rounds[event.round]
    policy = history.policy
    if current.status is not RoundStatus.OPEN:
        yield unordered("the round was not open")
    is_complete = (policy.close_at and current.submissions >= policy.close_at) or current.remaining == 0
    is_due = event.place.timestamp >= current.since + policy.submission_s
    if current.submissions < policy.quorum or not (is_complete or is_due):
        yield unordered("neither was it complete, nor its deadline over with the quorum met")
    yield from differing(
        digest=(current.digest, event.digest),
        submissions=(current.submissions, event.submissions),
        total_weight=(current.total_weight, event.total_weight),
        returning=(current.returning, event.returning),
    )


@problems.register
def _(event: e.RoundPosted, walk: Walk) -> Iterator[Problem]:
    history, current = walk.history, walk.history.rounds[event.round]
    now, policy = event.place.timestamp, history.policy
    if current.status is not RoundStatus.CLOSED:
        yield unordered("the round was not closed")
    yield from _posting_time_problems(event, history, current)
    yield from _exclusion_problems(event, history, current)
    if history.account(event.poster).free_bond_wei < policy.bond_wei:
        yield unordered("the poster had no bond for it")
    yield from differing(
        posting_number=(current.posting_number, event.posting_number),
        has_result_root=(policy.aggregation.has_result, event.result_root != ZERO_DIGEST),
        has_state_root=(
            policy.aggregation is AggregationKind.SUMS_WITH_STATE,
            event.state_root != ZERO_DIGEST,
        ),
        finalizable_at=(now + policy.challenge_s, event.finalizable_at),
        number_of_partial_sums=(_listed(history, current), len(event.partial_sum_roots)),
    )
    if history.is_masked:
        yield from unmasking_problems(event, history.round_masks(event.round))


def _listed(history: History, current: Round) -> int:
    return listed_roots(history, current) if current.submissions else 0


def _posting_time_problems(event: e.RoundPosted, history: History, current: Round) -> Iterator[Problem]:
    now, policy, first = event.place.timestamp, history.policy, history.state.aggregator
    if now >= current.since + policy.posting_s + policy.takeover_s:
        yield unordered("its deadline was over")
    if history.is_barred(event.round, event.poster):
        yield unordered("the poster was barred from the round")
    is_open_to_all = now >= current.since + policy.posting_s or history.is_barred(event.round, first)
    if event.poster != first and not is_open_to_all:
        yield unordered("it was the named aggregator's turn")
    if event.exclusions and now < current.since + policy.publication_s:
        yield unordered("it leaves submissions out before participants had their time to publish")


def _exclusion_problems(event: e.RoundPosted, history: History, current: Round) -> Iterator[Problem]:
    indices = [one.index for one in event.exclusions]
    submissions = history.submissions[event.round]
    if indices != sorted(set(indices)) or any(index >= current.submissions for index in indices):
        yield unordered("its exclusions are not ascending, or name no submission")
        return
    for exclusion in event.exclusions:
        if exclusion.leaf is not None:
            yield from differing(opened_leaf=(submissions[exclusion.index].leaf, exclusion.leaf))
    unusable = sum(one.reason in _UNUSABLE for one in event.exclusions)
    if current.submissions - unusable < history.policy.quorum:
        yield unordered("it leaves fewer than the quorum")
    weight = sum(one.weight for one in submissions if one.index not in indices)
    expected = (current.submissions - len(indices), weight)
    if expected != (event.included, event.included_weight):
        yield Problem(
            Kind.TOTAL_WEIGHT_DIFFERS,
            "number and weight are not those of the included submissions",
            "{} of weight {}".format(*expected),
            f"{event.included} of weight {event.included_weight}",
        )


@problems.register
def _(event: e.PostingFell, walk: Walk) -> Iterator[Problem]:
    yield from _window_problems(event.round, event, walk)
    is_rejected = event.reason is FallReason.OBJECTIONS
    if is_rejected != (event.challenger == ZERO_ADDRESS):
        yield unordered("a challenge has a challenger, a rejection has none")
    if is_rejected and not walk.is_majority:
        yield unordered("no objection had just made more than half of the submitters")


@problems.register
def _(event: e.PostingObjected, walk: Walk) -> Iterator[Problem]:
    history = walk.history
    yield from _window_problems(event.round, event, walk)
    if not any(one.participant == event.participant for one in history.submissions[event.round]):
        yield unordered("the participant did not submit to the round")
    if event.participant in history.objections_to(event.round):
        yield unordered("the participant had objected before")


def _window_problems(round_id: int, event: e.Event, walk: Walk) -> Iterator[Problem]:
    posting = walk.history.postings.get(round_id)
    if walk.history.rounds[round_id].status is not RoundStatus.POSTED or posting is None:
        yield unordered("no posting stood that was not final")
    elif event.place.timestamp >= posting.finalizable_at:
        yield unordered("the challenge window was over")


@problems.register
def _(event: e.RoundVoided, walk: Walk) -> Iterator[Problem]:
    history, current = walk.history, walk.history.rounds[event.round]
    now, policy = event.place.timestamp, history.policy
    match event.reason:
        case VoidReason.BELOW_QUORUM:
            is_due = current.status is RoundStatus.OPEN and now >= current.since + policy.submission_s
            if not is_due or current.submissions >= policy.quorum:
                yield unordered("its deadline was not over, or it had its quorum")
        case VoidReason.NOT_POSTED:
            deadline = current.since + policy.posting_s + policy.takeover_s
            if current.status is not RoundStatus.CLOSED or now < deadline:
                yield unordered("it was not closed, or could still be posted")
        case VoidReason.BASE_FELL:
            if event.round not in walk.to_void:
                yield unordered("nothing that it was built on has just fallen")


@problems.register
def _(event: e.VoidRoundSettled, walk: Walk) -> Iterator[Problem]:
    yield from differing(round=(walk.history.state.settled + 1, event.round))


@problems.register
def _(event: e.RoundFinalized, walk: Walk) -> Iterator[Problem]:
    history = walk.history
    posting = history.postings.get(event.round)
    if history.rounds[event.round].status is not RoundStatus.POSTED or posting is None:
        yield unordered("no posting stood")
    elif event.place.timestamp < posting.finalizable_at:
        yield unordered("its challenge window was still open")
