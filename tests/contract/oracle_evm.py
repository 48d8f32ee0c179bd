"""The contract on an in-process machine: one transaction a call, views remembered while they hold."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from eth.vm.execution_context import ExecutionContext
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode, encode
from oracle_token import creation_code

from fl_chain.errors import TransactionFailed
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.decoding import decode_logs
from fl_chain.ledger.devnet.chain import GENESIS_BALANCE_WEI, open_chain
from fl_chain.ledger.events import Event
from fl_chain.ledger.memory import Message
from fl_chain.ledger.reverts import decode_revert
from fl_chain.records import ZERO_ADDRESS, Address, LedgerPolicy, RunDefinition, address

READER = "0x" + "ee" * 20
GAS = 16_000_000

Slots = tuple[tuple[bytes, int], ...]

# What views returned, of all ledgers here: by code and view, by the slots it reads, by what they held.
_returned: dict[tuple[bytes, tuple[Any, ...]], dict[Slots, dict[tuple[int, ...], Any]]] = {}


class EvmLedger:
    """A deployed ledger. Each call is a transaction in a block of its own, for which nobody pays."""

    def __init__(self, people: Sequence[Address]) -> None:
        self.chain = open_chain(None, clock=lambda: 0.0)
        self.chain_id = self.chain.chain_id
        self._state: Any = self.chain.state(self.chain.head)
        for person in people:
            self._state.set_balance(_raw(person), GENESIS_BALANCE_WEI)
        self._block_number = 0
        self._reads: set[tuple[bytes, int]] | None = None
        self._memory: dict[tuple[Any, ...], Any] = {}
        self._readers: dict[tuple[bytes, int], set[tuple[Any, ...]]] = defaultdict(set)
        self._watch_storage()
        self.address: Address = ZERO_ADDRESS
        self.token: Address = ZERO_ADDRESS
        self.now = 0

    # ------------------------------------------------------------------ deployment

    def deploy(
        self, message: Message, definition: RunDefinition, policy: LedgerPolicy, aggregator: Address
    ) -> tuple[Event, ...]:
        """Deploy the ledger in the coin that was made before."""
        arguments = (astuple(definition), astuple(policy), aggregator, self.token)
        code = training_ledger().bytecode + encode(ledger_abi().constructor, arguments)
        computation = self._transact(message, None, code)
        self.address = address(computation.msg.storage_address)
        return self._events(message, computation)

    def deploy_token(self, message: Message, balances: dict[Address, int], fee_wei: int) -> Address:
        """Deploy an ERC-20 token and hand it out."""
        computation = self._transact(message, None, creation_code())
        self.token = address(computation.msg.storage_address)
        for holder, amount_wei in {ZERO_ADDRESS: fee_wei, **balances}.items():
            self._state.set_storage(_raw(self.token), int(holder, 16), amount_wei)
        return self.token

    # ------------------------------------------------------------------ calls

    def call(self, message: Message, name: str, arguments: Sequence[Any]) -> tuple[Event, ...]:
        """Call the ledger and return its events.

        Raises:
            LedgerReverted: it refused by a custom error.
            TransactionFailed: it reverted otherwise.
        """
        data = ledger_abi().functions[name].encode(arguments)
        return self._events(message, self._transact(message, self.address, data))

    def _transact(self, message: Message, to: Address | None, data: bytes) -> Any:
        self._block_number += 1
        self.now = message.now
        self._enter_block(message)
        computation = self._apply(message.caller, to, data, message.value_wei)
        if computation.is_error:
            output = bytes(computation.output)
            raise decode_revert(output) or TransactionFailed(f"reverted with 0x{output.hex()}")
        return computation

    def _apply(self, sender: Address, to: Address | None, data: bytes, value_wei: int) -> Any:
        transaction = self.chain.transaction_builder().new_unsigned_dynamic_fee_transaction(
            chain_id=self.chain_id,
            nonce=self._state.get_nonce(_raw(sender)),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=GAS,
            to=b"" if to is None else _raw(to),
            value=value_wei,
            data=data,
            access_list=(),
        )
        return self._state.apply_transaction(SpoofTransaction(transaction, from_=_raw(sender)))

    def _enter_block(self, message: Message) -> None:
        head = self.chain.head
        self._state.execution_context = ExecutionContext(
            coinbase=head.coinbase,
            timestamp=message.now,
            block_number=self._block_number,
            difficulty=0,
            mix_hash=message.prevrandao,
            gas_limit=head.gas_limit,
            prev_hashes=(),
            chain_id=self.chain_id,
            base_fee_per_gas=0,
            excess_blob_gas=0,
        )

    def _events(self, message: Message, computation: Any) -> tuple[Event, ...]:
        block_hash = "0x" + hashlib.sha256(self._block_number.to_bytes(8, "big")).hexdigest()
        self.raw_logs = [
            {
                "address": "0x" + emitter.hex(),
                "topics": ["0x" + topic.to_bytes(32, "big").hex() for topic in topics],
                "data": "0x" + data.hex(),
                "blockNumber": hex(self._block_number),
                "blockHash": block_hash,
                "blockTimestamp": hex(message.now),
                "transactionHash": block_hash,
                "logIndex": hex(position),
            }
            for position, (emitter, topics, data) in enumerate(computation.get_log_entries())
        ]
        assert all(log["address"] == self.address for log in self.raw_logs)
        return tuple(decode_logs(self.raw_logs))

    def posted_exclusions(self) -> list[tuple[Any, ...]]:
        """Return the exclusions in the newest call's RoundPosted, with every field."""
        (topic,) = [one for one, entry in ledger_abi().events.items() if entry["name"] == "RoundPosted"]
        (data,) = [log["data"] for log in self.raw_logs if log["topics"][0] == "0x" + topic.hex()]
        head = ("uint16", "bytes32", "bytes32", "bytes32", "uint16", "uint32", "uint40")
        arrays = ("(uint16,uint8,uint32,address,bytes32)[]", "bytes32[]")
        return list(decode((*head, *arrays), bytes.fromhex(data[2:]))[-2])

    # ------------------------------------------------------------------ views

    def view(self, name: str, *arguments: Any) -> Any:
        """Return what a view returns now.

        A view depends on the code and on the slots that it reads, so each is asked once while those hold the
        same, in whichever ledger. The one that reads the time is always asked.
        """
        key = (name, *arguments)
        if name == "hasEnded":
            return self._asked(key)[1]
        if key not in self._memory:
            known = _returned.setdefault((self._code_hash(), key), {})
            for slots, results in known.items():
                held = self._held(slots)
                if held in results:
                    result = results[held]
                    break
            else:
                slots, result = self._asked(key)
                known.setdefault(slots, {})[self._held(slots)] = result
            for slot in slots:
                self._readers[slot].add(key)
            self._memory[key] = result
        return self._memory[key]

    def _asked(self, key: tuple[Any, ...]) -> tuple[Slots, Any]:
        """Ask a view; return the slots that it read, and what it returned."""
        name, *arguments = key
        function = ledger_abi().functions[name]
        self._reads = set()
        computation = self._apply(READER, self.address, function.encode(arguments), 0)
        assert not computation.is_error
        slots, self._reads = tuple(sorted(self._reads)), None
        (result,) = function.decode(bytes(computation.output))
        return slots, result

    def _held(self, slots: Slots) -> tuple[int, ...]:
        return tuple(self._state.get_storage(*slot) for slot in slots)

    def _code_hash(self) -> bytes:
        return bytes(self._state.get_code_hash(_raw(self.address)))

    def balance_wei(self, holder: Address) -> int:
        """Return what an account holds, in the run's coin."""
        if self.token == ZERO_ADDRESS:
            return int(self._state.get_balance(_raw(holder)))
        return int(self._state.get_storage(_raw(self.token), int(holder, 16)))

    def _watch_storage(self) -> None:
        read, write = self._state.get_storage, self._state.set_storage

        def get_storage(address: bytes, slot: int, from_journal: bool = True) -> int:
            if self._reads is not None:
                self._reads.add((address, slot))
            return int(read(address, slot, from_journal))

        def set_storage(address: bytes, slot: int, value: int) -> None:
            for key in self._readers.pop((address, slot), ()):
                self._memory.pop(key, None)
            write(address, slot, value)

        self._state.get_storage, self._state.set_storage = get_storage, set_storage


def _raw(value: Address) -> bytes:
    return bytes.fromhex(value[2:])
