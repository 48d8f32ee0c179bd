from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_chain.aggregation.quantise import (
    BLOCK_LANES,
    declared_weight,
    model_lanes,
    model_values,
    quantise_update,
    requantise_update,
    verify_update,
)
from fl_chain.commitment.chunks import LANE, lanes_from_native
from fl_chain.errors import (
    ConfigError,
    InputDataError,
    MalformedBlob,
    NonFiniteValue,
    UpdateOutOfRange,
    ValueOutOfRange,
)
from fl_chain.records import Quantisation

USUAL = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=2**18, max_total_weight=2000)
FLOATS = st.floats(-500, 500, width=32)


def vectors(elements: st.SearchStrategy[float] = FLOATS) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, st.integers(1, 40), elements=elements)


@pytest.mark.parametrize(
    ("n_examples", "per_weight", "cap", "weight"),
    [(1, 100, 5, 1), (100, 100, 5, 1), (101, 100, 5, 2), (500, 100, 5, 5), (501, 100, 5, 5), (9, 1, 9, 9)],
)
def test_declared_weight(n_examples: int, per_weight: int, cap: int, weight: int) -> None:
    assert declared_weight(n_examples, per_weight, cap) == weight


def test_declared_weight_refuses_what_makes_no_weight() -> None:
    with pytest.raises(InputDataError, match="no example"):
        declared_weight(0, 100, 5)
    with pytest.raises(ConfigError, match="examples_per_weight is 0"):
        declared_weight(1, 0, 5)
    with pytest.raises(ConfigError, match="weight cap 0"):
        declared_weight(1, 100, 0)


@given(vectors(), st.integers(8, 22))
def test_model_lanes_are_the_nearest_fixed_point_half_to_even(values: np.ndarray, fraction_bits: int) -> None:
    lanes = model_lanes(values, fraction_bits)
    assert lanes.dtype == LANE
    expected = [round(Fraction(float(value)) * 2**fraction_bits) for value in values]
    assert lanes.view(">i4").tolist() == expected


@given(hnp.arrays(np.int32, st.integers(1, 40)), st.integers(8, 24))
def test_model_values_are_the_nearest_float32(native: np.ndarray, fraction_bits: int) -> None:
    values = model_values(lanes_from_native(native), fraction_bits)
    assert values.dtype == np.float32
    expected = [np.float32(float(lane) * 2.0**-fraction_bits) for lane in native.tolist()]
    assert values.tolist() == expected


@given(hnp.arrays(np.int32, st.integers(1, 40), elements=st.integers(-(2**24), 2**24)), st.integers(8, 24))
def test_small_models_survive_the_round_trip(native: np.ndarray, fraction_bits: int) -> None:
    lanes = lanes_from_native(native)
    assert np.array_equal(model_lanes(model_values(lanes, fraction_bits), fraction_bits), lanes)


def test_model_range_on_both_sides() -> None:
    largest, smallest = (2.0**31 - 1) / 2**22, -(2.0**31) / 2**22
    assert model_lanes(np.array([largest, smallest]), 22).tolist() == [2**31 - 1, 2**31]
    half = 0.5 / 2**22
    assert model_lanes(np.array([largest + 0.999 * half]), 22).tolist() == [2**31 - 1]
    for outside in (largest + half, smallest - 1.001 * half, 1e300, -3e38):
        with pytest.raises(ValueOutOfRange, match="fraction_bits = 22") as caught:
            model_lanes(np.array([0.0, outside]), 22)
        assert caught.value.index == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [0, 7, BLOCK_LANES + 3])
def test_what_is_not_finite_is_refused_with_its_index(value: float, index: int) -> None:
    values = np.zeros(BLOCK_LANES + 10, dtype=np.float32)
    values[index] = value
    zeros = np.zeros_like(values)
    for refused in (
        lambda: model_lanes(values, 22),
        lambda: quantise_update(values, zeros, 1, USUAL),
        lambda: quantise_update(zeros, values, 1, USUAL),
    ):
        with pytest.raises(NonFiniteValue, match=f"value {index} is") as caught:
            refused()
        assert caught.value.index == index


PAIRS = st.integers(1, 30).flatmap(lambda n: st.tuples(*[hnp.arrays(np.float32, n, elements=FLOATS)] * 2))


@given(PAIRS, st.sampled_from([1, 3, 2000]))
def test_update_follows_the_formula(pair: tuple[np.ndarray, np.ndarray], weight: int) -> None:
    local, base = pair
    lanes = quantise_update(local, base, weight, USUAL)
    expected = []
    for after, before in zip(local.tolist(), base.tolist(), strict=True):
        change = (after - before) * 2.0**USUAL.scale_bits
        expected.append(round(min(max(change, -(2.0**18)), 2.0**18) * weight))
    assert lanes.view(">i4").tolist() == expected
    verify_update(lanes, weight, USUAL, lanes.size)


def test_update_is_clipped_on_both_sides() -> None:
    clip = 2.0**18 / 2**20
    change = np.array([clip, -clip, clip + 2**-20, -clip - 2**-20, 1e300, -1e300, clip - 2**-20])
    lanes = quantise_update(change, np.zeros(7), 10, USUAL)
    bound = 2**18 * 10
    assert lanes.view(">i4").tolist() == [bound, -bound, bound, -bound, bound, -bound, bound - 10]


def test_half_of_a_lane_is_rounded_to_even() -> None:
    change = np.array([0.5, 1.5, 2.5, -0.5, -1.5]) / 2**20
    assert quantise_update(change, np.zeros(5), 1, USUAL).view(">i4").tolist() == [0, 2, 2, 0, -2]


