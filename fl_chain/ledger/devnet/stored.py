"""Mined blocks as the state file has them, decoded only as far as they are shown.

py-evm's own objects check every field of what they are made from, which takes several times as long; what is
read here was made by them, and hashes to the name that it was found under.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth.constants import BLANK_ROOT_HASH
from trie.hexary import HexaryTrie

_ONLY_LEAF = b"\x20\x80"  # the path to the first entry of a trie that has no other: hex prefix of rlp(0)
_FIRST_LIST = 0xC0  # of RLP; a typed transaction or receipt begins with its type
_SHORT = 55  # bytes of an RLP payload whose length fits its first byte


@dataclass(frozen=True, slots=True)
class StoredHeader:
    """A header's fields, by py-evm's names."""

    hash: bytes
    parent_hash: bytes
    uncles_hash: bytes
    coinbase: bytes
    state_root: bytes
    transaction_root: bytes
    receipt_root: bytes
    bloom: int
    difficulty: int
    block_number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee_per_gas: int
    withdrawals_root: bytes
    blob_gas_used: int
    excess_blob_gas: int
    parent_beacon_block_root: bytes
    requests_hash: bytes


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log, by py-evm's names."""

    address: bytes
    topics: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt, by py-evm's names."""

    state_root: bytes  # the status
    gas_used: int
    bloom: int
    logs: tuple[StoredLog, ...]


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A mined block and what came of it."""

    header: StoredHeader
    transactions: tuple[bytes, ...]  # encoded
    receipts: tuple[StoredReceipt, ...]  # of the same
    size: int  # bytes, encoded


_NUMBERS = frozenset({6, 7, 8, 9, 10, 11, 15, 17, 18})  # which of a header's fields are numbers


def stored_block(nodes: Mapping[bytes, bytes], digest: bytes) -> StoredBlock:
    """Return a block.

    Args:
        nodes: everything that is stored under its hash.
        digest: of the block.

    Raises:
        KeyError: if there is no such block.
    """
    encoded = nodes[digest]
    header = StoredHeader(digest, *(_field(at, value) for at, value in enumerate(rlp.decode(encoded))))
    transactions = _entries(nodes, header.transaction_root)
    # Two empty lists, of uncles and withdrawals, follow the transactions; a typed one stands there as bytes.
    inner = sum(len(one) if one[0] >= _FIRST_LIST else _sized(len(one)) for one in transactions)
    return StoredBlock(
        header,
        transactions,
        tuple(map(_receipt, _entries(nodes, header.receipt_root))),
        _sized(len(encoded) + _sized(inner) + 2),
    )


def _field(at: int, value: bytes) -> Any:
    return int.from_bytes(value, "big") if at in _NUMBERS else value


def _entries(nodes: Mapping[bytes, bytes], root: bytes) -> tuple[bytes, ...]:
    """Return the values of a trie whose keys are positions."""
    if root == BLANK_ROOT_HASH:
        return ()
    node: Sequence[Any] = rlp.decode(nodes[root])
    if len(node) == 2 and node[0] == _ONLY_LEAF:  # quicker, and most blocks have one transaction
        return (node[1],)
    values = map(HexaryTrie(nodes, root).get, map(rlp.encode, count()))
    return tuple(takewhile(bool, values))


def _receipt(encoded: bytes) -> StoredReceipt:
    status, gas, bloom, logs = rlp.decode(encoded if encoded[0] >= _FIRST_LIST else encoded[1:])
    return StoredReceipt(
        status,
        int.from_bytes(gas, "big"),
        int.from_bytes(bloom, "big"),
        tuple(
            StoredLog(address, tuple(int.from_bytes(topic, "big") for topic in topics), data)
            for address, topics, data in logs
        ),
    )


def _sized(payload_bytes: int) -> int:
    """Return the bytes of a list or of a string of more than one byte with its length in front."""
    if payload_bytes <= _SHORT:
        return 1 + payload_bytes
    return 1 + (payload_bytes.bit_length() + 7) // 8 + payload_bytes
