"""Figures of included updates, and what stands out among them: reasons to ask, never proof.

An honest participant with unusual data stands out, and a careful attacker does not. So everything here is a
warning. The rules, and how often they speak about honest updates, are in ``docs/report.md``.

Each update is looked at once, while it is in memory anyway. What is kept of it is a sketch of 32 KiB, for its
own round and half of that for the next, and its root for the whole run. A round's figures follow from its own
updates and its seed, those of the round before and the roots of all earlier ones, and from nothing that comes
later: an audit that goes on where another stopped has the same.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np
import numpy.typing as npt

from fl_chain.audit.findings import Finding
from fl_chain.audit.kinds import Kind
from fl_chain.audit.observation import CROSSED, Observation, observed
from fl_chain.audit.sketches import (
    BUCKETS,
    MILLION,
    ROWS,
    Sketch,
    cosine_millionths,
    lane_signs,
    products,
    scaled,
)
from fl_chain.commitment.chunks import Lanes
from fl_chain.records import Digest, Quantisation, Submission
from fl_chain.run.sight import Seen, Sight, Signs

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
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    submission: Submission
    vector_root: Digest
    lanes: Observation


@dataclass(frozen=True, slots=True)
class _Kept:
    """What stays of a round for the next one."""

    submissions: tuple[Submission, ...]
    roots: tuple[Digest, ...]
    sketches: npt.NDArray[np.int32]  # shape (submissions, BUCKETS), scaled
    signs: Signs | None


_NO_SIGNS: Signs = np.empty(0, dtype=np.int8)
_NOTHING = _Kept((), (), np.zeros((0, BUCKETS), dtype=np.int32), None)


class UpdateStatistics:
    """Takes updates as they come, round by round."""

    def __init__(self, dimension: int, quantisation: Quantisation) -> None:
        """Prepare for vectors of one size.

        Args:
            dimension: lanes of the model.
            quantisation: the run's constants.
        """
        self._dimension = dimension
        self._scale_bits = quantisation.scale_bits
        self._drawn: dict[bytes, Signs] = {}  # of the newest seeds
        self._seed = b""
        self._round: list[_Seen] = []
        self._previous = _NOTHING
        self._first: dict[Digest, Submission] = {}
        self._spare: deque[Seen] = deque(maxlen=8)

    def open_round(self, seed: bytes) -> None:
        """Begin a round.

        Args:
            seed: of its sketches; nobody may have known it when the round's updates were committed to.
        """
        self._seed = seed

    def recall(self, vector_root: Digest, submission: Submission) -> None:
        """Remember the root of an update that was looked at in an earlier audit."""
        self._first.setdefault(vector_root, submission)

    def prepare(self) -> None:
        """Draw the round's signs, if they are not drawn yet; then `observe` may run in several threads."""
        self._signs(self._seed)

    def observe(self, lanes: Lanes) -> Observation:
        """Look at an included update; nothing is kept.

        Args:
            lanes: shape (dimension,), big-endian.
        """
        return observed(lanes, self._signs(self._seed), self._previous.signs)

    def sight(self, updates: int) -> Sight:
        """Return what looks at all updates of this round while it is derived."""
        earlier = self._previous.signs
        return self._sight(updates, self._seed, _NO_SIGNS if earlier is None else earlier)

    def sight_ahead(self, updates: int, seed: bytes) -> Sight:
        """Return what looks at the updates of the round after this one, whose own have been added.

        Args:
            updates: how many it has.
            seed: of that round.
        """
        return self._sight(updates, seed, self._signs(self._seed))

    def _sight(self, updates: int, seed: bytes, earlier: Signs) -> Sight:
        return Sight(
            updates=updates,
            buckets=BUCKETS,
            signs=self._signs(seed),
            earlier=earlier,
            rows=ROWS,
            crossed=CROSSED,
            spare=self._spare,
        )

    def _signs(self, seed: bytes) -> Signs:
        if seed not in self._drawn:
            newest = list(self._drawn.items())[-2:]
            self._drawn = {**dict(newest), seed: lane_signs(seed, self._dimension)}
        return self._drawn[seed]

    def add(self, submission: Submission, vector_root: Digest, observation: Observation) -> None:
        """Take what was seen of an included update.

        Args:
            submission: whose it is.
            vector_root: of the lanes.
            observation: what `observe` returned for it, in this round.
        """
        self._round.append(_Seen(submission, vector_root, observation))

    def close_round(self) -> RoundFigures:
        """Return the figures of the updates that were added since the last call, and what stands out."""
        seen, self._round = self._round, []
        if not seen:
            return RoundFigures({}, ())
        total = np.sum([one.lanes.sketch for one in seen], axis=0)
        sketches = np.stack([scaled(one.lanes.sketch) for one in seen])
        figures = [self._figures(*pair, total) for pair in zip(seen, sketches, strict=True)]
        warnings = [
            *self._equal_ones(seen),
            *self._near_ones(seen, sketches),
            *_unusual_norms(seen, figures),
            *_unusual_directions(seen, figures),
        ]
        submissions, roots = zip(*((one.submission, one.vector_root) for one in seen), strict=True)
        parts = np.stack([scaled(one.lanes.part) for one in seen])
        self._previous = _Kept(submissions, roots, parts, self._signs(self._seed))
        by_index = {one.submission.index: own for one, own in zip(seen, figures, strict=True)}
        return RoundFigures(by_index, tuple(warnings))

    def _figures(self, one: _Seen, sketch: npt.NDArray[np.int32], total: Sketch) -> UpdateFigures:
        # A node that lies may show a weight of 0; that is a finding elsewhere.
        unit = max(1, one.submission.weight) << self._scale_bits
        return UpdateFigures(
            vector_root=one.vector_root,
            norm_billionths=math.isqrt(one.lanes.square * BILLION * BILLION // (unit * unit)),
            largest_lane_billionths=one.lanes.largest * BILLION // unit,
            zero_lanes=one.lanes.zero_lanes,
            cosine_aggregate_millionths=_cosine(sketch, scaled(total)),
            cosine_others_millionths=_cosine(sketch, scaled(total - one.lanes.sketch)),
        )

    def _equal_ones(self, seen: Sequence[_Seen]) -> Iterator[Finding]:
        for one in seen:
            if one.lanes.largest == 0:
                yield _named(
                    Kind.UPDATE_ZERO,
                    one,
                    "is zero in every lane: it changes nothing and is rewarded like any other",
                )
                continue
            earlier = self._first.setdefault(one.vector_root, one.submission)
            if earlier != one.submission:
                is_own = earlier.participant == one.submission.participant
                kind = Kind.UPDATE_REPEATED if is_own else Kind.UPDATE_COPIED
                yield _named(kind, one, f"is the same vector as {_object(earlier, one.submission)}")

    def _near_ones(self, seen: Sequence[_Seen], sketches: npt.NDArray[np.int32]) -> Iterator[Finding]:
        """Yield, for each update, the nearest one before it in the same and the previous round."""
        former = self._previous
        crossing = np.stack([scaled(one.lanes.crossing) for one in seen])
        across, within = products(crossing, former.sketches), products(sketches, sketches)
        former_squares, squares = [*map(_square, former.sketches)], [*map(_square, sketches)]
        earlier = [*zip(former.submissions, former.roots, former_squares, strict=True)]
        own = [(one.submission, one.vector_root, square) for one, square in zip(seen, squares, strict=True)]
        for at, one in enumerate(seen):
            if self._dimension - one.lanes.zero_lanes < FEWEST_LANES:
                continue
            crossing_square = _square(crossing[at])
            has_enough = one.lanes.crossed_lanes >= FEWEST_LANES
            found = [
                *(_near(one, across[at], crossing_square, earlier) if has_enough else ()),
                *_near(one, within[at, :at], squares[at], own[:at]),
            ]
            if found:
                cosine, nearest = max(found, key=lambda near: abs(near[0]))  # the first of equal ones
                what = "the same direction as" if cosine > 0 else "the opposite direction of"
                yield _named(
                    Kind.UPDATE_NEARLY_COPIED,
                    one,
                    f"has {what} {_object(nearest, one.submission)} (cosine {_decimal(cosine)}), as a "
                    "rescaled copy would",
                )


def _near(
    one: _Seen,
    inner: npt.NDArray[np.float64],
    square: int,
    others: Sequence[tuple[Submission, Digest, int]],
) -> Iterator[tuple[int, Submission]]:
    """Yield cosine and submission of those that an update is nearly a copy of; equal ones are said before."""
    for product, (other, root, other_square) in zip(map(int, inner), others, strict=True):
        # Compared as integers: cos >= near, squared and without a division.
        if product * product * MILLION**2 < NEAR_MILLIONTHS**2 * square * other_square:
            continue
        cosine = cosine_millionths(product, square, other_square)
        if root != one.vector_root and cosine is not None:
            yield cosine, other


def _unusual_norms(seen: Sequence[_Seen], figures: Sequence[UpdateFigures]) -> Iterator[Finding]:
    norms = [own.norm_billionths for own in figures]
    if len(norms) < FEWEST_UPDATES:
        return
    middle = median_low(norms)
    for one, norm in zip(seen, norms, strict=True):
        is_far = is_outlier(norm, norms)
        if is_far and norm >= NORM_FACTOR * middle:
            detail = f"is {_ratio(norm, middle)} times as long as the median of its round"
        elif is_far and norm and norm * NORM_FACTOR <= middle:
            detail = f"is shorter than the median of its round by a factor of {_ratio(middle, norm)}"
        else:
            continue
        yield _named(Kind.NORM_OUTLIER, one, detail, expected=middle, actual=norm)


def _unusual_directions(seen: Sequence[_Seen], figures: Sequence[UpdateFigures]) -> Iterator[Finding]:
    cosines = [own.cosine_others_millionths for own in figures]
    known = [cosine for cosine in cosines if cosine is not None]
    if len(known) < FEWEST_UPDATES:
        return
    middle = median_low(known)
    for one, cosine in zip(seen, cosines, strict=True):
        if cosine is None or middle - cosine < COSINE_MARGIN or not is_outlier(cosine, known):
            continue
        yield _named(
            Kind.DIRECTION_OUTLIER,
            one,
            f"points away from the others of its round: its cosine with their sum is {_decimal(cosine)}, "
            f"the median {_decimal(middle)}",
        )


def is_outlier(value: int, values: Sequence[int]) -> bool:
    """Return whether a value is more than `DEVIATIONS` robust standard deviations from the median.

    The deviation is 1.4826 times the median distance from the median (Hampel 1974).
    """
    middle = median_low(values)
    spread = median_low(abs(one - middle) for one in values)
    return abs(value - middle) * 10_000 > DEVIATIONS * MAD_TO_DEVIATION * spread


def _cosine(one: npt.NDArray[np.int32], two: npt.NDArray[np.int32]) -> int | None:
    return cosine_millionths(_inner(one, two), _square(one), _square(two))


def _inner(one: npt.NDArray[np.int32], two: npt.NDArray[np.int32]) -> int:
    return int((one.astype(np.int64) * two).sum())


def _square(one: npt.NDArray[np.int32]) -> int:
    return _inner(one, one)


def _named(
    kind: Kind, one: _Seen, detail: str, *, expected: int | None = None, actual: int | None = None
) -> Finding:
    return Finding(
        kind,
        f"the update of {one.submission.participant} {detail}",
        round=one.submission.round,
        participant=one.submission.participant,
        expected=None if expected is None else f"about {_norm(expected)}",
        actual=None if actual is None else _norm(actual),
    )


def _norm(billionths: int) -> str:
    return f"{billionths // BILLION}.{billionths % BILLION:09d}"


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
