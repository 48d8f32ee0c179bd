"""A round's updates side by side, for rules that need all of them at once.

Where they are large, their lanes go into one file without a name, which is mapped: memory holds only what is
looked at, and nobody can change what was checked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from fl_chain.aggregation.rules.rule import LaneMatrix
from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes

IN_MEMORY_BYTES = 64 << 20  # so much is kept in memory; more in the folder for temporary files


@contextmanager
def spooled(updates: Iterable[Lanes], most: int, dimension: int) -> Iterator[LaneMatrix]:
    """Read updates one after the other, and keep their lanes until the block is left.

    Args:
        updates: each of shape (dimension,), big-endian.
        most: how many there are, or more.
        dimension: lanes of each.

    Yields:
        Shape (n_updates, dimension); not to be written to.

    Raises:
        OSError: if the disk does not take them.
        Exception: whatever reading an update raises.
    """
    count = 0
    if most * dimension * LANE.itemsize <= IN_MEMORY_BYTES:
        matrix = np.empty((most, dimension), dtype=LANE)
        for count, lanes in enumerate(updates, start=1):
            matrix[count - 1] = lanes
        yield matrix[:count]
        return
    with tempfile.TemporaryFile() as file:
        for count, lanes in enumerate(updates, start=1):  # noqa: B007 - how many came
            file.write(lane_bytes(lanes))
        file.flush()
        if count == 0:
            yield np.empty((0, dimension), dtype=LANE)
            return
        yield np.memmap(file, dtype=LANE, mode="r", shape=(count, dimension))
