"""A development chain in this process: every transaction is mined at once, and time is the wall's.

**Clock.** A block carries the wall time in whole seconds, whatever the number of transactions. Where the wall
clock is set back, chain time goes on from where it was, at the wall's pace: if it waited for the wall, no
deadline would come meanwhile. It must not fall behind the wall either, or the deadline of a dead worker would
never come: whoever asks for the newest block when that is at least one second old gets a new, empty one. A
chain that nobody asks mines nothing, and the first block after a pause carries the time at which it ended.

**Randomness.** PREVRANDAO of a block is the SHA-256 of its parent's hash: reproducible, and no secret.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from eth.constants import (
    BLANK_ROOT_HASH,
    POST_MERGE_DIFFICULTY,
    POST_MERGE_MIX_HASH,
    POST_MERGE_NONCE,
    ZERO_ADDRESS,
)
from eth.exceptions import HeaderNotFound, TransactionNotFound
from eth_keys.datatypes import PrivateKey
from eth_utils.exceptions import ValidationError

from fl_chain.commitment.encoding import U64_LIMIT
from fl_chain.errors import ConfigError, FlChainError, TransactionRejected, WrongChain
from fl_chain.ledger.devnet.database import ChainDatabase, open_database
from fl_chain.ledger.devnet.evm import DEFAULT_CHAIN_ID, Block, Header, Receipt, Transaction, chain_class
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.devnet.remembered import remember_nodes
from fl_chain.ledger.devnet.stored import StoredBlock, stored_block
from fl_chain.ledger.keccak import use_fast_keccak

GENESIS_BALANCE_WEI = 10**24
BLOCK_GAS_LIMIT = 30_029_122  # eth-tester's
KEPT_BLOCKS = 4096  # decoded, some kilobytes each
IDLE_BLOCK_S = 1  # chain time is at most this far behind the wall, for whoever asks

_Key = TypeVar("_Key")
_Decoded = TypeVar("_Decoded")


class Chain:
    """One development chain; see the module for its rules. Made by `open_chain`."""

    def __init__(
        self, evm: Any, database: ChainDatabase, clock: Callable[[], float], *, read_only: bool
    ) -> None:
        self._evm = evm
        self._database = database
        self.read_only = read_only
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._receipts: OrderedDict[bytes, tuple[Receipt, ...]] = OrderedDict()
        self._headers: OrderedDict[int, Header] = OrderedDict()
        self._transactions: OrderedDict[bytes, Transaction] = OrderedDict()
        self._stored: OrderedDict[bytes, StoredBlock] = OrderedDict()
        self._accounts: tuple[bytes, Any] | None = None  # those that were read last, by their root
        self.head: Header = evm.chaindb.get_canonical_head()
        self.go_by(clock)

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return int(self._evm.chain_id)

    def __enter__(self) -> Chain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the state folder."""
        self._database.close()

    def go_by(self, clock: Callable[[], float]) -> None:
        """Take chain time from a clock, in seconds, from now on; see the module's clock."""
        self._clock = clock
        self._wall_s = clock()
        self._lead_s: float = max(0.0, self.head.timestamp - self._wall_s)  # of chain time, over the wall

    # ------------------------------------------------------------------ writing

    def send(self, raw_transaction: bytes) -> bytes:
        """Mine a signed transaction in a block of its own.

        Returns:
            Its hash, 32 bytes. That it was mined does not mean that it succeeded; its receipt says.

        Raises:
            TransactionRejected: it cannot be mined.
        """
        return self.send_together([raw_transaction])[0]

    def send_together(self, raw_transactions: Sequence[bytes]) -> list[bytes]:
        """Mine signed transactions in one block, in their order; see `send`.

        Raises:
            TransactionRejected: one of them cannot be mined; then none is.
        """
        transactions = [self.mined(raw) for raw in raw_transactions]  # they will be: decoded once for both
        for transaction in transactions:
            if transaction.chain_id != self.chain_id:
                raise TransactionRejected(
                    f"the transaction is signed for chain {transaction.chain_id}, this is {self.chain_id}"
                )
        self._mine(transactions)
        return [transaction.hash for transaction in transactions]

    def catch_up(self) -> None:
        """Mine an empty block if the newest one has fallen behind the wall; see the module's clock."""
        if not self.read_only and self._now_s() >= self.head.timestamp + IDLE_BLOCK_S:
            self._mine([])

    def decode(self, raw_transaction: bytes) -> Transaction:
        """Decode a signed transaction.

        Raises:
            TransactionRejected: it is malformed.
        """
        try:
            return self.transaction_builder().decode(raw_transaction)
        except Exception as error:  # each transaction type has decoding errors of its own
            raise TransactionRejected(f"not a signed transaction: {error}") from error

    def transaction_builder(self) -> Any:
        """Return what makes and decodes the transactions of this chain."""
        return self._evm.get_transaction_builder()

    def pending_header(self) -> Header:
        """Return the header of the block that would be mined now."""
        return self._evm.create_header_from_parent(
            self.head,
            timestamp=max(self.head.timestamp, int(self._now_s())),
            mix_hash=hashlib.sha256(self.head.hash).digest(),
            coinbase=ZERO_ADDRESS,
        )

    def _now_s(self) -> float:
        """Return chain time; see the module's clock."""
        wall_s = self._clock()
        self._lead_s += max(0.0, self._wall_s - wall_s)
        self._wall_s = wall_s
        return wall_s + self._lead_s

    def _mine(self, transactions: Sequence[Transaction]) -> None:
        if self.read_only:
            raise TransactionRejected("this chain was opened for reading only; it takes no transactions")
        self._evm.header = self.pending_header()
        try:
            with _collecting_later():
                result, receipts, _ = self._evm.mine_all(transactions)
            block = result.imported_block
            self._database.add_logs(_log_rows(block, receipts))
            self._database.commit()
        except ValidationError as error:
            self._database.rollback()
            raise TransactionRejected(str(error)) from error
        except BaseException:
            self._database.rollback()
            raise
        self.head = block.header

    # ------------------------------------------------------------------ reading

    def header(self, block: int | bytes) -> Header | None:
        """Return a block's header by number or hash, or None where there is no such block."""
        try:
            if isinstance(block, bytes):
                return self._evm.get_block_header_by_hash(block)
            return self._numbered(block)
        except HeaderNotFound:
            return None

    def block(self, header: Header) -> Block:
        """Return a whole block."""
        block: Block = _remembered(self._blocks, header.hash, lambda: self._evm.get_block_by_header(header))
        return block

    def stored(self, block: int | bytes) -> StoredBlock | None:
        """Return a mined block, by number or hash, decoded as far as it is shown; None if there is none."""
        try:
            digest = block if isinstance(block, bytes) else self._evm.chaindb.get_canonical_block_hash(block)
            return _remembered(self._stored, digest, lambda: stored_block(self.nodes, digest))
        except (HeaderNotFound, KeyError):
            return None

    def position(self, transaction_hash: bytes) -> tuple[int, int] | None:
        """Return the number of a transaction's block and its index there, from py-evm's own index."""
        try:
            number, index = self._evm.get_canonical_transaction_index(transaction_hash)
        except TransactionNotFound:
            return None
        return int(number), int(index)

    def locate(self, transaction_hash: bytes) -> tuple[Header, int] | None:
        """Return the block of a transaction and its index there."""
        place = self.position(transaction_hash)
        return None if place is None else (self._numbered(place[0]), place[1])

    def mined(self, encoded: bytes) -> Transaction:
        """Return a transaction that is stored in a block, or that will be.

        Raises:
            TransactionRejected: it is malformed.
        """
        return _remembered(self._transactions, encoded, lambda: self.decode(encoded))

    def _numbered(self, number: int) -> Header:
        """Return a block's header; this chain has one branch, so a number means one block for good."""
        header: Header = _remembered(
            self._headers, number, lambda: self._evm.get_canonical_block_header_by_number(number)
        )
        return header

    def receipts(self, header: Header) -> tuple[Receipt, ...]:
        """Return the receipts of a block's transactions, in their order."""
        return _remembered(self._receipts, header.hash, lambda: self._read_receipts(header))

    def _read_receipts(self, header: Header) -> tuple[Receipt, ...]:
        builder = self._evm.get_vm_class(header).get_receipt_builder()
        receipts: tuple[Receipt, ...] = self._evm.chaindb.get_receipts(header, builder)
        return receipts

    def state(self, header: Header) -> Any:
        """Return the accounts and storage after a block, in its context; what is changed there is lost."""
        return self._evm.get_vm(header).state

    def accounts(self, header: Header) -> Any:
        """Return the same for reading only; what was read of it before need not be looked for again."""
        if self._accounts is None or self._accounts[0] != header.state_root:
            self._accounts = header.state_root, self.state(header)
        return self._accounts[1]

    @property
    def nodes(self) -> Any:
        """The nodes of the state's tries, by hash."""
        return self._evm.chaindb.db

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one reading statement on the state file."""
        return self._database.query(statement, parameters)

    def verify(self) -> None:
        """Check that the state file holds one whole chain: headers, transactions, receipts and indexed logs.

        The database checks on every read that a value hashes to its name; this walks from the newest
        header to genesis and derives the index again.

        Raises:
            DigestMismatch: a stored value was altered.
            ConfigError: the index does not follow from the chain.
        """
        header = self.head
        for number in range(self.head.block_number, 0, -1):
            block = self.block(header)
            rows = [tuple(row) for row in _log_rows(block, self.receipts(header))]
            stored = self.query("SELECT * FROM logs WHERE block = ? ORDER BY position", (number,))
            if header.block_number != number or self.header(number) != header or rows != stored:
                raise ConfigError(f"the chain's state file was altered: block {number} and its index differ")
            for index, transaction in enumerate(block.transactions):
                if self.locate(transaction.hash) != (header, index):
                    raise ConfigError(
                        f"the chain's state file was altered: transaction {index} of block {number}"
                    )
            header = self._evm.get_block_header_by_hash(header.parent_hash)
        if self.query("SELECT 1 FROM logs WHERE block < 1 OR block > ?", (self.head.block_number,)):
            raise ConfigError("the chain's state file was altered: it has logs of blocks that do not exist")


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Put the search for cyclic garbage off: amid py-evm's many small objects it costs a tenth of a block."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _remembered(kept: OrderedDict[_Key, _Decoded], key: _Key, read: Callable[[], _Decoded]) -> _Decoded:
    """Return what was decoded of a block before: decoding is most of what it costs to read one."""
    found = kept.get(key)
    if found is None:
        found = kept[key] = read()
        if len(kept) > KEPT_BLOCKS:
            kept.popitem(last=False)
    return found


def open_chain(
    folder: Path | None = None,
    *,
    chain_id: int | None = None,
    accounts: int = 10,
    seed: bytes | None = None,
    clock: Callable[[], float] = time.time,
    read_only: bool = False,
) -> Chain:
    """Open the chain in a state folder, making one where there is none.

    Args:
        folder: where the state is kept; None keeps it in memory.
        chain_id: None takes the folder's, or eth-tester's for a new chain.
        accounts: how many accounts a new chain funds; their keys are ``dev_keys(accounts, seed)``.
        seed: what those keys are derived from.
        clock: wall time in seconds.
        read_only: mine nothing, change no byte of the folder, and check the whole chain first.

    Raises:
        StateInUse: another process has the folder open.
        ConfigError: the folder holds no chain that can be read.
        WrongChain: the folder holds a chain with another id.
        DigestMismatch: its state was altered (read-only opening).
    """
    use_fast_keccak()
    remember_nodes()
    database = open_database(folder, read_only=read_only)
    try:
        stored_id = database.meta.get("chain_id")
        _verify_chain_id(stored_id, chain_id, folder)
        evm_class = chain_class(stored_id or chain_id or DEFAULT_CHAIN_ID)
        if stored_id is None:
            _make_genesis(evm_class, database, dev_keys(accounts, seed), int(clock()))
        return _opened(evm_class, database, clock, folder, read_only=read_only)
    except BaseException:
        database.close()
        raise


def _opened(
    evm_class: Any,
    database: ChainDatabase,
    clock: Callable[[], float],
    folder: Path | None,
    *,
    read_only: bool,
) -> Chain:
    try:
        chain = Chain(evm_class(database), database, clock, read_only=read_only)
        if read_only:
            chain.verify()
    except FlChainError:
        raise
    except Exception as error:  # SQLite, py-evm and RLP have a tree of errors each
        raise ConfigError(
            f"{folder} holds no whole chain: {type(error).__name__}: {error}: fetch it again."
        ) from error
    return chain


def _verify_chain_id(stored: int | None, wanted: int | None, folder: Path | None) -> None:
    if stored is not None and (type(stored) is not int or not 1 <= stored < U64_LIMIT):
        raise ConfigError(f"{folder} holds a chain whose id is {stored!r}; an id has 64 bits")
    if None not in (stored, wanted) and stored != wanted:
        raise WrongChain(
            f"{folder} holds chain {stored}, not {wanted}: name another folder, or that chain id"
        )


def _make_genesis(evm_class: Any, database: ChainDatabase, keys: Sequence[bytes], now: int) -> None:
    alloc = {
        PrivateKey(key).public_key.to_canonical_address(): {
            "balance": GENESIS_BALANCE_WEI,
            "nonce": 0,
            "code": b"",
            "storage": {},
        }
        for key in keys
    }
    parameters = {
        "coinbase": ZERO_ADDRESS,
        "difficulty": POST_MERGE_DIFFICULTY,
        "extra_data": b"",
        "gas_limit": BLOCK_GAS_LIMIT,
        "mix_hash": POST_MERGE_MIX_HASH,
        "nonce": POST_MERGE_NONCE,
        "receipt_root": BLANK_ROOT_HASH,
        "timestamp": now,
        "transaction_root": BLANK_ROOT_HASH,
    }
    evm_class.from_genesis(database, parameters, alloc)
    database.set_meta("chain_id", int(evm_class.chain_id))
    database.commit()


def _log_rows(block: Block, receipts: Sequence[Receipt]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for index, (transaction, receipt) in enumerate(zip(block.transactions, receipts, strict=True)):
        for log in receipt.logs:
            topics = [topic.to_bytes(32, "big") for topic in log.topics]
            rows.append(
                (
                    *(block.number, len(rows), block.header.timestamp, index, block.hash),
                    *(transaction.hash, log.address),
                    *(*topics, *([None] * (4 - len(topics))), log.data),
                )
            )
    return rows
