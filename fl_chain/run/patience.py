"""Taking a step that anyone may take, when nobody else does."""

from __future__ import annotations

import logging

from fl_chain.errors import LedgerReverted
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.run.keeper import Step, due_step

log = logging.getLogger(__name__)


class Patience:
    """Waits longer the higher its rank, so that one account sends a due step and the rest find it done."""

    def __init__(self, ledger: Ledger, account: Account, *, rank: int) -> None:
        self._ledger = ledger
        self._account = account
        self._rank_s = rank

    def step(self, history: History) -> bool:
        """Take the step that is due, if it has been due for longer than this account waits."""
        now = self._ledger.head().timestamp
        due = due_step(history, now)
        if due is None:
            return False
        step, round_id, since = due
        if now < since + self._rank_s:
            return False
        try:
            self._send(step, round_id)
        except LedgerReverted as error:
            log.debug("%s of round %d was taken by another: %s", step.value, round_id, error)
            return False
        log.info("round %d: sent %s", round_id, step.value)
        return True

    def _send(self, step: Step, round_id: int) -> None:
        match step:
            case Step.OPEN_ROUND:
                self._ledger.open_round(self._account)
            case Step.CLOSE_ROUND:
                self._ledger.close_round(self._account, round_id)
            case Step.VOID_ROUND:
                self._ledger.void_round(self._account, round_id)
            case Step.FINALIZE:
                self._ledger.finalize(self._account)
