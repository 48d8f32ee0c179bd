"""The money that a ledger moves: the chain's native coin, or an ERC-20 token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fl_chain.errors import TransactionRejected
from fl_chain.ledger.memory.journal import Journal
from fl_chain.ledger.memory.records import UINT128_LIMIT, Message, refused
from fl_chain.records import ZERO_ADDRESS, Address


class Coin(Protocol):
    """What amounts are in."""

    @property
    def address(self) -> Address:
        """The token's; zero for the native coin."""

    def balance_wei(self, holder: Address) -> int:
        """Return what an account holds."""

    def verify_sent(self, message: Message) -> None:
        """Check that the caller has what it sends along.

        Raises:
            TransactionRejected: it has less.
        """

    def receive(self, journal: Journal, message: Message, ledger: Address, amount_wei: int) -> None:
        """Take an amount from the caller into the ledger.

        Raises:
            LedgerReverted: another amount arrives.
        """

    def pay(self, journal: Journal, ledger: Address, to: Address, amount_wei: int) -> None:
        """Pay an amount out of the ledger.

        Raises:
            LedgerReverted: the receiver does not take it.
        """


class _Balances:
    def __init__(self, balances: Mapping[Address, int]) -> None:
        self._balances = dict(balances)

    def balance_wei(self, holder: Address) -> int:
        """Return what an account holds."""
        return self._balances.get(holder, 0)

    def _move(self, journal: Journal, sender: Address, to: Address, amount_wei: int) -> None:
        journal.put(self._balances, sender, self.balance_wei(sender) - amount_wei)
        journal.put(self._balances, to, self.balance_wei(to) + amount_wei)


class NativeCoin(_Balances):
    """The chain's own coin, which travels with a call."""

    address = ZERO_ADDRESS

    def __init__(self, balances: Mapping[Address, int], refusing: frozenset[Address] = frozenset()) -> None:
        """Hand out the coin.

        Args:
            balances: in wei, by account.
            refusing: contracts that take no coin; the ledger itself never does.
        """
        super().__init__(balances)
        self._refusing = refusing

    def verify_sent(self, message: Message) -> None:
        """Check that the caller has what it sends along.

        Raises:
            TransactionRejected: it has less.
        """
        held_wei = self.balance_wei(message.caller)
        if held_wei < message.value_wei:
            raise TransactionRejected(
                f"{message.caller} sends {message.value_wei} wei and holds {held_wei}: send it money first"
            )

    def receive(self, journal: Journal, message: Message, ledger: Address, amount_wei: int) -> None:
        """Take what came with the call, which is exactly the amount.

        Raises:
            LedgerReverted: ``WrongPayment``.
        """
        if message.value_wei != amount_wei:
            raise refused("WrongPayment", sent=message.value_wei, expected=amount_wei)
        self._move(journal, message.caller, ledger, amount_wei)

    def pay(self, journal: Journal, ledger: Address, to: Address, amount_wei: int) -> None:
        """Pay an amount.

        Raises:
            LedgerReverted: ``TransferFailed``.
        """
        if to == ledger or to in self._refusing:
            raise refused("TransferFailed", to=to, amountWei=amount_wei)
        self._move(journal, ledger, to, amount_wei)


class Token(_Balances):
    """An ERC-20 token of which every holder has approved the ledger."""

    def __init__(self, token: Address, balances: Mapping[Address, int], fee_wei: int = 0) -> None:
        """Hand out the token.

        Args:
            token: the token contract's address.
            balances: in the token's smallest unit, by account.
            fee_wei: what the token keeps of every amount that the ledger collects.
        """
        super().__init__(balances)
        self.address = token
        self._fee_wei = fee_wei

    def verify_sent(self, message: Message) -> None:
        """Leave native coin alone: only the token is kept account of."""

    def receive(self, journal: Journal, message: Message, ledger: Address, amount_wei: int) -> None:
        """Collect an amount from the caller.

        Raises:
            LedgerReverted: ``WrongPayment`` where native coin was sent or the token kept a fee,
                ``SafeERC20FailedOperation`` where the caller holds less, ``AmountTooLarge``.
        """
        if message.value_wei:
            raise refused("WrongPayment", sent=message.value_wei, expected=0)
        if self.balance_wei(message.caller) < amount_wei:
            raise refused("SafeERC20FailedOperation", token=self.address)
        self._move(journal, message.caller, ledger, amount_wei)
        fee_wei = min(self._fee_wei, amount_wei)
        if fee_wei:
            raise refused("WrongPayment", sent=amount_wei - fee_wei, expected=amount_wei)
        if self.balance_wei(ledger) >= UINT128_LIMIT:
            raise refused("AmountTooLarge", amountWei=self.balance_wei(ledger))

    def pay(self, journal: Journal, ledger: Address, to: Address, amount_wei: int) -> None:
        """Pay an amount."""
        self._move(journal, ledger, to, amount_wei)
