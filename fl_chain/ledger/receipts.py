"""What became of transactions that were mined."""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.errors import MalformedResponse, RequestRefused, TransactionFailed
from fl_chain.ledger.node import Node, quantity
from fl_chain.ledger.reverts import decode_revert
from fl_chain.ledger.signing import SignedTransaction
from fl_chain.ledger.transport import Json
from fl_chain.records import Address, address

_FIELDS = {"status", "gasUsed", "blockNumber", "effectiveGasPrice", "transactionHash"}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that was mined and succeeded."""

    transaction_hash: bytes  # 32 bytes
    block_number: int
    gas_used: int
    fee_wei: int
    status: int  # 1
    contract: Address | None  # what a deployment made


def receipt_of(node: Node, transaction: SignedTransaction, answer: Json) -> Receipt:
    """Return the receipt of a transaction that succeeded.

    Args:
        node: asked for the reason of a failure.
        transaction: the one that was mined.
        answer: the node's receipt.

    Raises:
        LedgerReverted: the ledger refused it by a custom error.
        TransactionFailed: it failed otherwise.
        MalformedResponse: the answer is no receipt.
    """
    missing = _FIELDS - answer.keys() if isinstance(answer, dict) else _FIELDS
    if missing:
        raise MalformedResponse(f"the node's receipt lacks {', '.join(sorted(missing))}: ask another node")
    if quantity(answer["status"]) != 1:
        _raise_failure(node, transaction, answer)
    gas_used = quantity(answer["gasUsed"])
    contract = answer.get("contractAddress")
    return Receipt(
        transaction_hash=transaction.hash,
        block_number=quantity(answer["blockNumber"]),
        gas_used=gas_used,
        fee_wei=gas_used * quantity(answer["effectiveGasPrice"]),
        status=1,
        contract=address(contract) if contract else None,
    )


def _raise_failure(node: Node, transaction: SignedTransaction, answer: Json) -> None:
    """Run a failed transaction again as a call, to learn why it failed."""
    call, shown = transaction.call, answer["transactionHash"]
    if quantity(answer["gasUsed"]) >= call.gas:
        raise TransactionFailed(f"transaction {shown} ran out of its {call.gas} gas")
    block = quantity(answer["blockNumber"])
    for context in (block, block - 1):
        try:
            node.call(
                call.to,
                call.data,
                sender=transaction.sender,
                block=hex(context),
                gas=call.gas,
                value=call.value_wei,
            )
        except RequestRefused as error:
            reverted = decode_revert(error.data)
            if reverted is not None:
                raise reverted from None
            raise TransactionFailed(f"transaction {shown} failed: {error}") from error
    raise TransactionFailed(f"transaction {shown} failed, and would not now: try again")
