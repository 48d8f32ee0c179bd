"""Taking a step that anyone may take, when nobody else does."""

from __future__ import annotations

import logging

from fl_chain.errors import LedgerReverted
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus
from fl_chain.run.keeper import Step, due_step
from fl_chain.run.transactions import TransactionOutbox

log = logging.getLogger(__name__)


class Patience:
    """Waits longer the higher its rank, so that one account sends a due step and the rest find it done."""

    def __init__(
        self, ledger: Ledger, account: Account, transactions: TransactionOutbox, *, rank: int
    ) -> None:
        self._ledger = ledger
        self._account = account
        self._transactions = transactions
        self._rank_s = rank

    def step(self, history: History) -> bool:
        """Take the step that is due, if it has been due for longer than this account waits.

        Raises:
            LedgerError: if the ledger cannot be reached, or an earlier transaction is still on its way.
        """
        now = self._ledger.head().timestamp
        due = due_step(history, now)
        if due is None:
            return False
        step, round_id, since = due
        if now < since + self._rank_s:
            return False
        try:
            receipt = self._transactions.send(
                f"{step.value} of round {round_id}",
                is_due=lambda: self._is_untaken(step, round_id),
                call=lambda: self._send(step, round_id),
            )
        except LedgerReverted as error:
            log.debug("%s of round %d was taken by another: %s", step.value, round_id, error)
            return False
        if receipt is not None:
            log.info("round %d: sent %s", round_id, step.value)
        return receipt is not None

    def _is_untaken(self, step: Step, round_id: int) -> bool:
        """Return whether the contract still waits for a step, which the history may not show yet."""
        match step:
            case Step.OPEN_ROUND:
                return self._ledger.state().latest < round_id
            case Step.CLOSE_ROUND:
                return self._ledger.round(round_id).status is RoundStatus.OPEN
            case Step.VOID_ROUND:
                return self._ledger.round(round_id).status is RoundStatus.CLOSED
            case Step.FINALIZE:
                return self._ledger.state().settled < round_id

    def _send(self, step: Step, round_id: int) -> Receipt:
        match step:
            case Step.OPEN_ROUND:
                return self._ledger.open_round(self._account)
            case Step.CLOSE_ROUND:
                return self._ledger.close_round(self._account, round_id)
            case Step.VOID_ROUND:
                return self._ledger.void_round(self._account, round_id)
            case Step.FINALIZE:
                return self._ledger.finalize(self._account)
