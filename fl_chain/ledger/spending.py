"""What gas a ledger's transactions used, by call and by round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fl_chain.ledger import events as e
from fl_chain.ledger.abi import ledger_abi, masked_ledger_abi, masks_abi
from fl_chain.ledger.node import Node, data_bytes, quantity

TRANSACTIONS_PER_BATCH = 200
DEPLOYMENT = "deploy"
OTHER = "other"

# What a call is made for, before what it does beside: a submission may close its round and open the next.
_PURPOSES = (
    e.PostingFell,
    e.PostingObjected,
    e.UpdateSubmitted,
    e.GraphDrawn,
    e.KeysSetUp,
    e.SurvivorsFixed,
    e.SeedsPublished,
    e.RoundPosted,
    e.RoundClosed,
    e.RoundVoided,
    e.RoundOpened,
    e.RoundFinalized,
)


@dataclass(frozen=True, slots=True)
class GasUse:
    """One successful transaction."""

    call: str  # the ledger's function; ``deploy`` for the deployment, ``other`` through another contract
    round: int | None  # that it was made for; None for what belongs to the run, as claims do
    gas: int


def gas_uses(node: Node, events: Iterable[e.Event]) -> tuple[GasUse, ...] | None:
    """Return what the transactions of some events used, in the chain's order.

    Args:
        node: asked for receipts and transactions.
        events: in the chain's order; each transaction counts once.

    Returns:
        None where the node does not keep one of the transactions, as pruned nodes do not.

    Raises:
        LedgerUnavailable: no node answers.
    """
    by_transaction: dict[bytes, list[e.Event]] = {}
    for event in events:
        by_transaction.setdefault(event.place.transaction_hash, []).append(event)
    hashes = ["0x" + one.hex() for one in by_transaction]
    receipts = _answers(node, "eth_getTransactionReceipt", hashes)
    transactions = _answers(node, "eth_getTransactionByHash", hashes)
    uses = []
    for own, receipt, transaction in zip(by_transaction.values(), receipts, transactions, strict=True):
        if receipt is None or transaction is None:
            return None
        name = _name_of(data_bytes(transaction["input"])[:4]) if receipt["to"] else DEPLOYMENT
        uses.append(GasUse(name or OTHER, _round_of(own), quantity(receipt["gasUsed"])))
    return tuple(uses)


def _name_of(selector: bytes) -> str | None:
    named = (abi.name_of(selector) for abi in (ledger_abi(), masked_ledger_abi(), masks_abi()))
    return next((name for name in named if name is not None), None)


def gas_by_call(uses: Iterable[GasUse]) -> dict[str, tuple[int, int]]:
    """Return how often each call was made and the gas of all of them, by its name."""
    counts: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for use in uses:
        counts[use.call] += 1
        totals[use.call] += use.gas
    return {name: (counts[name], totals[name]) for name in sorted(counts)}


def gas_table(uses: Iterable[GasUse]) -> Mapping[str, Mapping[str, int]]:
    """Return the same in the form of the audit's report."""
    return {name: {"calls": calls, "gas": gas} for name, (calls, gas) in gas_by_call(uses).items()}


def _round_of(events: Sequence[e.Event]) -> int | None:
    for purpose in _PURPOSES:
        for event in events:
            if isinstance(event, purpose):
                return event.round
    return None


def _answers(node: Node, method: str, hashes: Sequence[str]) -> list[Any]:
    answers: list[Any] = []
    for start in range(0, len(hashes), TRANSACTIONS_PER_BATCH):
        answers += node.batch([(method, [one]) for one in hashes[start : start + TRANSACTIONS_PER_BATCH]])
    return answers
