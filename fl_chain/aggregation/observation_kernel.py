"""The pass over an update's lanes as a compiled loop; see `fl_chain.audit.observation`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fl_chain.commitment.kernels import compiled, turned


@compiled
def observe(  # noqa: PLR0917 - compiled functions take no keywords
    first: int,
    content: Any,
    signs: Any,
    earlier: Any,
    rows: int,
    crossed: int,
    sketches: Any,
    figures: Any,
) -> None:
    """Look at a piece of an update, and add what is seen to what was seen of its other pieces.

    Args:
        first: the number of the piece's first lane in the update.
        content: shape (4 n,), uint8: big-endian lanes.
        signs: shape (n,), int8, of these lanes.
        earlier: shape (n,), int8; empty where there was no round before.
        rows: of buckets in a block of lanes.
        crossed: one block in so many is compared across rounds.
        sketches: shape (3, buckets), int64: takes the sketch of the blocks that are not compared across
            rounds, that of those that are, and theirs by the earlier signs.
        figures: shape (5,), int64: takes the upper and lower 32 bits' sums of the lanes' squares, the
            largest magnitude, the number of zero lanes, and of lanes compared across rounds that are not.
    """
    words = content.view(np.uint32)
    total = words.size
    buckets = sketches.shape[1]
    high: Any = np.uint64(0)
    low: Any = np.uint64(0)
    highest: Any = np.int32(0)
    lowest: Any = np.int32(0)
    set_lanes = 0
    crossed_lanes = 0
    start = 0
    while start < total:
        row, bucket = divmod(first + start, buckets)
        count = min(buckets - bucket, total - start)
        is_crossed = row // rows % crossed == 0
        own_words = words[start : start + count]
        own_signs = signs[start : start + count]
        sketch = sketches[1 if is_crossed else 0][bucket : bucket + count]
        row_set = 0
        for lane in range(count):  # from 0 up: only then is this loop made one of vector instructions
            word = own_words[lane]
            value = np.int32(turned(word))
            wide = np.int64(value)
            square = np.uint64(wide * wide)
            high += square >> np.uint64(32)
            low += square & np.uint64(0xFFFFFFFF)
            highest = max(highest, value)
            lowest = min(lowest, value)
            row_set += value != 0
            sketch[lane] += np.int64(np.int32(wide * own_signs[lane]))
        set_lanes += row_set
        if is_crossed:
            crossed_lanes += row_set
            if earlier.size:
                own_earlier = earlier[start : start + count]
                crossing = sketches[2][bucket : bucket + count]
                for lane in range(count):
                    word = own_words[lane]
                    value = np.int32(turned(word))
                    crossing[lane] += np.int64(np.int32(np.int64(value) * own_earlier[lane]))
        start += count
    figures[0] += np.int64(high)
    figures[1] += np.int64(low)
    figures[2] = max(figures[2], np.int64(highest), -np.int64(lowest))
    figures[3] += total - set_lanes
    figures[4] += crossed_lanes
