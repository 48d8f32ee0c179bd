"""The newest blocks are taken back: whoever acted on them notices, repairs, and loses nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from consortium import SUBMISSION_S, policy
from unsteady import UnsteadyConsortium, unsteady

from fl_chain.data.orange_juice import OWNERS
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus, Submission

pytestmark = pytest.mark.node


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[UnsteadyConsortium]:
    """Two rounds, on a chain that is believed at once."""
    with unsteady(tmp_path, policy=policy(rounds=2)) as built:
        yield built


def has_settled(history: History) -> bool:
    state = history.state
    return state.tip > 0 and history.rounds[state.tip].step == 2 and state.settled == state.latest


def submissions(count: int) -> Callable[[History], bool]:
    """Return whether the first round is open and has so many submissions."""
    return lambda history: history.state.latest == 1 and len(history.submissions[1]) == count


def submitted(consortium: UnsteadyConsortium, round_id: int) -> list[e.UpdateSubmitted]:
    events = consortium.since(0)
    return [one for one in events if isinstance(one, e.UpdateSubmitted) and one.round == round_id]


def verify_end(consortium: UnsteadyConsortium, *, rounds: int = 2) -> History:
    """Work to the end; nobody has lost a bond, and everything that was posted is right."""
    history = consortium.work_until(has_settled)
    consortium.mine(consortium.confirmations)
    report = consortium.audit()
    assert report.findings == []
    assert sum(item.status == "final" for item in report.rounds) == rounds
    held = history.accounts[consortium.aggregator_account.address]
    deposited = [one for one in consortium.since(0) if isinstance(one, e.BondDeposited)]
    # Free, or asked back already by an aggregator that saw the end first.
    assert held.free_bond_wei + held.unbonding_wei == sum(one.amount_wei for one in deposited)
    assert held.credit_wei == rounds * consortium.policy.aggregator_reward_wei
    return history


def roots(submissions: list[Submission]) -> dict[str, bytes]:
    return {one.participant: one.sealed_root for one in submissions}


def test_submissions_that_are_taken_back_are_sent_again(
    consortium: UnsteadyConsortium, caplog: pytest.LogCaptureFixture
) -> None:
    consortium.step_until(submissions(0))
    first = consortium.block + 1
    history = consortium.step_until(submissions(3))
    before = roots(history.submissions[1])

    with caplog.at_level(logging.WARNING):
        consortium.reorganise(first)
        assert consortium.history.submissions[1] == []
    assert "was reorganised" in caplog.text

    history = consortium.work_until(lambda history: len(history.submissions[1]) == 5)
    after = roots(history.submissions[1])
    assert before.items() <= after.items()
    assert len(submitted(consortium, 1)) == 5
    verify_end(consortium)


def test_a_round_that_is_opened_anew_is_submitted_to_anew(consortium: UnsteadyConsortium) -> None:
    first = consortium.block + 1
    consortium.step_until(submissions(2))
    consortium.reorganise(first)
    assert consortium.history.participants[consortium.address(OWNERS[0])].registered is False

    history = verify_end(consortium)
    assert all(len(history.submissions[round_id]) == 5 for round_id in (1, 2))


def test_a_chain_that_was_reset_to_before_is_waited_for(consortium: UnsteadyConsortium) -> None:
    consortium.step_until(submissions(0))
    snapshot = consortium.node.request("evm_snapshot")
    consortium.step_until(submissions(5))
    assert consortium.node.request("evm_revert", snapshot)
    consortium.mine(20)
    verify_end(consortium)


@pytest.mark.parametrize("has_posting", [True, False])
def test_submissions_in_another_order_cannot_make_a_lie_of_a_posting(
    consortium: UnsteadyConsortium, has_posting: bool
) -> None:
    consortium.step_until(submissions(0))
    first = consortium.block + 1
    consortium.step_until(lambda history: 1 in history.postings)
    events = consortium.since(first)
    sent = [consortium.raw(one) for one in events if isinstance(one, e.UpdateSubmitted)]
    bond = [consortium.raw(one) for one in events if isinstance(one, e.BondDeposited)]
    (posted,) = [one for one in events if isinstance(one, e.RoundPosted)]
    old = consortium.history.postings[1]
    order = list(reversed(sent))

    # The posting of the old order is among the transactions that are mined again.
    blocks = [[raw] for raw in (*order, *bond, consortium.raw(posted))] if has_posting else [order]
    consortium.reorganise(first, blocks)
    history = consortium.history
    assert history.rounds[1].status is RoundStatus.CLOSED
    assert history.rounds[1].digest != old.digest
    shown = "0x" + posted.place.transaction_hash.hex()
    receipt = consortium.node.request("eth_getTransactionReceipt", shown)
    assert receipt["status"] == "0x0" if has_posting else receipt is None

    history = verify_end(consortium)
    assert history.postings[1].digest == history.rounds[1].digest != old.digest
    assert history.postings[1].model_root == old.model_root  # a sum has no order
    assert history.postings[1].partial_sum_roots == old.partial_sum_roots
    assert history.settlements[1].aggregator_reward_wei == consortium.policy.aggregator_reward_wei


def test_a_posting_that_is_taken_back_is_posted_again(consortium: UnsteadyConsortium) -> None:
    consortium.step_until(lambda history: history.state.last_closed == 1)
    first = consortium.block + 1
    history = consortium.work_until(
        lambda history: history.state.latest == 2 and history.submissions[2] != []
    )
    old = history.postings[1]
    consortium.reorganise(first)
    assert consortium.history.postings == {}

    history = verify_end(consortium)
    assert history.postings[1].partial_sum_roots == old.partial_sum_roots


def test_a_round_that_comes_out_otherwise_is_trained_on_and_aggregated_anew(
    consortium: UnsteadyConsortium,
) -> None:
    consortium.step_until(submissions(0))
    first = consortium.block + 1
    # Everybody has verified the first model, and some have trained on it.
    history = consortium.step_until(
        lambda history: history.state.latest == 2 and len(history.submissions[2]) == 2
    )
    old = history.postings[1]
    early = roots(history.submissions[2])
    sent = [consortium.raw(one) for one in submitted(consortium, 1)]

    # One submission of the first round is gone, and its author comes back too late.
    absent = history.submissions[1][4].participant
    consortium.reorganise(first, [[raw] for raw in sent[:4]])
    present = tuple(owner for owner in OWNERS if consortium.address(owner) != absent)
    consortium.pass_time(SUBMISSION_S)
    history = consortium.work_until(lambda history: 1 in history.postings, present)
    assert history.postings[1].included == 4
    assert history.postings[1].model_root != old.model_root

    history = verify_end(consortium)
    assert history.rounds[2].base_round == 1
    late = roots(history.submissions[2])
    assert len(late) >= 4
    assert not set(late.values()) & set(early.values())  # nobody's old update counts on the new base


def test_a_round_that_was_final_and_its_claims_come_again(consortium: UnsteadyConsortium) -> None:
    consortium.step_until(lambda history: history.state.last_closed == 1)
    first = consortium.block + 1
    consortium.work_until(has_settled)
    history = consortium.work_until(lambda history: len(history.claims) == 10)
    old = [history.postings[round_id].model_root for round_id in (1, 2)]
    consortium.reorganise(first)
    assert consortium.history.state.settled == 0
    assert consortium.history.claims == []

    history = consortium.work_until(has_settled)
    history = consortium.work_until(lambda history: len(history.claims) == 10)
    assert [history.postings[round_id].model_root for round_id in (1, 2)] == old
    assert consortium.audit().findings == []


# ---------------------------------------------------------------------- confirmations

DEPTH = 3


@pytest.fixture
def careful(tmp_path: Path) -> Iterator[UnsteadyConsortium]:
    """A consortium that acts on nothing that is less than three blocks deep."""
    with unsteady(tmp_path, policy=policy(rounds=2), confirmations=DEPTH) as built:
        yield built


def updates(consortium: UnsteadyConsortium) -> list[Path]:
    folder = consortium.folder / "store" / "updates"
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def close_first_round(careful: UnsteadyConsortium) -> int:
    """Work until the first round has just closed; return the block that it closed in."""
    careful.step_until(lambda history: history.state.last_closed == 1)
    return careful.block


def test_no_update_becomes_public_before_close_has_its_confirmations(careful: UnsteadyConsortium) -> None:
    closed = close_first_round(careful)
    assert careful.block == closed
    for depth in range(DEPTH):
        assert careful.block == closed + depth
        while careful.work():
            pass
        assert updates(careful) == []
        careful.mine()
    while careful.work():
        pass
    assert len(updates(careful)) == 5
    assert [one for one in careful.since(closed) if isinstance(one, e.RoundPosted)] != []
    assert careful.run.ledger.round(1).status is RoundStatus.POSTED


def test_a_reorganisation_within_the_confirmations_shows_nothing(careful: UnsteadyConsortium) -> None:
    closed = close_first_round(careful)
    (last,) = [one for one in careful.since(closed) if isinstance(one, e.UpdateSubmitted)]
    before = {one.participant: one.sealed_root for one in submitted(careful, 1)}
    careful.mine(DEPTH - 1)
    while careful.work():
        pass
    careful.reorganise(closed)
    assert careful.run.ledger.round(1).status is RoundStatus.OPEN
    while careful.work():
        pass
    assert updates(careful) == []
    assert len(submitted(careful, 1)) == 5  # who was taken back has submitted again, the same
    assert {one.participant: one.sealed_root for one in submitted(careful, 1)} == before
    assert before[last.participant] == last.sealed_root

    verify_end(careful)


def test_a_reorganisation_below_the_confirmations_makes_no_liar_of_the_aggregator(
    careful: UnsteadyConsortium,
) -> None:
    closed = close_first_round(careful)
    careful.mine(DEPTH)
    for owner in OWNERS:
        while careful.workers[owner].step():
            pass
    # The aggregator has read the round when the chain orders it anew.
    old = careful.aggregator._parts.ledger.sync().rounds[1]
    assert old.status is RoundStatus.CLOSED
    sent = [careful.raw(one) for one in submitted(careful, 1)]
    first = submitted(careful, 1)[0].place.block_number
    assert first <= closed
    careful.reorganise(first, [list(reversed(sent))])
    careful.aggregator.step()
    history = verify_end(careful)
    assert history.postings[1].digest == history.rounds[1].digest != old.digest
