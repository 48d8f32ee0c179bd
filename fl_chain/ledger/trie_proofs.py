"""Accounts and storage proven against a block's hash (EIP-1186), so that the node need not be believed.

The block's hash covers its header, the header names the root of the state's trie (Ethereum yellow paper,
section 4.3 and appendix D), and a proof is the path of trie nodes from that root to what was asked for, or to
where it would stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak
from trie.constants import BLANK_NODE_HASH
from trie.hexary import HexaryTrie

from fl_chain.errors import LedgerUnavailable, MalformedResponse, RequestRefused
from fl_chain.ledger.node import Head, Node, data_bytes
from fl_chain.ledger.roots import block_hash
from fl_chain.ledger.transport import Json
from fl_chain.records import Address

SLOTS_PER_REQUEST = 100


@dataclass(frozen=True, slots=True)
class TrieAccount:
    """What the state's trie holds of an account."""

    nonce: int
    balance_wei: int
    storage_root: bytes  # 32 bytes
    code_hash: bytes  # keccak-256, 32 bytes


@dataclass(frozen=True, slots=True)
class ProvenAccount:
    """An account at a block, and some of its storage."""

    state_root: bytes  # of the block, 32 bytes
    account: TrieAccount
    storage: dict[int, int]  # value by slot


EMPTY_ACCOUNT: bytes = rlp.encode([b"", b"", BLANK_NODE_HASH, keccak(b"")])


class ProofsNotOffered(LedgerUnavailable):
    """The node does not answer ``eth_getProof``."""


def proven_account(node: Node, block: Head, account: Address, slots: Sequence[int]) -> ProvenAccount:
    """Return an account and values of its storage, each proven against the block's hash.

    Args:
        node: where it is asked; its word counts for nothing.
        block: whose hash is trusted.
        account: whose.
        slots: of its storage.

    Raises:
        ProofsNotOffered: the node has no such method.
        MalformedResponse: what it answers proves nothing; ask another node.
        LedgerUnavailable: no node answers.
    """
    header = node.request("eth_getBlockByHash", "0x" + block.hash.hex(), False)
    state_root = proven_state_root(header, block)
    key = keccak(bytes.fromhex(account[2:]))
    found: TrieAccount | None = None
    storage: dict[int, int] = {}
    for start in range(0, max(len(slots), 1), SLOTS_PER_REQUEST):
        asked = slots[start : start + SLOTS_PER_REQUEST]
        answer = _ask(node, block, account, asked)
        found = decode_account(_value(state_root, key, _nodes(answer, "accountProof")) or EMPTY_ACCOUNT)
        storage |= _proven_slots(found, asked, answer)
    if found is None:
        raise MalformedResponse("the node proved nothing")
    return ProvenAccount(state_root, found, storage)


def proven_state_root(header: Json, block: Head) -> bytes:
    """Return the root of the state's trie after a block, from a header that hashes to the block's hash.

    Raises:
        MalformedResponse: it hashes to something else.
    """
    if not isinstance(header, dict):
        raise MalformedResponse(f"the node has no block 0x{block.hash.hex()}: ask another node")
    try:
        actual = block_hash(header)
    except KeyError as error:
        raise MalformedResponse(f"the node's block lacks {error} of its header: ask another node") from error
    if actual != block.hash:
        raise MalformedResponse(
            f"the header of block {block.number} hashes to 0x{actual.hex()}, not to 0x{block.hash.hex()}: "
            "the node alters it, or the chain's headers have fields that this release does not know"
        )
    return data_bytes(header["stateRoot"])


def decode_account(encoded: bytes) -> TrieAccount:
    """Return an account as the state's trie has it.

    Raises:
        MalformedResponse: the bytes are no account.
    """
    try:
        nonce, balance, storage_root, code_hash = rlp.decode(encoded)
        return TrieAccount(
            int.from_bytes(nonce, "big"),
            int.from_bytes(balance, "big"),
            bytes(storage_root),
            bytes(code_hash),
        )
    except (rlp.exceptions.DecodingError, ValueError, TypeError) as error:
        raise MalformedResponse(f"what stands in the state's trie is no account: {error}") from error


def _ask(node: Node, block: Head, account: Address, slots: Sequence[int]) -> Json:
    shown = ["0x" + slot.to_bytes(32, "big").hex() for slot in slots]
    try:
        answer = node.request("eth_getProof", account, shown, hex(block.number))
    except RequestRefused as error:
        raise ProofsNotOffered(f"the node proves no state: {error}") from error
    if not isinstance(answer, dict):
        raise MalformedResponse("the node answered eth_getProof with no proof: ask another node")
    return answer


def _proven_slots(account: TrieAccount, asked: Sequence[int], answer: Json) -> dict[int, int]:
    proofs = answer.get("storageProof")
    if not isinstance(proofs, list) or len(proofs) != len(asked):
        raise MalformedResponse("the node proves other storage than it was asked for: ask another node")
    values = {}
    for slot, proof in zip(asked, proofs, strict=True):
        stored = _value(account.storage_root, keccak(slot.to_bytes(32, "big")), _nodes(proof, "proof"))
        try:
            values[slot] = int.from_bytes(rlp.decode(stored), "big") if stored else 0
        except (rlp.exceptions.DecodingError, TypeError) as error:
            raise MalformedResponse(f"what stands in the storage's trie is no value: {error}") from error
    return values


def _value(root: bytes, key: bytes, nodes: Sequence[object]) -> bytes:
    """Return what a trie holds under a key; empty where it holds nothing."""
    if root == BLANK_NODE_HASH:
        return b""
    try:
        return bytes(HexaryTrie.get_from_proof(root, key, nodes))  # type: ignore[no-untyped-call]
    except (
        Exception
    ) as error:  # the library has errors for missing and malformed nodes, and indexes into them
        raise MalformedResponse(f"the node's proof does not lead to its root: {error}") from error


def _nodes(holder: Json, name: str) -> list[object]:
    encoded = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(encoded, list):
        raise MalformedResponse(f"the node's proof has no {name}: ask another node")
    try:
        return [rlp.decode(data_bytes(node)) for node in encoded]
    except rlp.exceptions.DecodingError as error:
        raise MalformedResponse(f"the node's proof holds what is no trie node: {error}") from error
