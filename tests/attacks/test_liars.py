"""Aggregators that lie in a running consortium: workers find them out by themselves, and the run goes on."""

from collections.abc import Iterator
from pathlib import Path

import liars
import numpy as np
import pytest
from consortium import Consortium, policy
from liars import Liar, Lie

from fl_chain.aggregator import Aggregator, AggregatorParts
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.data.orange_juice import OWNERS
from fl_chain.ledger.history import History
from fl_chain.records import Exclusion, ExclusionReason, FallReason, Opening, RoundStatus, VoidReason

HONEST, ODD = OWNERS[:4], OWNERS[4]
OUT_OF_RANGE = (Exclusion(0, ExclusionReason.OUT_OF_RANGE),)
UNREADABLE = (Exclusion(0, ExclusionReason.UNREADABLE),)


class Both:
    """The liar, who is the named aggregator, and an honest one."""

    def __init__(self, *aggregators: Aggregator) -> None:
        self._aggregators = aggregators

    def step(self) -> bool:
        moved = [aggregator.step() for aggregator in self._aggregators]
        return any(moved)


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[Consortium]:
    built = Consortium(tmp_path, policy=policy(rounds=2, challenge_s=60))
    yield built
    built.chain.close()


def with_liar(consortium: Consortium, lie: Lie, round_id: int) -> None:
    """Make the named aggregator lie in a round; a second one waits with a bond."""
    parts = AggregatorParts(
        consortium.ledger(), consortium.aggregator_account, consortium.store, consortium.folder / "liar"
    )
    second = consortium.account("second aggregator")
    consortium.aggregator = Both(Liar(parts, lie, {round_id}), consortium.new_aggregator(second))


def posted_again(round_id: int):
    def reached(history: History) -> bool:
        posting = history.postings.get(round_id)
        return posting is not None and posting.posting_number == 1

    return reached


def submit_odd(consortium: Consortium, lanes: Lanes, weight: int, *, publish: bool) -> None:
    """Submit in the name of a participant whose worker does nothing more."""
    consortium.workers[ODD].step()
    consortium.work_until(lambda history: history.state.active == 1, HONEST)
    history, who = consortium.history, consortium.address(ODD)
    opening = Opening(vector_root(lanes), b"s" * 32)
    root = sealed_root(opening.vector_root, opening.salt, history.run, 1, who)
    base = history.model_root(0)
    consortium.run.ledger.submit(
        consortium.accounts[ODD], round=1, base_model_root=base, sealed_root=root, weight=weight
    )
    if publish:
        consortium.store.write_update(who, root, opening, lanes, run=history.run, round=1)


def zeros(consortium: Consortium) -> Lanes:
    return np.zeros(consortium.run.definition.dimension, dtype=LANE)


def assert_fell(consortium: Consortium, history: History, round_id: int, reason: FallReason) -> None:
    [fallen] = history.fallen
    bond_wei, reward_wei = history.policy.bond_wei, history.policy.challenge_reward_wei
    assert (fallen.posting.round, fallen.reason) == (round_id, reason)
    liar = history.account(consortium.aggregator_account.address)
    if reason is FallReason.OBJECTIONS:
        assert liar.free_bond_wei == bond_wei
        assert history.bonus_wei(round_id) == 0
    else:
        standing = [one for one in history.postings.values() if one.poster == fallen.posting.poster]
        assert (liar.free_bond_wei, liar.locked_bond_wei) == (0, bond_wei * len(standing))
        assert fallen.challenger in {account.address for account in consortium.accounts.values()}
        assert history.account(fallen.challenger).credit_wei == reward_wei
        assert history.bonus_wei(round_id) == bond_wei - reward_wei
    assert history.postings[round_id].poster == consortium.account("second aggregator").address


PROVABLE = {
    "one lane off by one": (Lie(liars.one_lane_off_by_one), 1, FallReason.SUM),
    "submission dropped": (Lie(liars.submission_dropped), 1, FallReason.SUM),
    "submission counted twice": (Lie(liars.submission_counted_twice), 1, FallReason.SUM),
    "reward bound to another set": (Lie(liars.sum_of_another_set, UNREADABLE), 1, FallReason.SUM),
    "rounded down": (Lie(liars.rounded_down), 1, FallReason.APPLY),
    "stale base model": (Lie(liars.on_a_stale_base), 2, FallReason.APPLY),
}
HIDDEN = {
    "random sum root": (Lie(liars.random_sum_root), 1, FallReason.OBJECTIONS),
    "random model root": (Lie(liars.random_model_root), 1, FallReason.OBJECTIONS),
    "valid update left out": (Lie(liars.as_it_is, OUT_OF_RANGE), 1, FallReason.OBJECTIONS),
    "readable update left out": (Lie(liars.as_it_is, UNREADABLE), 1, FallReason.OBJECTIONS),
}
ALL = PROVABLE | HIDDEN


