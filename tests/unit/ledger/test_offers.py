"""What transactions offer, and receipts that are none."""

from __future__ import annotations

from typing import Any

import pytest
from chains import RECIPIENT, Clock

from fl_chain.errors import MalformedResponse, TransactionRejected
from fl_chain.ledger.account import Account
from fl_chain.ledger.devnet import dev_keys, open_chain
from fl_chain.ledger.fees import base_fee_wei, bumped, current_fees
from fl_chain.ledger.node import embedded
from fl_chain.ledger.receipts import receipt_of
from fl_chain.ledger.signing import Call, Fees, Signer
from fl_chain.records import address

GWEI = 10**9


def test_an_offer_covers_twice_the_base_fee_up_to_the_limit() -> None:
    with open_chain(clock=Clock()) as chain:
        node = embedded(chain)
        base_wei = base_fee_wei(node.request("eth_getBlockByNumber", "latest", False))
        usual = current_fees(node, 10**12)
        assert usual == Fees(2 * base_wei + GWEI, GWEI)
        assert current_fees(node, usual.max_fee_wei) == usual
        assert current_fees(node, usual.max_fee_wei - 1).max_fee_wei == usual.max_fee_wei - 1
        assert current_fees(node, base_wei) == Fees(base_wei, min(base_wei, GWEI))
        with pytest.raises(TransactionRejected, match=r"max_fee_gwei"):
            current_fees(node, base_wei - 1)


@pytest.mark.parametrize(
    ("offered", "current", "expected"),
    [
        (Fees(800, 80), Fees(100, 10), Fees(900, 90)),
        (Fees(801, 0), Fees(0, 0), Fees(902, 1)),
        (Fees(800, 80), Fees(5000, 700), Fees(5000, 700)),
        (Fees(1, 1), Fees(1, 1), Fees(2, 2)),
    ],
)
def test_a_replacement_offers_an_eighth_more_at_least(offered: Fees, current: Fees, expected: Fees) -> None:
    assert bumped(offered, current, 5000) == expected
    assert bumped(offered, current, expected.max_fee_wei) == expected
    assert bumped(offered, current, expected.max_fee_wei - 1) == offered


@pytest.mark.parametrize("block", [None, {}, [], {"baseFeePerGas": "x"}])
def test_a_chain_without_a_base_fee_is_refused(block: Any) -> None:
    with pytest.raises(MalformedResponse):
        base_fee_wei(block)


@pytest.mark.parametrize("missing", [None, "status", "gasUsed", "blockNumber", "effectiveGasPrice"])
def test_a_receipt_that_is_none_is_refused(missing: str | None) -> None:
    with open_chain(clock=Clock()) as chain:
        node = embedded(chain)
        account = Account(node, dev_keys()[0])
        sent = account.transfer(address(RECIPIENT), 3)
        answer = node.request("eth_getTransactionReceipt", "0x" + sent.transaction_hash.hex())
        call = Call(address(RECIPIENT), b"", 21_000, 3)
        signed = Signer(dev_keys()[0]).sign(call, chain_id=node.chain_id, nonce=0, fees=Fees(1, 1))
        assert receipt_of(node, signed, answer).gas_used == 21_000
        with pytest.raises(MalformedResponse, match="receipt lacks"):
            receipt_of(node, signed, "text" if missing is None else _without(answer, missing))


def _without(answer: dict[str, Any], missing: str) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != missing}
