import pytest
import tenseal

from fl_chain.encryption import seal
from fl_chain.encryption.scheme import (
    DEGREE,
    KEY_PRIME,
    KEY_PRIME_BITS,
    LANE_LIMIT,
    MAX_SUMMANDS,
    MODULUS,
    NOISE_BOUND,
    PLAIN_MODULUS,
    block_count,
    least_noise_budget_bits,
    verify_summands,
)

LARGEST_ERROR = 21  # SEAL's centred binomial distribution of 42 bits


def is_prime(number: int) -> bool:
    """By Miller and Rabin, for numbers below 2^64 (Jaeschke; Sorenson and Webster)."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        if power not in (1, number - 1) and all(
            pow(power, 1 << step, number) != number - 1 for step in range(1, twos)
        ):
            return False
    return True


@pytest.mark.parametrize("prime", [MODULUS, KEY_PRIME, PLAIN_MODULUS])
def test_moduli_are_primes_with_a_transform_of_this_degree(prime: int) -> None:
    assert is_prime(prime)
    assert not is_prime(prime - 2 * DEGREE + 2)
    assert prime % (2 * DEGREE) == 1


def test_the_installed_library_takes_these_very_primes() -> None:
    parameters = seal._stream_payload(seal._forms().parameters)
    for modulus in (MODULUS, KEY_PRIME, PLAIN_MODULUS):
        assert modulus.to_bytes(8, "little") in parameters


def test_the_library_refuses_primes_beyond_128_bits_of_security() -> None:
    assert sum(KEY_PRIME_BITS) == 109
    with pytest.raises(ValueError, match="parameters"):
        tenseal.context(
            tenseal.SCHEME_TYPE.BFV,
            DEGREE,
            PLAIN_MODULUS,
            coeff_mod_bit_sizes=[KEY_PRIME_BITS[0], KEY_PRIME_BITS[1] + 1],
        )


def test_the_noise_of_an_encryption_is_below_its_bound() -> None:
    under_both_primes = LARGEST_ERROR * (2 * DEGREE + 1)
    assert under_both_primes < 2**18 < KEY_PRIME
    twice_the_noise = 2 + (DEGREE + 1) + 1  # what division leaves, its rounding, and the message's
    assert twice_the_noise <= 2 * 2050 < 2 * NOISE_BOUND


def test_sums_of_as_many_as_are_allowed_decrypt_exactly_and_one_more_might_not() -> None:
    assert 2 * PLAIN_MODULUS * NOISE_BOUND * MAX_SUMMANDS < MODULUS - 2 * PLAIN_MODULUS
    assert 2 * LANE_LIMIT * MAX_SUMMANDS < PLAIN_MODULUS < 2 * LANE_LIMIT * (MAX_SUMMANDS + 1)
    assert MAX_SUMMANDS == 127


def test_the_number_of_summands_is_bounded_on_both_sides() -> None:
    verify_summands(1)
    verify_summands(MAX_SUMMANDS)
    for summands in (0, MAX_SUMMANDS + 1):
        with pytest.raises(ValueError, match="from 1 to 127"):
            verify_summands(summands)
    assert [least_noise_budget_bits(count) for count in (1, 2, 64, MAX_SUMMANDS)] == [8, 7, 2, 1]


def test_vectors_take_whole_blocks() -> None:
    assert [block_count(lanes) for lanes in (1, DEGREE, DEGREE + 1)] == [1, 1, 2]
    with pytest.raises(ValueError, match="at least one lane"):
        block_count(0)
