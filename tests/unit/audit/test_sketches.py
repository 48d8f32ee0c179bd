import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.audit.sketches import (
    BUCKETS,
    ENTRY_BITS,
    MILLION,
    ROWS,
    add_to_sketch,
    cosine_millionths,
    lane_signs,
    products,
    scaled,
    signed_blocks,
    sum_of_squares,
)
from fl_chain.commitment.chunks import LANE, Lanes

SIZES = (1, 9, BUCKETS - 1, BUCKETS, BUCKETS + 1, BUCKETS * ROWS, BUCKETS * ROWS + 1, 200_000)


def lanes_of(values: np.ndarray) -> Lanes:
    return values.astype(">i4").view(LANE)


def sketch_of(values: np.ndarray, seed: bytes = b"seed") -> np.ndarray:
    signs, sketch = lane_signs(seed, values.size), np.zeros(BUCKETS, dtype=np.int64)
    for block, lanes in signed_blocks(lanes_of(values)):
        add_to_sketch(sketch, lanes, signs[block])
    return sketch


def naive_sketch(values: np.ndarray, seed: bytes = b"seed") -> list[int]:
    found = [0] * BUCKETS
    for lane, (value, sign) in enumerate(
        zip(values.tolist(), lane_signs(seed, values.size).tolist(), strict=True)
    ):
        found[lane % BUCKETS] += value * sign
    return found


def cosine(one: np.ndarray, other: np.ndarray, seed: bytes = b"seed") -> float:
    first, second = scaled(sketch_of(one, seed)), scaled(sketch_of(other, seed))
    inner = products(np.stack([first, second]), np.stack([first, second]))
    found = cosine_millionths(int(inner[0, 1]), int(inner[0, 0]), int(inner[1, 1]))
    assert found is not None
    return found / MILLION


@pytest.mark.parametrize("size", SIZES)
def test_a_sketch_is_the_signed_sum_of_its_buckets(size: int) -> None:
    values = np.random.default_rng(size).integers(-(2**31) + 1, 2**31, size)
    assert sketch_of(values).tolist() == naive_sketch(values)


def test_the_sketch_of_a_sum_is_the_sum_of_the_sketches() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(-(2**20), 2**20, (2, 50_000))
    assert (sketch_of(one) + sketch_of(other) == sketch_of(one + other)).all()


def test_signs_are_balanced_and_follow_from_the_seed() -> None:
    signs = lane_signs(b"a", 100_001)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(int(signs.sum(dtype=np.int64))) < 5 * math.sqrt(signs.size)
    assert (signs == lane_signs(b"a", 100_001)).all()
    assert (signs != lane_signs(b"b", 100_001)).any()
    assert (lane_signs(b"a", 10) == signs[:10]).all()


@pytest.mark.parametrize("true", [-0.9, -0.3, 0.0, 0.3, 0.9, 0.999])
def test_cosines_are_told_within_their_error(true: float) -> None:
    rng = np.random.default_rng(3)
    one, noise = rng.standard_normal((2, 300_000))
    other = true * one + math.sqrt(1 - true * true) * noise
    found = cosine(one * 2**20, other * 2**20)
    assert abs(found - true) < 5 * (1 - true * true) / math.sqrt(BUCKETS) + 0.005


def test_vectors_with_one_column_of_a_layer_are_told_apart() -> None:
    """A column has lanes a power of two apart: a power of two of buckets would put them into few."""
    rng = np.random.default_rng(5)
    one, other = np.zeros((2, 1024, 256))
    one[:, 7], other[:, 7] = rng.standard_normal((2, 1024)) * 2**20
    true = one.ravel() @ other.ravel() / (np.linalg.norm(one) * np.linalg.norm(other))
    errors = [cosine(one.ravel(), other.ravel(), seed=bytes([seed])) - true for seed in range(10)]
    assert math.sqrt(np.mean(np.square(errors))) < 0.05


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50))
def test_squares_are_exact_up_to_the_greatest_lane(values: list[int]) -> None:
    array = np.array(values, dtype=np.int32)
    assert sum_of_squares(array, max(map(abs, values))) == sum(value * value for value in values)


@pytest.mark.parametrize("largest", [2**22, 2**23, 2**24, 2**31])
def test_squares_of_a_whole_block_are_exact(largest: int) -> None:
    array = np.full(BUCKETS * ROWS, -largest, dtype=np.int64).astype(np.int32)
    assert sum_of_squares(array, largest) == largest * largest * array.size


@given(st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=20))
def test_scaled_entries_fit_and_keep_their_proportion(values: list[int]) -> None:
    sketch = np.array(values, dtype=np.int64)
    small, most = scaled(sketch), max(map(abs, values))
    assert int(np.abs(small.astype(np.int64)).max()) <= 2**ENTRY_BITS
    excess = max(0, most.bit_length() - ENTRY_BITS)
    assert all(
        abs((int(one) << excess) - value) <= 2**excess for one, value in zip(small, values, strict=True)
    )


def test_products_of_the_largest_sketches_are_exact() -> None:
    rows = np.full((2, BUCKETS), 2**ENTRY_BITS, dtype=np.int32)
    rows[1, 0] -= 1
    inner = products(rows, rows)
    assert int(inner[0, 0]) == BUCKETS * 4**ENTRY_BITS
    assert int(inner[1, 0]) == BUCKETS * 4**ENTRY_BITS - 2**ENTRY_BITS


@pytest.mark.parametrize(
    ("inner", "squares", "expected"),
    [
        (5, (5, 5), MILLION),
        (-5, (5, 5), -MILLION),
        (0, (5, 5), 0),
        (0, (0, 5), None),
        (1, (1, 4), 500_000),
        (-1, (3, 3), -333_333),
    ],
)
def test_cosines_are_rounded_exactly(inner: int, squares: tuple[int, int], expected: int | None) -> None:
    assert cosine_millionths(inner, *squares) == expected


def test_signs_drawn_otherwise_change_no_cosine_of_a_vector_that_fits() -> None:
    rng = np.random.default_rng(3)
    one, other = (rng.integers(-(2**31), 2**31, BUCKETS).astype(np.int64) for _ in range(2))
    signs = rng.choice([-1, 1], BUCKETS)
    plain = products(scaled(one)[None], scaled(other)[None])
    assert products(scaled(one * signs)[None], scaled(other * signs)[None]) == plain
