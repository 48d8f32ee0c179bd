"""Taking down a posting: by a proof, or by more than half of those who submitted."""

from __future__ import annotations

from fl_chain.aggregation.challenges import challenges_of, verify_proof
from fl_chain.commitment.proofs import PostedRound, Proof
from fl_chain.commitment.seals import leaf
from fl_chain.errors import ProofRejected
from fl_chain.ledger import events as e
from fl_chain.ledger.memory.records import Message, refused
from fl_chain.ledger.memory.rounds import verify_status, void
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.records import ZERO_ADDRESS, Address, Digest, FallReason, Round, RoundStatus, VoidReason


def challenge(state: LedgerState, message: Message, round_id: int, proof: Proof) -> None:
    """Take down a posting that a proof shows to be wrong; its poster loses the bond."""
    kind = state.policy.aggregation
    if proof.reason not in challenges_of(kind):
        raise refused("NoSuchChallenge", aggregation=kind)
    current = _verify_window(state, message, round_id)
    try:
        verify_proof(proof, _posted_round(state, current))
    except ProofRejected as error:
        raise refused(error.name, **error.arguments) from error
    _fall(state, message, current, proof.reason, message.caller)


def _verify_window(state: LedgerState, message: Message, round_id: int) -> Round:
    """Return a posted round after checking that its posting can still fall."""
    current = verify_status(state, round_id, RoundStatus.POSTED)
    finalizable_at = state.postings[round_id].finalizable_at
    if message.now >= finalizable_at:
        raise refused("ChallengeWindowClosed", round=round_id, finalizableAt=finalizable_at)
    return current


def _posted_round(state: LedgerState, current: Round) -> PostedRound:
    posting = state.postings[current.id]
    return PostedRound(
        run=state.run,
        round=current.id,
        dimension=state.definition.dimension,
        quantisation=state.policy.quantisation,
        leaves=[state.leaves[current.id, index] for index in range(current.submissions)],
        excluded=state.excluded_from(current),
        included_weight=posting.included_weight,
        sums_hash=posting.sums_hash,
        base_model_root=state.model_root(current.base_round),
        model_root=posting.model_root,
    )


def object_to(
    state: LedgerState,
    message: Message,
    round_id: int,
    model_root: Digest,
    *,
    index: int,
    weight: int,
    sealed_root: Digest,
) -> None:
    """Count a submitter's objection to the posting that stands; more than half of them take it down.

    Who left or is suspended by now may object to a round that it submitted to.
    """
    current = _verify_window(state, message, round_id)
    posted_root = state.postings[round_id].model_root
    if model_root != posted_root:
        raise refused("WrongModel", given=model_root, expected=posted_root)
    participant = state.identities.get(message.caller, ZERO_ADDRESS)
    if leaf(sealed_root, weight, participant) != state.leaves.get((round_id, index)):
        raise refused("LeafMismatch", round=round_id, index=index)
    objected = state.objectors_to(current)
    if index in objected:
        raise refused("AlreadyObjected", round=round_id, participant=participant)

    key = (round_id, current.posting_number)
    state.journal.put(state.objected, key, objected | {index})
    count = len(objected) + 1

    state.emit(message, e.PostingObjected, *key, participant, count)

    if 2 * count > current.submissions:
        _fall(state, message, current, FallReason.OBJECTIONS, ZERO_ADDRESS)


def _fall(
    state: LedgerState, message: Message, current: Round, reason: FallReason, challenger: Address
) -> None:
    """Reopen a round under its next posting number, and void what was built on its model."""
    policy, poster = state.policy, state.postings[current.id].poster
    challenge_reward_wei = bonus_wei = 0
    if reason is FallReason.OBJECTIONS:
        _free_bond(state, current.id)
    else:
        challenge_reward_wei = policy.challenge_reward_wei
        bonus_wei = policy.bond_wei - challenge_reward_wei
        locked_wei = state.account(poster).locked_bond_wei - policy.bond_wei
        state.update_account(poster, locked_bond_wei=locked_wei)
        credit_wei = state.account(challenger).credit_wei + challenge_reward_wei
        state.update_account(challenger, credit_wei=credit_wei)
        state.journal.put(state.bonuses, current.id, state.bonuses.get(current.id, 0) + bonus_wei)
    state.journal.drop(state.postings, current.id)
    state.journal.add(state.barred, (current.id, poster))
    state.update_round(
        current.id,
        status=RoundStatus.CLOSED,
        posting_number=current.posting_number + 1,
        since=message.now,
    )
    state.update_standing(tip=current.base_round, active=current.id)

    number = current.posting_number
    fields = (current.id, number, poster, challenger, reason, challenge_reward_wei, bonus_wei)
    state.emit(message, e.PostingFell, *fields)

    for later in range(current.id + 1, state.standing.latest + 1):
        status = state.rounds[later].status
        if status is RoundStatus.POSTED:
            _free_bond(state, later)
            state.journal.drop(state.postings, later)
        if status is not RoundStatus.VOID:
            void(state, message, later, VoidReason.BASE_FELL)


def _free_bond(state: LedgerState, round_id: int) -> None:
    poster, bond_wei = state.postings[round_id].poster, state.policy.bond_wei
    held = state.account(poster)
    state.update_account(
        poster,
        free_bond_wei=held.free_bond_wei + bond_wei,
        locked_bond_wei=held.locked_bond_wei - bond_wei,
    )
