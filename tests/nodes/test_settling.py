"""An actor's transactions over the life of several processes, and its history while the chain changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from live import DEFINITION, GWEI, POLICY, Live

from fl_chain.errors import MalformedResponse, TransactionOvertaken, TransactionPending
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.anvil import FUNDED_KEY
from fl_chain.ledger.client import READINGS, Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.node import Node
from fl_chain.ledger.signing import Call, Fees, Signer
from fl_chain.ledger.transport import Request, open_transport
from fl_chain.records import address
from fl_chain.run.transactions import TransactionOutbox

pytestmark = pytest.mark.node

RECEIVER = address("0x" + "22" * 20)


def send_raw(live: Live, *, nonce: int, fee_wei: int, tip_wei: int = GWEI, amount_wei: int = 5) -> None:
    """Send what an earlier process has sent."""
    call = Call(RECEIVER, b"", 21_000, amount_wei)
    signed = Signer(FUNDED_KEY).sign(
        call, chain_id=live.node.chain_id, nonce=nonce, fees=Fees(fee_wei, tip_wei)
    )
    live.node.request("eth_sendRawTransaction", "0x" + signed.raw.hex())


def outbox(folder: Path, account: Account, *, nonce: int | None) -> TransactionOutbox:
    """Return the outbox of a process that was killed while it sent under a nonce."""
    folder.mkdir(exist_ok=True)
    if nonce is not None:
        newest = {"account": account.address, "chain_id": 31337, "what": "payment", "nonce": nonce}
        (folder / "transaction").write_text(json.dumps({**newest, "block_number": None}))
    return TransactionOutbox(folder, account)


def waiting_at(live: Live, account: Account) -> dict[str, str]:
    """Return what waits at the account's next nonce."""
    content = live.node.request("txpool_content")
    for sender, by_nonce in [*content["pending"].items(), *content["queued"].items()]:
        if address(sender) == account.address:
            return dict(next(iter(by_nonce.values())))
    raise AssertionError("nothing waits")


def pay(live: Live, account: Account) -> tuple[Callable[[], bool], Callable[[], Receipt]]:
    """Return whether a payment is due, and what makes it."""
    return lambda: live.node.balance_wei(RECEIVER) < 5, lambda: account.transfer(RECEIVER, 5)


def test_a_stuck_transaction_of_a_killed_process_is_got_out_of_the_way(live: Live, tmp_path: Path) -> None:
    account = live.account()
    live.crowd()
    send_raw(live, nonce=0, fee_wei=3 * GWEI)
    sending = outbox(tmp_path / "outbox", account, nonce=0)
    is_due, call = pay(live, account)
    for _ in range(100):
        if int(waiting_at(live, account)["value"], 16) == 0:
            break
        with pytest.raises(TransactionPending, match="payment"):
            sending.send("payment", is_due=is_due, call=call)
        time.sleep(0.02)
        live.pass_over()
    live.mine()  # what took its place
    live.node.request("evm_setAutomine", True)
    assert (live.node.balance_wei(RECEIVER), live.node.nonce(account.address)) == (0, 1)
    receipt = sending.send("payment", is_due=is_due, call=call)
    assert receipt is not None
    assert (live.node.balance_wei(RECEIVER), live.node.nonce(account.address)) == (5, 2)


def test_a_transaction_that_the_node_does_not_count_is_outbid(live: Live, tmp_path: Path) -> None:
    account = live.account()
    live.stop_mining()
    # Above the base fee of the next block it does not count as waiting, and its tip is a high one.
    send_raw(live, nonce=0, fee_wei=60 * GWEI, tip_wei=59 * GWEI, amount_wei=1)
    live.node.request("anvil_setNextBlockBaseFeePerGas", hex(61 * GWEI))
    live.mine()
    assert live.node.nonce(account.address, "pending") == 0
    live.node.request("evm_setAutomine", True)
    sending = outbox(tmp_path / "outbox", account, nonce=None)
    is_due, call = pay(live, account)
    assert sending.send("payment", is_due=is_due, call=call) is not None
    assert (live.node.balance_wei(RECEIVER), live.node.nonce(account.address)) == (5, 1)


