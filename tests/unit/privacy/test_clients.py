"""What an update that hides its participant can be at most, before noise and after."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fl_chain.aggregation.quantise import SIGNED_LANE, verify_update
from fl_chain.config import ClientPrivacySettings
from fl_chain.errors import NonFiniteValue
from fl_chain.privacy.clients import (
    WEIGHT,
    clipped_to,
    longest_lanes,
    noise_lanes,
    noisy_update,
    squared_length,
)
from fl_chain.privacy.discrete import discrete_gaussian
from fl_chain.privacy.noise import SecretStream
from fl_chain.records import Quantisation

KEY = bytes(range(32))
PRIVACY = ClientPrivacySettings(noise_multiplier=0.5, max_update_norm=0.25)
QUANTISATION = Quantisation(scale_bits=20, fraction_bits=20, clip_lanes=1 << 24, max_total_weight=100)
ZEROS = np.zeros(2000, dtype=np.float32)


def signed(lanes: np.ndarray) -> np.ndarray:
    return lanes.view(SIGNED_LANE).astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(
    change=arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e30, 1e30)),
    longest=st.integers(1, 2**31 - 1),
)
def test_no_update_is_longer_than_it_may_be(change: np.ndarray, longest: int) -> None:
    lanes = clipped_to(change, longest)
    length = sum(int(lane) ** 2 for lane in lanes)
    assert length <= longest**2
    assert squared_length(lanes) == length
    norm = math.hypot(*change)
    if norm <= longest:
        assert np.array_equal(lanes, np.trunc(change))
    else:  # no shorter than rounding makes it
        assert math.sqrt(length) >= longest * (1 - 1e-9) - math.sqrt(change.size)


def test_a_length_that_rounding_would_exceed_is_kept() -> None:
    """A vector of norm 5 a little beyond: scaled in floating point it may come out as 3 and 4 or below."""
    assert clipped_to(np.array([3.0, 4.0]), 5).tolist() == [3, 4]
    assert squared_length(clipped_to(np.array([3.0, 4.0]) * (1 + 2**-30), 5)) <= 25
    assert clipped_to(np.array([30.0, 40.0, 0.0]), 5).tolist() in ([3, 4, 0], [2, 3, 0], [3, 3, 0], [2, 4, 0])


def test_an_update_is_what_was_learnt_and_noise_of_the_stated_size() -> None:
    local = ZEROS + np.float32(0.001)
    lanes = signed(noisy_update(local, ZEROS, PRIVACY, QUANTISATION, KEY))
    sigma = noise_lanes(PRIVACY, QUANTISATION)
    assert sigma == 1 << 17
    noise = discrete_gaussian(SecretStream(KEY), sigma, ZEROS.size)
    assert np.array_equal(lanes - noise, np.full(ZEROS.size, 1048))  # 0.001 * 2**20, towards zero


def test_a_long_update_is_shortened_as_a_whole() -> None:
    local = np.linspace(-1, 1, ZEROS.size, dtype=np.float32)
    lanes = signed(noisy_update(local, ZEROS, PRIVACY, QUANTISATION, KEY))
    noise = discrete_gaussian(SecretStream(KEY), noise_lanes(PRIVACY, QUANTISATION), ZEROS.size)
    clipped = (lanes - noise) / 2**20
    assert np.linalg.norm(clipped) == pytest.approx(0.25, rel=1e-3)
    assert np.corrcoef(clipped, local)[0, 1] > 0.999999


def test_noise_beyond_a_lanes_range_ends_there() -> None:
    tight = Quantisation(scale_bits=20, fraction_bits=20, clip_lanes=1 << 17, max_total_weight=100)
    update = noisy_update(ZEROS, ZEROS, PRIVACY, tight, KEY)
    verify_update(update, WEIGHT, tight, ZEROS.size)
    assert np.abs(signed(update)).max() == 1 << 17


@given(
    multiplier=st.floats(0.3, 1000),
    norm=st.floats(1e-6, 1e6),
    bits=st.integers(0, 30),
)
def test_noise_is_never_less_than_accounting_takes_it_for(multiplier: float, norm: float, bits: int) -> None:
    privacy = ClientPrivacySettings(noise_multiplier=multiplier, max_update_norm=norm)
    quantisation = Quantisation(scale_bits=bits, fraction_bits=20, clip_lanes=1, max_total_weight=1)
    longest, sigma = longest_lanes(privacy, quantisation), noise_lanes(privacy, quantisation)
    assert longest <= Fraction(repr(norm)) * 2**bits < longest + 1
    assert sigma >= Fraction(repr(multiplier)) * longest > sigma - 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_diverged_is_refused(value: float) -> None:
    local = ZEROS.copy()
    local[7] = value
    with pytest.raises(NonFiniteValue) as refused:
        noisy_update(local, ZEROS, PRIVACY, QUANTISATION, KEY)
    assert refused.value.index == 7


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        noisy_update(ZEROS[:5], ZEROS, PRIVACY, QUANTISATION, KEY)