def test_update_across_blocks_equals_update_in_one_piece() -> None:
    rng = np.random.default_rng(1)
    local, base = rng.normal(size=(2, 3 * BLOCK_LANES + 5)).astype(np.float32)
    whole = np.rint(np.clip((local.astype(float) - base) * 2.0**20, -(2.0**18), 2.0**18) * 7)
    assert np.array_equal(quantise_update(local, base, 7, USUAL), whole.astype(np.int32).astype(LANE))


def test_update_refuses_other_shapes_and_weights() -> None:
    for local, base in ((np.zeros(3), np.zeros(4)), (np.zeros((2, 2)), np.zeros((2, 2)))):
        with pytest.raises(ValueError, match="shape"):
            quantise_update(local, base, 1, USUAL)
    for weight in (0, 2001):
        with pytest.raises(ValueError, match="weight"):
            quantise_update(np.zeros(3), np.zeros(3), weight, USUAL)
        with pytest.raises(ValueError, match="weight"):
            verify_update(np.zeros(3, dtype=LANE), weight, USUAL, 3)


@pytest.mark.parametrize("weight", [1, 7, 2000])
@pytest.mark.parametrize("lane", [0, 5, BLOCK_LANES, 2 * BLOCK_LANES + 1])
def test_update_bound_on_both_sides(weight: int, lane: int) -> None:
    dimension = 2 * BLOCK_LANES + 2
    bound = 2**18 * weight
    for inside in (bound, -bound):
        native = np.zeros(dimension, dtype=np.int32)
        native[lane] = inside
        verify_update(lanes_from_native(native), weight, USUAL, dimension)
    for outside in (bound + 1, -bound - 1, 2**31 - 1, -(2**31)):
        native = np.zeros(dimension, dtype=np.int32)
        native[lane] = outside
        with pytest.raises(UpdateOutOfRange) as caught:
            verify_update(lanes_from_native(native), weight, USUAL, dimension)
        assert (caught.value.lane, caught.value.value, caught.value.bound) == (lane, outside, bound)


def test_lanes_past_the_dimension_are_zero() -> None:
    lanes = np.zeros(1024, dtype=LANE)
    verify_update(lanes, 1, USUAL, 1000)
    lanes[999] = 1
    verify_update(lanes, 1, USUAL, 1000)
    lanes[1010] = 2**32 - 1
    with pytest.raises(UpdateOutOfRange) as caught:
        verify_update(lanes, 1, USUAL, 1000)
    assert (caught.value.lane, caught.value.value, caught.value.bound) == (1010, -1, 0)


@pytest.mark.parametrize(("inside", "outside"), [(1000, 999), (1024, 1025)])
def test_update_length_on_both_sides(inside: int, outside: int) -> None:
    verify_update(np.zeros(inside, dtype=LANE), 1, USUAL, 1000)
    with pytest.raises(MalformedBlob, match="from 1000 to 1024"):
        verify_update(np.zeros(outside, dtype=LANE), 1, USUAL, 1000)


def test_native_lanes_are_refused() -> None:
    native = np.zeros(4, dtype=np.uint32)
    with pytest.raises(ValueError, match="big-endian"):
        verify_update(native, 1, USUAL, 4)
    with pytest.raises(ValueError, match="big-endian"):
        model_values(native, 22)


@given(
    changes=hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-0.375, 0.375, width=32)),
    weight=st.integers(1, 2000),
    new_weight=st.integers(1, 2000),
    factor=st.floats(0.01, 1.0),
)
def test_a_late_update_is_the_same_change_scaled(
    changes: np.ndarray, weight: int, new_weight: int, factor: float
) -> None:
    lanes = quantise_update(changes, np.zeros_like(changes), weight, USUAL)

    later = requantise_update(lanes, weight, new_weight, factor, USUAL)

    verify_update(later, new_weight, USUAL, changes.size)
    scale, clip = 2.0**USUAL.scale_bits, USUAL.clip_lanes
    kept = np.clip(changes.astype(np.float64) * scale, -clip, clip)
    wanted = kept * factor * new_weight
    error = np.abs(later.view(">i4") - wanted)
    # Half a lane of the first rounding, at the new weight; half a lane of the second.
    assert (error <= 0.5 / weight * factor * new_weight + 0.5 + 1e-6).all()


def test_a_late_update_at_full_value_and_the_same_weight_is_itself() -> None:
    changes = np.random.default_rng(0).uniform(-0.3, 0.3, BLOCK_LANES + 3).astype(np.float32)
    lanes = quantise_update(changes, np.zeros_like(changes), 700, USUAL)
    assert requantise_update(lanes, 700, 700, 1.0, USUAL).tobytes() == lanes.tobytes()


@pytest.mark.parametrize("factor", [0.0, -0.5, 1.5, float("nan")])
def test_a_late_update_is_worth_something_and_at_most_all(factor: float) -> None:
    with pytest.raises(ValueError, match="factor"):
        requantise_update(np.zeros(3, LANE), 1, 1, factor, USUAL)


@pytest.mark.parametrize(("weight", "new_weight"), [(0, 1), (1, 0), (2001, 1), (1, 2001)])
def test_a_late_update_has_weights_that_a_round_can_have(weight: int, new_weight: int) -> None:
    with pytest.raises(ValueError, match="weight"):
        requantise_update(np.zeros(3, LANE), weight, new_weight, 0.5, USUAL)
