"""The rules of events about the run, its participants and its money."""

from __future__ import annotations

from collections.abc import Iterator

from fl_chain.audit.step_rules import Problem, Walk, differing, problems, unordered
from fl_chain.ledger import events as e
from fl_chain.ledger.views import NEVER, Participant
from fl_chain.records import ZERO_ADDRESS, Address, RoundStatus
from fl_chain.run.keeper import has_ended, is_over

# ---------------------------------------------------------------------- the run


@problems.register
def _(event: e.RunDeployed, walk: Walk) -> Iterator[Problem]:
    if event.aggregator == ZERO_ADDRESS:
        yield unordered("it names no aggregator")


@problems.register
def _(event: e.PoolFunded, walk: Walk) -> Iterator[Problem]:
    if is_over(walk.history, event.place.timestamp):
        yield unordered("the run was over")


@problems.register
def _(event: e.EndAnnounced, walk: Walk) -> Iterator[Problem]:
    state, now = walk.history.state, event.place.timestamp
    if state.ends_after != NEVER:
        yield unordered("the end was announced before")
    yield from differing(
        ends_after=(state.latest + 1, event.ends_after),
        ends_at=(now + walk.history.policy.submission_s, event.ends_at),
    )


@problems.register
def _(event: e.PoolWithdrawn, walk: Walk) -> Iterator[Problem]:
    if not has_ended(walk.history, event.place.timestamp):
        yield unordered("the run had not ended")
    yield from differing(amount_wei=(walk.history.state.pool_wei, event.amount_wei))


@problems.register
def _(event: e.AggregatorNamed, walk: Walk) -> Iterator[Problem]:
    posted = walk.previous
    if not isinstance(posted, e.RoundPosted) or event.aggregator == walk.history.state.aggregator:
        yield unordered("nobody else has just posted")
        return
    yield from differing(aggregator=(posted.poster, event.aggregator))


# ---------------------------------------------------------------------- participants


@problems.register
def _(event: e.ParticipantAdmitted, walk: Walk) -> Iterator[Problem]:
    history = walk.history
    known = history.participants.get(event.participant)
    if not 1 <= event.weight_cap <= history.policy.highest_weight_cap:
        yield unordered(f"a cap of {event.weight_cap} is out of bounds")
    if known is None:
        if event.participant in history.identities:
            yield unordered("the address signs for another participant")
        return
    if known.barred_from == NEVER or (known.barred_from == 0 and known.admitted):
        yield unordered("it was admitted before")
    latest = history.round_or_genesis(history.state.latest)
    is_pending = known.barred_from not in (0, NEVER) and known.barred_from > latest.id
    if is_pending and latest.status is RoundStatus.OPEN:
        yield unordered("its suspension had not taken effect")


@problems.register
def _(event: e.ParticipantRegistered, walk: Walk) -> Iterator[Problem]:
    known = _participant(walk, event.participant)
    if known.barred_from != 0 or not known.admitted:
        yield unordered("it was not admitted, or registered before")
    if event.payout == ZERO_ADDRESS:
        yield unordered("it names no payout address")
    yield from differing(deposit_wei=(walk.history.policy.deposit_wei, event.deposit_wei))


@problems.register
def _(event: e.ParticipantSuspended, walk: Walk) -> Iterator[Problem]:
    if not _participant(walk, event.participant).admitted:
        yield unordered("it was not admitted")
    yield from differing(from_round=(walk.history.state.latest + 1, event.from_round))


@problems.register
def _(event: e.ParticipantLeft, walk: Walk) -> Iterator[Problem]:
    known = _participant(walk, event.participant)
    if known.barred_from == 0:
        yield unordered("it was not registered")
    yield from differing(deposit_wei=(known.deposit_wei, event.deposit_wei))


@problems.register
def _(event: e.PayoutChanged, walk: Walk) -> Iterator[Problem]:
    if ZERO_ADDRESS in (_participant(walk, event.participant).payout, event.payout):
        yield unordered("it never registered, or names no address")


@problems.register
def _(event: e.SignerRotationRequested, walk: Walk) -> Iterator[Problem]:
    history, known = walk.history, _participant(walk, event.participant)
    if known.payout == ZERO_ADDRESS:
        yield unordered("it never registered")
    is_cancelled = event.signer == known.signer
    if not is_cancelled and not _is_free(walk, event.signer, event.participant):
        yield unordered("the key serves another participant")
    due_at = 0 if is_cancelled else event.place.timestamp + history.policy.unbonding_s
    yield from differing(effective_at=(due_at, event.effective_at))


@problems.register
def _(event: e.SignerRotated, walk: Walk) -> Iterator[Problem]:
    requested = walk.history.rotations.get(event.participant)
    if requested is None:
        yield unordered("nobody asked for another key")
        return
    if event.place.timestamp < requested.effective_at:
        yield unordered("it was not due")
    if not _is_free(walk, event.signer, event.participant):
        yield unordered("the key serves another participant")
    known = _participant(walk, event.participant)
    yield from differing(
        signer=(requested.signer, event.signer), previous_signer=(known.signer, event.previous_signer)
    )


def _participant(walk: Walk, who: Address) -> Participant:
    nobody = Participant(who, ZERO_ADDRESS, 0, 0, 0, False, False, 0)
    return walk.history.participants.get(who, nobody)


def _is_free(walk: Walk, signer: Address, participant: Address) -> bool:
    history = walk.history
    is_identity_of_other = signer != participant and signer in history.participants
    return not is_identity_of_other and signer not in history.identities


# ---------------------------------------------------------------------- money


@problems.register
def _(event: e.BondDeposited, walk: Walk) -> Iterator[Problem]:
    yield from ()  # anyone may, at any time, any amount


@problems.register
def _(event: e.BondRequested, walk: Walk) -> Iterator[Problem]:
    history = walk.history
    if not 0 < event.amount_wei <= history.account(event.account).free_bond_wei:
        yield unordered("there was not so much free bond")
    releasable_at = event.place.timestamp + history.policy.unbonding_s
    yield from differing(releasable_at=(releasable_at, event.releasable_at))


@problems.register
def _(event: e.Withdrawn, walk: Walk) -> Iterator[Problem]:
    released = walk.history.account(event.account).with_released(event.place.timestamp)
    payout = _participant(walk, event.account).payout
    yield from differing(
        amount_wei=(released.credit_wei, event.amount_wei),
        to=(event.account if payout == ZERO_ADDRESS else payout, event.to),
    )


@problems.register
def _(event: e.RewardClaimed, walk: Walk) -> Iterator[Problem]:
    history = walk.history
    current = history.rounds.get(event.round)
    is_shared = current is not None and current.status is RoundStatus.VOID and history.bonus_wei(event.round)
    if current is None or not (current.status is RoundStatus.FINAL or is_shared):
        yield unordered("the round paid nothing yet")
    yield from differing(to=(_participant(walk, event.participant).payout, event.to))
