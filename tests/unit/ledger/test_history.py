"""The history that events alone give is, field for field, what the contract says of itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from deployed_runs import DEFINITION, Run, deployed_run, digest_of

from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.commitment.seals import round_digest
from fl_chain.errors import LedgerReverted, MalformedResponse
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet import dev_keys
from fl_chain.ledger.events import PoolFunded, RewardClaimed, RoundOpened, VoidRoundSettled
from fl_chain.ledger.history import History
from fl_chain.records import (
    ZERO_ADDRESS,
    Address,
    ExclusionReason,
    FallReason,
    RewardSplit,
    RoundStatus,
    Submission,
    VoidReason,
    address,
)


def verify_equal(run: Run) -> History:
    """Compare a history, both grown and replayed at once, with every view of the contract."""
    history, ledger = run.ledger.sync(), run.ledger
    verify_rounds(history, ledger)
    verify_people(history, ledger)
    assert history.state == ledger.state()
    assert history.definition == ledger.definition() == DEFINITION
    assert history.policy == ledger.policy() == run.policy
    assert history.operator == ledger.operator() == run.operator.address
    assert history.token == ledger.token() == ZERO_ADDRESS
    assert history.owed_wei == ledger.balance()
    replayed = Ledger.open(run.node, ledger.run.ledger).sync()
    assert vars(replayed) == vars(history)
    return history


def verify_rounds(history: History, ledger: Ledger) -> None:
    for round_id in range(1, history.state.latest + 1):
        current = history.rounds[round_id]
        assert current == ledger.round(round_id)
        assert history.model_root(round_id) == ledger.model_root(round_id)
        submissions = history.submissions[round_id]
        leaves = [submission.leaf for submission in submissions]
        base = history.base_model_roots[round_id]
        verify_falls(history, ledger, round_id)
        assert current.digest == round_digest(history.run, round_id, base, leaves)
        posting = history.postings.get(round_id)
        if posting is not None:
            summary = (posting.poster, posting.finalizable_at, posting.included_weight, posting.included)
            assert summary == ledger.posting_summary(round_id)
            assert sums_hash(posting.partial_sum_roots) == ledger.sums_hash(round_id)
        excluded = {one.index for one in posting.exclusions} if posting else set()
        unclaimed = {one for rewards in history.unclaimed.values() for one in rewards.values()}
        for submission in submissions:
            assert submission.leaf == ledger.leaf(round_id, submission.index)
            assert (submission.index in excluded) == ledger.is_excluded(round_id, submission.index)
            is_final = current.status is RoundStatus.FINAL and submission.index not in excluded
            is_shared = current.status is RoundStatus.VOID and history.bonus_wei(round_id) > 0
            is_due = is_final or is_shared
            is_claimed = ledger.is_claimed(round_id, submission.index)
            assert (submission in unclaimed) == (is_due and not is_claimed)
    beyond = ledger.round(history.state.latest + 1)
    assert beyond == replace(beyond, status=RoundStatus.NONE, submissions=0, remaining=0)
    assert history.genesis == ledger.round(0)


def verify_falls(history: History, ledger: Ledger, round_id: int) -> None:
    assert history.bonus_wei(round_id) == ledger.bonus_wei(round_id)
    objectors = history.objections_to(round_id)
    assert len(objectors) == ledger.objections_to(round_id)
    for submission in history.submissions[round_id]:
        has_objected = ledger.has_objected(round_id, submission.index)
        assert (submission.participant in objectors) == has_objected
    for poster in {posting.poster for posting in history.all_postings}:
        assert history.is_barred(round_id, poster) == ledger.is_barred(round_id, poster)


def verify_people(history: History, ledger: Ledger) -> None:
    for identity, participant in history.participants.items():
        assert participant == ledger.participant(identity)
        assert history.identity_of(participant.signer) == ledger.identity_of(participant.signer) == identity
    for holder, balance in history.accounts.items():
        assert balance == ledger.account(holder)


def test_a_quiet_run(run: Run) -> None:
    for _ in range(3):
        run.play_round()
        verify_equal(run)
    run.wait(run.policy.challenge_s)
    run.ledger.finalize(run.stranger)
    history = verify_equal(run)
    participant = run.participants[1].address
    due = history.unclaimed_rewards(participant)
    assert [one.round for one in due] == [1, 2, 3]
    assert [history.reward_wei(one) for one in due] == [333, 333, 333]
    run.ledger.claim(run.stranger, participant, due[:2])
    history = verify_equal(run)
    assert history.claimed_wei(participant) == 666
    assert [claim.round for claim in history.claims_of(participant)] == [1, 2]
    assert [one.round for one in history.unclaimed_rewards(participant)] == [3]
    assert history.reward_wei(history.submissions[3][0]) == 333
    assert history.all_postings == [history.postings[number] for number in (1, 2, 3)]
    assert history.settlements[1].dust_wei == 1
    assert set(history.seeds) == {1, 2, 3}


def test_exclusions_and_a_vanished_aggregator() -> None:
    with deployed_run(reward_split=RewardSplit.DECLARED_WEIGHT) as run:
        run.start(4)
        run.ledger.deposit_bond(run.stranger, 20_000)
        for number in range(4):
            run.submit(number, weight=number + 1)
        run.wait(run.policy.posting_s)
        run.post(
            1,
            excluded=[(1, ExclusionReason.UNREADABLE), (3, ExclusionReason.BY_RULE)],
            account=run.stranger,
        )
        history = verify_equal(run)
        assert history.state.aggregator == run.stranger.address
        assert [one.reason for one in history.postings[1].exclusions] == [1, 3]
        run.wait(run.policy.challenge_s)
        run.ledger.finalize(run.aggregator)
        history = verify_equal(run)
        rewards = [history.reward_wei(submission) for submission in history.submissions[1]]
        assert rewards == [250, 0, 750, 0]
        assert history.unclaimed_rewards(run.participants[3].address) == []


def test_a_round_below_quorum_and_one_that_nobody_posted(run: Run) -> None:
    run.submit(0)
    run.wait(run.policy.submission_s)
    run.ledger.close_round(run.stranger, 1)
    history = verify_equal(run)
    assert history.voids == {1: VoidReason.BELOW_QUORUM}
    assert history.rounds[2].remaining == 3
    run.submit(1)
    run.submit(2)
    run.wait(run.policy.submission_s)
    run.ledger.close_round(run.stranger, 2)
    run.wait(run.policy.posting_s + run.policy.takeover_s)
    run.ledger.void_round(run.stranger, 2)
    history = verify_equal(run)
    assert history.voids[2] is VoidReason.NOT_POSTED
    assert history.state.settled == 0
    run.ledger.finalize(run.stranger)
    assert verify_equal(run).state.settled == 2
    assert history.model_root(2) == bytes(32)
    assert history.model_root(0) == DEFINITION.genesis_model_root


def test_void_rounds_between_final_ones(run: Run) -> None:
    run.play_round()
    for round_id in (2, 3):
        run.wait(run.policy.submission_s)
        run.ledger.close_round(run.stranger, round_id)
    run.play_round()
    verify_equal(run)
    run.wait(run.policy.challenge_s)
    run.ledger.finalize(run.stranger)
    assert verify_equal(run).state.settled == 4


def test_rounds_that_are_settled_to_make_room(run: Run) -> None:
    for _ in range(4):
        run.play_round()
    assert run.ledger.state().latest == 4
    run.wait(run.policy.challenge_s)
    run.ledger.open_round(run.stranger)
    assert verify_equal(run).state.settled == 1
    run.wait(run.policy.submission_s)
    for _ in range(4):
        latest = run.ledger.state().latest
        run.ledger.close_round(run.stranger, latest)
        verify_equal(run)
        run.wait(run.policy.submission_s)


def test_a_posting_that_is_proven_wrong(run: Run) -> None:
    run.submit(0)
    run.submit(1)
    proof = run.submit_beyond_bounds(2)
    run.post(1)
    run.submit(0)
    assert verify_equal(run).state.tip == 1
    with pytest.raises(LedgerReverted, match="NothingWrong"):
        run.ledger.try_challenge(run.stranger.address, 1, replace(proof, lane=1))
    gas = run.ledger.try_challenge(run.stranger.address, 1, proof)
    receipt = run.ledger.challenge(run.stranger, 1, proof)
    assert receipt.gas_used <= gas <= 1.3 * receipt.gas_used
    history = verify_equal(run)
    (fallen,) = history.fallen
    assert fallen.posting == history.all_postings[0]
    assert (fallen.reason, fallen.challenger) == (FallReason.RANGE, run.stranger.address)
    assert (fallen.challenge_reward_wei, fallen.bonus_wei) == (500, 4500)
    assert fallen.place.block_number == receipt.block_number
    assert (history.state.active, history.state.tip, history.state.latest) == (1, 0, 2)
    assert history.voids == {2: VoidReason.BASE_FELL}
    assert history.rounds[2].returning == 3
    assert history.account(run.stranger.address).credit_wei == 500
    assert history.base_model_roots[2] == fallen.posting.model_root != history.model_root(1)

    run.ledger.deposit_bond(run.stranger, 5000)
    run.wait(run.policy.publication_s)
    run.post(1, excluded=[(2, ExclusionReason.OUT_OF_RANGE)], account=run.stranger)
    assert verify_equal(run).rounds[3].remaining == 3
    run.wait(run.policy.challenge_s)
    run.ledger.finalize(run.stranger)
    history = verify_equal(run)
    assert history.settlements[1].reward_wei == 5500
    rewards = [history.reward_wei(submission) for submission in history.submissions[1]]
    assert rewards == [2750, 2750, 0]
    run.ledger.claim(run.stranger, run.participants[0].address, history.submissions[1][:1])
    assert verify_equal(run).claimed_wei(run.participants[0].address) == 2750


def test_a_fallen_round_that_nobody_posts_again(run: Run) -> None:
    run.submit(0)
    run.submit(1)
    proof = run.submit_beyond_bounds(2)
    run.post(1)
    run.ledger.challenge(run.aggregator, 1, proof)
    run.wait(run.policy.posting_s + run.policy.takeover_s)
    run.ledger.void_round(run.stranger, 1)
    history = verify_equal(run)
    assert history.voids == {1: VoidReason.NOT_POSTED, 2: VoidReason.BASE_FELL}
    assert [history.reward_wei(one) for one in history.submissions[1]] == [1500, 1500, 1500]
    who = run.participants[2].address
    assert history.unclaimed_rewards(who) == history.submissions[1][2:]
    run.ledger.claim(run.stranger, who, history.unclaimed_rewards(who))
    assert verify_equal(run).unclaimed_rewards(who) == []


def test_a_posting_that_the_submitters_reject(run: Run) -> None:
    run.play_round()
    run.object(1, 0)
    history = verify_equal(run)
    assert history.objections == {(1, 0): [run.participants[0].address]}
    run.object(1, 2)
    history = verify_equal(run)
    (fallen,) = history.fallen
    assert (fallen.reason, fallen.challenger) == (FallReason.OBJECTIONS, ZERO_ADDRESS)
    assert history.account(run.aggregator.address).free_bond_wei == 50_000
    assert history.objections_to(1) == []
    with pytest.raises(LedgerReverted, match="Barred"):
        run.post(1)
    run.ledger.deposit_bond(run.stranger, 5000)
    run.post(1, account=run.stranger)
    history = verify_equal(run)
    assert [one.posting_number for one in history.all_postings] == [0, 1]
    run.object(1, 0)
    assert len(verify_equal(run).objections_to(1)) == 1


def test_people_come_and_go(run: Run) -> None:
    ledger, first, second = run.ledger, run.participants[0], run.participants[1]
    late, later = run.participants[3], run.participants[4]
    run.submit(0)
    ledger.admit(run.operator, late.address, 7)
    verify_equal(run)
    ledger.leave(first)
    verify_equal(run)
    ledger.register(first, later.address)
    verify_equal(run)
    ledger.suspend(run.operator, second.address)
    verify_equal(run)
    ledger.suspend(run.operator, late.address)
    verify_equal(run)
    run.submit(2)
    history = verify_equal(run)
    assert history.rounds[1].status is RoundStatus.CLOSED
    ledger.admit(run.operator, second.address, 44)
    ledger.admit(run.operator, late.address, 8)
    ledger.register(late, late.address)
    ledger.change_payout(late, later.address)
    verify_equal(run)
    run.post(1)
    history = verify_equal(run)
    assert history.weight_cap_at(history.submissions[1][0]) == 10
    ledger.suspend(run.operator, second.address)
    ledger.leave(second)
    verify_equal(run)
    assert history.participants[second.address].registered is False
    run.submit(0)
    run.submit(2)
    ledger.leave(late)
    assert verify_equal(run).rounds[2].status is RoundStatus.CLOSED


def test_a_signing_key_is_rotated(run: Run) -> None:
    old, new = run.participants[0], run.participants[5]
    run.ledger.request_signer_rotation(old, new.address)
    history = verify_equal(run)
    assert history.rotations[old.address].signer == new.address
    run.ledger.request_signer_rotation(old, old.address)
    assert verify_equal(run).rotations == {}
    run.ledger.request_signer_rotation(old, new.address)
    run.wait(run.policy.unbonding_s)
    run.ledger.rotate_signer(new, old.address)
    history = verify_equal(run)
    assert history.identity_of(new.address) == old.address
    assert history.identity_of(old.address) == old.address
    assert run.ledger.identity_of(old.address) == ZERO_ADDRESS


def test_bonds_are_asked_back_and_paid(run: Run) -> None:
    run.play_round()
    run.ledger.request_bond(run.aggregator, 1000)
    verify_equal(run)
    run.wait(run.policy.unbonding_s)
    run.ledger.request_bond(run.aggregator, 10)
    history = verify_equal(run)
    assert history.accounts[run.aggregator.address].credit_wei == 1000
    run.ledger.finalize(run.stranger)
    run.ledger.withdraw(run.stranger, run.aggregator.address)
    verify_equal(run)
    run.wait(run.policy.unbonding_s)
    run.ledger.withdraw(run.stranger, run.aggregator.address)
    assert verify_equal(run).accounts[run.aggregator.address].unbonding_wei == 0
    run.ledger.leave(run.participants[0])
    run.wait(run.policy.unbonding_s)
    verify_equal(run)
    run.ledger.withdraw(run.stranger, run.participants[0].address)
    verify_equal(run)


def test_the_end_of_a_run(run: Run) -> None:
    run.play_round()
    run.ledger.announce_end(run.operator)
    verify_equal(run)
    run.play_round()
    run.play_round()
    run.wait(run.policy.challenge_s)
    run.ledger.finalize(run.stranger)
    history = verify_equal(run)
    assert history.state.latest == 3 == history.state.settled == history.state.ends_after
    assert run.ledger.has_ended()
    run.ledger.withdraw_pool(run.operator, run.stranger.address)
    assert verify_equal(run).state.pool_wei == 0


@pytest.mark.parametrize("seed", range(2))
def test_a_run_at_random(seed: int) -> None:
    """Whatever happens, and whoever is refused, the history stays what the contract says."""
    rng = random.Random(seed)
    with deployed_run(max_unfinal_rounds=3, quorum=2) as run:
        run.start(5)
        run.ledger.deposit_bond(run.stranger, 50_000)
        run.ledger.admit(run.operator, run.participants[5].address, 5)
        accepted = 0
        for step in range(80):
            try:
                _random_action(run, rng)
                accepted += 1
            except LedgerReverted:
                pass
            if step % 20 == 19:
                verify_equal(run)
        assert accepted > 15


def _random_action(run: Run, rng: random.Random) -> None:
    ledger, number, state = run.ledger, rng.randrange(6), run.ledger.state()
    account, latest, anyone = run.participants[number], state.latest, run.stranger
    holder = rng.choice([account.address, run.aggregator.address])
    actions: list[tuple[int, Callable[[], object]]] = [
        (40, lambda: run.submit(number)),
        (15, lambda: _object(run, rng.choice([1, latest, max(1, latest - 1)]), number)),
        (8, lambda: run.wait(rng.choice([1, 20, 30, 60]))),
        (15, lambda: _post(run, rng, latest)),
        (5, lambda: ledger.close_round(anyone, latest)),
        (4, lambda: ledger.void_round(anyone, latest)),
        (5, lambda: ledger.finalize(anyone)),
        (3, lambda: ledger.open_round(anyone)),
        (3, lambda: ledger.leave(account)),
        (8, lambda: ledger.register(account, account.address)),
        (3, lambda: ledger.suspend(run.operator, account.address)),
        (6, lambda: ledger.admit(run.operator, account.address, rng.randint(3, 9))),
        (4, lambda: ledger.claim(anyone, account.address, _some_rewards(run, account.address))),
        (3, lambda: ledger.withdraw(anyone, holder)),
        (2, lambda: ledger.request_bond(run.stranger, 100)),
    ]
    rng.choices([action for _, action in actions], [weight for weight, _ in actions])[0]()


def _some_rewards(run: Run, participant: Address) -> list[Submission]:
    return run.ledger.sync().unclaimed_rewards(participant)[:3]


def _object(run: Run, round_id: int, number: int) -> None:
    submissions = run.ledger.sync().submissions[round_id]
    if any(one.participant == run.participants[number].address for one in submissions):
        run.object(round_id, number)


def _post(run: Run, rng: random.Random, latest: int) -> None:
    excluded = [(0, ExclusionReason.BY_RULE)] if rng.random() < 0.4 else []
    if run.ledger.sync().rounds[latest].submissions:
        run.post(latest, excluded=excluded, account=rng.choice([run.aggregator, run.stranger]))


def test_events_that_do_not_fit_together_are_refused(run: Run) -> None:
    run.play_round()
    events = run.ledger.events(0, run.ledger.head().number)
    whole = History(run.ledger.run)
    whole.extend(events)
    assert whole.rounds == run.ledger.sync().rounds
    with pytest.raises(MalformedResponse, match="out of order"):
        whole.extend(events[-1:])
    opened = next(position for position, event in enumerate(events) if isinstance(event, RoundOpened))
    for broken in (events[1:], events[:opened] + events[opened + 1 :], [events[0], events[0]]):
        with pytest.raises(MalformedResponse):
            History(run.ledger.run).extend(broken)
    funded = next(event for event in events if isinstance(event, PoolFunded))
    begun = [replace(funded, place=events[0].place), replace(events[0], place=funded.place)]
    with pytest.raises(MalformedResponse, match="before the run's deployment"):
        History(run.ledger.run).extend(begun)
    late = replace(events[-1].place, block_number=10**6)
    for settled in (1, 2, 99):
        with pytest.raises(MalformedResponse, match="does not follow"):
            whole.extend([VoidRoundSettled(place=late, round=settled)])
    with pytest.raises(MalformedResponse, match="does not follow"):
        whole.extend([replace_round(events[opened])])


def replace_round(event: object) -> RoundOpened:
    assert isinstance(event, RoundOpened)
    place = replace(event.place, block_number=10**6)
    return replace(event, place=place, round=99)


def test_a_reward_that_was_never_earned_is_kept_for_the_audit(run: Run) -> None:
    history = run.ledger.sync()
    last = run.ledger.events(0, run.ledger.head().number)[-1]
    place = replace(last.place, block_number=10**6)
    who = run.participants[0].address
    history.extend([RewardClaimed(place, 1, who, who, 5)])
    assert [claim.amount_wei for claim in history.claims] == [5]


def test_histories_of_two_runs_on_one_chain_are_apart(run: Run) -> None:
    with deployed_run() as other:
        other.start()
        assert other.ledger.sync().rounds.keys() == run.ledger.sync().rounds.keys()
    stranger = Account(run.node, dev_keys()[2])
    assert run.ledger.sync().identity_of(stranger.address) == stranger.address
    assert digest_of(1) != digest_of(2)
    assert address(stranger.address.upper().replace("0X", "0x")) == stranger.address
    funded = [one for one in run.ledger.events(0, 99) if isinstance(one, PoolFunded)]
    assert [one.amount_wei for one in funded] == [100_000]
