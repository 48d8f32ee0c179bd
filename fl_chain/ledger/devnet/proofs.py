"""Merkle proofs of accounts and their storage (EIP-1186), from the development chain's own state tries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.encoding import Json, data_hex
from fl_chain.ledger.devnet.evm import Header
from fl_chain.ledger.trie_proofs import EMPTY_ACCOUNT, decode_account

EMBEDDED_BYTES = 32  # a shorter node stands inside its parent and not in a proof


def account_proof(chain: Chain, header: Header, account: bytes, slots: Sequence[int]) -> Json:
    """Return the proof of an account and of some of its storage after a block.

    Args:
        chain: holds the state of every block.
        header: of the block.
        account: its address, 20 bytes.
        slots: of its storage.
    """
    state: Any = HexaryTrie(chain.nodes, root_hash=header.state_root)
    key = keccak(account)
    found = decode_account(state.get(key) or EMPTY_ACCOUNT)
    storage: Any = HexaryTrie(chain.nodes, root_hash=found.storage_root)
    return {
        "address": data_hex(account),
        "accountProof": _encoded(state.get_proof(key)),
        "balance": hex(found.balance_wei),
        "codeHash": data_hex(found.code_hash),
        "nonce": hex(found.nonce),
        "storageHash": data_hex(found.storage_root),
        "storageProof": [_slot_proof(storage, slot) for slot in slots],
    }


def _slot_proof(storage: Any, slot: int) -> Json:
    key = keccak(slot.to_bytes(32, "big"))
    stored = storage.get(key)
    value = int.from_bytes(rlp.decode(stored), "big") if stored else 0
    return {"key": hex(slot), "value": hex(value), "proof": _encoded(storage.get_proof(key))}


def _encoded(nodes: Sequence[object]) -> list[str]:
    encoded = [rlp.encode(node) for node in nodes]
    return [data_hex(node) for place, node in enumerate(encoded) if place == 0 or len(node) >= EMBEDDED_BYTES]
