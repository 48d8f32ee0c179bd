"""The client against the real contract: what it checks, what it refuses, what it recovers from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chains import LOGGER_CREATION, RECIPIENT, signed
from deployed_runs import DEFINITION, POLICY, Run, deployed_run, digest_of

from fl_chain.errors import (
    LedgerReverted,
    LedgerUnavailable,
    TransactionFailed,
    TransactionRejected,
    WrongChain,
    WrongCode,
)
from fl_chain.ledger import client
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import dev_keys, logs, open_chain
from fl_chain.ledger.node import Node, embedded, saved_chain
from fl_chain.ledger.reverts import ADVICE, decode_revert
from fl_chain.ledger.transport import Request, TransportFailed
from fl_chain.records import ExclusionReason, RoundStatus, address


def refused(error: pytest.ExceptionInfo[LedgerReverted]) -> str:
    """Return the custom error's name, after checking that it comes with advice."""
    assert ADVICE[error.value.name] in str(error.value)
    return error.value.name


# ---------------------------------------------------------------------- opening


def test_another_chain_is_refused(run: Run) -> None:
    with pytest.raises(WrongChain, match="expected 5"):
        Ledger.open(run.node, run.ledger.run.ledger, chain_id=5)
    with pytest.raises(WrongChain, match="expected 5"):
        embedded(run.chain, chain_id=5)
    assert Ledger.open(run.node, run.ledger.run.ledger, chain_id=run.chain.chain_id).run == run.ledger.run


def test_no_code_and_other_code_are_refused(run: Run) -> None:
    with pytest.raises(WrongCode, match="no contract"):
        Ledger.open(run.node, address(RECIPIENT))
    receipt = run.stranger.send(None, LOGGER_CREATION, gas=100_000)
    assert receipt.contract is not None
    with pytest.raises(WrongCode, match="another contract"):
        Ledger.open(run.node, receipt.contract)


def test_a_deployment_outside_its_bounds_is_refused() -> None:
    with open_chain() as chain:
        node = embedded(chain)
        operator = Account(node, dev_keys()[0])
        policy = replace(POLICY, fraction_bits=25)
        with pytest.raises(LedgerReverted) as error:
            deploy(node, operator, DEFINITION, policy, aggregator=operator.address)
        assert refused(error) == "PolicyOutOfBounds"
        assert error.value.arguments == {"field": "fractionBits", "value": 25}


def test_a_saved_run_opens_without_a_process(tmp_path: Path) -> None:
    with deployed_run(tmp_path) as run:
        run.start()
        run.play_round()
        expected = run.ledger.sync()
    with saved_chain(tmp_path, chain_id=run.ledger.run.chain_id) as node:
        ledger = Ledger.open(node, run.ledger.run.ledger)
        assert vars(ledger.sync()) == vars(expected)
    with pytest.raises(WrongChain), saved_chain(tmp_path, chain_id=5):
        pass


# ---------------------------------------------------------------------- refusals


def test_an_unregistered_key_is_refused(run: Run) -> None:
    with pytest.raises(LedgerReverted) as error:
        run.submit(4)
    assert refused(error) == "NotRegistered"
    assert error.value.arguments == {"signer": run.participants[4].address}
    with pytest.raises(LedgerReverted) as error:
        run.ledger.register(run.participants[4], run.participants[4].address)
    assert refused(error) == "NotAdmitted"


def test_a_second_submission_is_refused(run: Run) -> None:
    run.submit(0)
    with pytest.raises(LedgerReverted) as error:
        run.submit(0)
    assert refused(error) == "AlreadySubmitted"
    assert error.value.arguments == {"round": 1, "participant": run.participants[0].address}
    assert len(run.ledger.sync().submissions[1]) == 1


def test_a_late_submission_is_refused(run: Run) -> None:
    run.wait(run.policy.submission_s)
    with pytest.raises(LedgerReverted) as error:
        run.submit(0)
    assert refused(error) == "DeadlinePassed"


