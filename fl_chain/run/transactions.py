"""One account's transactions, each sent once: the newest is written down before it leaves.

Whether a transaction is still needed is read from the contract, and whether that answer counts from the
account's nonce. Before anything is sent, the transaction before it has to be settled:

| the node counts its nonce | so | then |
|---|---|---|
| in its newest block | it was mined, and the contract's state shows what it did | go on |
| among what waits | it is on its way | wait; where blocks pass it over, use its nonce up |
| not at all | it never arrived, or was dropped | go on, with that nonce: at most one is mined |
| the node is older than its block | the node is behind | wait |

The nonce that was read with that answer is the only one that the next transaction may take: if an earlier one
turns up after all, say after a reorganisation, one of the two is mined and the contract is asked again.

So a process can be killed between any two instructions here and started again; nothing is sent twice.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from fl_chain.errors import TransactionPending
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.node import parse_head, quantity
from fl_chain.run.durable import make_folder, write_durably, write_whole

log = logging.getLogger(__name__)

_U64 = Annotated[int, Field(ge=0, lt=2**64)]


@dataclass(frozen=True, slots=True)
class SentTransaction:
    """The newest transaction of an account."""

    account: str
    chain_id: int
    what: str  # in words, for messages
    nonce: _U64
    block_number: _U64 | None  # where it was mined; None while that is not known


_SENT = TypeAdapter(SentTransaction)
_NAME = "transaction"


@dataclass(frozen=True, slots=True)
class _Wait:
    """Since when a nonce has been waiting to be mined."""

    nonce: int
    head: int  # newest block then
    since_s: float  # monotonic


class TransactionOutbox:
    """Sends an account's transactions one after the other, over the life of many processes."""

    def __init__(self, folder: Path, account: Account, *, is_durable: bool = True) -> None:
        """Open an actor's folder, made where it is missing.

        Args:
            folder: for this account alone.
            account: signs.
            is_durable: whether a note has to outlive a power cut, as it has to where the chain does.

        Raises:
            ConfigError: if the folder cannot be made.
        """
        make_folder(folder)
        self._path = folder / _NAME
        self._account = account
        self._is_durable = is_durable
        self._newest = self._load()
        self._waiting: _Wait | None = None

    @property
    def newest(self) -> SentTransaction | None:
        """What was written down last; None before the first transaction."""
        return self._newest

    def send(self, what: str, *, is_due: Callable[[], bool], call: Callable[[], Receipt]) -> Receipt | None:
        """Send a transaction unless it has been sent already.

        Args:
            what: what it does, for messages.
            is_due: asks the contract whether it is still needed.
            call: sends it and waits until it is mined.

        Returns:
            The receipt; None where it is not due.

        Raises:
            TransactionPending: if an earlier transaction has yet to be mined, or the node has yet to see it.
            StateUnwritable: if the folder does not take it; nothing was sent then.
            TransactionOvertaken: if an earlier transaction turned up meanwhile.
            LedgerError: see `Account.send`.
        """
        nonce = self._settled_nonce()
        if not is_due():
            return None
        self._save(what, nonce, None)
        with self._account.pinned(nonce):
            receipt = call()
        self._save(what, nonce, receipt.block_number)
        return receipt

    def _settled_nonce(self) -> int:
        """Return the next nonce, after checking that nothing of this account is on its way."""
        address = self._account.address
        mined_count, known_count, newest_block = self._account.node.batch(
            [
                ("eth_getTransactionCount", [address, "latest"]),
                ("eth_getTransactionCount", [address, "pending"]),
                ("eth_getBlockByNumber", ["latest", False]),
            ]
        )
        mined, known = quantity(mined_count), quantity(known_count)
        head = parse_head(newest_block).number
        if known > mined:
            self._look_after(mined, known, head)
            what = "an earlier transaction" if self._newest is None else self._newest.what
            raise TransactionPending(f"waiting until “{what}” of {address}, nonce {mined}, is mined")
        self._waiting = None
        self._verify_seen(head)
        self._resolve(mined)
        return known

    def _look_after(self, mined: int, known: int, head: int) -> None:
        """Use up the nonces of own transactions that blocks pass over; a stranger's are not touched."""
        if self._waiting is None or self._waiting.nonce != mined:
            self._waiting = _Wait(mined, head, time.monotonic())
        is_long = time.monotonic() - self._waiting.since_s >= self._account.replace_after_s
        if self._newest is not None and is_long and head > self._waiting.head:
            self._account.use_up(range(mined, min(known, self._newest.nonce + 1)))
            self._waiting = None

    def _verify_seen(self, head: int) -> None:
        newest = self._newest
        if newest is not None and newest.block_number is not None and head < newest.block_number:
            raise TransactionPending(
                f"“{newest.what}” was mined in block {newest.block_number}, the node is at block {head}: "
                f"waiting for it. If the chain was started anew, remove {self._path}."
            )

    def _resolve(self, mined: int) -> None:
        """Say what became of a transaction whose receipt was not seen."""
        if self._newest is not None and self._newest.block_number is None:
            outcome = "was mined" if mined > self._newest.nonce else "never reached the chain"
            log.info("“%s” was interrupted, nonce %d: it %s", self._newest.what, self._newest.nonce, outcome)
            self._newest = None

    def _save(self, what: str, nonce: int, block_number: int | None) -> None:
        newest = SentTransaction(
            self._account.address, self._account.node.chain_id, what, nonce, block_number
        )
        content = json.dumps(asdict(newest)).encode()
        if self._is_durable:
            write_durably(self._path, content)
        else:
            write_whole(self._path, content)
        self._newest = newest

    def _load(self) -> SentTransaction | None:
        try:
            content = self._path.read_bytes()
            newest = _SENT.validate_json(content, strict=True, extra="forbid")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):  # pydantic's are ValueErrors
            log.warning("%s is damaged: going by what the node says alone", self._path)
            return None
        is_own = (newest.account, newest.chain_id) == (self._account.address, self._account.node.chain_id)
        return newest if is_own else None


def forget_newest(folder: Path) -> None:
    """Remove the note of an account's newest transaction, where the chain is known to hold nothing after it.

    Args:
        folder: of the account's `TransactionOutbox`, which is not open.
    """
    (folder / _NAME).unlink(missing_ok=True)
