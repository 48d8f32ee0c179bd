"""Transactions on a real node: batches, what is stuck, lost, overtaken or refused, and what reverts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import pytest
from live import STRANGER_KEY, Live

from fl_chain.errors import (
    LedgerReverted,
    TransactionFailed,
    TransactionOvertaken,
    TransactionRejected,
)
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.account import Account, Receipt, send_all
from fl_chain.ledger.anvil import FUNDED_KEY
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.signing import Call, Fees, Signer
from fl_chain.records import address

pytestmark = pytest.mark.node

RECEIVER = address("0x" + "11" * 20)
GAS = 21_000
GWEI = 10**9


@contextmanager
def in_background(action: Callable[[], Receipt]) -> Iterator[Future[Receipt]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(action)


def wait_until(is_reached: Callable[[], bool], limit_s: float = 15.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_reached():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.01)


def waiting(live: Live) -> int:
    """Return how many transactions wait to be mined."""
    status = live.node.request("txpool_status")
    return int(status["pending"], 16) + int(status["queued"], 16)


def pay(amount_wei: int = 1) -> Call:
    return Call(RECEIVER, b"", GAS, amount_wei)


def send_raw(live: Live, *, nonce: int, fee_wei: int) -> bytes:
    """Pay seven wei as another process would that has the key."""
    fees = Fees(fee_wei, fee_wei // 2)
    signed = Signer(FUNDED_KEY).sign(pay(7), chain_id=live.node.chain_id, nonce=nonce, fees=fees)
    live.node.request("eth_sendRawTransaction", "0x" + signed.raw.hex())
    return signed.hash


# ---------------------------------------------------------------------- batches


def test_a_batch_over_several_accounts_keeps_each_accounts_order(live: Live) -> None:
    accounts = [live.funded(number) for number in range(1, 8)]
    orders = [(account, pay(10 * turn + 1)) for turn in range(40) for account in accounts]

    receipts = send_all(orders)

    assert [receipt.status for receipt in receipts] == [1] * 280
    assert live.node.balance_wei(RECEIVER) == sum(call.value_wei for _, call in orders)
    assert {live.node.nonce(account.address) for account in accounts} == {40}
    sent = [
        live.node.request("eth_getTransactionByHash", "0x" + one.transaction_hash.hex()) for one in receipts
    ]
    for (account, call), transaction in zip(orders, sent, strict=True):
        assert (transaction["from"], int(transaction["value"], 16)) == (account.address, call.value_wei)
        assert int(transaction["nonce"], 16) == call.value_wei // 10


def test_one_failure_in_a_batch_is_raised_and_the_others_are_sent(live: Live) -> None:
    poor = live.funded(3, amount_wei=10**16)
    rich = live.funded(4)
    with pytest.raises(TransactionRejected, match=r"(?i)insufficient"):
        send_all([(rich, pay(5)), (poor, pay(10**17)), (rich, pay(6))])
    wait_until(lambda: live.node.balance_wei(RECEIVER) == 11)
    assert rich.send_batch([pay(1)])[0].status == 1
    assert live.node.nonce(rich.address) == 3


def test_an_empty_batch_sends_nothing(live: Live) -> None:
    assert send_all([]) == []
    assert live.account().send_batch([]) == []


# ---------------------------------------------------------------------- stuck, lost, gaps


def test_a_stuck_transaction_is_replaced_by_one_that_offers_more(live: Live) -> None:
    account = live.account()
    live.stop_mining()
    with in_background(lambda: account.transfer(RECEIVER, 5)) as sent:
        wait_until(lambda: waiting(live) == 1)
        offered = int(pending_of(live, account)["maxFeePerGas"], 16)
        live.node.request("anvil_setNextBlockBaseFeePerGas", hex(4 * offered))
        live.mine()  # an empty block with a base fee that the offer does not reach
        wait_until(lambda: int(pending_of(live, account)["maxFeePerGas"], 16) > 4 * offered)
        live.mine()
        receipt = sent.result(timeout=15)

    assert waiting(live) == 0
    assert live.node.balance_wei(RECEIVER) == 5
    assert live.node.nonce(account.address) == 1
    assert live.transactions(receipt.block_number)[0]["hash"] == "0x" + receipt.transaction_hash.hex()


def pending_of(live: Live, account: Account) -> dict[str, str]:
    """Return the transaction that waits at the account's next nonce."""
    content = live.node.request("txpool_content")
    held = {**content["queued"], **content["pending"]}
    of_account = {address(sender): by_nonce for sender, by_nonce in held.items()}.get(account.address, {})
    return dict(next(iter(of_account.values()))) if of_account else {"maxFeePerGas": "0x0"}