def test_a_submission_after_close_is_refused(run: Run) -> None:
    for number in range(3):
        run.submit(number)
    with pytest.raises(LedgerReverted) as error:
        run.submit(0)
    assert refused(error) == "WrongStatus"
    assert error.value.arguments == {"round": 1, "status": RoundStatus.CLOSED}


def test_a_weight_over_the_cap_is_refused(run: Run) -> None:
    with pytest.raises(LedgerReverted) as error:
        run.submit(0, weight=11)
    assert refused(error) == "WeightOutOfBounds"
    run.submit(0, weight=10)


def test_another_base_model_is_refused(run: Run) -> None:
    with pytest.raises(LedgerReverted) as error:
        run.ledger.submit(
            run.participants[0],
            round=1,
            base_model_root=digest_of("another"),
            sealed_root=digest_of("update"),
            weight=1,
        )
    assert refused(error) == "WrongBaseModel"
    assert error.value.arguments["expected"] == "0x" + DEFINITION.genesis_model_root.hex()


def test_postings_that_are_not_due_are_refused(run: Run) -> None:
    for number in range(3):
        run.submit(number)
    with pytest.raises(LedgerReverted) as error:
        run.post(1, account=run.stranger)
    assert refused(error) == "NotYourTurn"
    with pytest.raises(LedgerReverted) as error:
        run.post(1, excluded=[(0, ExclusionReason.UNREADABLE)])
    assert refused(error) == "ExclusionsTooEarly"
    with pytest.raises(LedgerReverted) as error:
        run.ledger.finalize(run.stranger)
    assert refused(error) == "NothingToFinalize"


def test_the_operators_calls_are_the_operators(run: Run) -> None:
    with pytest.raises(LedgerReverted) as error:
        run.ledger.admit(run.stranger, run.stranger.address, 1)
    assert refused(error) == "NotOperator"


def test_every_custom_error_has_advice() -> None:
    names = {error.name for error in ledger_abi().errors.values()}
    assert names <= set(ADVICE)
    assert decode_revert(b"\x01\x02\x03\x04") is None
    assert decode_revert(b"") is None
    selector = next(selector for selector, error in ledger_abi().errors.items() if error.types)
    assert decode_revert(selector) is None


# ---------------------------------------------------------------------- transactions


def test_a_receipt_says_what_was_paid(run: Run) -> None:
    before = run.node.balance_wei(run.stranger.address)
    receipt = run.stranger.transfer(address(RECIPIENT), 7)
    after = run.node.balance_wei(run.stranger.address)
    assert before - after == receipt.fee_wei + 7
    assert (receipt.gas_used, receipt.status, receipt.contract) == (21_000, 1, None)
    assert receipt.block_number == run.chain.head.block_number
    assert run.node.balance_wei(address(RECIPIENT)) == 7


def test_a_key_that_was_used_elsewhere_meanwhile_is_no_trouble(run: Run) -> None:
    run.stranger.transfer(address(RECIPIENT), 1)
    elsewhere = Account(run.node, dev_keys()[2])
    elsewhere.transfer(address(RECIPIENT), 1)
    run.stranger.transfer(address(RECIPIENT), 1)
    assert run.node.balance_wei(address(RECIPIENT)) == 3


def test_money_that_is_not_there_cannot_be_sent(run: Run) -> None:
    with pytest.raises(TransactionRejected, match="balance"):
        run.stranger.transfer(address(RECIPIENT), 10**30)
    run.stranger.transfer(address(RECIPIENT), 1)


def test_running_out_of_gas_is_said(run: Run) -> None:
    data = ledger_abi().functions["openRound"].encode(())
    with pytest.raises(TransactionFailed, match="ran out of its 22000 gas"):
        run.stranger.send(run.ledger.run.ledger, data, gas=22_000)


def test_a_failure_without_a_custom_error_is_said(run: Run) -> None:
    with pytest.raises(TransactionFailed, match="failed"):
        run.stranger.send(run.ledger.run.ledger, b"\x00\x01\x02\x03", gas=100_000)


