"""Submitting to a round, closing it, voiding it."""

from __future__ import annotations

import hashlib

from fl_chain.commitment.seals import fold, leaf
from fl_chain.ledger import events as e
from fl_chain.ledger.memory.records import Message, refused
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.ledger.memory.succession import open_if_possible, reserved_wei
from fl_chain.ledger.views import NEVER
from fl_chain.records import ZERO_ADDRESS, Address, Digest, Round, RoundStatus, VoidReason


def verify_status(state: LedgerState, round_id: int, status: RoundStatus) -> Round:
    """Return a round after checking its status."""
    current = state.rounds.get(round_id)
    found = RoundStatus.NONE if current is None else current.status
    if current is None or found is not status:
        raise refused("WrongStatus", round=round_id, status=int(found))
    return current


# ---------------------------------------------------------------------- submitting


def submit(
    state: LedgerState,
    message: Message,
    round_id: int,
    *,
    base_model_root: Digest,
    sealed_root: Digest,
    weight: int,
) -> None:
    """Take the caller's update into the open round."""
    participant = state.identities.get(message.caller, ZERO_ADDRESS)
    current, total_weight = _verify_submission(
        state, message, round_id, participant, base_model_root=base_model_root, weight=weight
    )

    submitted = leaf(sealed_root, weight, participant)
    index = current.submissions
    state.journal.put(state.leaves, (round_id, index), submitted)
    state.journal.add(state.submitted, participant)
    if participant in state.awaited:
        state.journal.remove(state.awaited, participant)
    if state.members[participant].barred_from == NEVER:
        state.journal.add(state.returning, participant)
    state.update_member(participant, last_seen=round_id)
    state.update_round(
        round_id,
        submissions=index + 1,
        remaining=len(state.awaited),
        returning=len(state.returning),
        total_weight=total_weight,
        digest=fold(current.digest, submitted),
    )

    state.emit(message, e.UpdateSubmitted, round_id, participant, index, weight, sealed_root)

    close_if_complete(state, message)


def _verify_submission(
    state: LedgerState,
    message: Message,
    round_id: int,
    participant: Address,
    *,
    base_model_root: Digest,
    weight: int,
) -> tuple[Round, int]:
    """Return the open round and what its weights add up to with this submission."""
    member = state.members.get(participant)
    if member is None or member.barred_from == 0:
        raise refused("NotRegistered", signer=message.caller)
    barred_from = member.barred_from
    if barred_from <= round_id:
        raise refused("ParticipantSuspendedFrom", participant=participant, fromRound=barred_from)
    current = verify_status(state, round_id, RoundStatus.OPEN)
    deadline = current.since + state.policy.submission_s
    if message.now >= deadline:
        raise refused("DeadlinePassed", round=round_id, deadline=deadline)
    if participant in state.submitted:
        raise refused("AlreadySubmitted", round=round_id, participant=participant)
    expected_root = state.model_root(current.base_round)
    if base_model_root != expected_root:
        raise refused("WrongBaseModel", given=base_model_root, expected=expected_root)
    if not 1 <= weight <= member.weight_cap:
        raise refused("WeightOutOfBounds", weight=weight, weightCap=member.weight_cap)
    total_weight, limit = current.total_weight + weight, state.policy.max_total_weight
    if total_weight > limit:
        raise refused("TotalWeightExceeded", totalWeight=total_weight, maxTotalWeight=limit)
    return current, total_weight


# ---------------------------------------------------------------------- closing


def close_round(state: LedgerState, message: Message, round_id: int) -> None:
    """Close a round after its deadline, or void it below the quorum."""
    current = verify_status(state, round_id, RoundStatus.OPEN)
    deadline = current.since + state.policy.submission_s
    if message.now < deadline:
        raise refused("DeadlineNotPassed", round=round_id, deadline=deadline)

    if current.submissions >= state.policy.quorum:
        _close(state, message)
        return
    _void_active(state, message, round_id, VoidReason.BELOW_QUORUM)


def close_if_complete(state: LedgerState, message: Message) -> None:
    """Close the open round where it need not wait for anybody."""
    if state.is_complete():
        _close(state, message)


def _close(state: LedgerState, message: Message) -> None:
    current = state.latest
    state.update_round(current.id, status=RoundStatus.CLOSED, since=message.now)
    state.journal.assign(state, "awaited", set())
    state.update_standing(last_closed=current.id)

    seed = Digest(hashlib.sha256(message.prevrandao + current.digest).digest())
    fields = (current.id, current.digest, seed, current.submissions, current.total_weight, current.returning)
    state.emit(message, e.RoundClosed, *fields)


def void_round(state: LedgerState, message: Message, round_id: int) -> None:
    """Void a closed round that nobody posted in time."""
    current = verify_status(state, round_id, RoundStatus.CLOSED)
    deadline = posting_deadline(state, current)
    if message.now < deadline:
        raise refused("DeadlineNotPassed", round=round_id, deadline=deadline)
    _void_active(state, message, round_id, VoidReason.NOT_POSTED)


def posting_deadline(state: LedgerState, current: Round) -> int:
    """Return the chain time in seconds from which a closed round cannot be posted any more."""
    return current.since + state.policy.posting_s + state.policy.takeover_s


def _void_active(state: LedgerState, message: Message, round_id: int, reason: VoidReason) -> None:
    state.update_standing(active=0)
    void(state, message, round_id, reason)
    open_if_possible(state, message)


def void(state: LedgerState, message: Message, round_id: int, reason: VoidReason) -> None:
    """Make a round count for nothing.

    Its reserve goes back to the pool, and of its bonus whatever its submitters cannot share equally.
    """
    current = state.rounds[round_id]
    if current.status is RoundStatus.OPEN:
        # It never closed, so whoever it expected is expected again.
        state.journal.assign(state, "returning", state.returning | state.awaited)
        state.journal.assign(state, "awaited", set())
        state.count_expected()
    bonus_wei = state.bonuses.get(round_id, 0)
    dust_wei = bonus_wei % current.submissions if bonus_wei else 0
    state.update_round(round_id, status=RoundStatus.VOID, since=message.now)
    state.update_standing(pool_wei=state.standing.pool_wei + reserved_wei(state) + dust_wei)

    state.emit(message, e.RoundVoided, round_id, reason)
