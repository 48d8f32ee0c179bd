"""How scores differ between participants, in the figures of the field.

Jain, Chiu, Hawe, "A Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared
Computer Systems", DEC-TR-301, 1984.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Scores of several participants, in their own unit."""

    count: int
    lowest: float
    lower_quartile: float
    mean: float
    median: float
    upper_quartile: float
    highest: float
    deviation: float  # standard deviation over the participants, who are all there are
    jain: float | None  # 1: all alike, 1 / count: one has all; None below zero and where all are zero


def spread(scores: Collection[float]) -> Spread:
    """Return the spread of scores.

    Args:
        scores: one for each participant, finite; at least one.

    Raises:
        ValueError: if there is none.
    """
    if not scores:
        raise ValueError("nobody has a score, so there is no spread")
    ordered = sorted(scores)
    lower, median, upper = (
        statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    )
    return Spread(
        count=len(ordered),
        lowest=ordered[0],
        lower_quartile=lower,
        mean=min(max(math.fsum(ordered) / len(ordered), ordered[0]), ordered[-1]),
        median=median,
        upper_quartile=upper,
        highest=ordered[-1],
        deviation=statistics.pstdev(ordered),
        jain=jain_index(ordered),
    )


def jain_index(scores: Collection[float]) -> float | None:
    """Return ``(sum x)^2 / (n sum x^2)``; None where a score is negative or all are zero."""
    largest = max(scores)
    if min(scores) < 0 or largest == 0:
        return None
    shares = [score / largest for score in scores]  # so that nothing under- or overflows
    return math.fsum(shares) ** 2 / (len(shares) * math.fsum(share * share for share in shares))
