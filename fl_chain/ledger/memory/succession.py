"""Which round opens when, in what order rounds become final, and when the run ends."""

from __future__ import annotations

from fl_chain.commitment.seals import initial_digest
from fl_chain.errors import LedgerReverted
from fl_chain.ledger import events as e
from fl_chain.ledger.memory.money import pay_for
from fl_chain.ledger.memory.records import Message, refused
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.ledger.views import NEVER
from fl_chain.records import Round, RoundStatus

# ---------------------------------------------------------------------- opening


def open_round(state: LedgerState, message: Message) -> None:
    """Open the next round, or say what keeps it from opening."""
    _settle_if_full(state, message)
    obstacle = _obstacle(state, message)
    if obstacle is not None:
        raise obstacle
    _open(state, message)


def open_if_possible(state: LedgerState, message: Message) -> None:
    """Open the next round where nothing keeps it from opening."""
    _settle_if_full(state, message)
    if _obstacle(state, message) is None:
        _open(state, message)


def reserved_wei(state: LedgerState) -> int:
    """Return what the pool sets aside for one round."""
    return state.policy.reward_wei + state.policy.aggregator_reward_wei


def _obstacle(state: LedgerState, message: Message) -> LedgerReverted | None:
    standing, policy = state.standing, state.policy
    if standing.active:
        return refused("RoundInProgress", round=standing.active)
    if state.is_over(message.now):
        return _end(state)
    if standing.registered < policy.quorum:
        return refused("TooFewParticipants", registered=standing.registered, quorum=policy.quorum)
    if standing.latest - standing.settled >= policy.max_unfinal_rounds:
        return refused("TooManyUnfinalRounds", latest=standing.latest, settled=standing.settled)
    if standing.pool_wei < reserved_wei(state):
        return refused("PoolTooSmall", poolWei=standing.pool_wei, neededWei=reserved_wei(state))
    return None


def _end(state: LedgerState) -> LedgerReverted:
    policy, opened = state.policy, state.standing.latest
    if not policy.is_budget_spent(opened):
        return refused("RunEnded")
    needed = policy.spent_rho_micro(opened + 1)
    return refused("PrivacyBudgetSpent", neededRhoMicro=needed, budgetRhoMicro=policy.rho_micro_budget)


def _open(state: LedgerState, message: Message) -> None:
    standing, journal = state.standing, state.journal
    round_id, base = standing.latest + 1, standing.tip
    base_model_root = state.model_root(base)
    opened = Round(
        id=round_id,
        status=RoundStatus.OPEN,
        posting_number=0,
        since=message.now,
        submissions=0,
        remaining=len(state.returning),
        returning=0,
        total_weight=0,
        last_closed=standing.last_closed,
        base_round=base,
        step=state.rounds[base].step + 1,
        digest=initial_digest(state.run, round_id, base_model_root),
    )
    journal.put(state.rounds, round_id, opened)
    journal.assign(state, "awaited", state.returning)
    journal.assign(state, "returning", set())
    journal.assign(state, "submitted", set())
    pool_wei = standing.pool_wei - reserved_wei(state)
    state.update_standing(latest=round_id, active=round_id, pool_wei=pool_wei)

    deadline = message.now + state.policy.submission_s
    fields = (round_id, base, base_model_root, opened.step, deadline, opened.remaining)
    state.emit(message, e.RoundOpened, *fields)


# ---------------------------------------------------------------------- finality and the end


def announce_end(state: LedgerState, message: Message) -> None:
    """Announce the end: one more round may open, within the time that a submission has."""
    state.verify_operator(message)
    if state.standing.ends_after != NEVER:
        raise refused("EndAlreadyAnnounced")

    ends_after, ends_at = state.standing.latest + 1, message.now + state.policy.submission_s
    state.update_standing(ends_after=ends_after, ends_at=ends_at)

    state.emit(message, e.EndAnnounced, ends_after, ends_at)


def finalize(state: LedgerState, message: Message) -> None:
    """Settle rounds in order: posted ones whose window is over become final, void ones are passed."""
    settled = state.standing.settled
    _settle(state, message, state.standing.latest)
    if state.standing.settled == settled:
        raise refused("NothingToFinalize", settled=settled)


def _settle_if_full(state: LedgerState, message: Message) -> None:
    standing = state.standing
    if standing.latest - standing.settled >= state.policy.max_unfinal_rounds:
        _settle(state, message, standing.settled + 1)


def _settle(state: LedgerState, message: Message, last: int) -> None:
    for round_id in range(state.standing.settled + 1, last + 1):
        current = state.rounds[round_id]
        if current.status is RoundStatus.POSTED:
            if message.now < state.postings[round_id].finalizable_at:
                return
            state.update_round(round_id, status=RoundStatus.FINAL, since=message.now)
            pay_for(state, message, current)
        elif current.status is RoundStatus.VOID:
            state.emit(message, e.VoidRoundSettled, round_id)
        else:
            return
        state.update_standing(settled=round_id)
