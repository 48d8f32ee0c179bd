from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.aggregation.bounds import verify_quantisation, verify_weight
from fl_chain.errors import ConfigError
from fl_chain.records import Quantisation

USUAL = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=2**20, max_total_weight=2000)


@pytest.mark.parametrize(
    ("inside", "outside", "field"),
    [
        ({"fraction_bits": 8}, {"fraction_bits": 7}, "fraction_bits"),
        ({"fraction_bits": 24}, {"fraction_bits": 25}, "fraction_bits"),
        ({"scale_bits": 0}, {"scale_bits": -1}, "scale_bits"),
        ({"scale_bits": 40}, {"scale_bits": 41}, "scale_bits"),
        ({"clip_lanes": 1}, {"clip_lanes": 0}, "clip_lanes"),
        ({"max_total_weight": 1}, {"max_total_weight": 0}, "max_total_weight"),
        (
            {"clip_lanes": 2**31 - 1, "max_total_weight": 1},
            {"clip_lanes": 2**31, "max_total_weight": 1},
            "clip_lanes",
        ),
        (
            {"clip_lanes": 1, "max_total_weight": 2**31 - 1},
            {"clip_lanes": 1, "max_total_weight": 2**31},
            "max_total_weight",
        ),
        (
            {"clip_lanes": 2**11, "max_total_weight": 2**20 - 1},
            {"clip_lanes": 2**11, "max_total_weight": 2**20},
            "clip_lanes.*max_total_weight",
        ),
        (
            {"clip_lanes": 1, "scale_bits": 40, "max_total_weight": 2**21 - 1},
            {"clip_lanes": 1, "scale_bits": 40, "max_total_weight": 2**21},
            "max_total_weight.*scale_bits",
        ),
    ],
)
def test_each_bound_holds_on_both_sides(inside: dict[str, int], outside: dict[str, int], field: str) -> None:
    verify_quantisation(replace(USUAL, **inside))
    with pytest.raises(ConfigError, match=field):
        verify_quantisation(replace(USUAL, **outside))


@pytest.mark.parametrize("field", ["fraction_bits", "scale_bits", "clip_lanes", "max_total_weight"])
@pytest.mark.parametrize("value", [10.0, True, "10"])
def test_constants_are_integers(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{field} is .*integer"):
        verify_quantisation(replace(USUAL, **{field: value}))  # type: ignore[arg-type]


@given(st.integers(0, 30), st.integers(-1, 45), st.integers(-1, 2**33), st.integers(-1, 2**33))
def test_what_is_accepted_can_never_overflow(f: int, s: int, clip_lanes: int, total_weight: int) -> None:
    quantisation = Quantisation(f, s, clip_lanes, total_weight)
    allowed = (
        8 <= f <= 24
        and 0 <= s <= 40
        and clip_lanes >= 1
        and total_weight >= 1
        and clip_lanes * total_weight < 2**31
        and total_weight * 2**s < 2**61
    )
    if not allowed:
        with pytest.raises(ConfigError):
            verify_quantisation(quantisation)
        return
    verify_quantisation(quantisation)
    largest_sum, divisor = clip_lanes * total_weight, total_weight * 2**s
    assert 2 * largest_sum * 2**f + divisor < 2**63
    assert 2 * divisor < 2**63


@pytest.mark.parametrize(("inside", "outside"), [(1, 0), (2000, 2001)])
def test_weights_are_bounded_on_both_sides(inside: int, outside: int) -> None:
    verify_weight(inside, USUAL)
    with pytest.raises(ValueError, match="outside 1 to max_total_weight = 2000"):
        verify_weight(outside, USUAL)
