"""Transactions under way, and who signs them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from fl_chain.errors import RequestRefused, TransactionOvertaken
from fl_chain.ledger.fees import bumped
from fl_chain.ledger.node import Node
from fl_chain.ledger.signing import Call, Fees, SignedTransaction, Signer
from fl_chain.ledger.transport import Json, Request

# What nodes say when nonce or fees are out of date.
NONCE_TROUBLE = "nonce"
UNDERPRICED = "underpriced"
PASSING_TROUBLES = (
    NONCE_TROUBLE,
    "already known",
    "already imported",
    UNDERPRICED,
    "base fee",
    "less than block",
)

MAX_OUTBIDS = 40  # of a transaction whose offer is not known; over 100 times what is asked for now


class Sender:
    """Who signs, on what terms, and what of it is under way."""

    def __init__(
        self, signer: Signer, *, receipt_timeout_s: float, replace_after_s: float, max_fee_wei: int
    ) -> None:
        self.signer = signer
        self.receipt_timeout_s = receipt_timeout_s
        self.replace_after_s = replace_after_s
        self.max_fee_wei = max_fee_wei  # per gas
        self.lock = threading.Lock()  # held from choosing a nonce until it is sent
        self.nonces: set[int] = set()  # under way
        self._thread = threading.local()

    @property
    def pin(self) -> int | None:
        """The only nonce that this thread's next transaction may take; None: any."""
        return getattr(self._thread, "pin", None)

    @pin.setter
    def pin(self, nonce: int | None) -> None:
        self._thread.pin = nonce

    def take_pin(self) -> int | None:
        """Return the pinned nonce, and pin the one after it for what comes next."""
        pin = self.pin
        if pin is not None:
            self.pin = pin + 1
        return pin

    def reserve(self, pending: int, pin: int | None) -> int:
        """Return the first nonce from ``pending`` on that is not under way, and keep it.

        Raises:
            TransactionOvertaken: another one is pinned, and used already.
        """
        nonce = pending if pin is None else pin
        if pin is not None and (pending > pin or pin in self.nonces):
            raise TransactionOvertaken(
                f"another transaction of {self.signer.address} has nonce {pin}: "
                "look whether this one is still needed"
            )
        while nonce in self.nonces:
            nonce += 1
        self.nonces.add(nonce)
        return nonce


@dataclass(slots=True, eq=False)
class Flight:
    """One transaction under way."""

    sender: Sender
    call: Call
    pin: int | None = None  # the only nonce that it may have
    is_filler: bool = False  # it only uses up a nonce that nobody else uses
    versions: list[SignedTransaction] = field(default_factory=list)  # newest last, all of one nonce
    least: Fees | None = None  # what outbids a transaction that is in its place
    outbids: int = 0
    head: int = 0  # newest block when it was looked after last; 0: not yet
    overtaken: int = 0  # looks in a row that found its nonce used by another transaction
    losses: int = 0  # of its nonce, to a transaction from elsewhere
    answer: Json = None  # the node's receipt
    mined: SignedTransaction | None = None

    @property
    def newest(self) -> SignedTransaction:
        """The version that was signed last."""
        return self.versions[-1]

    def sign(self, node: Node, nonce: int, fees: Fees) -> SignedTransaction:
        """Sign a further version."""
        signed = self.sender.signer.sign(self.call, chain_id=node.chain_id, nonce=nonce, fees=fees)
        self.versions.append(signed)
        return signed

    def outbid(self, error: RequestRefused) -> bool:
        """Offer more the next time, if the refusal says that another transaction in its place offers more.

        A node may hold one that it does not count, because the base fee is above its offer at the moment.
        """
        if UNDERPRICED not in str(error).lower() or self.outbids == MAX_OUTBIDS:
            return False
        fees = self.newest.fees
        self.least = bumped(fees, fees, self.sender.max_fee_wei)
        self.outbids += 1
        return self.least != fees

    def release(self) -> None:
        """Forget its versions, because another transaction has their nonce or no node takes them."""
        if self.versions:
            self.sender.nonces.discard(self.newest.nonce)
        self.versions.clear()


def shown(transaction: SignedTransaction) -> str:
    """Return a transaction's hash as requests and messages have it."""
    return "0x" + transaction.hash.hex()


def sending(transaction: SignedTransaction) -> Request:
    """Return the request that sends a transaction."""
    return "eth_sendRawTransaction", ["0x" + transaction.raw.hex()]


def asking(transaction: SignedTransaction) -> Request:
    """Return the request for a transaction's receipt."""
    return "eth_getTransactionReceipt", [shown(transaction)]


def is_passing(error: RequestRefused) -> bool:
    """Return whether a transaction that was refused may be taken with another nonce or offer."""
    message = str(error).lower()
    return any(trouble in message for trouble in PASSING_TROUBLES)
