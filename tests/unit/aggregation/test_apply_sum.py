import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.bounds import verify_quantisation
from fl_chain.aggregation.quantise import BLOCK_LANES
from fl_chain.commitment.chunks import LANE, Lanes, lanes_from_native
from fl_chain.records import Quantisation

LANE_VALUES = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1])


@st.composite
def quantisations(draw: st.DrawFn) -> Quantisation:
    scale_bits = draw(st.integers(0, 40))
    total_weight = draw(st.integers(1, min(2**31 - 1, 2 ** (61 - scale_bits) - 1)))
    clip_lanes = draw(st.integers(1, (2**31 - 1) // total_weight))
    quantisation = Quantisation(draw(st.integers(8, 24)), scale_bits, clip_lanes, total_weight)
    verify_quantisation(quantisation)
    return quantisation


def lanes_of(values: list[int]) -> Lanes:
    return lanes_from_native(np.array(values, dtype=np.int64).astype(np.int32))


def exact(base: int, total: int, weight: int, quantisation: Quantisation) -> int:
    divisor = weight * 2**quantisation.scale_bits
    moved = base + (2 * total * 2**quantisation.fraction_bits + divisor) // (2 * divisor)
    return max(-(2**31), min(2**31 - 1, moved))


@settings(max_examples=400)
@given(quantisations(), st.lists(st.tuples(LANE_VALUES, LANE_VALUES), min_size=1, max_size=20), st.data())
def test_equals_exact_integers_with_pythons_floor(
    quantisation: Quantisation, lanes: list[tuple[int, int]], data: st.DataObject
) -> None:
    top = quantisation.max_total_weight
    weight = data.draw(st.integers(1, top) | st.sampled_from([1, top]))
    model, clamped = apply_sum(
        lanes_of([base for base, _ in lanes]), lanes_of([total for _, total in lanes]), weight, quantisation
    )
    assert model.dtype == LANE
    assert model.view(">i4").tolist() == [exact(base, total, weight, quantisation) for base, total in lanes]
    divisor = weight << quantisation.scale_bits
    moved = [b + (2 * t * 2**quantisation.fraction_bits + divisor) // (2 * divisor) for b, t in lanes]
    assert clamped == sum(not -(2**31) <= value < 2**31 for value in moved)


@pytest.mark.parametrize(
    ("total", "expected"),
    # With f = s = 8 and a weight of 4 a sum of 4 moves the model by one lane, one of 2 by a half.
    [
        (-7, -2),
        (-6, -1),
        (-5, -1),
        (-3, -1),
        (-2, 0),
        (-1, 0),
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 1),
        (5, 1),
        (6, 2),
    ],
)
def test_halves_are_rounded_upwards(total: int, expected: int) -> None:
    quantisation = Quantisation(fraction_bits=8, scale_bits=8, clip_lanes=100, max_total_weight=4)
    model, _ = apply_sum(lanes_of([0]), lanes_of([total]), 4, quantisation)
    assert model.view(">i4").tolist() == [expected]


def test_clamping_on_both_sides() -> None:
    quantisation = Quantisation(fraction_bits=8, scale_bits=8, clip_lanes=100, max_total_weight=1)
    base = [2**31 - 6, 2**31 - 5, -(2**31) + 5, -(2**31) + 4]
    model, clamped = apply_sum(lanes_of(base), lanes_of([5, 5, -5, -5]), 1, quantisation)
    assert model.view(">i4").tolist() == [2**31 - 1, 2**31 - 1, -(2**31), -(2**31)]
    assert clamped == 2


def test_lanes_across_blocks() -> None:
    rng = np.random.default_rng(4)
    native = rng.integers(-(2**31), 2**31, (2, 2 * BLOCK_LANES + 3)).astype(np.int32)
    quantisation = Quantisation(fraction_bits=24, scale_bits=3, clip_lanes=100, max_total_weight=1000)
    model, clamped = apply_sum(lanes_from_native(native[0]), lanes_from_native(native[1]), 999, quantisation)
    expected = [exact(int(b), int(t), 999, quantisation) for b, t in native.T]
    assert model.view(">i4").tolist() == expected
    assert clamped > BLOCK_LANES


def test_misuse_is_refused() -> None:
    quantisation = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=1, max_total_weight=10)
    with pytest.raises(ValueError, match="base model has 2 lanes, the sum 1"):
        apply_sum(lanes_of([0, 0]), lanes_of([0]), 1, quantisation)
    with pytest.raises(ValueError, match="big-endian"):
        apply_sum(np.zeros(1, dtype=np.uint32), lanes_of([0]), 1, quantisation)
    with pytest.raises(ValueError, match="big-endian"):
        apply_sum(lanes_of([0]), np.zeros(1, dtype=np.uint32), 1, quantisation)
    for weight in (0, 11):
        with pytest.raises(ValueError, match="weight"):
            apply_sum(lanes_of([0]), lanes_of([0]), weight, quantisation)
