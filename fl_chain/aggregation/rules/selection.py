"""Distances and norms of updates, in whole numbers, for rules that leave some out.

An update's weight says how many examples it stands for, not how far it went: both rules look at each lane
over the weight, rounded half upwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from fl_chain.aggregation.rules.rule import LaneMatrix, changes, column_blocks, sums_of_squares


def squared_norms(updates: LaneMatrix, weights: Sequence[int]) -> list[int]:
    """Return the squared Euclidean norm of each update over its weight, exact, in lanes."""
    norms = [0] * updates.shape[0]
    for columns in column_blocks(updates):
        for row, part in enumerate(sums_of_squares(changes(updates, weights, columns))):
            norms[row] += part
    return norms


def squared_distances(updates: LaneMatrix, weights: Sequence[int]) -> list[list[int]]:
    """Return the squared Euclidean distance of each pair of updates over their weights, exact, in lanes.

    Returns:
        A symmetric table of n_updates rows with zeros in the diagonal.
    """
    count = updates.shape[0]
    table = [[0] * count for _ in range(count)]
    for columns in column_blocks(updates):
        block = changes(updates, weights, columns)
        for one in range(count - 1):
            parts = sums_of_squares(block[one + 1 :] - block[one])
            for two, part in enumerate(parts, start=one + 1):
                table[one][two] += part
    for one in range(count):
        for two in range(one):
            table[one][two] = table[two][one]
    return table
