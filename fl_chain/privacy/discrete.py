"""Integers of the discrete Gaussian distribution, drawn exactly: no floating point, nothing rounded.

Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020, algorithms 1 to 3,
for many numbers at once. Noise in floating point is only nearly what a proof speaks of, and what is nearly
so has betrayed data before; integers are what an update consists of anyway.

Every probability below is a quotient of two integers of 64 bits, and every draw compares a uniform integer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fl_chain.privacy.noise import SecretStream

Naturals = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

LARGEST_SIGMA = 2**31 - 1  # its square, doubled, has 63 bits
_BLOCK = 1 << 16  # candidates of one draw

_ONE = np.uint64(1)
_LARGEST_WORD = np.uint64(2**64 - 1)


def discrete_gaussian(stream: SecretStream, sigma: int, count: int) -> npt.NDArray[np.int64]:
    """Return independent integers x, each with probability proportional to ``exp(-x^2 / (2 sigma^2))``.

    Args:
        stream: where randomness comes from; the same stream gives the same integers on every machine.
        sigma: in [1, LARGEST_SIGMA]; the deviation is below it by next to nothing.
        count: of integers.

    Raises:
        ValueError: if sigma is out of range.
    """
    if not 1 <= sigma <= LARGEST_SIGMA:
        raise ValueError(f"sigma is {sigma}; integers of a discrete Gaussian need 1 to {LARGEST_SIGMA}")
    drawn = np.empty(count, dtype=np.int64)
    filled = 0
    while filled < count:
        found = _accepted(stream, sigma, min(_BLOCK, 2 * (count - filled) + 16))[: count - filled]
        drawn[filled : filled + found.size] = found
        filled += found.size
    return drawn


def below(stream: SecretStream, bounds: Naturals) -> Naturals:
    """Return a uniform integer in [0, bound) for each bound.

    Args:
        stream: where randomness comes from.
        bounds: at least 1 each, shape (count,).
    """
    words = stream.words(bounds.size)
    surplus = (_LARGEST_WORD % bounds + _ONE) % bounds  # 2^64 mod bound: so many words have no fellow
    while (again := np.flatnonzero(words > _LARGEST_WORD - surplus)).size:
        words[again] = stream.words(again.size)
    return words % bounds


def falls(stream: SecretStream, numerators: Naturals, denominators: Naturals) -> Flags:
    """Return true with probability ``exp(-numerator / denominator)``, for each pair by itself.

    Args:
        stream: where randomness comes from.
        numerators: at most the denominators, shape (count,).
        denominators: at least 1, shape (count,).
    """
    is_drawn = np.zeros(numerators.size, dtype=np.bool_)
    going, k = np.arange(numerators.size), 1
    while going.size:
        steps = np.full(going.size, k, dtype=np.uint64)
        goes_on = below(stream, denominators[going]) < numerators[going]
        goes_on &= below(stream, steps) == 0  # together: Bernoulli(numerator / (k * denominator))
        is_drawn[going[~goes_on]] = k % 2 == 1
        going, k = going[goes_on], k + 1
    return is_drawn


def _accepted(stream: SecretStream, sigma: int, count: int) -> npt.NDArray[np.int64]:
    """Return what is left of so many candidates of a discrete Laplace distribution of scale sigma.

    One is kept with probability ``exp(-q^2 / (2 sigma^2))``, where q is how far its magnitude is from sigma.
    With ``q = whole * sigma + rest`` that is a product of factors whose exponents are at most 1.
    """
    candidates = _discrete_laplace(stream, sigma, count)
    far = np.abs(np.abs(candidates) - sigma)
    whole, rest = (part.astype(np.uint64) for part in np.divmod(far, sigma))
    scale = np.full(candidates.size, sigma, dtype=np.uint64)
    double = np.uint64(2) * scale * scale
    is_kept = falls(stream, rest * rest, double)
    is_kept &= _falls_each_time(whole, lambda at: falls(stream, rest[at], scale[at]))
    half = np.ones(candidates.size, dtype=np.uint64)
    is_kept &= _falls_each_time(whole * whole, lambda at: falls(stream, half[at], half[at] + _ONE))
    return candidates[is_kept]


def _discrete_laplace(stream: SecretStream, scale: int, count: int) -> npt.NDArray[np.int64]:
    """Return integers x with probability proportional to ``exp(-|x| / scale)``: fewer than ``count``."""
    scales = np.full(count, scale, dtype=np.uint64)
    rest = below(stream, scales)
    rest = rest[falls(stream, rest, scales)]
    ones = np.ones(rest.size, dtype=np.uint64)
    whole = np.zeros(rest.size, dtype=np.int64)
    going = np.arange(rest.size)
    while going.size:
        going = going[falls(stream, ones[going], ones[going])]
        whole[going] += 1
    magnitudes = rest.astype(np.int64) + scale * whole
    is_negative = stream.words(rest.size) & _ONE == _ONE
    is_kept = ~is_negative | (magnitudes != 0)  # or zero would come twice as often
    drawn: npt.NDArray[np.int64] = np.where(is_negative, -magnitudes, magnitudes)[is_kept]
    return drawn


def _falls_each_time(times: Naturals, fall: Callable[[npt.NDArray[np.intp]], Flags]) -> Flags:
    """Return whether something comes true so many times in a row, for each by itself."""
    is_whole = np.ones(times.size, dtype=np.bool_)
    going, done = np.flatnonzero(times > 0), 0
    while going.size:
        has_fallen = fall(going)
        is_whole[going[~has_fallen]] = False
        done += 1
        going = going[has_fallen]
        going = going[times[going] > done]
    return is_whole
