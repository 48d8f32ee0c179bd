"""Seeing transactions through: nonces, fees, sending, what is stuck or lost, and receipts.

**One of many versions.** A transaction that has to offer more is signed anew under the same nonce, so that
at most one version of it is mined; the receipt of any of them is its receipt.

**Nonces** are read from the node before every transaction, past those that are under way from here: what a
reorganisation or another process does to an account shows there. A nonce that nobody uses would hold up all
that follow, so it is used up by a transfer of nothing to oneself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from fl_chain.errors import RequestRefused, TransactionFailed, TransactionRejected
from fl_chain.ledger.fees import base_fee_wei, bumped, current_fees
from fl_chain.ledger.gas import TRANSFER_GAS
from fl_chain.ledger.node import Node, parse_head, quantity
from fl_chain.ledger.receipts import Receipt, receipt_of
from fl_chain.ledger.signing import Call, Fees, SignedTransaction, Signer
from fl_chain.ledger.transport import Json, Request

log = logging.getLogger(__name__)

SEND_ATTEMPTS = 3
MAX_REPLACEMENTS = 12  # of one transaction; at least 4 times the first offer
MAX_FILLED = 16  # unused nonces before one transaction
PER_EXCHANGE = 200  # transactions
FIRST_POLL_S = 0.005
LONGEST_POLL_S = 1.0

# What nodes say when nonce or fees are out of date.
_PASSING_TROUBLES = (
    "nonce",
    "already known",
    "already imported",
    "underpriced",
    "base fee",
    "less than block",
)


class Sender:
    """Who signs, and what of it is under way."""

    def __init__(self, signer: Signer, *, receipt_timeout_s: float, replace_after_s: float) -> None:
        self.signer = signer
        self.receipt_timeout_s = receipt_timeout_s
        self.replace_after_s = replace_after_s
        self.lock = threading.Lock()  # held from choosing a nonce until it is sent
        self.nonces: set[int] = set()  # under way

    def reserve(self, pending: int) -> int:
        """Return the first nonce from ``pending`` on that is not under way, and keep it."""
        nonce = pending
        while nonce in self.nonces:
            nonce += 1
        self.nonces.add(nonce)
        return nonce


@dataclass(slots=True)
class _Flight:
    """One transaction under way."""

    sender: Sender
    call: Call
    versions: list[SignedTransaction] = field(default_factory=list)  # newest last, all of one nonce
    head: int = 0  # newest block when it was looked after last; 0: not yet
    losses: int = 0  # of its nonce, to a transaction from elsewhere
    answer: Json = None  # the node's receipt
    mined: SignedTransaction | None = None

    @property
    def newest(self) -> SignedTransaction:
        return self.versions[-1]

    def sign(self, node: Node, nonce: int, fees: Fees) -> SignedTransaction:
        signed = self.sender.signer.sign(self.call, chain_id=node.chain_id, nonce=nonce, fees=fees)
        self.versions.append(signed)
        return signed

    def release(self) -> None:
        """Forget its versions, because another transaction has their nonce or no node takes them."""
        if self.versions:
            self.sender.nonces.discard(self.newest.nonce)
        self.versions.clear()


def deliver(node: Node, orders: Sequence[tuple[Sender, Call]]) -> list[Receipt]:
    """Send transactions and wait until all are mined.

    Raises:
        LedgerError: see `Account.send`; the first failure.
    """
    flights = [_Flight(sender, call) for sender, call in orders]
    try:
        _launch(node, flights)
        _await_receipts(node, flights)
    finally:
        for flight in flights:
            flight.release()
    return [receipt_of(node, flight.mined, flight.answer) for flight in flights if flight.mined is not None]


# ---------------------------------------------------------------------- sending


def _launch(node: Node, flights: Sequence[_Flight]) -> None:
    """Sign and send, until a node has taken every transaction."""
    senders = {flight.sender.signer.address: flight.sender for flight in flights}
    with ExitStack() as locks:
        for address in sorted(
            senders
        ):  # in one order everywhere, so that two threads cannot block each other
            locks.enter_context(senders[address].lock)
        waiting = list(flights)
        for attempt in range(SEND_ATTEMPTS):
            _sign(node, waiting)
            refused = _send(node, waiting)
            if not refused:
                return
            waiting = [flight for flight, _ in refused]
            for flight in waiting:
                flight.release()
            for _, error in refused:
                if attempt == SEND_ATTEMPTS - 1 or not _is_passing(error):
                    raise TransactionRejected(f"the node does not take the transaction: {error}") from error
            log.debug("sending %d again with nonces and fees read anew", len(waiting))


def _sign(node: Node, flights: Sequence[_Flight]) -> None:
    senders = {flight.sender.signer.address: flight.sender for flight in flights}
    fees = current_fees(node)
    requests: list[Request] = [("eth_getTransactionCount", [address, "pending"]) for address in senders]
    counts = dict(zip(senders, map(quantity, _in_parts(node, requests)), strict=True))
    for flight in flights:
        flight.sign(node, flight.sender.reserve(counts[flight.sender.signer.address]), fees)


def _send(node: Node, flights: Sequence[_Flight]) -> list[tuple[_Flight, RequestRefused]]:
    """Send the newest versions; return those that no node has, with what it says about them."""
    refused: list[tuple[_Flight, RequestRefused]] = []
    for part in _parts(flights):
        # A development chain mines at once, so the receipts are asked for in the same exchange.
        answers = node.batch_with_errors(
            [_sending(one.newest) for one in part] + [_asking(one.newest) for one in part]
        )
        for flight, sent, receipt in zip(part, answers[: len(part)], answers[len(part) :], strict=True):
            if not isinstance(receipt, RequestRefused | None):
                flight.answer, flight.mined = receipt, flight.newest
            elif isinstance(sent, RequestRefused):
                refused.append((flight, sent))
    # Where an answer was lost on the way, the node refuses the repetition; what it holds counts.
    looks: list[Request] = [("eth_getTransactionByHash", [_shown(one.newest)]) for one, _ in refused]
    found = _in_parts(node, looks)
    return [one for one, held in zip(refused, found, strict=True) if held is None]


def _is_passing(error: RequestRefused) -> bool:
    message = str(error).lower()
    return any(trouble in message for trouble in _PASSING_TROUBLES)


# ---------------------------------------------------------------------- waiting


def _await_receipts(node: Node, flights: Sequence[_Flight]) -> None:
    started = looked = time.monotonic()
    timeout_s = max(flight.sender.receipt_timeout_s for flight in flights)
    pause_s = FIRST_POLL_S
    waiting = [flight for flight in flights if flight.mined is None]
    while waiting:
        now = time.monotonic()
        if now - started > timeout_s:
            raise TransactionFailed(
                f"transaction {_shown(waiting[0].newest)} was not mined within {timeout_s:.0f} s: "
                "it may still be; look it up before sending it again"
            )
        _collect(node, waiting[:PER_EXCHANGE])
        remaining = [flight for flight in waiting if flight.mined is None]
        if len(remaining) < len(waiting):
            pause_s, waiting = FIRST_POLL_S, remaining
            continue
        if now - looked >= waiting[0].sender.replace_after_s:
            for flight in waiting:
                _look_after(node, flight)
            looked = now
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_POLL_S)


def _collect(node: Node, flights: Sequence[_Flight]) -> None:
    versions = [(flight, version) for flight in flights for version in flight.versions]
    answers = node.batch([_asking(version) for _, version in versions])
    for (flight, version), answer in zip(versions, answers, strict=True):
        if answer is not None:
            flight.answer, flight.mined = answer, version


def _look_after(node: Node, flight: _Flight) -> None:
    """Send again what the node has lost, offer more for what is passed over, fill gaps before it."""
    newest, address = flight.newest, flight.sender.signer.address
    mined, pending, held, block = node.batch(
        [
            ("eth_getTransactionCount", [address, "latest"]),
            ("eth_getTransactionCount", [address, "pending"]),
            ("eth_getTransactionByHash", [_shown(newest)]),
            ("eth_getBlockByNumber", ["latest", False]),
        ]
    )
    if quantity(mined) > newest.nonce:
        _replace_nonce(node, flight)
        return
    for nonce in range(quantity(pending), min(newest.nonce, quantity(pending) + MAX_FILLED)):
        _fill(node, flight.sender, nonce)
    head = parse_head(block).number
    if base_fee_wei(block) > newest.fees.max_fee_wei or head > flight.head > 0:
        _offer_more(node, flight)
    elif held is None:
        log.warning("the node has lost transaction %s: sending it again", _shown(newest))
        _try(node, newest)
    flight.head = head


def _offer_more(node: Node, flight: _Flight) -> None:
    if len(flight.versions) > MAX_REPLACEMENTS:
        return
    fees = bumped(flight.newest.fees, current_fees(node))
    log.warning(
        "transaction %s is passed over: offering %d wei per gas instead of %d",
        *(_shown(flight.newest), fees.max_fee_wei, flight.newest.fees.max_fee_wei),
    )
    _try(node, flight.sign(node, flight.newest.nonce, fees))


def _replace_nonce(node: Node, flight: _Flight) -> None:
    """Start again, because another transaction of the account was mined under the nonce."""
    _collect(node, [flight])
    if flight.mined is not None:
        return
    flight.losses += 1
    if flight.losses >= SEND_ATTEMPTS:
        raise TransactionFailed(
            f"other transactions of {flight.sender.signer.address} keep taking the nonce: "
            "let one process alone sign with this key"
        )
    log.warning("another transaction took nonce %d: signing anew", flight.newest.nonce)
    flight.release()
    _launch(node, [flight])


def _fill(node: Node, sender: Sender, nonce: int) -> None:
    """Use up a nonce that nobody uses."""
    with sender.lock:
        if nonce in sender.nonces:
            return
        log.warning("nonce %d of %s is unused and holds up others: using it up", nonce, sender.signer.address)
        nothing = Call(sender.signer.address, b"", TRANSFER_GAS)
        _try(node, sender.signer.sign(nothing, chain_id=node.chain_id, nonce=nonce, fees=current_fees(node)))


def _try(node: Node, transaction: SignedTransaction) -> None:
    """Send a transaction that may be refused: whoever waits for it looks after it again."""
    (answer,) = node.batch_with_errors([_sending(transaction)])
    if isinstance(answer, RequestRefused):
        log.debug("%s was refused: %s", _shown(transaction), answer)


# ---------------------------------------------------------------------- requests


def _shown(transaction: SignedTransaction) -> str:
    return "0x" + transaction.hash.hex()


def _sending(transaction: SignedTransaction) -> Request:
    return "eth_sendRawTransaction", ["0x" + transaction.raw.hex()]


def _asking(transaction: SignedTransaction) -> Request:
    return "eth_getTransactionReceipt", [_shown(transaction)]


def _parts(flights: Sequence[_Flight]) -> Iterator[Sequence[_Flight]]:
    for start in range(0, len(flights), PER_EXCHANGE):
        yield flights[start : start + PER_EXCHANGE]


def _in_parts(node: Node, requests: Sequence[Request]) -> list[Json]:
    answers: list[Json] = []
    for start in range(0, len(requests), PER_EXCHANGE):
        answers += node.batch(requests[start : start + PER_EXCHANGE])
    return answers
