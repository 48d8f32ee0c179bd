"""Exact integers of the discrete Gaussian."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fl_chain.privacy.discrete import LARGEST_SIGMA, below, discrete_gaussian, falls
from fl_chain.privacy.noise import SecretStream

KEY = bytes(range(32))
GOLDEN = [1893, 711, -66, 296, -579, -384]
GOLDEN_DIGEST = "fef3c6bd008609ea4402e8bca6e1b3d141fcbe793d063b93242477517f161f91"


def verify_distribution(drawn: np.ndarray, sigma: int) -> None:
    """Check integers against their probabilities, where enough are expected."""
    values = np.arange(-6 * sigma - 6, 6 * sigma + 7)
    chances = np.exp(-(values**2) / (2 * sigma**2))
    expected = drawn.size * chances / chances.sum()
    seen = np.array([(drawn == value).sum() for value in values])
    is_common = expected >= 8
    rest = [seen[~is_common].sum() + 1, expected[~is_common].sum() + 1]
    observed, wanted = np.append(seen[is_common], rest[0]), np.append(expected[is_common], rest[1])
    assert stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue > 1e-3
    assert np.abs(drawn).max() <= 8 * sigma


@pytest.mark.parametrize("sigma", [1, 2, 7])
def test_integers_have_the_probabilities_of_the_discrete_gaussian(sigma: int) -> None:
    verify_distribution(discrete_gaussian(SecretStream(KEY), sigma, 40_000), sigma)


def test_another_distribution_would_be_noticed() -> None:
    rounded = np.rint(SecretStream(KEY).normal(40_000)).astype(np.int64)
    with pytest.raises(AssertionError):
        verify_distribution(rounded, 1)


@pytest.mark.parametrize("sigma", [1 << 20, LARGEST_SIGMA])
def test_wide_integers_are_nearly_normal(sigma: int) -> None:
    drawn = discrete_gaussian(SecretStream(KEY), sigma, 20_000)
    assert stats.kstest(drawn / sigma, "norm").pvalue > 1e-3
    assert len(np.unique(drawn % 2)) == 2


def test_the_same_key_gives_the_same_integers_on_every_machine() -> None:
    drawn = discrete_gaussian(SecretStream(KEY), 1000, 70_000)
    assert drawn[:6].tolist() == GOLDEN
    digest = hashlib.sha256(drawn.astype("<i8").tobytes()).hexdigest()
    assert digest == GOLDEN_DIGEST
    assert not np.array_equal(discrete_gaussian(SecretStream(KEY[::-1]), 1000, 6), drawn[:6])


@pytest.mark.parametrize("sigma", [0, LARGEST_SIGMA + 1])
def test_a_sigma_out_of_range_is_refused(sigma: int) -> None:
    with pytest.raises(ValueError, match="sigma is"):
        discrete_gaussian(SecretStream(KEY), sigma, 1)


@settings(max_examples=20, deadline=None)
@given(bound=st.integers(1, 2**64 - 1), key=st.binary(min_size=32, max_size=32))
def test_uniform_integers_stay_below_their_bound(bound: int, key: bytes) -> None:
    drawn = below(SecretStream(key), np.full(50, bound, dtype=np.uint64))
    assert all(0 <= int(one) < bound for one in drawn)


@pytest.mark.parametrize("bound", [2, 3, 10])
def test_uniform_integers_are_uniform(bound: int) -> None:
    drawn = below(SecretStream(KEY), np.full(30_000, bound, dtype=np.uint64))
    assert stats.chisquare(np.bincount(drawn.astype(int), minlength=bound)).pvalue > 1e-3


def test_a_word_without_fellows_is_drawn_again() -> None:
    """Of a bound above half of 2^64 nearly half of all words are: without that the low ones came twice."""
    bound = 2**63 + 1
    drawn = below(SecretStream(KEY), np.full(20_000, bound, dtype=np.uint64))
    assert (drawn < bound // 2).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 5), (1, 1), (1, 2), (7, 9), (2**62, 2**63 - 1)])
def test_something_falls_with_its_probability(numerator: int, denominator: int) -> None:
    count = 40_000
    pair = (np.full(count, one, dtype=np.uint64) for one in (numerator, denominator))
    drawn = falls(SecretStream(KEY), *pair)
    chance = math.exp(-numerator / denominator)
    assert drawn.mean() == pytest.approx(chance, abs=0.01)
    assert numerator or drawn.all()
