"""Seeing transactions through: nonces, fees, sending, what is stuck or lost, and receipts.

**One of many versions.** A transaction that has to offer more is signed anew under the same nonce, so that
at most one version of it is mined; the receipt of any of them is its receipt.

**Nonces** are read from the node before every transaction, past those that are under way from here: what a
reorganisation or another process does to an account shows there. A nonce that nobody uses would hold up all
that follow, so it is used up by a transfer of nothing to oneself. Where another transaction is mined under a
nonce, what stood there is signed anew under the next one, unless its nonce is pinned: then whoever pinned it
decides whether it is still needed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count, zip_longest
from typing import TypeVar

from fl_chain.errors import RequestRefused, TransactionFailed, TransactionRejected
from fl_chain.ledger.fees import current_fees
from fl_chain.ledger.flights import Flight, Sender, asking, is_passing, sending, shown
from fl_chain.ledger.node import Node, quantity
from fl_chain.ledger.receipts import Receipt, receipt_of
from fl_chain.ledger.signing import Call
from fl_chain.ledger.transport import Json, Request
from fl_chain.ledger.upkeep import look_after

log = logging.getLogger(__name__)

SEND_ATTEMPTS = 3
PER_EXCHANGE = 200  # transactions
MINED_AT_ONCE = 16  # transactions
FIRST_POLL_S = 0.005
LONGEST_POLL_S = 1.0

Item = TypeVar("Item")


def deliver(node: Node, orders: Sequence[tuple[Sender, Call]]) -> list[Receipt]:
    """Send transactions and wait until all are mined.

    Raises:
        LedgerError: see `Account.send`; the first failure.
    """
    flights = [Flight(sender, call, sender.take_pin()) for sender, call in orders]
    waiting = list(flights)
    try:
        _launch(node, flights)
        _await_receipts(node, waiting)
    finally:
        for flight in {*flights, *waiting}:
            flight.release()
    return [receipt_of(node, flight.mined, flight.answer) for flight in flights if flight.mined is not None]


# ---------------------------------------------------------------------- sending


def _launch(node: Node, flights: Sequence[Flight]) -> None:
    """Sign and send, until a node has taken every transaction."""
    senders = {flight.sender.signer.address: flight.sender for flight in flights}
    with ExitStack() as locks:
        # In one order everywhere, so that two threads cannot block each other.
        for address in sorted(senders):
            locks.enter_context(senders[address].lock)
        waiting, attempt = list(flights), 0
        while waiting:
            refused = _send(node, _signed(node, waiting))
            has_outbid = [flight.outbid(error) for flight, error in refused]
            attempt += not all(has_outbid)
            for flight, error in refused:
                flight.release()
                if attempt == SEND_ATTEMPTS or not is_passing(error):
                    raise TransactionRejected(f"the node does not take the transaction: {error}") from error
            waiting = [flight for flight, _ in refused]
            log.debug("sending %d again with nonces and fees read anew", len(waiting))


def _signed(node: Node, flights: Sequence[Flight]) -> Iterator[Sequence[Flight]]:
    """Sign transactions, and yield them in parts; while one part is sent, the next ones are signed."""
    senders = {flight.sender.signer.address: flight.sender for flight in flights}
    fees = current_fees(node, min(flight.sender.max_fee_wei for flight in flights))
    requests: list[Request] = [("eth_getTransactionCount", [address, "pending"]) for address in senders]
    counts = dict(zip(senders, map(quantity, _in_parts(node, requests)), strict=True))

    def sign(part: Sequence[Flight]) -> Sequence[Flight]:
        for flight in part:
            nonce = flight.sender.reserve(counts[flight.sender.signer.address], flight.pin)
            flight.sign(node, nonce, flight.least or fees)
        return part

    if len(flights) <= PER_EXCHANGE:
        yield sign(flights)
        return
    with ThreadPoolExecutor(1) as pool:
        yield from pool.map(sign, _parts(flights))


def _send(node: Node, parts: Iterable[Sequence[Flight]]) -> list[tuple[Flight, RequestRefused]]:
    """Send the newest versions; return those that no node has, with what it says about them."""
    refused: list[tuple[Flight, RequestRefused]] = []
    for part in parts:
        # A development chain mines a few at once, so their receipts are asked for in the same exchange.
        asked = part if len(part) <= MINED_AT_ONCE else []
        answers = node.batch_with_errors(
            [sending(one.newest) for one in part] + [asking(one.newest) for one in asked]
        )
        for flight, sent, receipt in zip_longest(part, answers[: len(part)], answers[len(part) :]):
            if not isinstance(receipt, RequestRefused | None):
                flight.answer, flight.mined = receipt, flight.newest
            elif isinstance(sent, RequestRefused):
                refused.append((flight, sent))
    # Where an answer was lost on the way, the node refuses the repetition; what it holds counts.
    looks: list[Request] = [("eth_getTransactionByHash", [shown(one.newest)]) for one, _ in refused]
    found = _in_parts(node, looks)
    return [one for one, held in zip(refused, found, strict=True) if held is None]


# ---------------------------------------------------------------------- waiting


def _await_receipts(node: Node, waiting: list[Flight]) -> None:
    """Wait until all are mined; ``waiting`` shrinks to nothing, and takes on what fills gaps before them."""
    started = looked = time.monotonic()
    timeout_s = max(flight.sender.receipt_timeout_s for flight in waiting)
    patience_s = min(flight.sender.replace_after_s for flight in waiting)
    pause_s, turns = FIRST_POLL_S, count()
    while _drop_mined(waiting):
        now = time.monotonic()
        if now - started > timeout_s:
            raise TransactionFailed(
                f"transaction {shown(waiting[0].newest)} was not mined within {timeout_s:.0f} s: "
                "it may still be; look it up before sending it again"
            )
        _collect(node, waiting, next(turns))
        if any(flight.mined is not None for flight in waiting):
            pause_s = FIRST_POLL_S
            if len(waiting) > PER_EXCHANGE:
                time.sleep(pause_s)
            continue
        is_disputed = any(flight.overtaken for flight in waiting)
        if now - looked >= (min(patience_s, LONGEST_POLL_S) if is_disputed else patience_s):
            for flight in list(waiting):
                waiting += look_after(node, flight)
            grounded = [flight for flight in waiting if not flight.versions]
            if grounded:
                _launch(node, grounded)
            looked = now
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_POLL_S)


def _drop_mined(waiting: list[Flight]) -> bool:
    """Return whether anything is left to wait for."""
    waiting[:] = [flight for flight in waiting if flight.mined is None]
    return bool(waiting)


def _collect(node: Node, flights: Sequence[Flight], turn: int) -> None:
    """Ask for the receipts of those that were sent first, and of others as long as all of these are mined.

    Where nothing of the first part is, another part is asked by turns: one that is stuck hides no other.
    """
    parts = list(_parts(flights))
    for part in parts:
        if not _collect_part(node, part):
            break
    if all(flight.mined is None for flight in parts[0]) and turn % len(parts):
        _collect_part(node, parts[turn % len(parts)])


def _collect_part(node: Node, flights: Sequence[Flight]) -> bool:
    """Return whether all of these are mined."""
    versions = [(flight, version) for flight in flights for version in flight.versions]
    answers = node.batch_with_errors([asking(version) for _, version in versions])
    for (flight, version), answer in zip(versions, answers, strict=True):
        if not isinstance(answer, RequestRefused | None):  # some nodes refuse while they index
            flight.answer, flight.mined = answer, version
    return all(flight.mined is not None for flight in flights)


# ---------------------------------------------------------------------- in parts


def _parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), PER_EXCHANGE):
        yield items[start : start + PER_EXCHANGE]


def _in_parts(node: Node, requests: Sequence[Request]) -> list[Json]:
    answers: list[Json] = []
    for part in _parts(requests):
        answers += node.batch(part)
    return answers
