"""The root of a Merkle-Patricia trie of which everything is known, built at once from sorted keys.

Source: the Ethereum Yellow Paper, appendix D. Inserting one key after the other gives the same root and
hashes every node on the way anew each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak
from trie.constants import BLANK_NODE_HASH

HASH_BYTES = 32  # a shorter node stands inside its parent
_LEAF, _EXTENSION = 2, 0


def storage_root(values: Mapping[int, int]) -> bytes:
    """Return the root of a contract's storage, 32 bytes.

    Args:
        values: by slot; zero is no value.
    """
    return secure_root(
        {
            slot.to_bytes(32, "big"): rlp.encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
            for slot, value in values.items()
            if value
        }
    )


def secure_root(items: Mapping[bytes, bytes]) -> bytes:
    """Return the root of a trie whose keys are hashed, as those of accounts and storage are; 32 bytes."""
    return _root([(keccak(key).hex(), value) for key, value in items.items()])


def indexed_root(values: Iterable[bytes]) -> bytes:
    """Return the root of a trie whose keys are positions, as those of a block's receipts are; 32 bytes.

    None of these keys is the beginning of another: a longer one begins with a byte that none of one byte is.
    """
    return _root([(rlp.encode(index).hex(), value) for index, value in enumerate(values)])


def _root(entries: Iterable[tuple[str, bytes]]) -> bytes:
    ordered = sorted(entries)
    return bytes(keccak(_encoded(_node(ordered, 0))) if ordered else BLANK_NODE_HASH)


def _node(entries: Sequence[tuple[str, bytes]], depth: int) -> list[Any]:
    """Return the node above some entries, whose keys agree up to a depth; keys are hexadecimal digits."""
    first, last = entries[0][0], entries[-1][0]
    if len(entries) == 1:
        return [_path(first[depth:], _LEAF), entries[0][1]]
    shared = depth
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return [_path(first[depth:shared], _EXTENSION), _reference(_node(entries, shared))]
    children: list[Any] = [b""] * 17
    start = 0
    while start < len(entries):
        digit, end = entries[start][0][depth], start
        while end < len(entries) and entries[end][0][depth] == digit:
            end += 1
        children[int(digit, 16)] = _reference(_node(entries[start:end], depth + 1))
        start = end
    return children


def _reference(node: list[Any]) -> Any:
    encoded = _encoded(node)
    return node if len(encoded) < HASH_BYTES else keccak(encoded)


def _encoded(node: list[Any]) -> bytes:
    """Return the RLP of nested lists of bytes; that they are such needs no looking, which takes longer."""
    return bytes(rlp.encode(node, infer_serializer=False))


def _path(digits: str, kind: int) -> bytes:
    """Return digits in hex-prefix encoding."""
    is_odd = len(digits) % 2
    return bytes.fromhex(f"{kind + is_odd:x}{'' if is_odd else '0'}{digits}")