def test_a_transaction_that_is_not_mined_in_time_is_said(run: Run) -> None:
    class NeverMines(Node):
        def batch_with_errors(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
            if requests[0][0] == "eth_sendRawTransaction":
                return ["0x" + "00" * 32, None]
            return super().batch_with_errors(requests)

    node = embedded(run.chain)
    node.__class__ = NeverMines
    account = Account(node, dev_keys()[2], receipt_timeout_s=0.05)
    with pytest.raises(TransactionFailed, match="was not mined within"):
        account.transfer(address(RECIPIENT), 1)


class _LosesAnswers:
    """Hands requests on, and loses the answer to every first attempt to send."""

    def __init__(self, node: Node) -> None:
        self._inner = node._endpoints[0].transport
        self.lost = 0

    def request(self, method: str, parameters: Sequence[Any]) -> Any:
        return self._inner.request(method, parameters)

    def batch(self, requests: Sequence[Request]) -> Any:
        answer = self._inner.batch(requests)
        if requests[0][0] == "eth_sendRawTransaction" and self.lost == 0:
            self.lost += 1
            raise TransportFailed("the answer was lost")
        return answer

    def close(self) -> None:
        self._inner.close()


def test_a_transaction_whose_answer_was_lost_counts_once(run: Run) -> None:
    transport = _LosesAnswers(embedded(run.chain))
    account = Account(Node([("lossy", transport)], None), dev_keys()[2])
    receipt = account.transfer(address(RECIPIENT), 5)
    assert transport.lost == 1
    assert receipt.gas_used == 21_000
    assert run.node.balance_wei(address(RECIPIENT)) == 5
    account.transfer(address(RECIPIENT), 5)
    assert run.node.balance_wei(address(RECIPIENT)) == 10


def test_a_key_is_never_shown(run: Run) -> None:
    assert dev_keys()[2].hex() not in repr(run.stranger) + str(vars(run.stranger))


def test_many_rewards_in_one_claim(run: Run) -> None:
    for _ in range(4):
        run.play_round()
    run.wait(run.policy.challenge_s)
    run.ledger.finalize(run.stranger)
    who = run.participants[2].address
    due = run.ledger.sync().unclaimed_rewards(who)
    before = run.node.balance_wei(who)
    run.ledger.claim(run.stranger, who, due)
    assert run.node.balance_wei(who) - before == 4 * 333
    with pytest.raises(LedgerReverted) as error:
        run.ledger.claim(run.stranger, who, due)
    assert refused(error) == "AlreadyClaimed"


def test_gas_limits_leave_room(run: Run) -> None:
    """Every call stays below two thirds of what it is given, the dearest cases included."""
    for _ in range(4):
        run.play_round()
    run.wait(run.policy.challenge_s)
    run.ledger.open_round(run.stranger)
    run.ledger.finalize(run.stranger)
    run.submit(0)
    run.submit(1)
    proof = run.submit_beyond_bounds(2)
    run.post(5)
    run.play_round()
    run.play_round()
    run.ledger.challenge(run.stranger, 5, proof)
    run.ledger.deposit_bond(run.stranger, 5000)
    run.post(5, account=run.stranger)
    run.object(5, 0)
    run.object(5, 1)
    counts = run.ledger.gas_by_call()
    assert counts["deploy"][0] == 1
    assert counts["submit"][0] == 21
    assert counts["challengeRange"][0] == 1
    assert counts["object"][0] == 2
    for number in range(1, run.chain.head.block_number + 1):
        header = run.chain.header(number)
        assert header is not None
        for transaction in run.chain.block(header).transactions:  # one a block
            assert header.gas_used * 3 <= transaction.gas * 2 or transaction.gas == 21_000


# ---------------------------------------------------------------------- synchronising


def test_confirmations_hold_events_back(run: Run) -> None:
    ledger = Ledger.open(run.node, run.ledger.run.ledger, confirmations=3)
    run.submit(0)
    run.submit(1)
    assert ledger.sync().rounds == {}
    run.stranger.transfer(address(RECIPIENT), 1)
    assert len(ledger.sync().submissions[1]) == 0
    run.stranger.transfer(address(RECIPIENT), 1)
    assert len(ledger.sync().submissions[1]) == 1
    assert len(ledger.sync().submissions[1]) == 1
    deep = Ledger.open(run.node, run.ledger.run.ledger, confirmations=10_000)
    assert deep.sync().rounds == {}


def test_logs_are_asked_for_in_ranges_that_the_node_takes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.play_round()
    expected = run.ledger.sync()
    monkeypatch.setattr(logs, "MAX_LOGS", 3)
    assert vars(Ledger.open(run.node, run.ledger.run.ledger).sync()) == vars(expected)
    monkeypatch.setattr(client, "BLOCKS_PER_REQUEST", 1)
    assert vars(Ledger.open(run.node, run.ledger.run.ledger).sync()) == vars(expected)


def test_a_chain_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    """After a reorganisation the history is what the new chain says, from its first event on."""
    with deployed_run(tmp_path / "old") as old, deployed_run(tmp_path / "new") as new:
        old.start()
        new.start(2)
        assert old.ledger.run == new.ledger.run
        history = old.ledger.sync()
        assert len(history.participants) == 3
        old.node._endpoints[:] = new.node._endpoints
        assert old.ledger.sync() is history
        assert len(history.participants) == 2
        assert vars(history) == vars(new.ledger.sync())


def test_nodes_that_send_no_time_with_a_log_are_asked_for_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.play_round()
    expected = run.ledger.sync()
    request = Node.request

    def without_time(node: Node, method: str, *parameters: Any) -> Any:
        answer = request(node, method, *parameters)
        if method == "eth_getLogs":
            return [{name: log[name] for name in log if name != "blockTimestamp"} for log in answer]
        return answer

    monkeypatch.setattr(Node, "request", without_time)
    assert vars(Ledger.open(run.node, run.ledger.run.ledger).sync()) == vars(expected)


def test_a_node_that_went_away_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def request(self, method: str, parameters: Sequence[Any]) -> Any:
            raise TransportFailed("connection refused")

        def batch(self, requests: Sequence[Request]) -> Any:
            raise TransportFailed("connection refused")

        def close(self) -> None:
            pass

    monkeypatch.setattr("fl_chain.ledger.node.FIRST_PAUSE_S", 0.001)
    run.node._endpoints[0].name, run.node._endpoints[0].transport = "gone", Gone()
    with pytest.raises(LedgerUnavailable, match="gone: connection refused"):
        run.ledger.sync()


def test_a_deadline_passes_while_the_chain_is_down(tmp_path: Path) -> None:
    with deployed_run(tmp_path) as run:
        run.start()
        run.submit(0)
        run.submit(1)
        clock = run.clock
    clock.now += POLICY.submission_s + 5
    with open_chain(tmp_path, clock=clock) as chain:
        node = embedded(chain)
        ledger = Ledger.open(node, run.ledger.run.ledger)
        late, stranger = Account(node, dev_keys(9)[5]), Account(node, dev_keys(9)[2])
        with pytest.raises(LedgerReverted) as error:
            ledger.submit(
                late,
                round=1,
                base_model_root=DEFINITION.genesis_model_root,
                sealed_root=digest_of("late"),
                weight=1,
            )
        assert refused(error) == "DeadlinePassed"
        ledger.close_round(stranger, 1)
        assert ledger.sync().rounds[1].status is RoundStatus.CLOSED


def test_a_signed_transaction_for_another_chain_is_rejected(run: Run) -> None:
    raw = "0x" + signed(5, 0).hex()
    result = run.node.batch_with_errors([("eth_sendRawTransaction", [raw])])[0]
    assert "chain 5" in str(result)
