"""Every rule once more, plainly and slowly: whole numbers and fractions of Python, one lane at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from fl_chain.records import Quantisation

Rows = Sequence[Sequence[int]]


def rounded(value: Fraction) -> int:
    """Return the nearest integer, half upwards."""
    return math.floor(value + Fraction(1, 2))


def clamped(value: int) -> int:
    """Return the nearest value that a lane holds."""
    return max(-(2**31), min(2**31 - 1, value))


def applied(base: Sequence[int], lanes: Sequence[int], weight: int, constants: Quantisation) -> list[int]:
    """Return a model after a sum or a result."""
    unit = Fraction(2**constants.fraction_bits, weight * 2**constants.scale_bits)
    return [clamped(one + rounded(change * unit)) for one, change in zip(base, lanes, strict=True)]


def median(rows: Rows) -> tuple[list[int], int]:
    """Return the sum of the middle values, and how many those are."""
    count = len(rows)
    middle = 1 if count % 2 else 2
    first = (count - 1) // 2
    return [sum(sorted(column)[first : first + middle]) for column in zip(*rows, strict=True)], middle


def trimmed_mean(rows: Rows, trim: Fraction) -> tuple[list[int], int]:
    """Return the sum of what is not trimmed, and how many values that is."""
    count, left_out = len(rows), math.floor(trim * len(rows))
    kept = slice(left_out, count - left_out)
    return [sum(sorted(column)[kept]) for column in zip(*rows, strict=True)], count - 2 * left_out


def unweighted(rows: Rows, weights: Sequence[int]) -> list[list[int]]:
    """Return updates over their weights."""
    return [
        [rounded(Fraction(lane, weight)) for lane in row] for row, weight in zip(rows, weights, strict=True)
    ]


def squared_distance(one: Sequence[int], two: Sequence[int]) -> int:
    """Return a squared Euclidean distance."""
    return sum((a - b) ** 2 for a, b in zip(one, two, strict=True))


def multi_krum(rows: Rows, weights: Sequence[int], byzantine: int, keep: int) -> list[int]:
    """Return the rows that are kept."""
    changes, count = unweighted(rows, weights), len(rows)
    scores = []
    for own in range(count):
        others = [squared_distance(changes[own], changes[other]) for other in range(count) if other != own]
        scores.append((sum(sorted(others)[: max(1, count - byzantine - 2)]), own))
    return sorted(row for _, row in sorted(scores)[: keep or max(1, count - byzantine)])


def norm_bound(rows: Rows, weights: Sequence[int], bound: int) -> list[int]:
    """Return the rows that are kept."""
    changes = unweighted(rows, weights)
    return [row for row, lanes in enumerate(changes) if sum(lane**2 for lane in lanes) <= bound**2]


def centred_clipping(rows: Rows, centre: Sequence[int], radius: int, iterations: int) -> list[int]:
    """Return the clipped mean."""
    for _ in range(iterations):
        factors = []
        for row in rows:
            squared = squared_distance(row, centre)
            scaled = math.isqrt((radius * radius << 60) // squared) if squared else 2**30
            factors.append(Fraction(min(2**30, scaled), 2**30))
        clipped = [
            [rounded((lane - old) * factor) for lane, old in zip(row, centre, strict=True)]
            for row, factor in zip(rows, factors, strict=True)
        ]
        moves = [rounded(Fraction(sum(column), len(rows))) for column in zip(*clipped, strict=True)]
        centre = [old + move for old, move in zip(centre, moves, strict=True)]
    return list(centre)


def fedavgm(  # noqa: PLR0917 - what a step takes
    base: Sequence[int],
    total: Sequence[int],
    weight: int,
    momentum: Sequence[int],
    factors: tuple[int, int],
    constants: Quantisation,
) -> tuple[list[int], list[int]]:
    """Return model and momentum; the momentum has six more fraction bits than the model."""
    unit = Fraction(2 ** (constants.fraction_bits + 6), weight * 2**constants.scale_bits)
    after = [
        rounded(Fraction(factors[0] * old, 2**16)) + rounded(change * unit)
        for old, change in zip(momentum, total, strict=True)
    ]
    steps = [rounded(Fraction(factors[1] * value, 2**22)) for value in after]
    return [clamped(one + step) for one, step in zip(base, steps, strict=True)], after


def adaptive(
    variant: str, change: Fraction, moments: tuple[float, float], factors: tuple[float, float]
) -> tuple[Fraction, Fraction]:
    """Return the next moments of one coordinate, without rounding."""
    beta1, beta2 = map(Fraction, factors)
    m, v = map(Fraction, moments)
    square = change * change
    sign = (v > square) - (v < square)
    after = {
        "fedadagrad": v + square,
        "fedadam": beta2 * v + (1 - beta2) * square,
        "fedyogi": v - (1 - beta2) * square * sign,
    }
    return beta1 * m + (1 - beta1) * change, after[variant]
