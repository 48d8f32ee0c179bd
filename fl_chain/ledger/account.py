"""An account that signs and sends transactions, and sees them through to their receipts."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from eth_account import Account as EthAccount

from fl_chain.errors import RequestRefused, TransactionFailed, TransactionRejected
from fl_chain.ledger.gas import TRANSFER_GAS
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.node import Node, quantity
from fl_chain.ledger.reverts import decode_revert
from fl_chain.records import Address, address

log = logging.getLogger(__name__)

SEND_ATTEMPTS = 3
FEE_AGE_S = 10.0  # a base fee is read again after that; it at most doubles in six blocks
FIRST_POLL_S = 0.005
LONGEST_POLL_S = 1.0

# What nodes say when nonce or fees are out of date.
_PASSING_TROUBLES = ("nonce", "already known", "already imported", "underpriced", "base fee")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that was mined and succeeded."""

    transaction_hash: bytes  # 32 bytes
    block_number: int
    gas_used: int
    fee_wei: int
    status: int  # 1
    contract: Address | None  # what a deployment made


@dataclass(frozen=True, slots=True)
class _Fees:
    max_fee_wei: int  # per gas, EIP-1559
    max_priority_fee_wei: int
    read_at: float  # monotonic seconds


class Account:
    """Signs with one key. Transactions of one account are sent one after the other, from any thread."""

    def __init__(self, node: Node, key: bytes, *, receipt_timeout_s: float = 120.0) -> None:
        """Make the account of a private key.

        Args:
            node: where transactions are sent.
            key: 32 bytes; it is not shown by ``repr``.
            receipt_timeout_s: how long a transaction may take to be mined.

        Raises:
            KeyUnavailable: it is no private key.
        """
        self.address: Address = address_of(key)
        self.node = node
        self._signer = EthAccount.from_key(key)
        self._receipt_timeout_s = receipt_timeout_s
        self._nonce: int | None = None
        self._fees: _Fees | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Account({self.address})"

    def transfer(self, receiver: Address, amount_wei: int) -> Receipt:
        """Send native coin to an account without code."""
        return self.send(receiver, b"", gas=TRANSFER_GAS, value_wei=amount_wei)

    def send(self, to: Address | None, data: bytes, *, gas: int, value_wei: int = 0) -> Receipt:
        """Send a transaction and wait until it is mined.

        Args:
            to: the receiver; None deploys ``data``.
            data: the encoded call.
            gas: its limit.
            value_wei: native coin to send along.

        Raises:
            LedgerReverted: the ledger refused it by a custom error.
            TransactionFailed: it failed otherwise, or was not mined in time.
            TransactionRejected: no node takes it.
            LedgerUnavailable: no node answers.
        """
        with self._lock:
            transaction_hash, receipt = self._submit(to, data, gas, value_wei)
        if receipt is None:
            receipt = self._await_receipt(transaction_hash)
        if quantity(receipt["status"]) != 1:
            self._raise_failure(receipt, to, data, gas, value_wei)
        gas_used = quantity(receipt["gasUsed"])
        contract = receipt.get("contractAddress")
        return Receipt(
            transaction_hash=transaction_hash,
            block_number=quantity(receipt["blockNumber"]),
            gas_used=gas_used,
            fee_wei=gas_used * quantity(receipt["effectiveGasPrice"]),
            status=1,
            contract=address(contract) if contract else None,
        )

    def _submit(self, to: Address | None, data: bytes, gas: int, value_wei: int) -> tuple[bytes, Any]:
        """Return the hash of a transaction that a node has taken, and its receipt if it has one already."""
        for attempt in range(SEND_ATTEMPTS):
            nonce = self._next_nonce()
            signed = self._sign(nonce, to, data, gas, value_wei)
            transaction_hash = bytes(signed.hash)
            shown = "0x" + transaction_hash.hex()
            # A development chain mines at once, so the receipt is asked for in the same exchange.
            sent, receipt = self.node.batch_with_errors(
                [
                    ("eth_sendRawTransaction", ["0x" + signed.raw_transaction.hex()]),
                    ("eth_getTransactionReceipt", [shown]),
                ]
            )
            if not isinstance(sent, RequestRefused) or self._is_known(shown):
                self._nonce = nonce + 1
                return transaction_hash, None if isinstance(receipt, RequestRefused) else receipt
            self._nonce = None
            self._fees = None
            if attempt == SEND_ATTEMPTS - 1 or not _is_worth_another_attempt(sent):
                raise TransactionRejected(f"the node does not take the transaction: {sent}") from sent
            log.debug("sending again with nonce and fees read anew: %s", sent)
        raise AssertionError("the last attempt returns or raises")

    def _is_known(self, transaction_hash: str) -> bool:
        # Where an answer was lost on the way, the node refuses the repetition; what it holds counts.
        return self.node.request("eth_getTransactionByHash", transaction_hash) is not None

    def _next_nonce(self) -> int:
        if self._nonce is None:
            self._nonce = quantity(self.node.request("eth_getTransactionCount", self.address, "pending"))
        return self._nonce

    def _sign(self, nonce: int, to: Address | None, data: bytes, gas: int, value_wei: int) -> Any:
        fees = self._current_fees()
        transaction: dict[str, Any] = {
            "chainId": self.node.chain_id,
            "nonce": nonce,
            "gas": gas,
            "value": value_wei,
            "data": data,
            "maxFeePerGas": fees.max_fee_wei,
            "maxPriorityFeePerGas": fees.max_priority_fee_wei,
        }
        if to is not None:
            transaction["to"] = bytes.fromhex(to[2:])
        return self._signer.sign_transaction(transaction)

    def _current_fees(self) -> _Fees:
        now = time.monotonic()
        if self._fees is None or now - self._fees.read_at > FEE_AGE_S:
            tip, block = self.node.batch(
                [("eth_maxPriorityFeePerGas", []), ("eth_getBlockByNumber", ["latest", False])]
            )
            tip_wei = quantity(tip)
            # Twice the base fee stays enough for five full blocks in a row.
            max_fee_wei = 2 * quantity(block["baseFeePerGas"]) + tip_wei
            self._fees = _Fees(max_fee_wei, tip_wei, now)
        return self._fees

    def _await_receipt(self, transaction_hash: bytes) -> Any:
        deadline = time.monotonic() + self._receipt_timeout_s
        pause_s = FIRST_POLL_S
        while time.monotonic() < deadline:
            receipt = self.node.request("eth_getTransactionReceipt", "0x" + transaction_hash.hex())
            if receipt is not None:
                return receipt
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_POLL_S)
        raise TransactionFailed(
            f"transaction 0x{transaction_hash.hex()} was not mined within {self._receipt_timeout_s:.0f} s: "
            "it may still be; look it up before sending it again"
        )

    def _raise_failure(self, receipt: Any, to: Address | None, data: bytes, gas: int, value_wei: int) -> None:
        """Run a failed transaction again as a call, to learn why it failed."""
        shown = receipt["transactionHash"]
        if quantity(receipt["gasUsed"]) >= gas:
            raise TransactionFailed(f"transaction {shown} ran out of its {gas} gas")
        block = quantity(receipt["blockNumber"])
        for context in (block, block - 1):
            try:
                self.node.call(to, data, sender=self.address, block=hex(context), gas=gas, value=value_wei)
            except RequestRefused as error:
                reverted = decode_revert(error.data)
                if reverted is not None:
                    raise reverted from None
                raise TransactionFailed(f"transaction {shown} failed: {error}") from error
        raise TransactionFailed(f"transaction {shown} failed, and would not now: try again")


def _is_worth_another_attempt(error: RequestRefused) -> bool:
    message = str(error).lower()
    return any(trouble in message for trouble in _PASSING_TROUBLES)
