"""The rules of events about the masks of a masked run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fl_chain.audit.step_rules import Problem, Walk, differing, problems, unordered
from fl_chain.errors import TooFewInGroups
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import (
    KEYS_SHARE,
    RoundMasks,
    absentees,
    is_graph_needed,
    least_survivors,
    round_groups,
    term_count,
)
from fl_chain.masking.graph import reach
from fl_chain.masking.groups import verify_groups
from fl_chain.records import ExclusionReason, Round, RoundStatus

MOST_TERMS = 8192
_MASKED_REASONS = (ExclusionReason.UNREADABLE, ExclusionReason.BY_RULE)


@problems.register
def _(event: e.IdentityKeySet, walk: Walk) -> Iterator[Problem]:
    history = walk.history
    if not history.is_masked:
        yield unordered("the run has no masks")
    if event.participant not in history.participants:
        yield unordered("only a participant has an identity key")
    if event.participant in history.identity_keys:
        yield unordered("the participant had an identity key already")


@problems.register
def _(event: e.GraphDrawn, walk: Walk) -> Iterator[Problem]:
    history, now = walk.history, event.place.timestamp
    current, masks = history.rounds[event.round], history.round_masks(event.round)
    vertices, window_s = len(history.identity_keys), history.policy.submission_s // KEYS_SHARE
    if current.status is not RoundStatus.OPEN or now >= current.since + window_s:
        yield unordered("the time to set up keys was over, or had not begun")
    if masks.keys or masks.graph is not None:
        yield unordered("somebody had joined already, or the graph was drawn before")
    if not is_graph_needed(history.policy.aggregation, vertices):
        yield unordered("so few share masks with everybody")
    if vertices < current.remaining and now + window_s // 2 < current.since + window_s:
        yield unordered("it did not wait for those expected who had no identity key yet")
    if history.newest_identity_in == event.place.block_number:
        yield unordered("an identity key was set in the same block")
    # How many groups there are the policy document says, which no event has: see `MaskAudit`.
    side = event.reach if history.is_grouped else reach(vertices, current.remaining)
    yield from differing(vertices=(vertices, event.vertices), reach=(side, event.reach))


@problems.register
def _(event: e.KeysSetUp, walk: Walk) -> Iterator[Problem]:
    history, now = walk.history, event.place.timestamp
    current, masks = history.rounds[event.round], history.round_masks(event.round)
    known = history.participants.get(event.participant)
    if current.status is not RoundStatus.OPEN:
        yield unordered("the round was not open")
    close_at = masks.close_at or current.since + history.policy.submission_s // KEYS_SHARE
    if masks.is_complete or now >= close_at:
        yield unordered("the time to set up keys was over")
    if known is None or known.barred_from <= event.round:
        yield unordered("the participant was not registered, or was suspended")
    if event.participant not in history.identity_keys:
        yield unordered("the participant had no identity key")
    if event.participant in masks.members:
        yield unordered("the participant had set up keys before")
    if masks.graph is None:
        if not masks.keys and is_graph_needed(history.policy.aggregation, len(history.identity_keys)):
            yield unordered("the round's graph was not drawn yet")
    elif history.vertices.get(event.participant, masks.graph.vertices) >= masks.graph.vertices:
        yield unordered("the participant is not in the round's graph")
    yield from differing(index=(len(masks.keys), event.index))


def member_problems(event: e.UpdateSubmitted, history: History) -> Iterator[Problem]:
    """Yield why somebody could not submit to a masked round."""
    masks = history.round_masks(event.round)
    if event.participant not in masks.members:
        yield unordered("the participant had not set up keys for the round's masks")
    elif not masks.is_closed(event.place.timestamp):
        yield unordered("keys for the round's masks were still set up")


@problems.register
def _(event: e.SurvivorsFixed, walk: Walk) -> Iterator[Problem]:
    history, current = walk.history, walk.history.rounds[event.round]
    masks, submissions = history.round_masks(event.round), history.submissions[event.round]
    if current.status is not RoundStatus.CLOSED:
        yield unordered("the round was not closed")
    if masks.exclusions is not None:
        yield unordered("the survivors were fixed already")
    yield from _turn_problems(event, history, current)
    yield from _list_problems(event, history, current)
    survivors = len(submissions) - len(event.exclusions)
    if survivors < least_survivors(masks, history.policy.quorum):
        yield unordered("too few stayed")
    fixed = replace(
        masks,
        exclusions=event.exclusions,
        absentees=tuple(absentees(masks, submissions)),
        survivors=survivors,
    )
    if history.is_grouped:
        try:
            verify_groups(round_groups(fixed, history.vertices, submissions))
        except TooFewInGroups as error:
            yield unordered(str(error))
    terms = term_count(fixed, history.vertices, submissions)
    if terms > MOST_TERMS:
        yield unordered("there were too many terms")
    yield from differing(
        survivors=(survivors, event.survivors),
        terms=(terms, event.terms),
        absentees=(fixed.absentees, event.absentees),
    )


def _turn_problems(event: e.SurvivorsFixed, history: History, current: Round) -> Iterator[Problem]:
    now, policy = event.place.timestamp, history.policy
    if now >= current.since + policy.posting_s + policy.takeover_s:
        yield unordered("its deadline was over")
    if now < current.since + policy.posting_s and not may_fix_first(history, event.by):
        yield unordered("it was another account's turn")
    if event.exclusions and now < current.since + policy.publication_s:
        yield unordered("it leaves submissions out before participants had their time to publish")
    if history.account(event.by).free_bond_wei < policy.bond_wei:
        yield unordered("the account had no bond for it")


def may_fix_first(history: History, account: str) -> bool:
    """Return whether an account may fix survivors before all others may."""
    named, tip = history.state.aggregator, history.state.tip
    fixed = {who: round_id for who, round_id in history.fixed_in.items() if round_id > tip}
    return account not in fixed and (account == named or named in fixed)


def _list_problems(event: e.SurvivorsFixed, history: History, current: Round) -> Iterator[Problem]:
    indices = [one.index for one in event.exclusions]
    submissions = history.submissions[event.round]
    if indices != sorted(set(indices)) or any(index >= current.submissions for index in indices):
        yield unordered("its exclusions are not ascending, or name no submission")
        return
    for exclusion in event.exclusions:
        if exclusion.reason not in _MASKED_REASONS:
            yield unordered("nobody sees whether a masked update is out of range")
        if exclusion.leaf is not None:
            yield from differing(opened_leaf=(submissions[exclusion.index].leaf, exclusion.leaf))


@problems.register
def _(event: e.SeedsPublished, walk: Walk) -> Iterator[Problem]:
    history = walk.history
    current, masks = history.rounds[event.round], history.round_masks(event.round)
    if current.status is not RoundStatus.CLOSED:
        yield unordered("the round was not closed")
    if masks.exclusions is None:
        yield unordered("the survivors were not fixed")
    yield from differing(number_of_seeds=(len(masks.keys), len(event.seeds)))


def unmasking_problems(event: e.RoundPosted, masks: RoundMasks) -> Iterator[Problem]:
    """Yield why a masked round could not be posted so."""
    if masks.exclusions is None:
        yield unordered("the survivors were not fixed")
    elif masks.exclusions != event.exclusions:
        yield unordered("it leaves out others than the survivors leave out")
    if event.poster not in masks.seeds:
        yield unordered("the poster had published no seeds")