def test_an_earlier_transaction_that_is_mined_after_all_is_not_sent_again(live: Live, tmp_path: Path) -> None:
    account = live.account(replace_after_s=60.0)
    live.stop_mining()
    send_raw(live, nonce=0, fee_wei=20 * GWEI)
    sending = outbox(tmp_path / "outbox", account, nonce=0)
    is_due, call = pay(live, account)
    with pytest.raises(TransactionPending, match="payment"):
        sending.send("payment", is_due=is_due, call=call)
    live.mine()
    assert sending.send("payment", is_due=is_due, call=call) is None
    assert live.node.balance_wei(RECEIVER) == 5


def test_a_strangers_transaction_under_the_same_key_is_left_alone(live: Live, tmp_path: Path) -> None:
    account = live.account()
    live.crowd()
    send_raw(live, nonce=0, fee_wei=3 * GWEI)
    sending = outbox(tmp_path / "outbox", account, nonce=None)
    is_due, call = pay(live, account)
    for _ in range(10):
        with pytest.raises(TransactionPending):
            sending.send("payment", is_due=is_due, call=call)
        time.sleep(0.03)
        live.pass_over()
    assert int(waiting_at(live, account)["value"], 16) == 5


def test_an_earlier_transaction_that_turns_up_late_is_not_doubled(live: Live, tmp_path: Path) -> None:
    account = live.account()
    sending = outbox(tmp_path / "outbox", account, nonce=0)
    is_due, call = pay(live, account)

    def overtaken() -> Receipt:
        # Another node had it all the time, and now it is mined.
        send_raw(live, nonce=0, fee_wei=20 * GWEI)
        return call()

    with pytest.raises(TransactionOvertaken):
        sending.send("payment", is_due=is_due, call=overtaken)
    assert sending.send("payment", is_due=is_due, call=call) is None
    assert live.node.balance_wei(RECEIVER) == 5
    assert live.node.nonce(account.address) == 1


# ---------------------------------------------------------------------- the history, while the chain changes


class _Disturbed:
    """A transport to a real node, with something happening right after logs were read."""

    def __init__(self, url: str, disturb: Callable[[], None]) -> None:
        self._inner = open_transport(url)
        self._disturb = disturb

    def request(self, method: str, parameters: Sequence[Any]) -> Any:
        answer = self._inner.request(method, parameters)
        if method == "eth_getLogs":
            self._disturb()
        return answer

    def batch(self, requests: Sequence[Request]) -> Any:
        return self._inner.batch(requests)

    def close(self) -> None:
        self._inner.close()


def deployed(live: Live) -> tuple[Ledger, Account]:
    operator = live.account()
    deployment = deploy(live.node, operator, DEFINITION, POLICY, aggregator=operator.address)
    return Ledger.open(live.node, deployment.address), operator


@pytest.mark.parametrize("times", [1, READINGS - 1])
def test_a_reorganisation_while_events_are_read_leaves_no_trace(live: Live, times: int) -> None:
    ledger, operator = deployed(live)
    left = iter(range(times))

    def disturb() -> None:
        if next(left, None) is not None:
            live.node.request("anvil_reorg", 1, [])

    node = Node([("disturbed", _Disturbed(live.anvil.url, disturb))], None)
    reader = Ledger.open(node, ledger.run.ledger)
    ledger.fund(operator, 7)
    history = reader.sync()  # the funding was read, and is gone
    assert history.state.pool_wei == 0 == ledger.state().pool_wei
    ledger.fund(operator, 8)
    assert reader.sync().state == ledger.state()
    node.close()


def test_a_chain_that_never_holds_still_is_not_read(live: Live) -> None:
    ledger, operator = deployed(live)
    live.mine(READINGS + 2)
    depth = iter(range(1, 100))
    node = Node(
        [
            (
                "restless",
                _Disturbed(live.anvil.url, lambda: live.node.request("anvil_reorg", min(next(depth), 2), [])),
            )
        ],
        None,
    )
    reader = Ledger.open(node, ledger.run.ledger)
    with pytest.raises(MalformedResponse, match="changes its chain while it is read"):
        reader.sync()
    node.close()
    assert ledger.sync().operator == operator.address


def test_a_history_that_cannot_be_extended_is_built_anew(live: Live) -> None:
    ledger, operator = deployed(live)
    ledger.sync()
    ledger.fund(operator, 7)
    # As if events had been lost: what comes next does not follow.
    ledger._history._last = (10**9, 0)
    with pytest.raises(MalformedResponse, match="out of order"):
        ledger.sync()
    assert ledger.sync().state == ledger.state()
    assert ledger.reorganisations == 1
