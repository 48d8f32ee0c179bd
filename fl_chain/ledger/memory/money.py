"""The pool, bonds, credits and rewards."""

from __future__ import annotations

from collections.abc import Sequence

from fl_chain.commitment.seals import leaf
from fl_chain.ledger import events as e
from fl_chain.ledger.memory.records import Claim, Message, StandingPosting, refused, sum_uint128
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.records import ZERO_ADDRESS, Address, RewardSplit, Round, RoundStatus


def fund(state: LedgerState, message: Message, amount_wei: int) -> None:
    """Add money to the pool."""
    if state.is_over(message.now):
        raise refused("RunEnded")

    state.update_standing(pool_wei=sum_uint128(state.standing.pool_wei, amount_wei))

    state.emit(message, e.PoolFunded, message.caller, amount_wei)

    state.coin.receive(state.journal, message, state.run.ledger, amount_wei)


def withdraw_pool(state: LedgerState, message: Message, to: Address) -> None:
    """Pay out what the pool has left after the last round is settled."""
    state.verify_operator(message)
    if to == ZERO_ADDRESS:
        raise refused("ZeroAddress")
    if not has_ended(state, message.now):
        raise refused("RunNotEnded")
    amount_wei = state.standing.pool_wei
    if amount_wei == 0:
        raise refused("NothingToWithdraw", account=message.caller)

    state.update_standing(pool_wei=0)

    state.emit(message, e.PoolWithdrawn, to, amount_wei)

    state.coin.pay(state.journal, state.run.ledger, to, amount_wei)


def has_ended(state: LedgerState, now: int) -> bool:
    """Return whether no round can open and every round is settled."""
    return state.standing.settled == state.standing.latest and state.is_over(now)


def deposit_bond(state: LedgerState, message: Message, amount_wei: int) -> None:
    """Add to the caller's free bond."""
    free_wei = sum_uint128(state.account(message.caller).free_bond_wei, amount_wei)
    state.update_account(message.caller, free_bond_wei=free_wei)

    state.emit(message, e.BondDeposited, message.caller, amount_wei)

    state.coin.receive(state.journal, message, state.run.ledger, amount_wei)


def request_bond(state: LedgerState, message: Message, amount_wei: int) -> None:
    """Ask free bond back."""
    free_wei = state.account(message.caller).free_bond_wei
    if amount_wei == 0:
        raise refused("NothingToWithdraw", account=message.caller)
    if amount_wei > free_wei:
        raise refused("BondTooSmall", freeBondWei=free_wei, bondWei=amount_wei)

    state.update_account(message.caller, free_bond_wei=free_wei - amount_wei)
    releasable_at = unbond(state, message, message.caller, amount_wei)

    state.emit(message, e.BondRequested, message.caller, amount_wei, releasable_at)


def unbond(state: LedgerState, message: Message, holder: Address, amount_wei: int) -> int:
    """Make an account wait for an amount; return until when, chain time in seconds.

    What was asked back earlier and is due becomes credit first, so that asking again does not delay it.
    """
    released = state.account(holder).with_released(message.now)
    releasable_at = message.now + state.policy.unbonding_s
    state.update_account(
        holder,
        credit_wei=released.credit_wei,
        unbonding_wei=released.unbonding_wei + amount_wei,
        releasable_at=releasable_at,
    )
    return releasable_at


def withdraw(state: LedgerState, message: Message, holder: Address) -> None:
    """Pay an account its credit and whatever it asked back that is due."""
    released = state.account(holder).with_released(message.now)
    amount_wei = released.credit_wei
    if amount_wei == 0:
        raise refused("NothingToWithdraw", account=holder)

    member = state.members.get(holder)
    to = holder if member is None or member.payout == ZERO_ADDRESS else member.payout
    state.update_account(holder, credit_wei=0, unbonding_wei=released.unbonding_wei)

    state.emit(message, e.Withdrawn, holder, to, amount_wei)

    state.coin.pay(state.journal, state.run.ledger, to, amount_wei)


def claim(state: LedgerState, message: Message, participant: Address, claims: Sequence[Claim]) -> None:
    """Pay a participant's rewards of final rounds to its payout address."""
    member = state.members.get(participant)
    if member is None or member.payout == ZERO_ADDRESS:
        raise refused("NotRegistered", signer=participant)
    if not claims:
        raise refused("NothingToWithdraw", account=participant)

    total_wei = sum(_claim_one(state, message, participant, member.payout, one) for one in claims)

    state.coin.pay(state.journal, state.run.ledger, member.payout, total_wei)


def _claim_one(state: LedgerState, message: Message, participant: Address, to: Address, one: Claim) -> int:
    current = state.rounds.get(one.round)
    if current is None or not _is_payable(state, current):
        raise refused("NotFinal", round=one.round)
    if leaf(one.sealed_root, one.weight, participant) != state.leaves.get((one.round, one.index)):
        raise refused("LeafMismatch", round=one.round, index=one.index)
    is_final = current.status is RoundStatus.FINAL
    if is_final and one.index in state.excluded_from(current):
        raise refused("ExcludedFromReward", round=one.round, index=one.index)
    if (one.round, one.index) in state.claimed:
        raise refused("AlreadyClaimed", round=one.round, index=one.index)

    if is_final:
        shares = 1 if state.policy.reward_split is RewardSplit.EQUAL else one.weight
        amount_wei = _share_wei(state, current) * shares
    else:
        amount_wei = state.bonuses[one.round] // current.submissions
    state.journal.add(state.claimed, (one.round, one.index))

    state.emit(message, e.RewardClaimed, one.round, participant, to, amount_wei)
    return amount_wei


def _is_payable(state: LedgerState, current: Round) -> bool:
    """Return whether a round pays: a final one its included, a void one its submitters if it has a bonus."""
    has_bonus = state.bonuses.get(current.id, 0) > 0
    return current.status is RoundStatus.FINAL or (current.status is RoundStatus.VOID and has_bonus)


def _whole_reward_wei(state: LedgerState, round_id: int) -> int:
    """Return what a round's included share: the reward, and what fallen bonds have added."""
    return state.policy.reward_wei + state.bonuses.get(round_id, 0)


def _share_wei(state: LedgerState, current: Round) -> int:
    """Return what one included submission earns, or one unit of included weight."""
    return _whole_reward_wei(state, current.id) // _shares(state, state.postings[current.id])


def _shares(state: LedgerState, posting: StandingPosting) -> int:
    is_equal = state.policy.reward_split is RewardSplit.EQUAL
    return posting.included if is_equal else posting.included_weight


def pay_for(state: LedgerState, message: Message, current: Round) -> None:
    """Release a final round's bond, credit its poster, and put the dust of its reward back into the pool."""
    policy, posting = state.policy, state.postings[current.id]
    reward_wei = _whole_reward_wei(state, current.id)
    dust_wei = reward_wei - _share_wei(state, current) * _shares(state, posting)
    held = state.account(posting.poster)
    state.update_account(
        posting.poster,
        free_bond_wei=held.free_bond_wei + policy.bond_wei,
        locked_bond_wei=held.locked_bond_wei - policy.bond_wei,
        credit_wei=held.credit_wei + policy.aggregator_reward_wei,
    )
    state.update_standing(pool_wei=state.standing.pool_wei + dust_wei)

    fields = (current.id, reward_wei, policy.aggregator_reward_wei, dust_wei)
    state.emit(message, e.RoundFinalized, *fields)
