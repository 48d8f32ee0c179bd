"""Which rows each simulated participant has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.data.partition import Drawing, Kind, drawn
from fl_chain.errors import InputDataError
from fl_chain.learning import OwnerData, Task, class_labels, joined, n_rows, selected
from fl_chain.simulation.choices import SimulationChoices

Indices = npt.NDArray[np.intp]


@dataclass
class Shares:
    """The participants' names and rows; each participant's rows are read when they are first needed.

    Attributes:
        names: of the participants, in order.
    """

    task: Task
    names: tuple[str, ...]
    source: str | None
    pooled: OwnerData | None = None  # where rows are divided here
    parts: Sequence[Indices] = ()  # rows of ``pooled.train``, for each name
    is_table: bool = False  # whether all come from one table that names them
    _read: dict[str, OwnerData] = field(default_factory=dict)
    _held_out: Any = None
    _own_held_out: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> OwnerData:
        """Return a participant's rows.

        Raises:
            InputDataError: if they cannot be read.
        """
        if name not in self._read:
            self._read[name] = self._loaded(name)
        return self._read[name]

    def gather(self) -> None:
        """Read everybody's rows of a table, before processes part.

        The threads with which tables are read do not outlive a fork, so a child that reads waits for ever.

        Raises:
            InputDataError: if somebody's cannot be read.
        """
        if self.is_table:
            for name in self.names:
                self.of(name)

    def held_out(self) -> Any:
        """Return the held-out rows of all participants together; what they train on is not kept for it."""
        if self.pooled is not None:
            return self.pooled.test
        if self._held_out is None:
            self._held_out = joined([self.own_held_out(name) for name in self.names])
        return self._held_out

    def own_held_out(self, name: str) -> Any:
        """Return a participant's own held-out rows; None where all have the same."""
        if self.pooled is not None:
            return None
        if name not in self._own_held_out:
            known = self._read.get(name)
            self._own_held_out[name] = (known or self._loaded(name)).test
        return self._own_held_out[name]

    def _loaded(self, name: str) -> OwnerData:
        if self.pooled is None:
            return self.task.load(name, self.source)
        rows = self.parts[self.names.index(name)]
        return OwnerData(selected(self.pooled.train, rows), self.pooled.test)


def shares_of(task: Task, choices: SimulationChoices, seed: int) -> Shares:
    """Return who has which rows.

    Args:
        task: what is learnt; where its table names owners, those are the participants.
        choices: the number, and how rows are divided.
        seed: of the division.

    Raises:
        InputDataError: if there are fewer owners than participants, or no classes where they are needed.
        ConfigError: if the rows cannot be divided so.
    """
    owners = tuple(getattr(task, "owners", lambda source: ())(choices.source))
    wanted = choices.n_participants or len(owners)
    if choices.division == "owner":
        if owners and len(owners) < wanted:
            raise InputDataError(
                f"the data name {len(owners)} owners, and {wanted} participants were asked for: take fewer, "
                "or divide the rows by iid"
            )
        names = owners[:wanted] or tuple(f"{number:04d}" for number in range(wanted))
        if not names:
            raise InputDataError("the data name no owners: say how many participants there are")
        shares = Shares(task, names, choices.source, is_table=bool(owners))
        shares.of(names[0])  # what is wrong with the table or the settings shows before anything is deployed
        return shares
    loaded = [task.load(owner, choices.source) for owner in owners or ("",)]
    pooled = OwnerData(joined([one.train for one in loaded]), joined([one.test for one in loaded]))
    drawing = Drawing(
        kind=Kind(choices.division),
        n_participants=wanted,
        concentration=choices.concentration,
        shards_each=choices.shards_each,
    )
    parts = drawn(drawing, n_rows(pooled.train), class_labels(pooled.train), np.random.default_rng(seed))
    names = tuple(f"{number:04d}" for number in range(wanted))
    return Shares(task, names, choices.source, pooled, parts)
