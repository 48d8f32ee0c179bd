"""Taking out what an account has in the ledger, after the run has ended."""

from __future__ import annotations

import logging

from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.views import AccountBalance
from fl_chain.records import Address
from fl_chain.run.transactions import TransactionOutbox

log = logging.getLogger(__name__)


def is_paid_out(history: History, holder: Address) -> bool:
    """Return whether nothing of an account is left in the ledger, apart from a participant's deposit."""
    held = history.accounts.get(holder, AccountBalance())
    return held.free_bond_wei + held.locked_bond_wei + held.credit_wei + held.unbonding_wei == 0


class Payout:
    """Asks bond back, and withdraws once, when everything that was asked back is due."""

    def __init__(self, ledger: Ledger, account: Account, transactions: TransactionOutbox) -> None:
        self._ledger = ledger
        self._account = account
        self._transactions = transactions

    def step(self, holder: Address) -> bool:
        """Do what is due next for an account; call it after the run's end only.

        Args:
            holder: whose money; bond is asked back only where it is the signing account itself.

        Raises:
            LedgerError: if the ledger cannot be reached or refuses.
        """
        if holder == self._account.address and self._ledger.account(holder).free_bond_wei:
            return self._request_bond(holder)
        return self._withdraw(holder)

    def _request_bond(self, holder: Address) -> bool:
        receipt = self._transactions.send(
            "request of the bond",
            is_due=lambda: self._ledger.account(holder).free_bond_wei > 0,
            call=lambda: self._ledger.request_bond(self._account, self._ledger.account(holder).free_bond_wei),
        )
        if receipt is not None:
            log.info("asked the bond back; it is paid after %d s", self._ledger.policy().unbonding_s)
        return receipt is not None

    def _withdraw(self, holder: Address) -> bool:
        if not self._is_due(holder):
            return False
        receipt = self._transactions.send(
            "withdrawal",
            is_due=lambda: self._is_due(holder),
            call=lambda: self._ledger.withdraw(self._account, holder),
        )
        if receipt is not None:
            log.info("withdrew what the ledger held for %s", holder)
        return receipt is not None

    def _is_due(self, holder: Address) -> bool:
        held = self._ledger.account(holder).with_released(self._ledger.head().timestamp)
        return held.credit_wei > 0 and held.unbonding_wei == 0
