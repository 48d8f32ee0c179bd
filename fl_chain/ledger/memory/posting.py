"""Publishing a closed round's aggregate."""

from __future__ import annotations

from collections.abc import Sequence

from fl_chain.commitment.partial_sums import partial_sum_count, sums_hash
from fl_chain.commitment.seals import leaf
from fl_chain.ledger import events as e
from fl_chain.ledger.memory.records import Message, OpenedExclusion, StandingPosting, refused
from fl_chain.ledger.memory.rounds import posting_deadline, verify_status
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.ledger.memory.succession import open_if_possible
from fl_chain.records import (
    ZERO_DIGEST,
    AggregationKind,
    Digest,
    Exclusion,
    ExclusionReason,
    Round,
    RoundStatus,
)

_REASONS = tuple(ExclusionReason)
LAST_POSTING_NUMBER = 2**16 - 1
_UNUSABLE = (ExclusionReason.UNREADABLE, ExclusionReason.OUT_OF_RANGE)


def post(
    state: LedgerState,
    message: Message,
    round_id: int,
    *,
    digest: Digest,
    exclusions: Sequence[OpenedExclusion],
    partial_sum_roots: Sequence[Digest],
    result_root: Digest,
    state_root: Digest,
    model_root: Digest,
) -> None:
    """Publish a closed round's aggregate and open the next round on it."""
    current = verify_status(state, round_id, RoundStatus.CLOSED)
    _verify_turn(state, message, current, digest, is_excluding=bool(exclusions))
    kind = state.policy.aggregation
    has_result = kind is AggregationKind.RESULT
    expected = 0 if has_result else partial_sum_count(current.submissions)
    if len(partial_sum_roots) != expected:
        raise refused("WrongPartialSumCount", given=len(partial_sum_roots), expected=expected)
    has_state = kind is AggregationKind.SUMS_WITH_STATE
    if (has_result, has_state) != (result_root != ZERO_DIGEST, state_root != ZERO_DIGEST):
        raise refused("WrongRoots", aggregation=kind, resultRoot=result_root, stateRoot=state_root)
    held, bond_wei = state.account(message.caller), state.policy.bond_wei
    if held.free_bond_wei < bond_wei:
        raise refused("BondTooSmall", freeBondWei=held.free_bond_wei, bondWei=bond_wei)
    _verify_exclusions(state, current, exclusions)

    posting = StandingPosting(
        poster=message.caller,
        finalizable_at=message.now + state.policy.challenge_s,
        included=current.submissions - len(exclusions),
        included_weight=current.total_weight - sum(one.weight for one in exclusions),
        model_root=model_root,
        sums_hash=sums_hash(partial_sum_roots),
    )
    state.update_account(
        message.caller,
        free_bond_wei=held.free_bond_wei - bond_wei,
        locked_bond_wei=held.locked_bond_wei + bond_wei,
    )
    state.journal.put(state.postings, round_id, posting)
    excluded = frozenset(one.index for one in exclusions)
    state.journal.put(state.excluded, (round_id, current.posting_number), excluded)
    state.update_round(round_id, status=RoundStatus.POSTED, since=message.now)
    state.update_standing(tip=round_id, active=0)

    shown = tuple(Exclusion(one.index, ExclusionReason(one.reason)) for one in exclusions)
    roots = (model_root, result_root, state_root)
    counts = (posting.included, posting.included_weight, posting.finalizable_at)
    fields = (round_id, current.posting_number, message.caller, *roots, *counts)
    state.emit(message, e.RoundPosted, *fields, shown, tuple(partial_sum_roots))

    if message.caller != state.standing.aggregator:
        state.update_standing(aggregator=message.caller)
        state.emit(message, e.AggregatorNamed, message.caller)
    open_if_possible(state, message)


def _verify_turn(
    state: LedgerState, message: Message, current: Round, digest: Digest, *, is_excluding: bool
) -> None:
    """Check digest and times: the named aggregator first, exclusions after the publication time.

    An account of which a posting has fallen in this round is barred from it. Where that is the named
    aggregator, there is nobody to wait for. Under the last number nobody posts: its fall could not be
    counted.
    """
    if digest != current.digest:
        raise refused("WrongDigest", given=digest, expected=current.digest)
    deadline = posting_deadline(state, current)
    if message.now >= deadline:
        raise refused("DeadlinePassed", round=current.id, deadline=deadline)
    if current.posting_number == LAST_POSTING_NUMBER or (current.id, message.caller) in state.barred:
        raise refused("Barred", round=current.id, poster=message.caller)
    named, open_to_all_at = state.standing.aggregator, current.since + state.policy.posting_s
    is_waiting = message.now < open_to_all_at and (current.id, named) not in state.barred
    if message.caller != named and is_waiting:
        raise refused("NotYourTurn", caller=message.caller, openToAllAt=open_to_all_at)
    published_at = current.since + state.policy.publication_s
    if is_excluding and message.now < published_at:
        raise refused("ExclusionsTooEarly", allowedAt=published_at)


def _verify_exclusions(state: LedgerState, current: Round, exclusions: Sequence[OpenedExclusion]) -> None:
    previous = -1
    for position, one in enumerate(exclusions):
        if one.index >= current.submissions:
            raise refused("IndexOutOfBounds", index=one.index, submissions=current.submissions)
        if one.index <= previous:
            raise refused("ExclusionsNotAscending", position=position)
        if one.reason not in _REASONS:
            raise refused("UnknownReason", reason=one.reason)
        if leaf(one.sealed_root, one.weight, one.participant) != state.leaves[current.id, one.index]:
            raise refused("LeafMismatch", round=current.id, index=one.index)
        previous = one.index
    if len(exclusions) == current.submissions:
        raise refused("NothingIncluded")
    usable = current.submissions - sum(one.reason in _UNUSABLE for one in exclusions)
    if usable < state.policy.quorum:
        raise refused("BelowQuorum", readable=usable, quorum=state.policy.quorum)
