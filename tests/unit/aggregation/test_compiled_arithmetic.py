"""The compiled arithmetic against its NumPy definition, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_chain.aggregation import apply, quantise
from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.native import arithmetic_for
from fl_chain.aggregation.quantise import committed_update, model_values, quantise_update, verify_update
from fl_chain.aggregation.round import aggregate_round
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.aggregation.whole_round import whole_round
from fl_chain.commitment.chunks import LANE, Lanes, lanes_from_native
from fl_chain.commitment.native import kernels
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import NonFiniteValue, UpdateOutOfRange
from fl_chain.records import Quantisation

pytestmark = pytest.mark.skipif(
    kernels() is None or arithmetic_for(0) is None,  # compiled here, and not within a test's deadline
    reason="no compiled loops on this machine",
)
INT32 = st.integers(-(2**31), 2**31 - 1)
CONSTANTS = st.integers(0, 40).flatmap(  # the divisor fits int64 with room for a product
    lambda bits: st.tuples(
        st.integers(8, 24), st.just(bits), st.integers(1, min(2**31 - 1, 2 ** (60 - bits)))
    )
)


def both(monkeypatch_off: pytest.MonkeyPatch, work: Callable[[], object]) -> tuple[object, object]:
    """Return what the compiled arithmetic makes and what NumPy makes."""
    assert arithmetic_for(0) is not None
    compiled = work()
    with monkeypatch_off.context() as patch:
        for module in (quantise, apply):
            patch.setattr(module, "arithmetic_for", lambda size_bytes: None)
        return compiled, work()


def quantisation(fraction_bits: int, scale_bits: int, weight: int) -> Quantisation:
    clip = max(1, min(2**scale_bits, (2**31 - 1) // weight))
    return Quantisation(fraction_bits, scale_bits, clip, weight)


def lanes(size: int) -> st.SearchStrategy[Lanes]:
    return hnp.arrays(np.int32, size, elements=INT32).map(lanes_from_native)


@settings(max_examples=300)
@given(
    hnp.arrays(np.float32, (2, 19), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    CONSTANTS,
    st.floats(1e-6, 10),
)
def test_quantising_gives_the_same_lanes(
    pair: np.ndarray, constants: tuple[int, int, int], nearness: float
) -> None:
    fraction_bits, scale_bits, weight = constants
    rules = quantisation(fraction_bits, scale_bits, weight)
    base = pair[0]
    with np.errstate(over="ignore"):
        near = (base + np.float32(nearness) * np.sign(pair[1])).astype(np.float32)
    for local in (pair[1], np.where(np.isfinite(near), near, base)):
        made, expected = both(
            pytest.MonkeyPatch(), lambda local=local: quantise_update(local, base, weight, rules)
        )
        assert np.array_equal(made, expected)


@pytest.mark.parametrize("dimension", [1, 1023, 1024, 1025, 16 * 1024, 16 * 1024 + 1, 40_000])
def test_an_update_is_committed_to_in_the_same_pass(dimension: int) -> None:
    rng, rules = np.random.default_rng(dimension), quantisation(22, 20, 10)
    local, base = rng.normal(size=(2, dimension)).astype(np.float32)
    made, expected = both(pytest.MonkeyPatch(), lambda: committed_update(local, base, 7, rules))
    assert np.array_equal(made[0], quantise_update(local, base, 7, rules))
    assert np.array_equal(made[0], expected[0])
    assert made[1] == expected[1] == vector_root(made[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("in_base", [False, True])
def test_what_is_not_finite_is_refused_by_both(value: float, in_base: bool) -> None:
    vectors = np.zeros((2, 40), dtype=np.float32)
    vectors[int(in_base), 33] = value
    rules = quantisation(22, 20, 10)
    with pytest.raises(NonFiniteValue, match="value 33 is"):
        quantise_update(vectors[0], vectors[1], 1, rules)
    with pytest.raises(NonFiniteValue, match="value 33 is"):
        committed_update(vectors[0], vectors[1], 1, rules)


def test_other_kinds_of_floats_are_quantised_by_numpy() -> None:
    rules, values = quantisation(22, 20, 10), np.linspace(-1, 1, 20)
    expected = quantise_update(values.astype(np.float32), np.zeros(20, np.float32), 1, rules)
    for local in (values.astype(">f4"), np.repeat(values.astype(np.float32), 2)[::2]):
        assert np.array_equal(quantise_update(local, np.zeros(20, np.float32), 1, rules), expected)


@settings(max_examples=500)
@given(lanes(17), lanes(17), CONSTANTS)
def test_applying_gives_the_same_model(base: Lanes, total: Lanes, constants: tuple[int, int, int]) -> None:
    fraction_bits, scale_bits, weight = constants
    rules = quantisation(fraction_bits, scale_bits, weight)
    made, expected = both(pytest.MonkeyPatch(), lambda: apply_sum(base, total, weight, rules))
    assert np.array_equal(made[0], expected[0])
    assert made[1] == expected[1]


@pytest.mark.parametrize("weight", [1, 3, 7, 6000, 2**20 - 1])
@pytest.mark.parametrize(("fraction_bits", "scale_bits"), [(22, 20), (24, 2), (24, 0), (8, 40), (22, 17)])
def test_applying_agrees_around_every_rounding(weight: int, fraction_bits: int, scale_bits: int) -> None:
    rules = quantisation(fraction_bits, scale_bits, weight)
    step = (weight << scale_bits) / (1 << fraction_bits)
    turns = np.array([turn * step / 2 for turn in range(-2000, 2000)])
    around = np.concatenate([np.floor(turns) + offset for offset in (-1, 0, 1, 2)])
    total = lanes_from_native(np.clip(around, -(2**31), 2**31 - 1).astype(np.int32))
    base = np.zeros(total.size, dtype=LANE)
    made, expected = both(pytest.MonkeyPatch(), lambda: apply_sum(base, total, weight, rules))
    assert np.array_equal(made[0], expected[0])


@given(lanes(13), st.integers(8, 24))
def test_values_of_a_model_are_the_same(model: Lanes, fraction_bits: int) -> None:
    made, expected = both(pytest.MonkeyPatch(), lambda: model_values(model, fraction_bits))
    assert np.array_equal(made, expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_bounds_of_an_update_on_both_sides(sign: int) -> None:
    rules = Quantisation(22, 20, 2**20, 100)
    native = np.zeros(1500, dtype=np.int32)
    native[1234] = sign * 7 * 2**20
    verify_update(lanes_from_native(native), 7, rules, 1500)
    native[1234] += sign
    with pytest.raises(UpdateOutOfRange) as caught:
        verify_update(lanes_from_native(native), 7, rules, 1500)
    assert caught.value.lane == 1234


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 65])
def test_sums_of_groups_are_the_same(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(count)
    updates = [lanes_from_native(rng.integers(-(2**31), 2**31, 50).astype(np.int32)) for _ in range(count)]

    def sums() -> list[tuple[int, int, bytes]]:
        found: list[tuple[int, int, bytes]] = []

        def keep(done: PartialSum) -> None:
            found.append((done.level, done.position, done.lanes.tobytes()))

        adding = PartialSums(50, keep)
        for number, update in enumerate(updates):
            adding.add(None if number % 5 == 3 else update)
        adding.finish()
        return found

    compiled = sums()
    monkeypatch.setattr("fl_chain.aggregation.sums.kernels_for", lambda size_bytes: None)
    assert sums() == compiled


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("count", "dimension"),
    [(1, 1), (2, 8191), (3, 8193), (8, 16384), (65, 1023), (1, 2**21 + 5), (9, 2**21 + 4097)],
)
def test_a_whole_round_is_what_its_steps_give(
    count: int, dimension: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(count)
    drawn = rng.integers(-(2**31), 2**31, (count, dimension), dtype=np.int32)
    updates = [None if number % 5 == 3 else one.astype(LANE) for number, one in enumerate(drawn)]
    base = lanes_from_native(rng.integers(-(2**31), 2**31, dimension, dtype=np.int32))
    for rules in (Quantisation(22, 20, 2**20, 1000), Quantisation(24, 0, 1, 2**31 - 1)):
        with HashingPool(threads) as pool:
            made = aggregate_round(base, updates, 999, rules, pool=pool)
            bare = whole_round(base, updates, 999, rules, pool=pool, is_hashed=False, keeps_total=False)
            assert bare is not None
            assert np.array_equal(bare.model, made.model)
            assert not bare.sum_hashes
            assert pool.is_started == (threads == 2 and dimension > 2**20)
        with monkeypatch.context() as patch:
            patch.setattr("fl_chain.aggregation.round.whole_round", lambda *_, **__: None)
            expected = aggregate_round(base, updates, 999, rules)
        assert made.partial_sum_roots == expected.partial_sum_roots
        assert made.chunk_hashes == expected.chunk_hashes
        assert (made.model_root, made.clamped) == (expected.model_root, expected.clamped)
        assert np.array_equal(made.total, expected.total)
        assert np.array_equal(made.model, expected.model)


def test_what_takes_masks_off_is_added_and_listed_in_the_same_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    drawn = [one.astype(LANE) for one in rng.integers(-(2**31), 2**31, (14, 1500), dtype=np.int32)]
    updates, terms = [drawn[0], None, *drawn[1:7]], drawn[7:13]
    rules, passes = Quantisation(22, 20, 2**20, 1000), []

    def passed(*arguments: Any, **options: Any) -> Any:
        passes.append(whole_round(*arguments, **options))
        return passes[-1]

    monkeypatch.setattr("fl_chain.aggregation.round.whole_round", passed)
    iterated = aggregate_round(drawn[13], updates, 999, rules, terms=iter(terms))
    assert not passes
    held = aggregate_round(drawn[13], updates, 999, rules, terms=terms)
    assert passes[0] is not None
    assert held.partial_sum_roots == iterated.partial_sum_roots
    assert held.partial_sum_roots[: len(terms)] == tuple(map(vector_root, terms))
    assert held.chunk_hashes == iterated.chunk_hashes
    assert (held.model_root, held.clamped) == (iterated.model_root, iterated.clamped)
    assert np.array_equal(held.total, iterated.total)
