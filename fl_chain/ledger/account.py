"""An account that signs transactions, sends them, and sees them through to their receipts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from fl_chain.ledger.delivery import deliver
from fl_chain.ledger.flights import Sender
from fl_chain.ledger.gas import TRANSFER_GAS
from fl_chain.ledger.messages import intended_digest
from fl_chain.ledger.node import Node
from fl_chain.ledger.receipts import Receipt
from fl_chain.ledger.signing import Call, Signer
from fl_chain.ledger.upkeep import outbid
from fl_chain.records import Address

__all__ = ["Account", "Receipt", "send_all"]

MAX_FEE_WEI = 1000 * 10**9


class Account:
    """Signs with one key, from any thread."""

    def __init__(
        self,
        node: Node,
        key: bytes,
        *,
        receipt_timeout_s: float = 120.0,
        replace_after_s: float = 30.0,
        max_fee_wei: int = MAX_FEE_WEI,
    ) -> None:
        """Make the account of a private key.

        Args:
            node: where transactions are sent.
            key: 32 bytes; it is not shown by ``repr``.
            receipt_timeout_s: how long a transaction may take to be mined.
            replace_after_s: how long it may wait before it is looked after: sent again where the node has
                lost it, replaced by one that offers more where blocks pass without it.
            max_fee_wei: the most that is offered per gas, whatever the node asks for.

        Raises:
            KeyUnavailable: it is no private key.
        """
        signer = Signer(key)
        self.address: Address = signer.address
        self.node = node
        self._signer = signer
        self._sender = Sender(
            signer,
            receipt_timeout_s=receipt_timeout_s,
            replace_after_s=replace_after_s,
            max_fee_wei=max_fee_wei,
        )

    def __repr__(self) -> str:
        return f"Account({self.address})"

    @property
    def replace_after_s(self) -> float:
        """How long a transaction may wait before it is looked after."""
        return self._sender.replace_after_s

    @contextmanager
    def pinned(self, nonce: int) -> Iterator[None]:
        """Give this thread's transactions the nonces from one on, and no others, while the context lasts.

        Whoever sent something before, perhaps in a process that was killed, and sends it again under the same
        nonce can be sure that only one of the two is mined.

        Raises:
            TransactionOvertaken: where `send` finds that another transaction has the nonce.
        """
        self._sender.pin = nonce
        try:
            yield
        finally:
            self._sender.pin = None

    def use_up(self, nonces: Iterable[int]) -> None:
        """Replace transactions that are stuck, and of which nothing is known here, by ones that do nothing.

        Raises:
            TransactionRejected: the node does not take a replacement, whatever it offers.
            LedgerUnavailable: no node answers.
        """
        outbid(self.node, self._sender, nonces)

    def sign_for(self, contract: Address, content: bytes) -> bytes:
        """Return a signature of something that is no transaction: EIP-191, version 0, 65 bytes.

        Args:
            contract: the validator of the standard: whose matter it is.
            content: what is signed.
        """
        return self._signer.sign_digest(intended_digest(contract, content))

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
        return self.send_batch([Call(to, data, gas, value_wei)])[0]

    def send_batch(self, calls: Sequence[Call]) -> list[Receipt]:
        """Send transactions in one go, in their order, and wait until all are mined.

        Raises:
            LedgerError: see `send`; the first failure. Those beside it were sent all the same.
        """
        return send_all([(self, call) for call in calls])


def send_all(orders: Sequence[tuple[Account, Call]]) -> list[Receipt]:
    """Send transactions of several accounts on one node in one go, and wait until all are mined.

    Returns:
        Their receipts, in the order of the calls.

    Raises:
        LedgerError: see `Account.send_batch`.
    """
    if not orders:
        return []
    return deliver(orders[0][0].node, [(account._sender, call) for account, call in orders])
