"""A consortium on an anvil, whose newest blocks can be taken back and made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consortium import Consortium

from fl_chain.ledger.anvil import FUNDED_KEY, running_anvil
from fl_chain.ledger.events import Event
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node, connect


@dataclass
class UnsteadyConsortium(Consortium):
    """Everyone works on an anvil that mines every transaction at once."""

    url: str = field(kw_only=True)

    def start_chain(self) -> tuple[Node, bytes]:
        """Connect to the anvil that runs."""
        return connect([self.url]), FUNDED_KEY

    def pass_time(self, seconds: float) -> None:
        """Let chain time pass, in one empty block."""
        self.node.request("evm_increaseTime", int(seconds))
        self.mine()

    def mine(self, blocks: int = 1) -> None:
        """Mine empty blocks."""
        self.node.request("anvil_mine", hex(blocks))

    def step_until(self, reached: Callable[[History], bool], *, limit: int = 100) -> History:
        """Let one after the other take a step, and stop right when the newest block makes it so."""
        actors = [*self.workers.values(), self.aggregator]
        for _ in range(limit):
            moved = False
            for actor in actors:
                moved |= actor.step()
                if reached(self.history):
                    return self.history
            if not moved:
                self.pass_time(1)
        raise AssertionError(f"never reached; the run stands at {self.history.state}")

    @property
    def block(self) -> int:
        """Number of the newest block."""
        return self.node.head().number

    def since(self, first: int) -> list[Event]:
        """Return the ledger's events from a block on."""
        return self.ledger().events(first, self.block)

    def raw(self, event: Event) -> str:
        """Return the transaction that an event is of, as it was sent."""
        shown = "0x" + event.place.transaction_hash.hex()
        return str(self.node.request("eth_getRawTransactionByHash", shown))

    def reorganise(self, first: int, blocks: Sequence[Sequence[str]] = ()) -> None:
        """Take the blocks from one on back, and make as many anew.

        Args:
            first: number of the first block that is taken back.
            blocks: what goes into the new ones, as it was sent; the others stay empty.
        """
        depth = self.block - first + 1
        placed: list[Any] = [[raw, index] for index, raws in enumerate(blocks) for raw in raws]
        old = self.node.head()
        self.node.request("anvil_reorg", depth, placed)
        assert self.node.block(old.number) != old


@contextmanager
def unsteady(folder: Path, **settings: Any) -> Iterator[UnsteadyConsortium]:
    """Start an anvil and deploy a run on it."""
    with running_anvil(arguments=["--hardfork", "cancun"]) as anvil:
        built = UnsteadyConsortium(folder, url=anvil.url, **settings)
        yield built
        built.node.close()
