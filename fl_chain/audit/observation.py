"""What an audit sees of one update, in one pass over its lanes; pure, so that several threads can look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.audit.sketches import BUCKETS, ROWS, Sketch, add_to_sketch, signed_blocks, sum_of_squares
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.native import kernels_for, load_compiled

CROSSED = 4  # one block of lanes in so many is compared with those of the round before

Signs = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Observation:
    """One update, without whose it is."""

    square: int  # of the lanes' norm
    largest: int  # magnitude of a lane
    zero_lanes: int
    sketch: Sketch
    crossed_lanes: int  # of the blocks that are compared across rounds, those that are not zero
    part: Sketch  # of those blocks
    crossing: Sketch  # of the same by the signs of the round before, to be compared with what is kept of it


def observed(lanes: Lanes, signs: Signs, earlier: Signs | None) -> Observation:
    """Look at an update.

    Args:
        lanes: shape (dimension,), big-endian.
        signs: of this round, shape (dimension,).
        earlier: of the round before; None where there is none.
    """
    compiled = None if kernels_for(lanes.nbytes) is None else _compiled()
    if compiled is None:
        return _by_blocks(lanes, signs, earlier)
    sketches = np.zeros((3, BUCKETS), dtype=np.int64)
    figures = np.zeros(5, dtype=np.int64)
    former = np.empty(0, dtype=np.int8) if earlier is None else earlier
    compiled.observe(0, lanes.view(np.uint8), signs, former, ROWS, CROSSED, sketches, figures)
    return observation(sketches, figures)


def observation(sketches: npt.NDArray[np.int64], figures: npt.NDArray[np.int64]) -> Observation:
    """Return a copy of what the compiled loop saw, of all pieces.

    Args:
        sketches: as `fl_chain.aggregation.observation_kernel` has them.
        figures: the same.
    """
    high, low, largest, zero_lanes, crossed_lanes = map(int, figures)
    rest, part, crossing = sketches
    square = (high << 32) + low
    return Observation(square, largest, zero_lanes, rest + part, crossed_lanes, part.copy(), crossing.copy())


@cache
def _compiled() -> Any:
    return load_compiled(
        "fl_chain.aggregation.observation_kernel", {"observe": "i8 u1[] i1[] i1[] i8 i8 =i8[,] =i8[]"}
    )


def _by_blocks(lanes: Lanes, signs: Signs, earlier: Signs | None) -> Observation:
    part: Sketch = np.zeros(BUCKETS, dtype=np.int64)
    rest: Sketch = np.zeros(BUCKETS, dtype=np.int64)
    crossing: Sketch = np.zeros(BUCKETS, dtype=np.int64)
    square, largest, zero_lanes, crossed_lanes = 0, 0, 0, 0
    for number, (block, values) in enumerate(signed_blocks(lanes)):
        magnitude = max(int(values.max()), -int(values.min()))
        largest = max(largest, magnitude)
        set_lanes = int(np.count_nonzero(values))
        zero_lanes += values.size - set_lanes
        square += sum_of_squares(values, magnitude)
        is_crossed = number % CROSSED == 0
        add_to_sketch(part if is_crossed else rest, values, signs[block])
        if is_crossed:
            crossed_lanes += set_lanes
            if earlier is not None:
                add_to_sketch(crossing, values, earlier[block])
    rest += part
    return Observation(square, largest, zero_lanes, rest, crossed_lanes, part, crossing)
