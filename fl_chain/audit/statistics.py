"""Figures of included updates, and what stands out among them: reasons to ask, never proof.

An honest participant with unusual data stands out, and a careful attacker does not. So everything here is a
warning. The rules, and how often they speak about honest updates, are in ``docs/report.md``.

Each update is looked at once, while it is in memory anyway. What is kept of it is a sketch of 32 KiB, for its
own round and half of that for the next, and its root for the whole run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np
import numpy.typing as npt

from fl_chain.audit.sketches import (
    BUCKETS,
    MILLION,
    Sketch,
    add_to_sketch,
    cosine_millionths,
    lane_signs,
    products,
    scaled,
    signed_blocks,
    sum_of_squares,
)
from fl_chain.commitment.chunks import Lanes
from fl_chain.records import Digest, Quantisation, Submission

BILLION = 1_000_000_000
NEAR_MILLIONTHS = 999_990  # a cosine from here on is that of a copy: 0.26 degrees
FEWEST_LANES = 1_000  # that are not zero, for a direction to tell a copy from a coincidence
FEWEST_UPDATES = 5  # of a round, for a median to say what is usual
DEVIATIONS = 6  # robust standard deviations from the median
MAD_TO_DEVIATION = 14_826  # ten-thousandths; of a normal distribution
NORM_FACTOR = 3  # and at least this many times the median norm, or this part of it
COSINE_MARGIN = 300_000  # and at least this far below the median cosine, in millionths


@dataclass(frozen=True, slots=True)
class UpdateFigures:
    """One update in integers. Its change of the model is its lanes divided by weight and scale."""

    vector_root: Digest
    norm_billionths: int  # Euclidean, of the change, in units of the model
    largest_lane_billionths: int  # in magnitude, of the change
    zero_lanes: int
    cosine_aggregate_millionths: int | None  # with the round's sum; None where one of both is zero
    cosine_others_millionths: int | None  # with the sum of the other updates

    def to_json(self) -> dict[str, object]:
        """Return the figures as the report has them."""
        return {
            "vector_root": "0x" + self.vector_root.hex(),
            "norm_billionths": self.norm_billionths,
            "largest_lane_billionths": self.largest_lane_billionths,
            "zero_lanes": self.zero_lanes,
            "cosine_aggregate_millionths": self.cosine_aggregate_millionths,
            "cosine_others_millionths": self.cosine_others_millionths,
        }


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """A round's updates in numbers."""

    updates: Mapping[int, UpdateFigures]  # by the submission's index
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    submission: Submission
    vector_root: Digest
    square: int  # of the lanes' norm
    largest: int  # magnitude of a lane
    zero_lanes: int
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class _Kept:
    """What stays of a round for the next one."""

    submissions: tuple[Submission, ...]
    sketches: npt.NDArray[np.int32]  # shape (submissions, BUCKETS), scaled


