"""A simulation that does not wait for its chain: another process executes what was decided here.

The ledger's twin in Python answers every call at once, and the simulation goes on from its answer. The same
call, in the same order and with the same chain time, goes to a process that executes it on the embedded
chain, and compares the contract's events with the twin's. So the chain's work lies beside the training of the
rounds that follow; its blocks are those that it has without.

The chain is at most `AHEAD_ROUNDS` rounds behind. Where it refuses, or does anything else than its twin, the
simulation stops. A process that was killed leaves a chain that is whole up to some block; what the simulation
had beyond it is made again, and is the same.
"""

from __future__ import annotations

import gc
import logging
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fl_chain.errors import FlChainError
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.memory.client import MemoryChain, MemoryClient
from fl_chain.ledger.memory.twin import Outcome, SetClock, outcome
from fl_chain.ledger.node import embedded
from fl_chain.machine.memory import collecting_seldom
from fl_chain.records import Address, RunId

log = logging.getLogger(__name__)

AHEAD_ROUNDS = 2  # that the chain may be behind: whoever is told of a refusal has not trained much in vain


class ChainNotFollowing(FlChainError):
    """The chain refused what the simulation went on from, or did anything else, or its process ended."""


@dataclass(frozen=True, slots=True)
class LedgerCall:
    """One call of the ledger.

    Attributes:
        caller: whose account signs.
        name: of the contract's function.
        arguments: as the contract takes them.
        value_wei: coin that goes along.
        items: what its limit of gas depends on besides; see `fl_chain.ledger.gas`.
    """

    caller: Address
    name: str
    arguments: tuple[Any, ...]
    value_wei: int
    items: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Block:
    """Calls that are mined together.

    Attributes:
        round: the newest when they were made.
        calls: in their order.
        outcome: what the twin says that they do.
    """

    round: int
    calls: tuple[LedgerCall, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Moment:
    """Chain time goes on to a moment.

    Attributes:
        round: the newest then.
        now_s: chain time, in seconds.
    """

    round: int
    now_s: float


@dataclass(frozen=True)
class SavedLedger:
    """What it takes to open the contract on its saved chain, and to sign for everybody.

    Attributes:
        folder: of the chain.
        run: which chain and ledger.
        deployed_block: no event is older.
        keys: everybody's.
    """

    folder: Path
    run: RunId
    deployed_block: int
    keys: tuple[bytes, ...]


class Follower:
    """The process that executes the chain, as the simulation sees it."""

    def __init__(self, saved: SavedLedger) -> None:
        """Start it; nobody else has the chain open from now on until `finish` or `close`."""
        context = get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_follow, args=(saved, theirs, self._pipe), daemon=True)
        self._process.start()
        theirs.close()
        self._unanswered: deque[int] = deque()  # of each order on its way, the round
        self._refusal = ""

    def tell(self, order: Block | Moment) -> None:
        """Pass an order on; wait first where the chain is as far behind as it may be.

        Raises:
            ChainNotFollowing: if an earlier one failed.
        """
        while self._unanswered and self._is_due(order.round):
            self._receive()
        self._verify_following()
        try:
            self._pipe.send(order)
        except OSError:
            self._end()
        self._unanswered.append(order.round)

    def finish(self) -> None:
        """Wait until everything is executed, and end the process.

        Raises:
            ChainNotFollowing: if something failed.
        """
        self.catch_up()
        self.close()
        self._verify_following()

    def catch_up(self) -> None:
        """Wait until everything is executed.

        Raises:
            ChainNotFollowing: if something failed.
        """
        while self._unanswered:
            self._receive()

    def close(self) -> None:
        """End the process, after it has executed what it was told."""
        # Processes that were forked later hold the pipe open as well, so closing it here says nothing.
        with suppress(OSError):
            self._pipe.send(None)
        self._pipe.close()
        self._process.join()

    def _is_due(self, round_id: int) -> bool:
        """Return whether an answer is there, or has to be waited for: the chain is far behind otherwise."""
        return self._unanswered[0] <= round_id - AHEAD_ROUNDS or self._pipe.poll()

    def _receive(self) -> None:
        try:
            refusal = self._pipe.recv()
        except (EOFError, OSError):
            self._end()
        self._unanswered.popleft()
        self._refusal = self._refusal or refusal
        self._verify_following()

    def _verify_following(self) -> None:
        if self._refusal:
            raise ChainNotFollowing(
                f"the chain did not take what the simulation went on from: {self._refusal}. Everything "
                "before is recorded; --resume tries again from there"
            )

    def _end(self) -> None:
        self._refusal = self._refusal or "its process ended on the way: free memory"
        self._verify_following()


