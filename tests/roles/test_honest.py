"""Everyone is honest; some are slow, late, away, or start again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from consortium import CHALLENGE_S, POSTING_S, SUBMISSION_S, TAKEOVER_S, Consortium, policy

from fl_chain.data.orange_juice import OWNERS
from fl_chain.learning import LocalLearner
from fl_chain.learning.work import LocalUpdate, RoundWork, Values
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus, VoidReason


def is_over(history: History) -> bool:
    state = history.state
    return state.tip > 0 and history.rounds[state.tip].step == 3 and state.settled == state.latest


def posted(round_id: int) -> Callable[[History], bool]:
    return lambda history: round_id in history.postings


def final_root(consortium: Consortium) -> bytes:
    return consortium.history.postings[consortium.history.state.tip].model_root


def test_a_whole_run_passes_its_audit_and_pays_everyone(consortium: Consortium) -> None:
    consortium.work_until(is_over)
    consortium.work_until(lambda history: len(history.claims) == 15)

    report = consortium.audit()

    assert report.verdict == "pass"
    assert [item.included for item in report.rounds] == [5, 5, 5]
    assert {item["claimed_wei"] for item in report.participants} == {3 * (10**16 // 5)}
    for _ in range(2):  # leaves, and takes the deposit out when it is due
        consortium.clock.now += 1000
        while consortium.work():
            pass
    assert all(worker.is_done() for worker in consortium.workers.values())
    assert consortium.aggregator.is_done()
    assert consortium.run.ledger.balance() == consortium.history.state.pool_wei


def test_workers_that_restart_after_every_step_make_the_same_model(tmp_path: Path) -> None:
    steady, restarted = Consortium(tmp_path / "steady"), Consortium(tmp_path / "restarted")
    steady.work_until(is_over)
    for _ in range(400):
        if is_over(restarted.history):
            break
        for owner in OWNERS:
            restarted.workers[owner] = restarted.worker(owner)
        restarted.aggregator = restarted.new_aggregator(restarted.aggregator_account)
        if not restarted.work():
            restarted.clock.now += 5
            restarted.chain.catch_up()

    assert is_over(restarted.history)
    assert final_root(restarted) == final_root(steady)
    assert all(restarted.history.rounds[i].submissions == 5 for i in (1, 2, 3))
    assert restarted.audit().verdict == "pass"


def test_a_dead_worker_costs_one_deadline(consortium: Consortium) -> None:
    alive = OWNERS[:4]
    consortium.work_until(is_over, alive)

    history = consortium.history
    times = [history.postings[i].finalizable_at - CHALLENGE_S for i in (1, 2, 3)]
    assert times[0] - history.deployed_at >= SUBMISSION_S
    assert times[1] - times[0] < SUBMISSION_S
    assert times[2] - times[1] < SUBMISSION_S
    assert consortium.audit().verdict == "pass"


def test_who_trains_for_longer_than_the_round_lasts_sends_nothing(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive, slow = OWNERS[:4], OWNERS[4]
    for owner in OWNERS:
        consortium.workers[owner].step()  # registers
    consortium.work_until(lambda history: history.state.latest == 1, ())
    assert all(consortium.workers[owner].step() for owner in alive)  # submit
    train = LocalLearner.train

    def slow_train(
        learner: LocalLearner, base: Values, *, round_id: int, work: RoundWork | None = None
    ) -> LocalUpdate:
        consortium.clock.now += SUBMISSION_S
        return train(learner, base, round_id=round_id, work=work)

    nonce = consortium.node.nonce(consortium.address(slow))
    with monkeypatch.context() as patched:
        patched.setattr(LocalLearner, "train", slow_train)
        assert not consortium.workers[slow].step()
    assert consortium.node.nonce(consortium.address(slow)) == nonce
    history = consortium.work_until(posted(1))
    assert [s.participant for s in history.submissions[1]] == [consortium.address(one) for one in alive]


def test_below_the_quorum_a_round_is_void_and_training_goes_on(consortium: Consortium) -> None:
    for owner in OWNERS:
        consortium.workers[owner].step()  # registers
    consortium.work_until(lambda history: history.state.latest == 2, OWNERS[:2])
    history = consortium.work_until(is_over)

    assert history.voids[1] is VoidReason.BELOW_QUORUM
    assert history.rounds[2].base_round == 0
    assert history.rounds[history.state.tip].id == 4
    assert consortium.audit().verdict == "pass"


def test_a_vanished_aggregator_is_replaced_by_any_bonded_account(consortium: Consortium) -> None:
    consortium.work_until(posted(1))
    successor = consortium.account("successor")
    consortium.aggregator = consortium.new_aggregator(successor)

    history = consortium.work_until(is_over)

    assert history.postings[1].poster == consortium.aggregator_account.address
    assert history.postings[2].poster == successor.address
    assert history.state.aggregator == successor.address
    times = [history.postings[i].finalizable_at - CHALLENGE_S for i in (1, 2, 3)]
    assert times[1] - times[0] >= POSTING_S
    assert times[2] - times[1] < POSTING_S
    assert consortium.audit().verdict == "pass"


def test_a_round_that_nobody_posts_is_void(consortium: Consortium) -> None:
    history = consortium.work_until(lambda history: history.state.latest == 2, with_aggregator=False)
    assert history.voids[1] is VoidReason.NOT_POSTED
    assert history.rounds[2].base_round == 0
    consortium.work_until(is_over)
    assert consortium.audit().verdict == "pass"


@pytest.mark.parametrize(("late_s", "name"), [(-1, "post"), (0, "voidRound")])
def test_an_aggregator_that_comes_too_late_sends_no_posting_that_is_refused(
    consortium: Consortium, late_s: int, name: str
) -> None:
    history = consortium.work_until(
        lambda history: history.state.latest > 0 and history.rounds[1].status is RoundStatus.CLOSED,
        with_aggregator=False,
    )
    for worker in consortium.workers.values():
        worker.step()  # publishes
    consortium.clock.now = history.rounds[1].since + POSTING_S + TAKEOVER_S + late_s
    consortium.chain.catch_up()
    assert consortium.aggregator.step()
    history = consortium.history
    if name == "post":
        assert history.postings[1].poster == consortium.aggregator_account.address
    else:
        assert history.voids == {1: VoidReason.NOT_POSTED}
        assert consortium.node.nonce(consortium.aggregator_account.address) == 1  # no bond, no posting


def test_a_worker_that_joins_late_starts_from_the_newest_model(consortium: Consortium) -> None:
    early = OWNERS[:4]
    consortium.work_until(posted(2), early)
    assert consortium.workers[OWNERS[4]].step()  # registers, and is waited for from then on
    history = consortium.work_until(is_over)
    assert history.rounds[3].submissions == 5
    assert consortium.audit().verdict == "pass"


def test_lost_models_are_derived_again(consortium: Consortium) -> None:
    consortium.work_until(posted(1))
    for path in (consortium.folder / "store" / "models").iterdir():
        if path.name != "0x" + consortium.run.definition.genesis_model_root.hex():
            path.unlink()
    history = consortium.work_until(is_over)
    assert history.rounds[history.state.tip].id == 3


@pytest.mark.parametrize("split", ["equal", "declared-weight"])
def test_rewards_follow_the_split(tmp_path: Path, split: str) -> None:
    consortium = Consortium(tmp_path, policy=policy(reward_split=split, rounds=1, reward_wei=10**15 + 7))
    consortium.work_until(lambda history: history.state.settled == 1)
    consortium.work_until(lambda history: len(history.claims) == 5)

    history = consortium.history
    paid = {claim.participant: claim.amount_wei for claim in history.claims}
    weights = {s.participant: s.weight for s in history.submissions[1]}
    assert history.rounds[1].status is RoundStatus.FINAL
    if split == "equal":
        assert set(paid.values()) == {(10**15 + 7) // 5}
    else:
        unit = (10**15 + 7) // sum(weights.values())
        assert paid == {who: unit * weight for who, weight in weights.items()}
    assert sum(paid.values()) + history.settlements[1].dust_wei == 10**15 + 7
    assert consortium.audit().verdict == "pass"
