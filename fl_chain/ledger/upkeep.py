"""Looking after transactions that wait for long: lost, passed over, overtaken, or behind an unused nonce."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from fl_chain.errors import RequestRefused, TransactionFailed, TransactionOvertaken, TransactionRejected
from fl_chain.ledger.fees import base_fee_wei, bumped, current_fees
from fl_chain.ledger.flights import (
    MAX_OUTBIDS,
    NONCE_TROUBLE,
    Flight,
    Sender,
    asking,
    is_passing,
    sending,
    shown,
)
from fl_chain.ledger.gas import TRANSFER_GAS
from fl_chain.ledger.node import Node, parse_head, quantity
from fl_chain.ledger.signing import Call, SignedTransaction

log = logging.getLogger(__name__)

MAX_REPLACEMENTS = 12  # of one transaction; at least 4 times the first offer
MAX_FILLED = 16  # unused nonces before one transaction
MAX_LOSSES = 3  # of one transaction's nonce to others


def look_after(node: Node, flight: Flight) -> list[Flight]:
    """Send again what the node has lost, offer more for what is passed over, fill gaps before it.

    Returns:
        What fills the gaps. A transaction that has no version left is to be sent anew.

    Raises:
        TransactionOvertaken: another transaction has its nonce, which was pinned.
        TransactionFailed: others take its nonces again and again.
    """
    newest, address = flight.newest, flight.sender.signer.address
    # In one exchange, so that one node answers: another one may be a few blocks behind it.
    mined, pending, held, block, *receipts = node.batch(
        [
            ("eth_getTransactionCount", [address, "latest"]),
            ("eth_getTransactionCount", [address, "pending"]),
            ("eth_getTransactionByHash", [shown(newest)]),
            ("eth_getBlockByNumber", ["latest", False]),
            *(asking(version) for version in flight.versions),
        ]
    )
    if any(receipt is not None for receipt in receipts):
        return []
    if quantity(mined) > newest.nonce:
        _yield_nonce(node, flight)
        return []
    flight.overtaken = 0
    last = min(newest.nonce, quantity(pending) + MAX_FILLED)
    fillers = [_fill(node, flight.sender, nonce) for nonce in range(quantity(pending), last)]
    head = parse_head(block).number
    if base_fee_wei(block) > newest.fees.max_fee_wei or head > flight.head > 0:
        _offer_more(node, flight)
    elif held is None:
        log.warning("the node has lost transaction %s: sending it again", shown(newest))
        _try(node, newest)
    flight.head = head
    return [filler for filler in fillers if filler is not None]


def _offer_more(node: Node, flight: Flight) -> None:
    limit_wei = flight.sender.max_fee_wei
    try:
        fees = bumped(flight.newest.fees, current_fees(node, limit_wei), limit_wei)
    except TransactionRejected as error:
        log.warning("transaction %s waits for a better day: %s", shown(flight.newest), error)
        return
    if len(flight.versions) > MAX_REPLACEMENTS or fees == flight.newest.fees:
        _try(node, flight.newest)
        return
    log.warning(
        "transaction %s is passed over: offering %d wei per gas instead of %d",
        *(shown(flight.newest), fees.max_fee_wei, flight.newest.fees.max_fee_wei),
    )
    _try(node, flight.sign(node, flight.newest.nonce, fees))


def _yield_nonce(node: Node, flight: Flight) -> None:
    """Start again, because another transaction of the account was mined under the nonce."""
    flight.overtaken += 1
    if flight.overtaken == 1:
        return  # its receipt may have come between the two answers: believed when it is seen again
    if flight.is_filler:
        flight.mined = flight.newest  # somebody has used the nonce, which is all it was for
        return
    flight.losses += 1
    nonce, address = flight.newest.nonce, flight.sender.signer.address
    if flight.pin is not None:
        raise TransactionOvertaken(
            f"another transaction of {address} was mined under nonce {nonce}: "
            "look whether this one is still needed"
        )
    if flight.losses >= MAX_LOSSES:
        raise TransactionFailed(
            f"other transactions of {address} keep taking the nonce: let one process alone sign with this key"
        )
    log.warning("another transaction took nonce %d: signing anew", nonce)
    flight.release()
    flight.overtaken = flight.head = 0


def _fill(node: Node, sender: Sender, nonce: int) -> Flight | None:
    """Use up a nonce that nobody uses."""
    with sender.lock:
        if nonce in sender.nonces:
            return None
        log.warning("nonce %d of %s is unused and holds up others: using it up", nonce, sender.signer.address)
        sender.nonces.add(nonce)
        filler = Flight(sender, Call(sender.signer.address, b"", TRANSFER_GAS), is_filler=True)
        _try(node, filler.sign(node, nonce, current_fees(node, sender.max_fee_wei)))
        return filler


def _try(node: Node, transaction: SignedTransaction) -> None:
    """Send a transaction that may be refused: whoever waits for it looks after it again."""
    (answer,) = node.batch_with_errors([sending(transaction)])
    if isinstance(answer, RequestRefused):
        log.debug("%s was refused: %s", shown(transaction), answer)


def outbid(node: Node, sender: Sender, nonces: Iterable[int]) -> None:
    """Use up nonces of which only is known that their transactions have long waited to be mined.

    The transfers of nothing that take their place offer more each time until the node takes them. Either they
    or what they replace is mined then; which of them, the chain's state shows.

    Raises:
        TransactionRejected: the node does not take one, whatever it offers.
    """
    for nonce in nonces:
        call = Call(sender.signer.address, b"", TRANSFER_GAS)
        fees = current_fees(node, sender.max_fee_wei)
        for _ in range(MAX_OUTBIDS):
            signed = sender.signer.sign(call, chain_id=node.chain_id, nonce=nonce, fees=fees)
            (answer,) = node.batch_with_errors([sending(signed)])
            if not isinstance(answer, RequestRefused) or NONCE_TROUBLE in str(answer).lower():
                break
            more = bumped(fees, fees, sender.max_fee_wei)
            if not is_passing(answer) or more == fees:
                raise TransactionRejected(
                    f"nonce {nonce} of {sender.signer.address} is stuck, and the node takes no other "
                    f"transaction in its place: {answer}"
                ) from answer
            fees = more
        log.warning("nonce %d of %s was stuck: using it up", nonce, sender.signer.address)
