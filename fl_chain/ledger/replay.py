"""How each event changes a run's history: the contract's rules, once more.

The contract emits an event right after the change that it stands for, and derives a few counters by itself,
such as who is expected in a round. Those are derived here by the same rules.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.commitment.seals import fold, initial_digest, leaf
from fl_chain.errors import LedgerReverted
from fl_chain.ledger import events as e
from fl_chain.ledger.masks import KEYS_SHARE, Membership, RoundMasks, is_graph_needed, term_count
from fl_chain.ledger.memory.bounds import verify_definition, verify_masked_policy, verify_policy
from fl_chain.ledger.tables import Tables
from fl_chain.ledger.views import (
    NEVER,
    ClaimedReward,
    FallenPosting,
    Participant,
    Settlement,
    SignerRotation,
)
from fl_chain.masking.graph import Graph, reach
from fl_chain.masking.groups import LEAST_GROUPS, Groups
from fl_chain.masking.keys import SEED_BYTES
from fl_chain.records import (
    ZERO_ADDRESS,
    Address,
    FallReason,
    Posting,
    PublishedKeys,
    Round,
    RoundStatus,
    Submission,
)


@singledispatch
def apply_event(event: e.Event, tables: Tables) -> None:
    """Change the tables as an event says.

    Raises:
        KeyError, ValueError, AttributeError: it does not follow from the events before it.
    """
    raise ValueError(f"{type(event).__name__} has no rule")


# ---------------------------------------------------------------------- the run


@apply_event.register
def _(event: e.RunDeployed, tables: Tables) -> None:
    if hasattr(tables, "policy"):
        raise ValueError("a ledger is deployed once")
    _verify_deployable(event)
    tables.operator, tables.token = event.operator, event.token
    tables.definition, tables.policy = event.definition, event.policy
    tables.deployed_at = event.place.timestamp
    tables.update_state(aggregator=event.aggregator)


def _verify_deployable(event: e.RunDeployed) -> None:
    """Check the bounds that the constructor checks."""
    try:
        verify_definition(event.definition)
        verify_policy(event.policy)
        verify_masked_policy(event.policy)
    except LedgerReverted as error:
        raise ValueError(f"no ledger is deployed with this policy: {error}") from error


@apply_event.register
def _(event: e.PoolFunded, tables: Tables) -> None:
    tables.update_state(pool_wei=tables.state.pool_wei + event.amount_wei)


@apply_event.register
def _(event: e.PoolWithdrawn, tables: Tables) -> None:
    tables.update_state(pool_wei=tables.state.pool_wei - event.amount_wei)


@apply_event.register
def _(event: e.EndAnnounced, tables: Tables) -> None:
    tables.update_state(ends_after=event.ends_after, ends_at=event.ends_at)


@apply_event.register
def _(event: e.AggregatorNamed, tables: Tables) -> None:
    tables.update_state(aggregator=event.aggregator)


# ---------------------------------------------------------------------- participants


@apply_event.register
def _(event: e.ParticipantAdmitted, tables: Tables) -> None:
    who = event.participant
    if who not in tables.participants:
        tables.participants[who] = Participant(who, ZERO_ADDRESS, 0, 0, 0, False, False, 0)
        tables.identities[who] = who
    if tables.participants[who].barred_from == 0:
        tables.departed.discard(who)
    else:
        tables.update_participant(who, barred_from=NEVER)
        tables.update_state(registered=tables.state.registered + 1)
    tables.update_participant(who, admitted=True, weight_cap=event.weight_cap)
    _count_in(tables, who)


@apply_event.register
def _(event: e.ParticipantRegistered, tables: Tables) -> None:
    who = event.participant
    is_counted = who not in tables.departed and tables.participants[who].last_seen >= tables.state.last_closed
    tables.departed.discard(who)
    tables.update_participant(
        who, payout=event.payout, deposit_wei=event.deposit_wei, barred_from=NEVER, registered=True
    )
    tables.update_state(registered=tables.state.registered + 1)
    if not is_counted:
        _count_in(tables, who)


@apply_event.register
def _(event: e.ParticipantSuspended, tables: Tables) -> None:
    who = event.participant
    tables.update_participant(who, admitted=False)
    if tables.participants[who].barred_from != 0:
        tables.update_participant(who, barred_from=event.from_round)
        tables.update_state(registered=tables.state.registered - 1)
    if who not in tables.departed:
        _count_out(tables, who)


@apply_event.register
def _(event: e.ParticipantLeft, tables: Tables) -> None:
    who = event.participant
    was_in_good_standing = tables.participants[who].barred_from == NEVER
    tables.departed.add(who)
    tables.update_participant(who, deposit_wei=0, barred_from=0, registered=False)
    _unbond(tables, who, event.deposit_wei, event.place.timestamp + tables.policy.unbonding_s, event)
    if was_in_good_standing:
        tables.update_state(registered=tables.state.registered - 1)
        _count_out(tables, who)


@apply_event.register
def _(event: e.PayoutChanged, tables: Tables) -> None:
    tables.update_participant(event.participant, payout=event.payout)


@apply_event.register
def _(event: e.SignerRotationRequested, tables: Tables) -> None:
    if event.signer == tables.participants[event.participant].signer:
        tables.rotations.pop(event.participant, None)
    else:
        tables.rotations[event.participant] = SignerRotation(event.signer, event.effective_at)


@apply_event.register
def _(event: e.SignerRotated, tables: Tables) -> None:
    tables.rotations.pop(event.participant, None)
    del tables.identities[event.previous_signer]
    tables.identities[event.signer] = event.participant
    tables.update_participant(event.participant, signer=event.signer)


def _count_in(tables: Tables, who: Address) -> None:
    """Expect a participant in the round that is open, else in the next one."""
    state, participant = tables.state, tables.participants[who]
    latest = tables.round_or_genesis(state.latest)
    if latest.status is RoundStatus.OPEN and participant.last_seen != state.latest:
        tables.update_round(state.latest, remaining=latest.remaining + 1)
    else:
        tables.update_round(state.latest, returning=latest.returning + 1)
    tables.update_participant(who, last_seen=max(participant.last_seen, state.last_closed))


def _count_out(tables: Tables, who: Address) -> None:
    """Expect a participant no longer; that the open round closes by it is an event of its own."""
    state, participant = tables.state, tables.participants[who]
    if participant.last_seen < state.last_closed:
        return
    latest = tables.round_or_genesis(state.latest)
    if latest.status is RoundStatus.OPEN and participant.last_seen != state.latest:
        _count_out_of_ring(tables, who)
        tables.update_round(state.latest, remaining=latest.remaining - 1)
    else:
        tables.update_round(state.latest, returning=latest.returning - 1)


# ---------------------------------------------------------------------- rounds


@apply_event.register
def _(event: e.RoundOpened, tables: Tables) -> None:
    if event.round != tables.state.latest + 1:
        raise ValueError("round ids are contiguous")
    if event.base_model_root != tables.model_root(event.base_round):
        raise ValueError("a round starts from the model that stands")
    policy = tables.policy
    tables.rounds[event.round] = Round(
        id=event.round,
        status=RoundStatus.OPEN,
        posting_number=0,
        since=event.deadline - policy.submission_s,
        submissions=0,
        remaining=event.expected,
        returning=0,
        total_weight=0,
        last_closed=tables.state.last_closed,
        base_round=event.base_round,
        step=event.step,
        digest=initial_digest(tables.run, event.round, event.base_model_root),
    )
    tables.submissions[event.round] = []
    tables.base_model_roots[event.round] = event.base_model_root
    tables.registered_at[event.round] = _registered(tables, event.round)
    reserved_wei = policy.reward_wei + policy.aggregator_reward_wei
    pool_wei = tables.state.pool_wei - reserved_wei
    tables.update_state(latest=event.round, active=event.round, pool_wei=pool_wei)


def _registered(tables: Tables, round_id: int) -> tuple[Address, ...]:
    """Return who can submit to a round; the tuple of the round before where nobody came or went."""
    members = tables.participants
    registered = tuple(
        sorted(who for who, one in members.items() if one.registered and round_id < one.barred_from)
    )
    before = tables.registered_at.get(round_id - 1)
    return before if before == registered and before is not None else registered


@apply_event.register
def _(event: e.UpdateSubmitted, tables: Tables) -> None:
    current, participant = tables.rounds[event.round], tables.participants[event.participant]
    if current.status is not RoundStatus.OPEN or event.index != current.submissions:
        raise ValueError("submissions to an open round are contiguous")
    total_weight = current.total_weight + event.weight
    if event.weight < 1 or total_weight > tables.policy.max_total_weight:
        raise ValueError("weights are positive and a round's total is bounded")
    submission = Submission(
        round=event.round,
        index=event.index,
        participant=event.participant,
        weight=event.weight,
        sealed_root=event.sealed_root,
        leaf=leaf(event.sealed_root, event.weight, event.participant),
    )
    is_counted = participant.barred_from == NEVER
    was_expected = is_counted and participant.last_seen >= current.last_closed
    if tables.is_masked:
        _submit_masked(event, tables)
    tables.submissions[event.round].append(submission)
    tables.caps_at_submission[event.round, event.index] = participant.weight_cap
    tables.update_participant(event.participant, last_seen=event.round)
    tables.update_round(
        event.round,
        submissions=current.submissions + 1,
        remaining=current.remaining - was_expected,
        returning=current.returning + is_counted,
        total_weight=total_weight,
        digest=fold(current.digest, submission.leaf),
    )


@apply_event.register
def _(event: e.RoundClosed, tables: Tables) -> None:
    current = tables.rounds[event.round]
    stated = (event.digest, event.submissions, event.total_weight, event.returning)
    given = (current.digest, current.submissions, current.total_weight, current.returning)
    if current.status is not RoundStatus.OPEN or stated != given:
        raise ValueError("an open round closes with what was submitted to it")
    tables.seeds[event.round] = event.seed
    tables.update_round(event.round, status=RoundStatus.CLOSED, since=event.place.timestamp)
    tables.update_state(last_closed=event.round)


@apply_event.register
def _(event: e.RoundPosted, tables: Tables) -> None:
    if event.included < 1 or event.included_weight < 1:
        raise ValueError("a posting includes one submission at least")
    _verify_postable(event, tables)
    posting = Posting(
        round=event.round,
        posting_number=event.posting_number,
        poster=event.poster,
        digest=tables.rounds[event.round].digest,
        exclusions=event.exclusions,
        partial_sum_roots=event.partial_sum_roots,
        result_root=event.result_root,
        state_root=event.state_root,
        model_root=event.model_root,
        included=event.included,
        included_weight=event.included_weight,
        finalizable_at=event.finalizable_at,
    )
    if tables.is_masked:
        seeds = tables.round_masks(event.round).seeds[event.poster]
        tables.seeds_at_posting[event.round, event.posting_number] = seeds
    tables.postings[event.round] = posting
    tables.all_postings.append(posting)
    tables.update_round(event.round, status=RoundStatus.POSTED, since=event.place.timestamp)
    tables.update_state(tip=event.round, active=0)
    _move_bond(tables, event.poster, -tables.policy.bond_wei)


def listed_roots(tables: Tables, current: Round) -> int:
    """Return how many roots a posting of a round lists: of what unmasks it, and of its partial sums."""
    if tables.policy.aggregation.has_result:
        return 0
    terms = tables.round_masks(current.id).terms
    return terms + partial_sum_count(current.submissions + terms)


def _verify_postable(event: e.RoundPosted, tables: Tables) -> None:
    """Check what the contract checks of a posting and later steps rest on."""
    current = tables.rounds[event.round]
    if (current.status, current.posting_number) != (RoundStatus.CLOSED, event.posting_number):
        raise ValueError("a posting is of a closed round, under its posting number")
    if len(event.partial_sum_roots) != listed_roots(tables, current):
        raise ValueError("a posting lists every partial sum")
    indices = [exclusion.index for exclusion in event.exclusions]
    if indices != sorted(set(indices)) or any(index >= current.submissions for index in indices):
        raise ValueError("exclusions ascend, and are of submissions")
    if tables.is_masked:
        masks = tables.round_masks(event.round)
        if masks.exclusions != event.exclusions or event.poster not in masks.seeds:
            raise ValueError("a masked posting is of the fixed survivors, by who published seeds")


@apply_event.register
def _(event: e.PostingFell, tables: Tables) -> None:
    current, posting = tables.rounds[event.round], tables.postings.pop(event.round)
    if (event.posting_number, event.poster) != (posting.posting_number, posting.poster):
        raise ValueError("another posting stands")
    tables.fallen.append(
        FallenPosting(
            posting, event.reason, event.challenger, event.challenge_reward_wei, event.bonus_wei, event.place
        )
    )
    tables.barred.setdefault(event.round, set()).add(event.poster)
    if event.reason is FallReason.OBJECTIONS:
        _move_bond(tables, event.poster, tables.policy.bond_wei)
    else:
        locked_wei = tables.account(event.poster).locked_bond_wei - tables.policy.bond_wei
        tables.update_account(event.poster, locked_bond_wei=locked_wei)
        credit_wei = tables.account(event.challenger).credit_wei + event.challenge_reward_wei
        tables.update_account(event.challenger, credit_wei=credit_wei)
    if event.bonus_wei:
        tables.bonuses[event.round] = tables.bonuses.get(event.round, 0) + event.bonus_wei
    tables.update_round(
        event.round,
        status=RoundStatus.CLOSED,
        since=event.place.timestamp,
        posting_number=current.posting_number + 1,
    )
    tables.update_state(tip=current.base_round, active=event.round)


@apply_event.register
def _(event: e.PostingObjected, tables: Tables) -> None:
    posting = tables.postings[event.round]
    objectors = tables.objections.setdefault((event.round, event.posting_number), [])
    objectors.append(event.participant)
    if (event.posting_number, event.objections) != (posting.posting_number, len(objectors)):
        raise ValueError("objections to the standing posting are counted one by one")


@apply_event.register
def _(event: e.RoundVoided, tables: Tables) -> None:
    current, policy = tables.rounds[event.round], tables.policy
    if current.status is RoundStatus.OPEN:
        # It never closed, so whoever it expected is expected again.
        tables.update_round(event.round, returning=current.returning + current.remaining, remaining=0)
    elif current.status is RoundStatus.POSTED:
        _move_bond(tables, tables.postings.pop(event.round).poster, policy.bond_wei)
    tables.voids[event.round] = event.reason
    tables.update_round(event.round, status=RoundStatus.VOID, since=event.place.timestamp)
    freed_wei = policy.reward_wei + policy.aggregator_reward_wei
    bonus_wei = tables.bonuses.get(event.round, 0)
    if bonus_wei:
        freed_wei += bonus_wei % current.submissions
        for submission in tables.submissions[event.round]:
            tables.unclaimed[submission.participant][event.round] = submission
    active = 0 if tables.state.active == event.round else tables.state.active
    tables.update_state(pool_wei=tables.state.pool_wei + freed_wei, active=active)


@apply_event.register
def _(event: e.VoidRoundSettled, tables: Tables) -> None:
    if tables.rounds[event.round].status is not RoundStatus.VOID:
        raise ValueError("it is not void")
    _settle(tables, event.round)


@apply_event.register
def _(event: e.RoundFinalized, tables: Tables) -> None:
    posting = tables.postings[event.round]
    tables.settlements[event.round] = Settlement(
        event.round, event.reward_wei, event.aggregator_reward_wei, event.dust_wei
    )
    tables.update_round(event.round, status=RoundStatus.FINAL, since=event.place.timestamp)
    _settle(tables, event.round)
    tables.update_state(pool_wei=tables.state.pool_wei + event.dust_wei)
    _move_bond(tables, posting.poster, tables.policy.bond_wei)
    credit_wei = tables.account(posting.poster).credit_wei + event.aggregator_reward_wei
    tables.update_account(posting.poster, credit_wei=credit_wei)
    excluded = {exclusion.index for exclusion in posting.exclusions}
    for submission in tables.submissions[event.round]:
        if submission.index not in excluded:
            tables.unclaimed[submission.participant][event.round] = submission


def _settle(tables: Tables, round_id: int) -> None:
    if round_id != tables.state.settled + 1:
        raise ValueError("rounds are settled in order")
    tables.update_state(settled=round_id)


# ---------------------------------------------------------------------- masks


@apply_event.register
def _(event: e.IdentityKeySet, tables: Tables) -> None:
    _verify_masked(tables)
    if event.participant not in tables.participants or event.participant in tables.identity_keys:
        raise ValueError("a participant sets its identity key once")
    tables.identity_keys[event.participant] = event.key
    tables.newest_identity_in = event.place.block_number


@apply_event.register
def _(event: e.GraphDrawn, tables: Tables) -> None:
    _verify_masked(tables)
    current, masks = tables.rounds[event.round], tables.round_masks(event.round)
    if current.status is not RoundStatus.OPEN or masks.keys or masks.graph is not None:
        raise ValueError("a graph is drawn once, before anybody joins an open round's masks")
    vertices = len(tables.identity_keys)
    is_needed = is_graph_needed(tables.policy.aggregation, vertices)
    if not is_needed or event.vertices != vertices or len(event.seed) != SEED_BYTES:
        raise ValueError("a graph is of all who have an identity key, where these are many")
    close_at = current.since + tables.policy.submission_s // KEYS_SHARE
    graph = _groups(event, tables) if tables.is_grouped else _graph(event, current.remaining)
    tables.masks[event.round] = replace(masks, graph=graph, close_at=close_at)


def _graph(event: e.GraphDrawn, expected: int) -> Graph:
    if event.reach != reach(event.vertices, expected):
        raise ValueError("how far a graph reaches follows from how many are in it, and expected")
    return Graph(event.vertices, event.reach, event.seed)


def _groups(event: e.GraphDrawn, tables: Tables) -> Groups:
    before = {one.graph.reach for one in tables.masks.values() if one.graph is not None}
    if event.reach < LEAST_GROUPS or before - {event.reach}:
        raise ValueError("all rounds of a run have the same number of groups")
    return Groups(event.vertices, event.reach, event.seed)


@apply_event.register
def _(event: e.KeysSetUp, tables: Tables) -> None:
    _verify_masked(tables)
    current, masks = tables.rounds[event.round], tables.round_masks(event.round)
    membership = tables.memberships.get(event.participant, Membership())
    if current.status is not RoundStatus.OPEN or masks.is_complete or membership.keyed_in == event.round:
        raise ValueError("keys are set up once, before an open round's ring is complete")
    if event.index != len(masks.keys) or event.participant not in tables.identity_keys:
        raise ValueError("set-ups are contiguous, of participants with identity keys")
    _verify_in_graph(event.participant, masks, tables)
    close_at = masks.close_at or current.since + tables.policy.submission_s // KEYS_SHARE
    participant = tables.participants[event.participant]
    is_awaited = participant.barred_from == NEVER and participant.last_seen >= current.last_closed
    joined = masks.joined + is_awaited
    have_all_joined = 0 < joined == current.remaining
    keys = PublishedKeys(
        event.participant, event.round_key, event.key_commitment, event.mask_commitment, event.shares_hash
    )
    tables.memberships[event.participant] = Membership(event.round, membership.submitted_to, is_awaited)
    tables.masks[event.round] = replace(
        masks,
        keys=(*masks.keys, keys),
        joined=joined,
        is_complete=have_all_joined and len(masks.keys) + 1 >= tables.policy.quorum,
        close_at=close_at,
    )


@apply_event.register
def _(event: e.SurvivorsFixed, tables: Tables) -> None:
    _verify_masked(tables)
    current, masks = tables.rounds[event.round], tables.round_masks(event.round)
    if masks.exclusions is not None or current.status is not RoundStatus.CLOSED:
        raise ValueError("the survivors of a closed round are fixed once")
    departed = len(event.exclusions) + len(event.absentees)
    survivors = current.submissions - len(event.exclusions)
    given = (survivors, len(masks.keys) - departed)
    if given != (event.survivors, survivors) or survivors < 1:
        raise ValueError("survivors and departed are the members of the ring")
    if any(one.index >= current.submissions for one in event.exclusions):
        raise ValueError("exclusions are of submissions")
    fixed = replace(
        masks,
        exclusions=event.exclusions,
        absentees=event.absentees,
        survivors=event.survivors,
        terms=event.terms,
        fixed_by=event.by,
    )
    if event.terms != term_count(fixed, tables.vertices, tables.submissions[event.round]):
        raise ValueError("how many terms there are follows from who stays")
    tables.fixed_in[event.by] = event.round
    tables.masks[event.round] = fixed


@apply_event.register
def _(event: e.SeedsPublished, tables: Tables) -> None:
    _verify_masked(tables)
    masks = tables.round_masks(event.round)
    if masks.exclusions is None or len(event.seeds) != len(masks.keys):
        raise ValueError("one seed of each member is published, once the survivors are fixed")
    tables.masks[event.round] = replace(masks, seeds={**masks.seeds, event.by: event.seeds})


def _verify_in_graph(who: Address, masks: RoundMasks, tables: Tables) -> None:
    if masks.graph is None:
        if not masks.keys and is_graph_needed(tables.policy.aggregation, len(tables.identity_keys)):
            raise ValueError("nobody joins a round of many before its graph is drawn")
    elif tables.vertices[who] >= masks.graph.vertices:
        raise ValueError("whoever joins is in the round's graph")


def _verify_masked(tables: Tables) -> None:
    if not tables.is_masked:
        raise ValueError("only a masked run has masks")


def _count_out_of_ring(tables: Tables, who: Address) -> None:
    """Await a participant's update no longer; what it set up stays."""
    membership, latest = tables.memberships.get(who, Membership()), tables.state.latest
    if membership.keyed_in == latest and membership.is_awaited:
        tables.memberships[who] = replace(membership, is_awaited=False)
        masks = tables.masks[latest]
        tables.masks[latest] = replace(masks, joined=masks.joined - 1)


