import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.audit.findings import Finding
from fl_chain.audit.kinds import Kind
from fl_chain.audit.statistics import (
    COSINE_MARGIN,
    FEWEST_LANES,
    FEWEST_UPDATES,
    NORM_FACTOR,
    RoundFigures,
    UpdateStatistics,
    is_outlier,
)
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.tree import vector_root
from fl_chain.records import Address, Digest, Quantisation, Submission

SCALE_BITS, WEIGHT = 20, 100
QUANTISATION = Quantisation(22, SCALE_BITS, 2**17, 10_000)
DIMENSION = 20_000


def submission(round_id: int, index: int, weight: int = WEIGHT) -> Submission:
    return Submission(
        round_id, index, Address(f"0x{index:040x}"), weight, Digest(bytes(32)), Digest(bytes(32))
    )


def lanes_of(values: np.ndarray) -> Lanes:
    return np.rint(values).astype(">i4").view(LANE)


def figures_of(*rounds: Iterable[np.ndarray], seed: bytes = b"seed") -> RoundFigures:
    """Return the figures of the last round."""
    rounds_of_lanes = [[lanes_of(values) for values in own] for own in rounds]
    statistics = UpdateStatistics(rounds_of_lanes[0][0].size, QUANTISATION)
    found = RoundFigures({}, ())
    for round_id, own in enumerate(rounds_of_lanes, 1):
        statistics.open_round(seed + bytes([round_id]))
        for index, lanes in enumerate(own):
            statistics.add(submission(round_id, index), vector_root(lanes), statistics.observe(lanes))
        found = statistics.close_round()
    return found


def near_copies(figures: RoundFigures) -> list[Finding]:
    return [one for one in figures.warnings if one.kind is Kind.UPDATE_NEARLY_COPIED]


