"""What a development chain remembers of tries and code: it is what would be found out anew."""

from __future__ import annotations

import random

import pytest
from chains import RECIPIENT, Clock, ask, signed
from eth_account import Account
from eth_hash.auto import keccak
from trie import hexary
from trie.hexary import HexaryTrie
from trie.utils.nodes import decode_node

from fl_chain.ledger.devnet import dev_keys, evm, open_chain, remembered
from fl_chain.ledger.devnet.remembered import remember_nodes
from fl_chain.ledger.trie_roots import secure_root

# Stores 1 under 0 and jumps where the call's first word says. Position 9 is an instruction that may be jumped
# to, position 12 the data of a push that looks like one.
JUMPER_RUNTIME = bytes.fromhex("6001 5f 55 5f 35 56 00 00 5b 00 60 5b 00")
JUMPER_CREATION = b"\x6d" + JUMPER_RUNTIME + bytes.fromhex("5f 52 600e 6012 f3")


@pytest.fixture(autouse=True)
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember in this test alone, whatever ran before it in this process."""
    monkeypatch.setattr(hexary, "decode_node", decode_node)
    remember_nodes()


@pytest.mark.parametrize("prune", [False, True])
def test_a_trie_that_changes_for_long_has_the_root_of_what_it_holds(prune: bool) -> None:
    chance = random.Random(7)
    trie, held = HexaryTrie({}, prune=prune), dict[bytes, bytes]()
    for step in range(1_500):
        key = chance.randrange(120).to_bytes(2, "big")
        if chance.random() < 0.3:
            held.pop(key, None)
            trie[keccak(key)] = b""
        else:
            held[key] = trie[keccak(key)] = chance.randbytes(chance.choice([1, 2, 31, 33, 90]))
        if step % 50 == 0:
            if not prune:  # opened anew, as every block opens it; a pruning trie knows its own nodes only
                trie = HexaryTrie(trie.db, trie.root_hash)
            assert bytes(trie.root_hash) == secure_root(held)
    assert {key: trie[keccak(key)] for key in held} == held


def test_a_node_is_everybodys_own() -> None:
    trie = HexaryTrie({})
    for number in range(40):
        trie[keccak(bytes([number]))] = b"\x01"
    encoded = [value for value in trie.db.values() if isinstance(decode_node(value), list)]
    assert len(encoded) > 2
    for value in encoded:
        node = hexary.decode_node(value)
        assert node == decode_node(value)
        node[0] = b"changed"
        for part in node:
            if isinstance(part, list):
                part.append(b"changed")
        assert hexary.decode_node(value) == decode_node(value)


def test_jumps_lead_where_they_may_in_the_first_call_and_in_later_ones() -> None:
    with open_chain(clock=Clock()) as chain:
        created = chain.send(signed(chain.chain_id, 0, to=None, value=0, data=JUMPER_CREATION, gas=100_000))
        contract = ask(chain, "eth_getTransactionReceipt", "0x" + created.hex())["contractAddress"]
        assert ask(chain, "eth_getCode", contract, "latest") == "0x" + JUMPER_RUNTIME.hex()
        for _ in range(2):
            answers = [
                ask(chain, "eth_call", {"to": contract, "data": f"0x{target:064x}"}, "latest")
                for target in range(len(JUMPER_RUNTIME) + 1)
            ]
            assert [target for target, one in enumerate(answers) if one == "0x"] == [9]


def test_nothing_waits_so_what_is_pending_is_what_the_newest_block_left() -> None:
    sender = Account.from_key(dev_keys()[0]).address
    with open_chain(clock=Clock()) as chain:
        for nonce in range(3):
            chain.send(signed(chain.chain_id, nonce))
            assert ask(chain, "eth_getTransactionCount", sender, "pending") == hex(nonce + 1)
            for block in ("pending", "latest"):
                assert ask(chain, "eth_getBalance", RECIPIENT, block) == hex(nonce + 1)
        assert ask(chain, "eth_getTransactionCount", sender, "earliest") == "0x0"
        assert ask(chain, "eth_getStorageAt", RECIPIENT, "0x0", "pending") == "0x" + "00" * 32


def test_a_chain_that_is_opened_remembers_from_block_to_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hexary, "decode_node", decode_node)  # as the library has it
    with open_chain(clock=Clock()) as chain:
        chain.send(signed(chain.chain_id, 0, to=None, value=0, data=JUMPER_CREATION, gas=100_000))
        nodes, codes = remembered._decoded.cache_info().hits, evm._positions.cache_info().hits
        chain.send(signed(chain.chain_id, 1))
        chain.send(signed(chain.chain_id, 2))
        assert remembered._decoded.cache_info().hits > nodes
        assert evm._positions.cache_info().hits > codes