def test_what_blocks_pass_over_offers_more_each_time_but_never_above_the_limit(live: Live) -> None:
    base_wei = int(live.node.request("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    account = live.account(max_fee_wei=4 * base_wei, receipt_timeout_s=3.0)
    live.crowd()
    seen = set()
    with in_background(lambda: account.transfer(RECEIVER, 5)) as sent:
        wait_until(lambda: waiting(live) == 1)
        first = int(pending_of(live, account)["maxFeePerGas"], 16)
        while not sent.done():
            live.pass_over()
            seen.add(int(pending_of(live, account)["maxFeePerGas"], 16))
            time.sleep(0.05)
        with pytest.raises(TransactionFailed, match=r"not mined within 3 s.*look it up"):
            sent.result()
    offers = sorted(seen)
    assert offers[0] == first
    assert len(offers) >= 2
    assert all(8 * later >= 9 * earlier for earlier, later in pairwise(offers))
    assert offers[-1] <= 4 * base_wei < 9 * offers[-1] // 8


def test_a_base_fee_above_the_limit_is_not_paid(live: Live) -> None:
    account = live.account(max_fee_wei=10**6)
    with pytest.raises(TransactionRejected, match="raise `max_fee_gwei`"):
        account.transfer(RECEIVER, 5)
    assert waiting(live) == 0
    assert live.node.nonce(account.address, "pending") == 0


def test_a_transaction_that_the_node_has_lost_is_sent_again(live: Live) -> None:
    account = live.account()
    live.stop_mining()
    with in_background(lambda: account.transfer(RECEIVER, 5)) as sent:
        wait_until(lambda: waiting(live) == 1)
        held = pending_of(live, account)["hash"]
        assert live.node.request("anvil_dropTransaction", held)
        wait_until(lambda: waiting(live) == 1)
        assert pending_of(live, account)["hash"] == held
        live.mine()
        assert "0x" + sent.result(timeout=15).transaction_hash.hex() == held


def test_a_nonce_that_nobody_uses_is_filled(live: Live) -> None:
    elsewhere, account = live.account(replace_after_s=1.5), live.account()
    live.stop_mining()
    with in_background(lambda: elsewhere.transfer(RECEIVER, 5)) as first:
        wait_until(lambda: waiting(live) == 1)
        lost = pending_of(live, elsewhere)["hash"]
        with in_background(lambda: account.transfer(RECEIVER, 6)) as second:
            wait_until(lambda: waiting(live) == 2)
            live.node.request("anvil_dropTransaction", lost)
            wait_until(lambda: waiting(live) == 2)  # the nonce is filled
            live.mine()
            assert second.result(timeout=15).status == 1
            assert live.node.balance_wei(RECEIVER) == 6
            assert live.node.nonce(account.address) == 2
        # Who waits for the lost one finds its nonce used, and sends it anew.
        wait_until(lambda: waiting(live) == 1)
        live.mine()
        assert first.result(timeout=15).status == 1
    assert live.node.balance_wei(RECEIVER) == 11
    assert live.node.nonce(account.address) == 3


# ---------------------------------------------------------------------- nonces


def test_another_process_takes_the_nonce(live: Live) -> None:
    account = live.account()
    live.stop_mining()
    with in_background(lambda: account.transfer(RECEIVER, 5)) as sent:
        wait_until(lambda: waiting(live) == 1)
        own = int(pending_of(live, account)["maxFeePerGas"], 16)
        other = send_raw(live, nonce=0, fee_wei=2 * own)
        live.mine()
        assert live.node.request("eth_getTransactionReceipt", "0x" + other.hex())["status"] == "0x1"
        wait_until(lambda: waiting(live) == 1)
        live.mine()
        assert sent.result(timeout=15).status == 1
    assert live.node.balance_wei(RECEIVER) == 7 + 5
    assert live.node.nonce(account.address) == 2


def test_a_pinned_nonce_that_another_takes_is_given_back(live: Live) -> None:
    account = live.account()
    live.stop_mining()

    def transfer() -> Receipt:
        with account.pinned(0):
            return account.transfer(RECEIVER, 5)

    with in_background(transfer) as sent:
        wait_until(lambda: waiting(live) == 1)
        send_raw(live, nonce=0, fee_wei=100 * GWEI)
        live.mine()
        with pytest.raises(TransactionOvertaken, match="still needed"):
            sent.result(timeout=15)
    assert waiting(live) == 0
    assert live.node.balance_wei(RECEIVER) == 7
    assert account.node.nonce(account.address) == 1


def test_a_pinned_nonce_that_is_used_already_sends_nothing(live: Live) -> None:
    account = live.account()
    account.transfer(RECEIVER, 5)
    with account.pinned(0), pytest.raises(TransactionOvertaken, match="nonce 0"):
        account.transfer(RECEIVER, 6)
    with account.pinned(1):
        assert [account.transfer(RECEIVER, amount).status for amount in (7, 8)] == [1, 1]
    account.transfer(RECEIVER, 9)
    assert live.node.balance_wei(RECEIVER) == 5 + 7 + 8 + 9
    assert live.node.nonce(account.address) == 4


@pytest.mark.parametrize("is_one_process", [True, False])
def test_threads_that_race_for_nonces_all_get_one(live: Live, is_one_process: bool) -> None:
    shared = live.account()
    paid: list[int] = []
    failures: list[str] = []

    def pay_often(account: Account, amount_wei: int) -> None:
        for _ in range(10):
            try:
                account.transfer(RECEIVER, amount_wei)
                paid.append(amount_wei)
            except (TransactionFailed, TransactionRejected) as error:
                failures.append(str(error))

    threads = [
        threading.Thread(target=pay_often, args=(shared if is_one_process else live.account(), 100**number))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Several processes with one key are advised against; whoever gives up has paid nothing.
    assert live.node.balance_wei(RECEIVER) == sum(paid)
    assert len(paid) + len(failures) == 40
    assert len(failures) == 0 if is_one_process else len(failures) < 40
    assert all("let one process alone" in said or "does not take" in said for said in failures)


def test_stuck_transactions_of_an_earlier_process_are_outbid(live: Live) -> None:
    account = live.account()
    live.stop_mining()
    for nonce in (0, 1):
        send_raw(live, nonce=nonce, fee_wei=30 * GWEI)
    account.use_up(range(2))
    assert waiting(live) == 2
    assert int(pending_of(live, account)["maxFeePerGas"], 16) > 30 * GWEI
    live.mine()
    assert live.node.balance_wei(RECEIVER) == 0
    assert live.node.nonce(account.address) == 2
    account.use_up(range(2))  # too late: both are mined
    assert waiting(live) == 0


def test_what_nobody_may_outbid_stays(live: Live) -> None:
    account = live.account(max_fee_wei=40 * GWEI)
    live.stop_mining()
    send_raw(live, nonce=0, fee_wei=39 * GWEI)
    with pytest.raises(TransactionRejected, match="is stuck"):
        account.use_up([0])
    live.mine()
    assert live.node.balance_wei(RECEIVER) == 7


# ---------------------------------------------------------------------- failures


def test_a_transaction_that_is_never_mined_times_out(live: Live) -> None:
    account = live.account(receipt_timeout_s=0.3, replace_after_s=10.0)
    live.stop_mining()
    with pytest.raises(TransactionFailed, match="may still be; look it up"):
        account.transfer(RECEIVER, 5)
    live.mine()
    assert live.node.balance_wei(RECEIVER) == 5
    # Its nonce is not kept from whoever comes next.
    live.node.request("evm_setAutomine", True)
    assert account.transfer(RECEIVER, 1).status == 1


def test_failures_of_the_contract_have_their_names(deployed: Ledger) -> None:
    account = Account(deployed.node, STRANGER_KEY)
    with pytest.raises(LedgerReverted) as refused:
        deployed.register(account, account.address)
    assert refused.value.name == "NotAdmitted"
    assert "Ask the operator" in str(refused.value)


def test_failures_without_a_name_are_told_apart(deployed: Ledger) -> None:
    account, ledger = Account(deployed.node, STRANGER_KEY), deployed.run.ledger
    fund = ledger_abi().functions["fund"].encode([10])
    with pytest.raises(TransactionFailed, match=r"ran out of its 24000 gas"):
        account.send(ledger, fund, gas=24_000, value_wei=10)
    with pytest.raises(TransactionFailed, match="failed"):
        account.send(ledger, b"", gas=50_000, value_wei=10)
    with pytest.raises(TransactionRejected):
        account.send(ledger, fund, gas=50_000, value_wei=10**30)
    assert deployed.balance() == 0
    assert account.send(ledger, fund, gas=100_000, value_wei=10).status == 1


def test_one_revert_among_many_is_raised(deployed: Ledger) -> None:
    account, ledger = Account(deployed.node, STRANGER_KEY), deployed.run.ledger
    fund, end = (ledger_abi().functions[name] for name in ("fund", "announceEnd"))
    calls = [Call(ledger, fund.encode([amount]), 100_000, amount) for amount in (1, 2)]
    calls.insert(1, Call(ledger, end.encode([]), 100_000))
    with pytest.raises(LedgerReverted) as refused:
        account.send_batch(calls)
    assert refused.value.name == "NotOperator"
    assert deployed.balance() == 3
    assert deployed.node.nonce(account.address) == 3
