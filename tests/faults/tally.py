"""What was lost and what came twice in a run: counted, for the closing line of the matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node
from fl_chain.records import Address, address


@dataclass(frozen=True, slots=True)
class Sent:
    """One transaction to the ledger."""

    sender: Address
    name: str  # of the call
    data: bytes
    succeeded: bool

    @property
    def round(self) -> int:
        """Which round it is for; for calls whose first argument says so."""
        return int.from_bytes(self.data[4:36], "big")


@dataclass(frozen=True, slots=True)
class Count:
    """How many there had to be of something, how many are missing, and how many too many were sent."""

    due: int
    lost: int
    doubled: int


def transactions(node: Node, senders: Collection[Address]) -> list[Sent]:
    """Return every transaction of these accounts in the chain's order."""
    numbers = range(node.head().number + 1)
    blocks = node.batch([("eth_getBlockByNumber", [hex(number), True]) for number in numbers])
    found = [
        transaction
        for block in blocks
        for transaction in block["transactions"]
        if address(transaction["from"]) in senders
    ]
    receipts = node.batch([("eth_getTransactionReceipt", [one["hash"]]) for one in found])
    return [
        Sent(
            sender=address(one["from"]),
            name=ledger_abi().name_of(bytes.fromhex(one["input"][2:10])) or "other",
            data=bytes.fromhex(one["input"][2:]),
            succeeded=int(receipt["status"], 16) == 1,
        )
        for one, receipt in zip(found, receipts, strict=True)
    ]


def tally(
    history: History, sent: Sequence[Sent], *, workers: Collection[Address], paid_out: Collection[Address]
) -> dict[str, Count]:
    """Return the counts of submissions, claims and payouts.

    Args:
        history: of a run that has ended.
        sent: every transaction of the accounts below, also those that the contract refused.
        workers: who has to submit to every round that counts, and to claim it.
        paid_out: who has to withdraw, once.
    """
    due = [(round_id, worker) for round_id in history.postings for worker in workers]
    accepted = {(s.round, s.participant) for found in history.submissions.values() for s in found}
    submitted = Counter((one.round, one.sender) for one in sent if one.name == "submit")
    claimed = Counter((claim.round, claim.participant) for claim in history.claims)
    claims = Counter(one.sender for one in sent if one.name == "claim")
    withdrawn = Counter(one.sender for one in sent if one.name == "withdraw")
    succeeded = {one.sender for one in sent if one.name == "withdraw" and one.succeeded}
    return {
        "submissions": Count(len(due), sum(one not in accepted for one in due), _surplus(submitted)),
        "claims": Count(
            len(due), sum(one not in claimed for one in due), _surplus(claimed) + _surplus(claims)
        ),
        "payouts": Count(len(paid_out), sum(one not in succeeded for one in paid_out), _surplus(withdrawn)),
    }


def _surplus(counted: Counter[tuple[int, Address]] | Counter[Address]) -> int:
    return sum(number - 1 for number in counted.values())
