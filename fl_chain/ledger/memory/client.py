"""The in-memory ledger behind the client's interface, with every call written down.

It stands in for a chain where a simulation would spend its time on one. Each call is a block; time that
passes without a call is an empty one. What it holds follows from its calls alone, so the file of calls is the
saved ledger: whoever opens it replays them by the ledger's rules. It proves nothing about a contract that no
machine ran, and says so by a code hash of zero.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from fl_chain.errors import ConfigError, FlChainError, LedgerUnavailable
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event
from fl_chain.ledger.memory.coin import NativeCoin
from fl_chain.ledger.memory.dispatch import call_ledger, plain, read_view, restored
from fl_chain.ledger.memory.ledger import MemoryLedger
from fl_chain.ledger.memory.records import Message
from fl_chain.ledger.node import Head, Node
from fl_chain.ledger.transport import Json, Request
from fl_chain.records import (
    ZERO_DIGEST,
    Address,
    AggregationKind,
    LedgerPolicy,
    RewardSplit,
    RunDefinition,
    RunId,
    address,
)

log = logging.getLogger(__name__)

CALLS_NAME = "calls.jsonl"
FORMAT = 2
BALANCE_WEI = 10**24  # of every account at the beginning


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a ledger begins with."""

    run: RunId
    now: int  # chain time, seconds
    operator: Address
    aggregator: Address
    definition: RunDefinition
    policy: LedgerPolicy
    accounts: tuple[Address, ...]  # each with `BALANCE_WEI`

    def to_json(self) -> bytes:
        """Return the first line of a file of calls."""
        content = {
            "version": FORMAT,
            "chain_id": self.run.chain_id,
            "ledger": self.run.ledger,
            "now": self.now,
            "operator": self.operator,
            "aggregator": self.aggregator,
            "definition": plain(astuple(self.definition)),
            "policy": {name: int(value) for name, value in asdict(self.policy).items()},
            "accounts": list(self.accounts),
        }
        return json.dumps(content).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> Genesis:
        """Return what the first line of a file of calls says.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        content = json.loads(line)
        if content["version"] != FORMAT:
            raise ValueError("it is of a version that this release does not read")
        constants = dict(content["policy"])
        constants["reward_split"] = RewardSplit(constants["reward_split"])
        constants["aggregation"] = AggregationKind(constants["aggregation"])
        return cls(
            run=RunId(content["chain_id"], address(content["ledger"])),
            now=content["now"],
            operator=address(content["operator"]),
            aggregator=address(content["aggregator"]),
            definition=RunDefinition(*restored(content["definition"])),
            policy=LedgerPolicy(**constants),
            accounts=tuple(address(one) for one in content["accounts"]),
        )


class MemoryChain:
    """One in-memory ledger and its blocks; each call is appended to a file before it counts."""

    def __init__(
        self,
        genesis: Genesis,
        clock: Callable[[], float],
        file: BinaryIO | None,
        *,
        is_read_only: bool = False,
    ) -> None:
        """Begin; see `create_chain` and `open_memory_chain`.

        Args:
            genesis: what to begin with.
            clock: chain time, in seconds.
            file: takes every call; None keeps them in memory alone.
            is_read_only: whether calls are refused.
        """
        self.run = genesis.run
        self._clock = clock
        self._file = file
        self._is_read_only = is_read_only
        self._blocks = [Head(0, hashlib.sha256(genesis.to_json()).digest(), genesis.now)]
        self._counts: dict[Address, int] = {}
        self.events: list[Event] = []
        coin = NativeCoin(dict.fromkeys(genesis.accounts, BALANCE_WEI))
        deployer = Message(genesis.operator, genesis.now)
        self.ledger = MemoryLedger(
            genesis.run,
            deployer,
            genesis.definition,
            genesis.policy,
            aggregator=genesis.aggregator,
            coin=coin,
        )
        self._mine(genesis.now, b"deployment", self.ledger.events)

    @property
    def head(self) -> Head:
        """The newest block, made now if time has passed since the last one."""
        now = int(self._clock())
        if not self._is_read_only and now > self._blocks[-1].timestamp:
            self._write({"now": now})
            self._mine(now, b"", ())
        return self._blocks[-1]

    def block(self, number: int) -> Head | None:
        """Return the block of a number; None where there is none."""
        return self._blocks[number] if 0 <= number < len(self._blocks) else None

    def count(self, account: Address) -> int:
        """Return how many calls an account has made."""
        return self._counts.get(account, 0)

    def call(self, caller: Address, name: str, arguments: Sequence[Any], value_wei: int) -> Head:
        """Make a call; return its block.

        Raises:
            LedgerReverted: the ledger refuses it; then there is no block.
            TransactionFailed: it fails otherwise.
        """
        if self._is_read_only:
            raise ConfigError("this ledger was opened for reading only; it takes no calls")
        now = max(int(self._clock()), self._blocks[-1].timestamp)
        entry = {
            "now": now,
            "caller": caller,
            "name": name,
            "arguments": plain(arguments),
            "value_wei": value_wei,
        }
        self._run(entry, arguments)
        self._write(entry)
        return self._blocks[-1]

    def replay(self, line: bytes) -> None:
        """Repeat what a line of the file of calls says."""
        entry = json.loads(line)
        if "name" in entry:
            self._run(entry, restored(entry["arguments"]))
        else:
            self._mine(entry["now"], b"", ())

    def close(self) -> None:
        """Flush the file of calls to the disk, and close it."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _run(self, entry: dict[str, Any], arguments: Sequence[Any]) -> None:
        randomness = hashlib.sha256(self._blocks[-1].hash).digest()
        caller = address(entry["caller"])
        message = Message(caller, entry["now"], entry["value_wei"], randomness)
        events = call_ledger(self.ledger, message, entry["name"], arguments)
        self._counts[caller] = self.count(caller) + 1
        self._mine(entry["now"], json.dumps(entry).encode(), events)

    def _mine(self, now: int, content: bytes, events: Sequence[Event]) -> None:
        number, before = len(self._blocks), self._blocks[-1]
        block_hash = hashlib.sha256(before.hash + now.to_bytes(8, "big") + content).digest()
        self._blocks.append(Head(number, block_hash, now))
        for index, event in enumerate(events):
            place = replace(
                event.place,
                block_number=number,
                block_hash=block_hash,
                transaction_hash=block_hash,
                log_index=index,
            )
            self.events.append(replace(event, place=place))

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()


