"""Roots of tries built at once, against the trie library's, which inserts one key after the other."""

from __future__ import annotations

import random

import pytest
import rlp
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from fl_chain.ledger.trie_roots import indexed_root, secure_root, storage_root


def inserted(items: dict[bytes, bytes]) -> bytes:
    trie = HexaryTrie({})
    for key, value in items.items():
        trie[keccak(key)] = value
    return bytes(trie.root_hash)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 16, 17, 300])
def test_the_root_is_the_librarys(count: int) -> None:
    chance = random.Random(count)
    items = {chance.randbytes(32): chance.randbytes(chance.choice([1, 2, 31, 33, 90])) for _ in range(count)}
    assert secure_root(items) == inserted(items)


def test_keys_that_go_the_same_way_for_long_share_an_extension() -> None:
    chance = random.Random(1)
    wanted = [
        key
        for key in (chance.randbytes(8) for _ in range(60_000))
        if keccak(key)[0] == 7 and keccak(key)[1] >> 4 == 7
    ]
    items = dict.fromkeys(wanted[:6], b"\x01")
    assert len(items) > 3
    assert secure_root(items) == inserted(items)


def test_storage_leaves_zero_out() -> None:
    values = {0: 5, 1: 0, 2**255: 2**256 - 1, 3: 0x80}
    stored = {slot.to_bytes(32, "big"): rlp.encode(value) for slot, value in values.items() if value}
    assert storage_root(values) == inserted(stored)
    assert storage_root({1: 0}) == storage_root({}) == inserted({})


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 127, 128, 129, 257, 300])
def test_the_root_of_a_list_is_the_librarys(count: int) -> None:
    chance = random.Random(count)
    values = [chance.randbytes(chance.choice([1, 20, 31, 33, 500])) for _ in range(count)]
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    assert indexed_root(values) == bytes(trie.root_hash)