def _submit_masked(event: e.UpdateSubmitted, tables: Tables) -> None:
    membership = tables.memberships.get(event.participant, Membership())
    if membership.keyed_in != event.round:
        raise ValueError("only members of a round's ring submit to it")
    tables.memberships[event.participant] = replace(membership, submitted_to=event.round)


# ---------------------------------------------------------------------- money


@apply_event.register
def _(event: e.BondDeposited, tables: Tables) -> None:
    free_wei = tables.account(event.account).free_bond_wei
    tables.update_account(event.account, free_bond_wei=free_wei + event.amount_wei)


@apply_event.register
def _(event: e.BondRequested, tables: Tables) -> None:
    free_wei = tables.account(event.account).free_bond_wei
    tables.update_account(event.account, free_bond_wei=free_wei - event.amount_wei)
    _unbond(tables, event.account, event.amount_wei, event.releasable_at, event)


@apply_event.register
def _(event: e.Withdrawn, tables: Tables) -> None:
    released = tables.account(event.account).with_released(event.place.timestamp)
    tables.accounts[event.account] = replace(released, credit_wei=released.credit_wei - event.amount_wei)


@apply_event.register
def _(event: e.RewardClaimed, tables: Tables) -> None:
    tables.claims.append(ClaimedReward(event.round, event.participant, event.to, event.amount_wei))
    # Whether it was earned is for an audit to say.
    tables.unclaimed[event.participant].pop(event.round, None)


def _move_bond(tables: Tables, account: Address, to_free_wei: int) -> None:
    held = tables.account(account)
    tables.update_account(
        account,
        free_bond_wei=held.free_bond_wei + to_free_wei,
        locked_bond_wei=held.locked_bond_wei - to_free_wei,
    )


def _unbond(tables: Tables, account: Address, amount_wei: int, releasable_at: int, event: e.Event) -> None:
    released = tables.account(account).with_released(event.place.timestamp)
    tables.accounts[account] = replace(
        released, unbonding_wei=released.unbonding_wei + amount_wei, releasable_at=releasable_at
    )
