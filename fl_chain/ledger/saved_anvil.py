"""A chain that anvil has left on disk: opened for reading, after checking that all of it belongs together.

Anvil writes one file when it stops: every block with its transactions, receipts and logs, and the state of
the newest block. That is what an audit reads, as it asks the contract about one block only.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from fl_chain.commitment.canonical import verify_nesting
from fl_chain.errors import ConfigError, DigestMismatch, MalformedResponse, RequestRefused, WrongChain
from fl_chain.ledger.anvil import FIXED_RULES, find_anvil, running_anvil
from fl_chain.ledger.node import Node, connect, data_bytes, quantity
from fl_chain.ledger.roots import verify_block

STATE_NAME = "state.json"
MOST_NESTING = 64
BLOCKS_PER_EXCHANGE = 100


@contextmanager
def saved_anvil(folder: Path, *, chain_id: int) -> Iterator[Node]:
    """Serve a copy of a saved chain while the context lasts; nothing in the folder changes.

    Args:
        folder: holds what anvil wrote.
        chain_id: the chain's id, which anvil does not write down.

    Raises:
        ConfigError: anvil is not installed, or the folder holds no chain that it reads.
        WrongChain: its transactions are signed for another chain.
        DigestMismatch: it was altered.
    """
    find_anvil()
    content = _content(folder / STATE_NAME)
    accounts = _accounts(content, folder / STATE_NAME)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / STATE_NAME
        copy.write_bytes(content)
        arguments = [*FIXED_RULES, "--chain-id", str(chain_id), "--load-state", str(copy), "--no-mining"]
        with running_anvil(arguments=arguments) as anvil:
            node = connect([anvil.url], chain_id=chain_id)
            try:
                _verify_chain(node, accounts)
                yield node
            finally:
                node.close()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path.parent} holds no chain that anvil has saved ({error.strerror}): "
            "anvil writes it when it stops, so let the run come to its end"
        ) from error


def _accounts(content: bytes, path: Path) -> Mapping[str, Any]:
    try:
        verify_nesting(content, MOST_NESTING)
        accounts = json.loads(content)["accounts"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not what anvil writes ({error}): restore it") from error
    if not isinstance(accounts, dict):
        raise ConfigError(f"{path} holds no accounts: restore it")
    return accounts


def _verify_chain(node: Node, accounts: Mapping[str, Any]) -> None:
    """Check every block from the first one on, and the newest one's state."""
    newest = node.head().number
    parent: bytes | None = None
    try:
        for first in range(0, newest + 1, BLOCKS_PER_EXCHANGE):
            numbers = [hex(number) for number in range(first, min(first + BLOCKS_PER_EXCHANGE, newest + 1))]
            blocks = node.batch([("eth_getBlockByNumber", [number, False]) for number in numbers])
            receipts = node.batch([("eth_getBlockReceipts", [number]) for number in numbers])
            for block, of_block in zip(blocks, receipts, strict=True):
                hashes = block["transactions"]
                raw = node.batch([("eth_getRawTransactionByHash", [one]) for one in hashes]) if hashes else []
                sent = [data_bytes(one) for one in raw]
                verify_block(block, parent, of_block, sent)
                _verify_chain_id(node, sent)
                parent = data_bytes(block["hash"])
        expected, actual = data_bytes(block["stateRoot"]), _state_root(accounts)
    except (KeyError, TypeError, AttributeError, MalformedResponse, RequestRefused) as error:
        raise ConfigError(f"the saved chain is not whole ({error!r}): restore it") from error
    if expected != actual:
        raise DigestMismatch(
            f"the state of block {quantity(block['number'])}", expected=expected, actual=actual
        )


def _verify_chain_id(node: Node, transactions: Sequence[bytes]) -> None:
    for raw in transactions:
        if raw[0] < 0x80:  # a typed transaction (EIP-2718): all types begin with the chain
            signed_for = int.from_bytes(rlp.decode(raw[1:])[0], "big")
            if signed_for != node.chain_id:
                raise WrongChain(
                    f"the saved chain's transactions are signed for chain {signed_for}, "
                    f"the run's folder says {node.chain_id}: restore its run.json"
                )


def _state_root(accounts: Mapping[str, Any]) -> bytes:
    """Return the root of a state as anvil has it: with the accounts and slots in it that are empty.

    The standard leaves these out (EIP-161), and so has another root.
    """
    trie = HexaryTrie({})
    for address, account in accounts.items():
        held = [
            account["nonce"],
            quantity(account["balance"]),
            _storage_root(account["storage"]),
            keccak(data_bytes(account["code"])),
        ]
        trie[keccak(data_bytes(address))] = rlp.encode(held)
    return bytes(trie.root_hash)


def _storage_root(storage: Mapping[str, Any]) -> bytes:
    trie = HexaryTrie({})
    for slot, value in storage.items():
        trie[keccak(data_bytes(slot))] = rlp.encode(quantity(value))
    return bytes(trie.root_hash)