class UpdateStatistics:
    """Takes updates as they come, round by round."""

    def __init__(self, dimension: int, quantisation: Quantisation, *, seed: bytes) -> None:
        """Prepare for vectors of one size.

        Args:
            dimension: lanes of the model.
            quantisation: the run's constants.
            seed: of the sketches; nobody may have known it when the updates were committed to.
        """
        self._dimension = dimension
        self._scale_bits = quantisation.scale_bits
        self._seed = seed
        self._signs: npt.NDArray[np.int8] | None = None
        self._round: list[_Seen] = []
        self._previous = _Kept((), np.zeros((0, BUCKETS), dtype=np.int32))
        self._first: dict[Digest, Submission] = {}

    def add(self, submission: Submission, vector_root: Digest, lanes: Lanes) -> None:
        """Look at an included update.

        Args:
            submission: whose it is.
            vector_root: of the lanes.
            lanes: shape (dimension,), big-endian.
        """
        if self._signs is None:
            self._signs = lane_signs(self._seed, self._dimension)
        sketch: Sketch = np.zeros(BUCKETS, dtype=np.int64)
        square, largest, zero_lanes = 0, 0, 0
        for block, values in signed_blocks(lanes):
            magnitude = max(int(values.max()), -int(values.min()))
            largest = max(largest, magnitude)
            zero_lanes += values.size - int(np.count_nonzero(values))
            square += sum_of_squares(values, magnitude)
            add_to_sketch(sketch, values, self._signs[block])
        self._round.append(_Seen(submission, vector_root, square, largest, zero_lanes, sketch))

    def close_round(self) -> RoundFigures:
        """Return the figures of the updates that were added since the last call, and what stands out."""
        seen, self._round = self._round, []
        if not seen:
            return RoundFigures({}, ())
        total = np.sum([one.sketch for one in seen], axis=0)
        sketches = np.stack([scaled(one.sketch) for one in seen])
        figures = [self._figures(one, total) for one in seen]
        warnings = [
            *self._equal_ones(seen),
            *self._near_ones(seen, sketches),
            *_unusual_norms(seen, figures),
            *_unusual_directions(seen, figures),
        ]
        self._previous = _Kept(tuple(one.submission for one in seen), sketches)
        by_index = {one.submission.index: own for one, own in zip(seen, figures, strict=True)}
        return RoundFigures(by_index, tuple(warnings))

    def _figures(self, one: _Seen, total: Sketch) -> UpdateFigures:
        # A node that lies may show a weight of 0; that is a finding elsewhere.
        unit = max(1, one.submission.weight) << self._scale_bits
        return UpdateFigures(
            vector_root=one.vector_root,
            norm_billionths=math.isqrt(one.square * BILLION * BILLION // (unit * unit)),
            largest_lane_billionths=one.largest * BILLION // unit,
            zero_lanes=one.zero_lanes,
            cosine_aggregate_millionths=_cosine(one.sketch, total),
            cosine_others_millionths=_cosine(one.sketch, total - one.sketch),
        )

    def _equal_ones(self, seen: Sequence[_Seen]) -> Iterator[str]:
        for one in seen:
            if one.largest == 0:
                yield (
                    f"{_subject(one.submission)} is zero in every lane: it changes nothing and is rewarded "
                    "like any other. Ask whether that participant trained."
                )
                continue
            earlier = self._first.setdefault(one.vector_root, one.submission)
            if earlier is not one.submission:
                yield (
                    f"{_subject(one.submission)} is the same vector as {_object(earlier, one.submission)}. "
                    "Ask both how they came by it: one of them may not have trained."
                )

    def _near_ones(self, seen: Sequence[_Seen], sketches: npt.NDArray[np.int32]) -> Iterator[str]:
        """Yield, for each update, the nearest one before it in the same and the previous round."""
        inner = products(sketches, np.concatenate([self._previous.sketches, sketches]))
        former = len(self._previous.submissions)
        roots = {one.submission: one.vector_root for one in seen}
        candidates = [*self._previous.submissions, *(one.submission for one in seen)]
        own = [int(inner[at, former + at]) for at in range(len(seen))]
        squares = [*map(_square, self._previous.sketches), *own]
        for at, one in enumerate(seen):
            if self._dimension - one.zero_lanes < FEWEST_LANES:
                continue
            found: tuple[int, int] | None = None
            for other in range(former + at):
                product = int(inner[at, other])
                # Compared as integers: cos >= near, squared and without a division.
                if product * product * MILLION**2 < NEAR_MILLIONTHS**2 * own[at] * squares[other]:
                    continue
                if roots.get(candidates[other]) == one.vector_root or squares[other] == 0:
                    continue  # said already
                cosine = cosine_millionths(product, own[at], squares[other])
                if cosine is not None and (found is None or abs(cosine) > abs(found[0])):
                    found = cosine, other
            if found is not None:
                what = "the same direction as" if found[0] > 0 else "the opposite direction of"
                yield (
                    f"{_subject(one.submission)} has {what} {_object(candidates[found[1]], one.submission)} "
                    f"(cosine {_decimal(found[0])}), as a rescaled copy would. Ask both how they trained."
                )


def _unusual_norms(seen: Sequence[_Seen], figures: Sequence[UpdateFigures]) -> Iterator[str]:
    norms = [own.norm_billionths for own in figures]
    if len(norms) < FEWEST_UPDATES:
        return
    middle = median_low(norms)
    for one, norm in zip(seen, norms, strict=True):
        is_far = is_outlier(norm, norms)
        if is_far and norm >= NORM_FACTOR * middle:
            yield (
                f"{_subject(one.submission)} is {_ratio(norm, middle)} times as long as the median of its "
                "round. Ask what its data are; a boosted update looks like this."
            )
        elif is_far and norm and norm * NORM_FACTOR <= middle:
            yield (
                f"{_subject(one.submission)} is shorter than the median of its round by a factor of "
                f"{_ratio(middle, norm)}. Ask whether that participant trained on what it declared."
            )


def _unusual_directions(seen: Sequence[_Seen], figures: Sequence[UpdateFigures]) -> Iterator[str]:
    cosines = [own.cosine_others_millionths for own in figures]
    known = [cosine for cosine in cosines if cosine is not None]
    if len(known) < FEWEST_UPDATES:
        return
    middle = median_low(known)
    for one, cosine in zip(seen, cosines, strict=True):
        if cosine is None or middle - cosine < COSINE_MARGIN or not is_outlier(cosine, known):
            continue
        yield (
            f"{_subject(one.submission)} points away from the others of its round: its cosine with "
            f"their sum is {_decimal(cosine)}, the median {_decimal(middle)}. Ask what its data are."
        )


def is_outlier(value: int, values: Sequence[int]) -> bool:
    """Return whether a value is more than `DEVIATIONS` robust standard deviations from the median.

    The deviation is 1.4826 times the median distance from the median (Hampel 1974).
    """
    middle = median_low(values)
    spread = median_low(abs(one - middle) for one in values)
    return abs(value - middle) * 10_000 > DEVIATIONS * MAD_TO_DEVIATION * spread


def _cosine(sketch: Sketch, other: Sketch) -> int | None:
    one, two = scaled(sketch), scaled(other)
    return cosine_millionths(_inner(one, two), _square(one), _square(two))


def _inner(one: npt.NDArray[np.int32], two: npt.NDArray[np.int32]) -> int:
    return int((one.astype(np.int64) * two).sum())


def _square(one: npt.NDArray[np.int32]) -> int:
    return _inner(one, one)


def _subject(submission: Submission) -> str:
    return f"round {submission.round}: the update of {submission.participant}"


def _object(other: Submission, one: Submission) -> str:
    when = "" if other.round == one.round else f" in round {other.round}"
    return ("its own" if other.participant == one.participant else f"that of {other.participant}") + when


def _decimal(millionths: int) -> str:
    sign = "-" if millionths < 0 else ""
    return f"{sign}{abs(millionths) // MILLION}.{abs(millionths) % MILLION:06d}"


def _ratio(numerator: int, denominator: int) -> str:
    if denominator == 0:
        return "infinitely many"
    tenths = numerator * 10 // denominator
    return f"{tenths // 10}.{tenths % 10}"


__all__ = ["RoundFigures", "UpdateFigures", "UpdateStatistics", "is_outlier"]
