from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.merkle import BLOCK_BYTES
from fl_chain.commitment.native import kernels
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import root_of_chunk_hashes, vector_root
from fl_chain.records import Quantisation

WHOLE_NUMBERS = Quantisation(fraction_bits=8, scale_bits=8, clip_lanes=1000, max_total_weight=1000)


def small_updates(count: int, dimension: int, seed: int = 0) -> list[Lanes]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(-1000, 1001, (count, dimension)).astype(np.int32).astype(LANE))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(12, 22),
    st.integers(10, 20),
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.integers(0, 2**32),
)
def test_error_against_float64_fedavg_is_within_the_bound(
    dimension: int, fraction_bits: int, scale_bits: int, weights: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    quantisation = Quantisation(fraction_bits, scale_bits, 2**scale_bits, 1000)  # the clip is 1
    base = model_lanes(rng.uniform(-3, 3, dimension), fraction_bits)
    base_values = model_values(base, fraction_bits)
    models = [(base_values + rng.uniform(-0.9, 0.9, dimension)).astype(np.float32) for _ in weights]
    updates = [
        quantise_update(local, base_values, weight, quantisation)
        for local, weight in zip(models, weights, strict=True)
    ]
    aggregate = aggregate_round(base, updates, sum(weights), quantisation)

    participants, total_weight = len(weights), sum(weights)
    bound = Fraction(participants, 2 ** (scale_bits + 1) * total_weight) + Fraction(
        1, 2 ** (fraction_bits + 1)
    )
    for lane in range(dimension):
        # The mean of the exact changes, added to the exact base: float64 FedAvg without its own rounding.
        changes = [
            weight * (Fraction(float(local[lane])) - Fraction(float(base_values[lane])))
            for local, weight in zip(models, weights, strict=True)
        ]
        exact = Fraction(int(base.view(">i4")[lane]), 2**fraction_bits) + sum(changes) / total_weight
        found = Fraction(int(aggregate.model.view(">i4")[lane]), 2**fraction_bits)
        assert abs(found - exact) <= bound
    floating = np.average(np.array(models, dtype=np.float64), axis=0, weights=weights)
    assert np.abs(aggregate.model.view(">i4") / 2.0**fraction_bits - floating).max() <= float(bound) + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(12)))
def test_the_model_does_not_depend_on_the_order(order: list[int]) -> None:
    updates = small_updates(12, 6)
    base = model_lanes(np.linspace(-1, 1, 6), 8)
    shuffled = [updates[index] for index in order]
    first = aggregate_round(base, updates, 12, WHOLE_NUMBERS)
    second = aggregate_round(base, shuffled, 12, WHOLE_NUMBERS)
    assert first.model_root == second.model_root
    assert first.partial_sum_roots[-1] == second.partial_sum_roots[-1]


def test_an_exclusion_equals_a_zero_update() -> None:
    base = np.zeros(3, dtype=LANE)
    with_hole = [*small_updates(10, 3)[:9], None]
    with_zero = [*small_updates(10, 3)[:9], np.zeros(3, dtype=LANE)]
    left = aggregate_round(base, with_hole, 9, WHOLE_NUMBERS)
    right = aggregate_round(base, with_zero, 9, WHOLE_NUMBERS)
    assert left.partial_sum_roots == right.partial_sum_roots
    assert left.model_root == right.model_root


def test_chunk_hashes_belong_to_the_listed_roots() -> None:
    aggregate = aggregate_round(np.zeros(2000, dtype=LANE), small_updates(70, 2000), 70, WHOLE_NUMBERS)
    assert len(aggregate.partial_sum_roots) == 9 + 2 + 1
    for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
        assert root_of_chunk_hashes(hashes, 2000) == root
    assert vector_root(aggregate.total) == aggregate.partial_sum_roots[-1]
    assert vector_root(aggregate.model) == aggregate.model_root


def test_updates_are_read_once_and_one_at_a_time() -> None:
    updates = small_updates(9, 4)
    expected = aggregate_round(np.zeros(4, dtype=LANE), updates, 9, WHOLE_NUMBERS)
    buffer = np.zeros(4, dtype=LANE)

    def into_one_buffer(lanes: Lanes) -> Lanes:
        buffer[:] = lanes
        return buffer

    streamed = aggregate_round(
        np.zeros(4, dtype=LANE), (into_one_buffer(lanes) for lanes in updates), 9, WHOLE_NUMBERS
    )
    assert streamed.partial_sum_roots == expected.partial_sum_roots


def test_several_threads_find_the_same() -> None:
    dimension = BLOCK_BYTES // 2 + 5
    updates = small_updates(9, dimension)
    base = np.zeros(dimension, dtype=LANE)
    alone = aggregate_round(base, updates, 9, WHOLE_NUMBERS)
    assert kernels() is not None
    with HashingPool(2) as pool:
        shared = aggregate_round(base, updates, 9, WHOLE_NUMBERS, pool=pool)
        assert pool.is_started
    assert shared.partial_sum_roots == alone.partial_sum_roots
    assert shared.chunk_hashes == alone.chunk_hashes
    assert shared.model_root == alone.model_root


def test_clamped_lanes_are_counted() -> None:
    base = np.full(3, 2**31 - 1, dtype=LANE)
    up = np.array([5, 0, -5], dtype=np.int32).astype(LANE)
    assert aggregate_round(base, [up], 1, WHOLE_NUMBERS).clamped == 1


def test_misuse_is_refused() -> None:
    base = np.zeros(3, dtype=LANE)
    with pytest.raises(ValueError, match="nothing was added"):
        aggregate_round(base, [], 1, WHOLE_NUMBERS)
    with pytest.raises(ValueError, match="weight"):
        aggregate_round(base, [None], 0, WHOLE_NUMBERS)
    with pytest.raises(ValueError, match="4 lanes, the sum 3"):
        aggregate_round(base, [np.zeros(4, dtype=LANE)], 1, WHOLE_NUMBERS)
