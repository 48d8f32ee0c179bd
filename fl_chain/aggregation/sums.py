"""Exact sums of updates, group by group, while the updates stream past.

Addition modulo 2^32 is associative, so a sum is the same on every machine and in every order. What the lanes
mean is not looked at: they may be masked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.chunks import LANE, Lanes, chunk_count, lane_blocks, verify_lanes
from fl_chain.commitment.native import kernels_for
from fl_chain.commitment.partial_sums import FAN_IN

BLOCK_LANES = 1 << 16  # a block of the sum and one of the summand stay in a core's own cache


@dataclass(frozen=True, slots=True)
class PartialSum:
    """The sum of a group that is complete."""

    level: int  # from 1
    position: int  # from 0 in its level
    lanes: Lanes  # read-only; the memory is used again for the next group


class _Accumulator:
    """The group of one level that is being added up."""

    def __init__(self, level: int, lanes: Lanes) -> None:
        self.level = level
        self.position = 0
        self.children = 0
        self._is_wire = False
        self.wire = lanes
        self._native: npt.NDArray[np.uint32] = lanes.view(np.uint32)

    @property
    def is_complete(self) -> bool:
        return self.children == FAN_IN

    def add(self, lanes: Lanes | None) -> None:
        native = None if lanes is None else kernels_for(lanes.nbytes)
        if native is not None and lanes is not None:
            is_first, self._is_wire = self.children == 0, self.children == FAN_IN - 1
            native.add_to_group(lanes.view(np.uint8), self._native, is_first, self._is_wire)
            self.children += 1
            return
        for block in lane_blocks(self.wire.size, BLOCK_LANES):
            if self.children:
                if lanes is not None:
                    self._native[block] += lanes[block].astype(np.uint32)
            else:
                self._native[block] = 0 if lanes is None else lanes[block]
        self.children += 1

    def sealed(self) -> PartialSum:
        """Return the sum in wire order; nothing can be added before `restart`."""
        if not self._is_wire and not LANE.isnative:
            self._native.byteswap(inplace=True)
        lanes = self.wire.view()
        lanes.flags.writeable = False
        return PartialSum(self.level, self.position, lanes)

    def restart(self) -> None:
        self.position += 1
        self.children = 0
        self._is_wire = False


class PartialSums:
    """Adds up a round's submissions in the ledger's order, with memory for one vector a level.

    Each level is completed from left to right. The roots of all sums, level 1 first, are what a posting
    lists.

    Args:
        dimension: lanes of every vector.
        on_complete: is called with each sum as soon as it is complete. Its lanes are valid during the call
            only.

    Raises:
        ValueError: if the dimension is out of range.
    """

    def __init__(self, dimension: int, on_complete: Callable[[PartialSum], None]) -> None:
        chunk_count(dimension)
        self._dimension = dimension
        self._on_complete = on_complete
        self._levels: list[_Accumulator] = []
        self._is_finished = False

    def add(self, lanes: Lanes | None) -> None:
        """Add the next submission's update; None for one that is excluded.

        Args:
            lanes: shape (dimension,), big-endian.

        Raises:
            ValueError: if the lanes are of another form, or everything is added up already.
        """
        self._verify_unfinished()
        if lanes is not None:
            verify_lanes(lanes)
            if lanes.size != self._dimension:
                raise ValueError(f"an update has {lanes.size} lanes, the sum {self._dimension}")
        self._add(0, lanes)

    def finish(self) -> None:
        """Close the groups that are not full; afterwards `total` is the sum of everything.

        Raises:
            ValueError: if nothing was added, or everything is added up already.
        """
        self._verify_unfinished()
        if not self._levels:
            raise ValueError("nothing was added; a round that closes has at least one submission")
        self._is_finished = True
        for depth, group in enumerate(self._levels):  # grows while a level hands its last group up
            if not group.is_complete:
                self._on_complete(group.sealed())
            if group.position == 0:
                return
            self._add(depth + 1, group.wire)

    @property
    def total(self) -> Lanes:
        """The sum of everything, big-endian lanes, shape (dimension,).

        Raises:
            ValueError: before `finish`.
        """
        if not self._is_finished:
            raise ValueError("the total is known after finish()")
        return self._levels[-1].wire

    def _add(self, depth: int, lanes: Lanes | None) -> None:
        if depth == len(self._levels):
            self._levels.append(_Accumulator(depth + 1, np.empty(self._dimension, dtype=LANE)))
        group = self._levels[depth]
        if group.is_complete:  # handed up only now, because the only group of a level has no parent
            self._add(depth + 1, group.wire)
            group.restart()
        group.add(lanes)
        if group.is_complete:
            self._on_complete(group.sealed())

    def _verify_unfinished(self) -> None:
        if self._is_finished:
            raise ValueError("this round is added up already; take a new PartialSums for another one")