@pytest.mark.parametrize("name", ALL)
def test_a_lie_falls_and_another_aggregator_posts(consortium: Consortium, name: str) -> None:
    lie, round_id, reason = ALL[name]
    with_liar(consortium, lie, round_id)
    history = consortium.work_until(posted_again(round_id))
    assert_fell(consortium, history, round_id, reason)
    report = consortium.audit()
    assert report.findings == []
    assert [fall.reason for fall in report.rounds[round_id - 1].fallen] == [reason.name.lower()]


def test_an_included_update_out_of_range_falls(consortium: Consortium) -> None:
    with_liar(consortium, Lie(liars.as_it_is), 1)
    lanes = zeros(consortium)
    lanes[3] = consortium.run.policy.ledger.clip_lanes * 100 + 1
    submit_odd(consortium, lanes, 100, publish=True)
    history = consortium.work_until(posted_again(1), HONEST)
    assert_fell(consortium, history, 1, FallReason.RANGE)
    assert [e.reason for e in history.postings[1].exclusions] == [ExclusionReason.OUT_OF_RANGE]


def test_an_update_set_past_the_dimension_is_excluded_by_the_honest_and_falls_if_included(
    consortium: Consortium,
) -> None:
    with_liar(consortium, Lie(liars.as_it_is), 1)
    lanes = np.zeros(consortium.run.definition.dimension + 1, dtype=LANE)
    lanes[-1] = 1
    submit_odd(consortium, lanes, 100, publish=True)
    history = consortium.work_until(posted_again(1), HONEST)
    assert_fell(consortium, history, 1, FallReason.RANGE)
    assert [e.reason for e in history.postings[1].exclusions] == [ExclusionReason.OUT_OF_RANGE]


def test_an_update_that_only_the_liar_has_is_objected_to(consortium: Consortium) -> None:
    secret = zeros(consortium)
    with_liar(consortium, Lie(liars.as_it_is, private={consortium.address(ODD): secret}), 1)
    submit_odd(consortium, secret, 100, publish=False)
    history = consortium.work_until(posted_again(1), HONEST)
    assert_fell(consortium, history, 1, FallReason.OBJECTIONS)
    posting = history.fallen[0].posting
    waited_s = history.fallen[0].place.timestamp - (posting.finalizable_at - history.policy.challenge_s)
    assert waited_s >= history.policy.challenge_s // 2  # it might have come


def test_who_publishes_late_cannot_turn_the_others_against_an_honest_aggregator(
    consortium: Consortium,
) -> None:
    lanes = zeros(consortium)
    submit_odd(consortium, lanes, 100, publish=False)
    history = consortium.work_until(lambda history: 1 in history.postings, HONEST)
    [excluded] = history.postings[1].exclusions
    submission = history.submissions[1][excluded.index]
    opening = Opening(vector_root(lanes), b"s" * 32)
    consortium.store.write_update(
        submission.participant, submission.sealed_root, opening, lanes, run=history.run, round=1
    )

    history = consortium.work_until(lambda history: history.state.settled >= 1, HONEST)

    assert history.rounds[1].status is RoundStatus.FINAL
    assert history.fallen == []
    assert history.objections == {}


def test_what_was_built_on_a_fallen_round_is_trained_again(consortium: Consortium) -> None:
    """Nobody watches until the next round is posted on the lie."""
    with_liar(consortium, Lie(liars.one_lane_off_by_one), 1)
    for owner in OWNERS:
        consortium.workers[owner]._watcher._signer = None
    history = consortium.work_until(lambda history: history.state.latest == 2)
    assert history.submissions[2] == []  # nobody trains on it either
    for owner in OWNERS:
        consortium.workers[owner] = consortium.worker(owner)

    history = consortium.work_until(lambda history: history.state.latest == 3 and 3 in history.postings)

    assert history.rounds[2].status is RoundStatus.VOID
    assert history.voids[2] is VoidReason.BASE_FELL
    assert history.rounds[3].base_round == 1
    assert len(history.submissions[3]) == len(OWNERS)
    assert consortium.audit().verdict == "pass"
