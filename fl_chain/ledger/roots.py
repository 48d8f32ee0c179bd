"""The roots in a block's header, from what they stand for: what a node shows has to hash to them.

Sources: the Ethereum Yellow Paper, sections 4.2 to 4.4, and EIPs 1559, 2718, 4844, 4895, 4788.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

from fl_chain.errors import DigestMismatch
from fl_chain.ledger.node import data_bytes, quantity
from fl_chain.ledger.transport import Json
from fl_chain.ledger.trie_roots import indexed_root


def _scalar(value: Json) -> bytes:
    """Return a JSON-RPC quantity as RLP has numbers: big-endian, no leading zero."""
    number = quantity(value)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


_DATA, _NUMBER = data_bytes, _scalar
# In the order of the header; those of later forks are there from some block on.
_HEADER = {
    "parentHash": _DATA,
    "sha3Uncles": _DATA,
    "miner": _DATA,
    "stateRoot": _DATA,
    "transactionsRoot": _DATA,
    "receiptsRoot": _DATA,
    "logsBloom": _DATA,
    "difficulty": _NUMBER,
    "number": _NUMBER,
    "gasLimit": _NUMBER,
    "gasUsed": _NUMBER,
    "timestamp": _NUMBER,
    "extraData": _DATA,
    "mixHash": _DATA,
    "nonce": _DATA,
    "baseFeePerGas": _NUMBER,
    "withdrawalsRoot": _DATA,
    "blobGasUsed": _NUMBER,
    "excessBlobGas": _NUMBER,
    "parentBeaconBlockRoot": _DATA,
    "requestsHash": _DATA,
}


def block_hash(block: Mapping[str, Json]) -> bytes:
    """Return the hash of a block's header, 32 bytes.

    Args:
        block: as a node shows it.

    Raises:
        MalformedResponse: a field is not of its form.
    """
    fields = [form(block[name]) for name, form in _HEADER.items() if block.get(name) is not None]
    return bytes(keccak(_encoded(fields)))


def receipts_root(receipts: Sequence[Mapping[str, Json]]) -> bytes:
    """Return the root of a block's receipts, their logs included, in their order."""
    return indexed_root(_receipt(one) for one in receipts)


def transactions_root(raw: Iterable[bytes]) -> bytes:
    """Return the root of a block's transactions, each as it was sent, in their order."""
    return indexed_root(raw)


def verify_block(
    block: Mapping[str, Json], parent: bytes | None, receipts: Sequence[Json], raw: Sequence[bytes]
) -> None:
    """Check that a block is what its hash stands for, from its parent to its logs.

    Args:
        block: as a node shows it.
        parent: its parent's hash; None for the first block.
        receipts: of its transactions, in their order.
        raw: its transactions as they were sent.

    Raises:
        DigestMismatch: naming the first part that is another.
        MalformedResponse: a field is not of its form.
    """
    parts = [
        ("hash", block_hash(block)),
        ("receiptsRoot", receipts_root(receipts)),
        ("transactionsRoot", transactions_root(raw)),
    ]
    if parent is not None:
        parts.append(("parentHash", parent))
    for name, actual in parts:
        expected = data_bytes(block[name])
        if expected != actual:
            raise DigestMismatch(f"{name} of block {block['number']}", expected=expected, actual=actual)


def _receipt(receipt: Mapping[str, Json]) -> bytes:
    logs = [
        [data_bytes(log["address"]), [data_bytes(topic) for topic in log["topics"]], data_bytes(log["data"])]
        for log in receipt["logs"]
    ]
    fields = [_scalar(receipt["status"]), _scalar(receipt["cumulativeGasUsed"])]
    kind = quantity(receipt["type"])
    body = _encoded([*fields, data_bytes(receipt["logsBloom"]), logs])
    return bytes([kind]) + body if kind else body


def _encoded(fields: Sequence[object]) -> bytes:
    """Return the RLP of nested lists of bytes; that they are such needs no looking, which takes longer."""
    return bytes(rlp.encode(fields, infer_serializer=False))
