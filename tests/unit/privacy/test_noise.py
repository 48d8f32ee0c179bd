from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fl_chain.privacy.noise import SecretStream

KEY = bytes(range(32))


def test_the_stream_is_that_of_rfc_8439() -> None:
    # RFC 8439, appendix A.1, test vector 1: key, nonce and counter are zero.
    block = bytes.fromhex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
    words = np.frombuffer(block, dtype="<u8")
    assert np.array_equal(SecretStream(bytes(32)).uniform(4), (words >> np.uint64(11)) * 2.0**-53)


def test_the_same_key_gives_the_same_numbers_and_goes_on() -> None:
    one, other = SecretStream(KEY), SecretStream(KEY)
    first = one.normal(7)
    assert np.array_equal(first, other.normal(7))
    assert not np.array_equal(one.normal(7), first)
    assert not np.array_equal(SecretStream(KEY[::-1]).normal(7), first)


def test_normal_numbers_are_normal() -> None:
    numbers = SecretStream(KEY).normal(200_000)
    assert stats.kstest(numbers, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.01
    assert numbers.std() == pytest.approx(1, abs=0.01)
    assert np.abs(numbers).max() > 4


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.5, 1.0])
def test_sampling_draws_each_with_its_probability(rate: float) -> None:
    drawn = SecretStream(KEY).sampled(100_000, rate)
    assert drawn.mean() == pytest.approx(rate, abs=0.006)
    assert rate not in (0.0, 1.0) or drawn.all() == (rate == 1.0)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="noise key"):
        SecretStream(bytes(16))
