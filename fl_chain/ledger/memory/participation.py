"""Who takes part: admission, registration, suspension, keys, leaving."""

from __future__ import annotations

from fl_chain.ledger import events as e
from fl_chain.ledger.memory.money import unbond
from fl_chain.ledger.memory.records import Member, Message, refused
from fl_chain.ledger.memory.rounds import close_if_complete
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.ledger.views import NEVER, SignerRotation
from fl_chain.records import ZERO_ADDRESS, Address, RoundStatus

MOST_PARTICIPANTS = 2**16 - 1


def admit(state: LedgerState, message: Message, participant: Address, weight_cap: int) -> None:
    """Admit a participant, or reinstate one whose suspension has taken effect."""
    state.verify_operator(message)
    if participant == ZERO_ADDRESS:
        raise refused("ZeroAddress")
    limit = state.policy.highest_weight_cap
    if not 1 <= weight_cap <= limit:
        raise refused("WeightCapOutOfBounds", weightCap=weight_cap, highestCap=limit)
    member = state.members.get(participant) or _new_member(state, participant)
    if member.is_admitted:
        raise refused("AlreadyAdmitted", participant=participant)
    if member.barred_from:
        is_open = state.latest.status is RoundStatus.OPEN
        if is_open and member.barred_from > state.standing.latest:
            raise refused("SuspensionPending", participant=participant, fromRound=member.barred_from)
        state.update_member(participant, barred_from=NEVER)
        state.update_standing(registered=state.standing.registered + 1)

    state.update_member(participant, is_admitted=True, weight_cap=weight_cap)
    state.expect(participant)

    state.emit(message, e.ParticipantAdmitted, participant, weight_cap)


def _new_member(state: LedgerState, participant: Address) -> Member:
    if participant in state.identities:
        raise refused("SignerTaken", signer=participant)
    if len(state.members) == MOST_PARTICIPANTS:
        raise refused("TooManyParticipants", admitted=MOST_PARTICIPANTS)
    member = Member(signer=participant)
    state.journal.put(state.members, participant, member)
    state.journal.put(state.identities, participant, participant)
    return member


def suspend(state: LedgerState, message: Message, participant: Address) -> None:
    """Bar a participant from the next round on."""
    state.verify_operator(message)
    member = state.members.get(participant)
    if member is None:
        raise refused("NotAdmitted", participant=participant)
    if not member.is_admitted:
        raise refused("AlreadySuspended", participant=participant)

    from_round = state.standing.latest + 1
    state.update_member(participant, is_admitted=False)
    if member.barred_from:
        state.update_member(participant, barred_from=from_round)
        state.update_standing(registered=state.standing.registered - 1)

    state.emit(message, e.ParticipantSuspended, participant, from_round)

    if state.expect_no_longer(participant):
        close_if_complete(state, message)


def register(state: LedgerState, message: Message, payout: Address) -> None:
    """Register the caller, which was admitted, and take its deposit."""
    participant = state.identities.get(message.caller, ZERO_ADDRESS)
    member = state.members.get(participant)
    if member is not None and member.barred_from:
        raise refused("AlreadyRegistered", participant=participant)
    if member is None or not member.is_admitted:
        raise refused("NotAdmitted", participant=message.caller)
    if payout == ZERO_ADDRESS:
        raise refused("ZeroAddress")

    deposit_wei = state.policy.deposit_wei
    state.update_member(participant, payout=payout, deposit_wei=deposit_wei, barred_from=NEVER)
    state.update_standing(registered=state.standing.registered + 1)
    if not state.is_expected(participant):
        state.expect(participant)

    state.emit(message, e.ParticipantRegistered, participant, payout, deposit_wei)

    state.coin.receive(state.journal, message, state.run.ledger, deposit_wei)


def change_payout(state: LedgerState, message: Message, payout: Address) -> None:
    """Change where a participant's rewards and deposit go."""
    participant, _ = _registered_once(state, message.caller)
    if payout == ZERO_ADDRESS:
        raise refused("ZeroAddress")

    state.update_member(participant, payout=payout)

    state.emit(message, e.PayoutChanged, participant, payout)


def request_signer_rotation(state: LedgerState, message: Message, signer: Address) -> None:
    """Ask for another signing key; the key in use cancels."""
    participant, member = _registered_once(state, message.caller)
    if signer == ZERO_ADDRESS:
        raise refused("ZeroAddress")
    rotation = None
    if signer != member.signer:
        _verify_signer_free(state, signer, participant)
        rotation = SignerRotation(signer, message.now + state.policy.unbonding_s)

    state.update_member(participant, rotation=rotation)

    effective_at = 0 if rotation is None else rotation.effective_at
    state.emit(message, e.SignerRotationRequested, participant, signer, effective_at)


def rotate_signer(state: LedgerState, message: Message, participant: Address) -> None:
    """Put a requested signing key in force; that key calls."""
    member = state.members.get(participant)
    if member is None or member.rotation is None:
        raise refused("NoRotationPending", participant=participant)
    signer, effective_at = member.rotation.signer, member.rotation.effective_at
    if message.caller != signer:
        raise refused("NotRequestedSigner", caller=message.caller, signer=signer)
    if message.now < effective_at:
        raise refused("RotationNotDue", effectiveAt=effective_at)
    _verify_signer_free(state, signer, participant)

    state.journal.drop(state.identities, member.signer)
    state.journal.put(state.identities, signer, participant)
    state.update_member(participant, signer=signer, rotation=None)

    state.emit(message, e.SignerRotated, participant, member.signer, signer)


def leave(state: LedgerState, message: Message) -> None:
    """Leave the run; the deposit is unbonding."""
    participant = state.identities.get(message.caller, ZERO_ADDRESS)
    member = state.members.get(participant)
    if member is None or member.barred_from == 0:
        raise refused("NotRegistered", signer=message.caller)

    state.update_member(participant, deposit_wei=0, barred_from=0)
    unbond(state, message, participant, member.deposit_wei)
    if member.barred_from == NEVER:
        state.update_standing(registered=state.standing.registered - 1)

    state.emit(message, e.ParticipantLeft, participant, member.deposit_wei)

    if state.expect_no_longer(participant):
        close_if_complete(state, message)


def _registered_once(state: LedgerState, signer: Address) -> tuple[Address, Member]:
    participant = state.identities.get(signer, ZERO_ADDRESS)
    member = state.members.get(participant)
    if member is None or member.payout == ZERO_ADDRESS:
        raise refused("NotRegistered", signer=signer)
    return participant, member


def _verify_signer_free(state: LedgerState, signer: Address, participant: Address) -> None:
    """A signing key serves one participant, and an identity's own address serves no other."""
    is_identity_of_other = signer != participant and signer in state.members
    if is_identity_of_other or signer in state.identities:
        raise refused("SignerTaken", signer=signer)