class AheadLedger(MemoryClient):
    """The twin, whose calls go to the chain as well."""

    def __init__(self, twin: MemoryChain, clock: SetClock, follower: Follower) -> None:
        super().__init__(twin)
        self._clock = clock
        self._follower = follower

    def wait_until(self, moment_s: float) -> None:
        """Let chain time pass up to a moment, here and on the chain.

        Raises:
            ChainNotFollowing: see `Follower.tell`.
        """
        self._clock.now = max(self._clock.now, moment_s)
        self._follower.tell(Moment(self._newest_round, self._clock.now))

    def _send_together(self, orders: Sequence[tuple[Account, str, tuple[Any, ...], int]]) -> list[Receipt]:
        calls = [
            LedgerCall(account.address, name, arguments, value_wei, {})
            for account, name, arguments, value_wei in orders
        ]
        with self._told(calls):
            return super()._send_together(orders)

    def _send(
        self, account: Account, name: str, *arguments: Any, value_wei: int = 0, **items: int
    ) -> Receipt:
        with self._told([LedgerCall(account.address, name, arguments, value_wei, items)]):
            return super()._send(account, name, *arguments, value_wei=value_wei)

    @contextmanager
    def _told(self, calls: Sequence[LedgerCall]) -> Iterator[None]:
        """Send to the chain what the twin takes within, with what it says that came of it."""
        round_id, known = self._newest_round, len(self._chain.events)
        yield
        self._follower.tell(Block(round_id, tuple(calls), outcome(self._chain.events[known:])))

    @property
    def _newest_round(self) -> int:
        return self._chain.ledger.state().latest


class _FollowingLedger(Ledger):
    """The contract, which repeats calls."""

    def repeat(self, block: Block, accounts: Mapping[Address, Account]) -> list[Receipt]:
        """Send the calls of a block in one go."""
        if len(block.calls) == 1:
            call = block.calls[0]
            sent = {"value_wei": call.value_wei, **call.items}
            return [self._send(accounts[call.caller], call.name, *call.arguments, **sent)]
        return self._send_together(
            [(accounts[call.caller], call.name, call.arguments, call.value_wei) for call in block.calls]
        )


def _follow(saved: SavedLedger, pipe: Connection, foreign: Connection) -> None:
    """Execute orders until nobody gives any more; after the first that fails, none."""
    foreign.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever starts the processes ends this one last
    gc.freeze()
    refusal = ""
    with suppress(EOFError, OSError), collecting_seldom(), _Chain(saved) as chain:
        while (order := pipe.recv()) is not None:
            refusal = refusal or chain.executed(order)
            with suppress(OSError):  # who gave it may be gone; the chain goes on to its end all the same
                pipe.send(refusal)


class _Chain:
    """The chain in the process that executes it."""

    def __init__(self, saved: SavedLedger) -> None:
        from fl_chain.ledger.devnet.chain import open_chain

        self._chain = open_chain(saved.folder)
        self._clock = SetClock(self._chain.head.timestamp)
        self._chain.go_by(self._clock)
        node = embedded(self._chain, mines_together=True)
        self._ledger = _FollowingLedger(node, saved.run, confirmations=0, deployed_block=saved.deployed_block)
        self._accounts = {one.address: one for one in (Account(node, key) for key in saved.keys)}

    def __enter__(self) -> _Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self._chain.close()

    def executed(self, order: Block | Moment) -> str:
        """Execute an order; return why it failed, or nothing."""
        try:
            return self._moved(order) if isinstance(order, Moment) else self._mined(order)
        except FlChainError as error:
            return f"{_named(order)}: {error}"
        except Exception as error:  # whatever it is, the process that asked has to hear of it
            return f"{_named(order)}: {type(error).__name__}: {error}"

    def _moved(self, moment: Moment) -> str:
        self._clock.now = max(self._clock.now, moment.now_s)
        self._chain.catch_up()
        return ""

    def _mined(self, block: Block) -> str:
        numbers = [receipt.block_number for receipt in self._ledger.repeat(block, self._accounts)]
        made = outcome(self._ledger.events(min(numbers), max(numbers)))
        if made == block.outcome:
            return ""
        differing = [pair for pair in zip_longest(made, block.outcome) if pair[0] != pair[1]]
        return f"{_named(block)}: the contract's event is {differing[0][0]}, its twin's {differing[0][1]}"


def _named(order: Block | Moment) -> str:
    if isinstance(order, Moment):
        return f"round {order.round}, waiting until {order.now_s:.0f}"
    names = ", ".join(sorted({call.name for call in order.calls}))
    return f"round {order.round}, {names}"
