"""Reading a chain that goes on: everything that is compared is of one block."""

from __future__ import annotations

from fl_chain.errors import LedgerUnavailable
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Head


def synced(ledger: Ledger) -> tuple[History, Head]:
    """Return the ledger's history, brought up to date, and the block that it is of.

    Raises:
        LedgerUnavailable: no block is deep enough yet, or no node answers.
    """
    history, block = ledger.sync(), ledger.synced
    if block is None:
        raise LedgerUnavailable("no block has its confirmations yet: wait, or ask for fewer in [chain]")
    return history, block