def create_chain(folder: Path, genesis: Genesis, clock: Callable[[], float]) -> MemoryChain:
    """Begin a ledger whose calls go into a folder.

    Raises:
        LedgerReverted: a constant is outside its bounds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / CALLS_NAME).open("xb")
    file.write(genesis.to_json())
    file.flush()
    return MemoryChain(genesis, clock, file)


def open_memory_chain(
    folder: Path, *, clock: Callable[[], float] = lambda: 0.0, read_only: bool = True
) -> MemoryChain:
    """Open a saved ledger by replaying its calls.

    A call that a killed process did not write to its end is dropped.

    Raises:
        ConfigError: if there is none, or it is not what such a file is, or a call is refused.
    """
    path = folder / CALLS_NAME
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    whole = [line for line in lines if line.endswith(b"\n")]
    try:
        chain = MemoryChain(Genesis.from_json(whole[0]), clock, None, is_read_only=True)
        for line in whole[1:]:
            chain.replay(line)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, FlChainError) as error:
        raise ConfigError(f"{path} does not hold a ledger's calls: {error!r}: fetch it again") from error
    if not read_only:
        file = path.open("r+b")
        file.truncate(sum(len(line) for line in whole))
        file.seek(0, os.SEEK_END)
        chain._file, chain._is_read_only = file, False
    return chain


class _Transport:
    """Answers what the client asks of a node."""

    def __init__(self, chain: MemoryChain) -> None:
        self._chain = chain

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        if method == "eth_chainId":
            return {"result": hex(self._chain.run.chain_id)}
        if method == "eth_getTransactionCount":
            return {"result": hex(self._chain.count(address(parameters[0])))}
        if method == "eth_getBlockByNumber":
            number = parameters[0]
            head = self._chain.head
            block = head if number in ("latest", "pending") else self._chain.block(int(number, 16))
            return {"result": None if block is None else _block_json(block)}
        if method in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            return {"result": None}
        return {"error": {"code": -32601, "message": f"an in-memory ledger has no {method}"}}

    def batch(self, requests: Sequence[Request]) -> Json:
        return [self.request(method, parameters) for method, parameters in requests]

    def close(self) -> None:
        pass


def _block_json(block: Head) -> dict[str, str]:
    return {
        "number": hex(block.number),
        "hash": "0x" + block.hash.hex(),
        "timestamp": hex(block.timestamp),
    }


class MemoryClient(Ledger):
    """A `Ledger` that asks an in-memory ledger instead of a contract."""

    def __init__(self, chain: MemoryChain) -> None:
        node = Node([("the memory of this process", _Transport(chain))], chain.run.chain_id)
        super().__init__(node, chain.run, confirmations=0, deployed_block=0)
        self.is_on_chain = False
        self.code_hash = self.verifier_code_hash = ZERO_DIGEST
        self._chain = chain
        self._read = 0

    def pinned(self, block: Head | None = None) -> Ledger:
        """Return the ledger as it stands: nothing else calls it meanwhile.

        Raises:
            LedgerUnavailable: another block than the newest is asked for.
        """
        if block is not None and block != self.node.head():
            raise LedgerUnavailable("an in-memory ledger keeps no older state than its newest")
        return MemoryClient(self._chain)

    def balance(self) -> int:
        """Return what the ledger holds."""
        return self._chain.ledger.balance()

    def _view(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        return (read_view(self._chain.ledger, name, arguments, now=self.head().timestamp),)

    def _read_events(self, first: int, last: int) -> list[Event]:
        events = self._chain.events
        # Whoever follows the ledger asks for the newest blocks: look from there.
        start = len(events)
        while start and events[start - 1].place.block_number >= first:
            start -= 1
        return [event for event in events[start:] if event.place.block_number <= last]

    def _send_together(self, orders: Sequence[tuple[Account, str, tuple[Any, ...], int]]) -> list[Receipt]:
        return [self._made(*order) for order in orders]

    def _send(
        self, account: Account, name: str, *arguments: Any, value_wei: int = 0, **items: int
    ) -> Receipt:
        return self._made(account, name, arguments, value_wei)

    def _made(self, account: Account, name: str, arguments: tuple[Any, ...], value_wei: int) -> Receipt:
        block = self._chain.call(account.address, name, arguments, value_wei)
        return Receipt(block.hash, block.number, gas_used=0, fee_wei=0, status=1, contract=None)
