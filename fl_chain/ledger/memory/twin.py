"""The in-memory ledger that stands where a contract stands: its calls, repeated by the rules in Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from fl_chain.errors import FlChainError, MalformedResponse
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event, RunDeployed
from fl_chain.ledger.memory.client import Genesis, MemoryChain
from fl_chain.ledger.node import data_bytes, quantity
from fl_chain.records import Address, address

_BATCH = 200  # transactions
# Where an event stands follows from blocks and transactions, which the in-memory ledger has of its own; so
# does a round's seed.
_OF_THE_CHAIN = ("place", "seed")

Outcome = tuple[tuple[Any, ...], ...]


class SetClock:
    """Chain time as somebody sets it, in seconds."""

    def __init__(self, now: float) -> None:
        self.now = float(now)

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def twin_of(ledger: Ledger, accounts: Sequence[Address], clock: SetClock) -> MemoryChain:
    """Return an in-memory ledger that has taken every call of a contract.

    It takes further calls, and keeps them in memory alone.

    Args:
        ledger: the contract's; nothing sends to it meanwhile.
        accounts: whoever may send coin along.
        clock: set to the time of the newest block.

    Raises:
        MalformedResponse: the contract's events do not follow from its calls by the rules in Python.
        LedgerUnavailable: no node answers.
    """
    ledger.sync()
    events = ledger.all_events()
    if not events or not isinstance(events[0], RunDeployed):
        raise MalformedResponse(f"the chain shows no deployment of the ledger {ledger.run.ledger}")
    deployed = events[0]
    genesis = Genesis(
        run=ledger.run,
        now=deployed.place.timestamp,
        operator=deployed.operator,
        aggregator=deployed.aggregator,
        definition=deployed.definition,
        policy=deployed.policy,
        accounts=tuple(accounts),
    )
    times = {event.place.transaction_hash: event.place.timestamp for event in events[1:]}
    try:
        twin = MemoryChain(genesis, clock, None)
        for (caller, name, arguments, value_wei), now in zip(
            _calls(ledger, list(times)), times.values(), strict=True
        ):
            clock.now = now
            twin.call(caller, name, arguments, value_wei)
    except FlChainError as error:
        raise MalformedResponse(
            f"the saved ledger's calls are refused when they are repeated: {error}"
        ) from error
    if outcome(twin.events) != outcome(events):
        raise MalformedResponse("the saved ledger's events do not follow from its calls: start the run anew")
    clock.now = ledger.head().timestamp
    return twin


def outcome(events: Iterable[Event]) -> Outcome:
    """Return of events what has to be the same on a contract and in memory: kind, chain time and fields."""
    return tuple(
        (
            type(event).__name__,
            event.place.timestamp,
            *(getattr(event, field.name) for field in fields(event) if field.name not in _OF_THE_CHAIN),
        )
        for event in events
    )


def _calls(ledger: Ledger, hashes: Sequence[bytes]) -> list[tuple[Address, str, tuple[Any, ...], int]]:
    """Return caller, function, arguments and coin of transactions."""
    found = []
    for start in range(0, len(hashes), _BATCH):
        part = hashes[start : start + _BATCH]
        for answer in ledger.node.batch([("eth_getTransactionByHash", ["0x" + one.hex()]) for one in part]):
            data = data_bytes(answer["input"])
            name = ledger_abi().name_of(data[:4])
            if name is None:
                raise MalformedResponse(f"a transaction of the ledger calls none of its functions: {answer}")
            arguments = ledger_abi().functions[name].decode_input(data)
            found.append((address(answer["from"]), name, arguments, quantity(answer["value"])))
    return found