def honest(number: int = 8, *, seed: int = 0, dimension: int = DIMENSION) -> list[np.ndarray]:
    """Return updates that share a direction and have noise of their own."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(dimension)
    lengths = rng.uniform(0.8, 1.2, number)
    return [length * (common + rng.standard_normal(dimension)) * 2**18 for length in lengths.tolist()]


def test_figures_are_in_the_models_units() -> None:
    unit = WEIGHT << SCALE_BITS
    values = np.array([3 * unit, -4 * unit, 0, 0, 0]) // 1000
    (figures,) = figures_of([values]).updates.values()
    assert figures.norm_billionths == pytest.approx(5_000_000, abs=50)
    assert figures.largest_lane_billionths == pytest.approx(4_000_000, abs=50)
    assert figures.zero_lanes == 3
    assert figures.vector_root == vector_root(lanes_of(values))
    assert figures.cosine_aggregate_millionths == 1_000_000
    assert figures.cosine_others_millionths is None  # there are none


def test_the_greatest_lanes_do_not_overflow() -> None:
    values = np.full(70_000, -(2**31), dtype=np.float64)
    (figures,) = figures_of([values]).updates.values()
    expected = math.isqrt(70_000 * 2**62 * 10**18 // (WEIGHT << SCALE_BITS) ** 2)
    assert figures.norm_billionths == expected


@given(st.lists(st.lists(st.integers(-(2**24), 2**24), min_size=6, max_size=6), min_size=2, max_size=6))
def test_small_models_have_exact_cosines(rows: list[list[int]]) -> None:
    updates = np.array(rows, dtype=np.float64)
    found = figures_of(updates).updates
    for index, own in enumerate(updates):
        for vector, cosine in (
            (updates.sum(axis=0), found[index].cosine_aggregate_millionths),
            (updates.sum(axis=0) - own, found[index].cosine_others_millionths),
        ):
            lengths = np.linalg.norm(own) * np.linalg.norm(vector)
            if lengths == 0:
                assert cosine is None
            else:
                assert cosine is not None
                assert cosine / 1e6 == pytest.approx(own @ vector / lengths, abs=2e-5)


def test_two_auditors_have_the_same_figures_and_another_seed_nearly() -> None:
    updates = honest()
    assert figures_of(updates) == figures_of(updates)
    one, other = figures_of(updates, seed=b"a"), figures_of(updates, seed=b"b")
    assert one != other
    for index, figures in one.updates.items():
        assert figures.norm_billionths == other.updates[index].norm_billionths
        first, second = figures.cosine_aggregate_millionths, other.updates[index].cosine_aggregate_millionths
        assert first is not None
        assert second is not None
        assert abs(first - second) < 60_000


def test_honest_updates_pass_without_a_word() -> None:
    assert figures_of(honest(seed=1), honest(seed=2)).warnings == ()


def test_a_round_without_updates_has_no_figures() -> None:
    statistics = UpdateStatistics(4, QUANTISATION)
    assert statistics.close_round() == RoundFigures({}, ())


def warnings_with(
    change: np.ndarray, at: int = 2, *, others: list[np.ndarray] | None = None
) -> tuple[Finding, ...]:
    updates = honest() if others is None else others
    updates[at] = change
    return figures_of(updates).warnings


def test_zeros_are_named_once() -> None:
    (warning,) = (one for one in warnings_with(np.zeros(DIMENSION)) if one.kind is Kind.UPDATE_ZERO)
    assert warning.participant == f"0x{2:040x}"
    assert warning.round == 1
    assert "zero in every lane" in warning.detail


def test_two_zero_updates_are_no_copies_of_one_another() -> None:
    updates = honest()
    updates[0] = updates[1] = np.zeros(DIMENSION)
    found = [one.kind for one in figures_of(updates).warnings]
    assert found.count(Kind.UPDATE_ZERO) == 2
    assert not {Kind.UPDATE_COPIED, Kind.UPDATE_NEARLY_COPIED}.intersection(found)


def test_an_equal_update_names_both() -> None:
    (warning,) = warnings_with(honest()[5], at=6)
    assert warning.kind is Kind.UPDATE_COPIED
    assert f"the same vector as that of 0x{5:040x}" in warning.detail
    assert warning.participant == f"0x{6:040x}"


def test_an_old_update_of_ones_own_is_known_again_after_many_rounds() -> None:
    old = honest(seed=1)
    again = honest(seed=9)
    again[3] = old[3]
    found = figures_of(old, *(honest(seed=seed) for seed in range(2, 5)), again).warnings
    (repeated,) = (one for one in found if one.kind is Kind.UPDATE_REPEATED)
    assert "the same vector as its own in round 1" in repeated.detail


@pytest.mark.parametrize(
    ("factor", "words"), [(0.7, "the same direction as"), (-1.3, "the opposite direction of")]
)
def test_a_rescaled_copy_is_known_in_its_round_and_the_next(factor: float, words: str) -> None:
    first, second = honest(seed=1), honest(seed=2)
    first[4] = factor * first[1]
    (found,) = near_copies(figures_of(first))
    assert f"{words} that of 0x{1:040x} (cosine" in found.detail
    second[4] = factor * honest(seed=1)[6]
    (found,) = near_copies(figures_of(honest(seed=1), second))
    assert f"{words} that of 0x{6:040x} in round 1" in found.detail


@pytest.mark.parametrize(("noise", "is_found"), [(0.003, True), (0.006, False)])
def test_a_copy_with_noise_is_known_up_to_the_threshold(noise: float, is_found: bool) -> None:
    updates = honest()
    added = np.random.default_rng(8).standard_normal(DIMENSION)
    updates[4] = updates[1] + added * noise * np.linalg.norm(updates[1]) / np.linalg.norm(added)
    assert bool(near_copies(figures_of(updates))) is is_found


@pytest.mark.parametrize(("lanes", "is_found"), [(FEWEST_LANES - 1, False), (FEWEST_LANES, True)])
def test_few_lanes_tell_no_copy_from_a_coincidence(lanes: int, is_found: bool) -> None:
    updates = [np.where(np.abs(one) < 1, 1, one) for one in honest(dimension=lanes)]
    updates[4] = 3 * np.rint(updates[1])
    assert bool(near_copies(figures_of(updates))) is is_found


def test_a_boosted_and_a_shrunk_update_stand_out() -> None:
    (boosted,) = warnings_with(10 * honest(seed=0)[2])
    assert boosted.kind is Kind.NORM_OUTLIER
    assert "times as long as the median" in boosted.detail
    (shrunk,) = warnings_with(honest(seed=0)[2] / 10)
    assert shrunk.kind is Kind.NORM_OUTLIER
    assert "shorter than the median" in shrunk.detail
    assert shrunk.expected is not None
    assert shrunk.actual is not None


def test_a_long_update_of_great_weight_is_not_a_boosted_one() -> None:
    statistics = UpdateStatistics(DIMENSION, QUANTISATION)
    statistics.open_round(b"seed")
    for index, values in enumerate(honest()):
        weight = 10 * WEIGHT if index == 2 else WEIGHT
        lanes = lanes_of(values * weight / WEIGHT)
        statistics.add(submission(1, index, weight), vector_root(lanes), statistics.observe(lanes))
    assert statistics.close_round().warnings == ()


def test_a_turned_update_points_away() -> None:
    turned = -np.random.default_rng(4).uniform(0.9, 1.1, DIMENSION) * honest()[2]
    (warning,) = warnings_with(turned)
    assert warning.kind is Kind.DIRECTION_OUTLIER
    assert "points away from the others" in warning.detail


@pytest.mark.parametrize("number", [FEWEST_UPDATES - 1, FEWEST_UPDATES])
def test_few_updates_have_no_usual_one(number: int) -> None:
    updates = honest(number)
    updates[0] = updates[0] * -50
    found = figures_of(updates).warnings
    assert any(one.kind is Kind.NORM_OUTLIER for one in found) is (number == FEWEST_UPDATES)


@given(st.integers(1, 10**12), st.integers(1, 10**6))
def test_alike_values_have_no_outlier_but_what_differs(middle: int, step: int) -> None:
    values = [middle - step, middle, middle + step, middle + step, middle - step]
    assert not any(is_outlier(one, values) for one in values)
    assert is_outlier(middle + 9 * step, [*values, middle + 9 * step])
    assert not is_outlier(middle + 8 * step, [*values, middle + 8 * step])


def test_margins_keep_small_deviations_from_being_named() -> None:
    """Five norms that are almost equal make a tiny deviation; a sixth has to be three times as long."""
    base = np.zeros(DIMENSION)
    base[:2000] = 2**20
    alike = [base * (1 + i / 10**6) for i in range(5)]
    for factor, is_named in ((NORM_FACTOR - 0.01, False), (NORM_FACTOR + 0.01, True)):
        other = np.roll(base, 5) * factor
        found = figures_of([*alike, other]).warnings
        assert any(one.kind is Kind.NORM_OUTLIER for one in found) is is_named
    assert COSINE_MARGIN == 300_000


def test_a_large_models_rescaled_copy_is_known_in_the_next_round_from_a_part_of_it() -> None:
    dimension = 300_000  # five blocks of lanes, two of which are compared across rounds
    first, second = honest(3, seed=1, dimension=dimension), honest(3, seed=2, dimension=dimension)
    second[1] = 0.5 * first[2]
    (found,) = near_copies(figures_of(first, second))
    assert f"that of 0x{2:040x} in round 1" in found.detail
    second[1][: 4093 * 16] = 0
    second[1][4093 * 16 * 4 :] = 0  # nothing is left to compare
    assert near_copies(figures_of(first, second)) == []
