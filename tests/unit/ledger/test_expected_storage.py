"""The whole storage of a real contract follows from its events, after every step of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chains import RECIPIENT
from deployed_runs import Run, deployed_run, digest_of

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.expected_storage import _parts, expected_storage, ledger_layout
from fl_chain.ledger.history import History
from fl_chain.ledger.trie_proofs import proven_account
from fl_chain.ledger.trie_roots import storage_root
from fl_chain.records import ExclusionReason, RewardSplit, address


def verify_storage(run: Run) -> dict[int, int]:
    history, block = run.ledger.sync(), run.node.head()
    values = {slot: word.value for slot, word in expected_storage(history).items()}
    proven = proven_account(run.node, block, run.ledger.run.ledger, tuple(values))
    assert proven.storage == values  # names the word, where one is wrong
    assert proven.account.storage_root == storage_root(values)
    return values


def test_every_word_is_expected_after_every_step() -> None:
    with deployed_run(reward_split=RewardSplit.DECLARED_WEIGHT, challenge_s=200) as run:
        ledger, people = run.ledger, run.participants
        verify_storage(run)
        run.start(4)
        verify_storage(run)
        ledger.change_payout(people[0], address(RECIPIENT))
        ledger.request_signer_rotation(people[1], people[5].address)
        for number in range(3):
            run.submit(number, weight=1 + number)
        proof = run.submit_beyond_bounds(3)
        verify_storage(run)
        run.post(1)  # and round 2 opens
        run.submit(0)
        verify_storage(run)
        ledger.challenge(run.stranger, 1, proof)
        history = ledger.sync()
        assert (history.bonus_wei(1), history.rounds[2].status.name) == (4500, "VOID")
        verify_storage(run)
        ledger.deposit_bond(run.stranger, 20_000)
        run.wait(run.policy.publication_s)
        run.post(1, excluded=[(3, ExclusionReason.OUT_OF_RANGE)], account=run.stranger)
        for number in range(2):
            run.object(1, number)
            verify_storage(run)
        run.wait(run.policy.unbonding_s)
        ledger.rotate_signer(people[5], people[1].address)
        ledger.suspend(run.operator, people[2].address)
        ledger.leave(people[3])
        verify_storage(run)
        run.wait(run.policy.challenge_s)
        ledger.finalize(run.stranger)
        ledger.request_bond(run.stranger, 500)
        verify_storage(run)
        ledger.claim(run.stranger, people[0].address, ledger.sync().unclaimed_rewards(people[0].address))
        ledger.withdraw(people[3], people[3].address)
        ledger.announce_end(run.operator)
        values = verify_storage(run)
    assert sum(value != 0 for value in values.values()) > 40


def test_every_state_variable_is_among_what_is_expected() -> None:
    """A variable that the contract gets and nobody expects would only show in the root."""
    with deployed_run() as run:
        run.start()
        proof = None
        for number in range(3):
            proof = run.submit_beyond_bounds(number) if number == 0 else run.submit(number) and proof
        assert proof is not None
        run.post(1)
        run.ledger.challenge(run.stranger, 1, proof)
        run.ledger.deposit_bond(run.stranger, 20_000)
        run.wait(run.policy.publication_s)
        run.post(1, excluded=[(0, ExclusionReason.OUT_OF_RANGE)], account=run.stranger)
        run.object(1, 1)
        run.wait(run.policy.challenge_s)
        run.ledger.finalize(run.stranger)
        who = run.participants[1].address
        run.ledger.claim(run.stranger, who, run.ledger.sync().unclaimed_rewards(who))
        history = run.ledger.sync()
    written = {part.variable for part in _parts(history) if part.value}
    assert written == set(ledger_layout().variables)


@pytest.fixture
def history() -> History:
    with deployed_run() as run:
        run.start()
        run.play_round()
        return run.ledger.sync()


def test_money_below_zero_is_what_no_ledger_holds(history: History) -> None:
    who = next(iter(history.accounts))
    history.update_account(who, free_bond_wei=-1)
    with pytest.raises(MalformedResponse, match="cannot hold"):
        expected_storage(history)


def test_an_objection_of_somebody_who_did_not_submit_is_what_no_ledger_holds(history: History) -> None:
    history.objections[1, 0] = [address(RECIPIENT)]
    with pytest.raises(MalformedResponse, match="cannot hold"):
        expected_storage(history)


def test_another_posting_is_expected_as_another(history: History) -> None:
    before = expected_storage(history)
    history.postings[1] = replace(history.postings[1], model_root=digest_of("another"))
    changed = {word.subject.what for slot, word in expected_storage(history).items() if word != before[slot]}
    assert changed == {"model root"}
