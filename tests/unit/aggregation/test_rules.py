"""Each rule against a plain account of it, and what is true of it whatever the updates."""

import hashlib
from fractions import Fraction
from typing import Any

import numpy as np
import plain_rules as plain
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.round import aggregate_result, aggregate_round
from fl_chain.aggregation.rules.adaptive import AdaptiveRule, FedAdagrad, FedAdam, FedYogi
from fl_chain.aggregation.rules.centred_clipping import CentredClipping, clip_factor
from fl_chain.aggregation.rules.fedavgm import FedAvgM
from fl_chain.aggregation.rules.multi_krum import MultiKrum
from fl_chain.aggregation.rules.norm_bound import NormBound, norm_lanes
from fl_chain.aggregation.rules.order import Median, TrimmedMean, comparators, sorted_rows
from fl_chain.aggregation.rules.rule import BLOCK_VALUES, LaneMatrix, signed, sums_of_squares
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.records import Quantisation
from fl_chain.run.spool import IN_MEMORY_BYTES, spooled

CONSTANTS = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=1 << 20, max_total_weight=1000)
BOUND = CONSTANTS.clip_lanes
ADAPTIVE: dict[str, AdaptiveRule] = {
    "fedadagrad": FedAdagrad(0.1, 0.9, 1e-3),
    "fedadam": FedAdam(0.1, 0.9, 1e-3, 0.99),
    "fedyogi": FedYogi(0.1, 0.9, 1e-3, 0.99),
}


def lanes_of(values: Any) -> LaneMatrix:
    return np.asarray(values, dtype=np.int64).astype(np.int32).view(np.uint32).astype(LANE)


def listed(lanes: Lanes) -> list[int]:
    return [int(lane) for lane in signed(lanes)]


def rows_of(least: int = 1, most: int = 9, dimension: int = 4) -> st.SearchStrategy[list[list[int]]]:
    lane = st.one_of(st.integers(-BOUND, BOUND), st.sampled_from((-BOUND, BOUND, 0, 1, -1)))
    return st.lists(st.lists(lane, min_size=dimension, max_size=dimension), min_size=least, max_size=most)


@st.composite
def weighted(draw: st.DrawFn, least: int = 1) -> tuple[list[list[int]], list[int]]:
    rows = draw(rows_of(least))
    weights = draw(st.lists(st.integers(1, 50), min_size=len(rows), max_size=len(rows)))
    return [[lane * weight // 3 for lane in row] for row, weight in zip(rows, weights, strict=True)], weights


# ---------------------------------------------------------------------- order statistics


@given(rows=rows_of())
def test_the_median_is_that_of_the_plain_account(rows: list[list[int]]) -> None:
    made = Median().result(lanes_of(rows), lanes_of([]), CONSTANTS)
    assert (listed(made.lanes), made.weight) == plain.median(rows)


@given(rows=rows_of(), trim=st.fractions(0, Fraction(49, 100)))
def test_the_trimmed_mean_is_that_of_the_plain_account(rows: list[list[int]], trim: Fraction) -> None:
    made = TrimmedMean(trim).result(lanes_of(rows), lanes_of([]), CONSTANTS)
    assert (listed(made.lanes), made.weight) == plain.trimmed_mean(rows, trim)


@given(rows=rows_of(), seed=st.integers(0, 99))
def test_neither_the_order_of_updates_nor_an_outlier_moves_the_median_out_of_the_others(
    rows: list[list[int]], seed: int
) -> None:
    shuffled = np.random.default_rng(seed).permutation(rows)
    made = Median().result(lanes_of(rows), lanes_of([]), CONSTANTS)
    again = Median().result(lanes_of(shuffled), lanes_of([]), CONSTANTS)
    assert made.lanes.tobytes() == again.lanes.tobytes()
    for lane, column in zip(listed(made.lanes), zip(*rows, strict=True), strict=True):
        assert min(column) * made.weight <= lane <= max(column) * made.weight


def test_no_trimming_is_the_sum() -> None:
    rows = np.random.default_rng(1).integers(-BOUND, BOUND + 1, (7, 33))
    made = TrimmedMean(Fraction(0)).result(lanes_of(rows), lanes_of([]), CONSTANTS)
    assert listed(made.lanes) == rows.sum(axis=0).tolist()
    assert made.weight == 7


def test_the_largest_values_do_not_overflow() -> None:
    constants = Quantisation(8, 0, 2**31 - 1, 1)
    rows = lanes_of([[2**31 - 1], [-(2**31) + 1], [2**31 - 1]])
    assert listed(Median().result(rows, lanes_of([]), constants).lanes) == [2**31 - 1]


@pytest.mark.parametrize("count", [*range(1, 34), 63, 64, 65, 127, 128, 129, 200])
def test_rows_are_sorted_as_numpy_sorts_columns(count: int) -> None:
    values = np.random.default_rng(count).integers(-9, 9, (count, 65)).astype(np.int32)
    assert (sorted_rows(values.copy()) == np.sort(values, axis=0)).all()


@pytest.mark.parametrize("count", range(1, 10))
def test_the_network_sorts_every_row_of_zeros_and_ones_and_so_every_row(count: int) -> None:
    bits = (np.arange(2**count)[np.newaxis, :] >> np.arange(count)[:, np.newaxis]) & 1
    for low, high in comparators(count):
        bits[[low, high]] = np.minimum(bits[low], bits[high]), np.maximum(bits[low], bits[high])
    assert (np.diff(bits, axis=0) >= 0).all()


# ---------------------------------------------------------------------- selections


@given(drawn=weighted(3), byzantine=st.integers(0, 3), keep=st.integers(0, 3))
def test_krum_keeps_what_the_plain_account_keeps(
    drawn: tuple[list[list[int]], list[int]], byzantine: int, keep: int
) -> None:
    rows, weights = drawn
    kept = MultiKrum(byzantine, keep).kept(lanes_of(rows), weights, CONSTANTS)
    assert list(kept) == plain.multi_krum(rows, weights, byzantine, keep)
    assert 1 <= len(kept) <= len(rows)


def test_of_equal_scores_krum_keeps_the_earlier() -> None:
    assert MultiKrum(1, 0).kept(lanes_of([[5, 5]] * 5), [1] * 5, CONSTANTS) == (0, 1, 2, 3)


def test_krum_looks_at_changes_whatever_the_weights() -> None:
    rows = [[100, 100], [200, 200], [300, 300], [101, 99], [-100, -100]]
    assert MultiKrum(1, 0).kept(lanes_of(rows), [1, 2, 3, 1, 1], CONSTANTS) == (0, 1, 2, 3)


@given(drawn=weighted(), bound=st.floats(2**-20, 3.0))
def test_the_norm_bound_keeps_what_the_plain_account_keeps(
    drawn: tuple[list[list[int]], list[int]], bound: float
) -> None:
    rows, weights = drawn
    kept = NormBound(bound).kept(lanes_of(rows), weights, CONSTANTS)
    assert list(kept) == plain.norm_bound(rows, weights, norm_lanes(bound, CONSTANTS))


def test_an_update_at_the_bound_is_kept_and_one_above_is_not() -> None:
    rule = NormBound(5 / 2**20)
    assert rule.kept(lanes_of([[3, 4], [4, 4], [0, 0], [-3, 4]]), [1] * 4, CONSTANTS) == (0, 2, 3)
    assert rule.kept(lanes_of([[9, 9]]), [1], CONSTANTS) == ()


@pytest.mark.parametrize("largest", [1, 2**26 - 1, 2**26, 2**30, 2**31, 2**32 - 1])
def test_sums_of_squares_are_exact_on_both_sides_of_64_bits(largest: int) -> None:
    rows = np.random.default_rng(5).integers(-largest, largest + 1, (3, 2047))
    rows[0], rows[1, 0] = largest, -largest
    assert sums_of_squares(rows) == [sum(int(value) ** 2 for value in row) for row in rows]


# ---------------------------------------------------------------------- centred clipping


@given(
    rows=rows_of(),
    centre=st.lists(st.integers(-BOUND, BOUND), min_size=4, max_size=4),
    radius=st.floats(2**-20, 4.0),
    iterations=st.integers(1, 3),
)
def test_centred_clipping_is_that_of_the_plain_account(
    rows: list[list[int]], centre: list[int], radius: float, iterations: int
) -> None:
    made = CentredClipping(radius, iterations).result(lanes_of(rows), lanes_of(centre), CONSTANTS)
    expected = plain.centred_clipping(rows, centre, norm_lanes(radius, CONSTANTS), iterations)
    assert (listed(made.lanes), made.weight) == (expected, 1)
    assert all(abs(lane) <= BOUND for lane in expected)


@given(norm=st.integers(1, 2**70), radius=st.integers(1, 2**40))
def test_a_clip_factor_is_the_largest_that_does_not_exceed(norm: int, radius: int) -> None:
    factor = clip_factor(norm, radius)
    assert 0 <= factor <= 2**30
    if factor < 2**30:
        assert factor**2 * norm <= radius**2 * 2**60 < (factor + 1) ** 2 * norm


def test_a_radius_that_clips_nothing_gives_the_mean() -> None:
    rows = [[3, -3], [6, -6], [6, -5]]
    made = CentredClipping(8.0, 1).result(lanes_of(rows), lanes_of([0, 0]), CONSTANTS)
    assert listed(made.lanes) == [5, -5]


# ---------------------------------------------------------------------- server optimisers


@given(
    total=st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=3, max_size=3),
    momentum=st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3),
    base=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=3, max_size=3),
    weight=st.integers(1, 1000),
    factors=st.tuples(st.integers(0, 65529), st.integers(1, 2**16)),
)
def test_server_momentum_is_that_of_the_plain_account(
    total: list[int], momentum: list[int], base: list[int], weight: int, factors: tuple[int, int]
) -> None:
    state = np.array(momentum, dtype=">i8").view(LANE)
    step = FedAvgM(*factors).step(lanes_of(base), lanes_of(total), weight, state, CONSTANTS)
    model, after = plain.fedavgm(base, total, weight, momentum, factors, CONSTANTS)
    assert listed(step.model) == model
    assert step.state.view(">i8").tolist() == after


def test_momentum_of_zero_is_fedavg_to_the_last_bit_but_for_rounding_twice() -> None:
    rng = np.random.default_rng(3)
    base, total = (lanes_of(rng.integers(-(2**30), 2**30, 5000)) for _ in range(2))
    rule = FedAvgM(0, 2**16)
    step = rule.step(base, total, 7, rule.initial(5000), CONSTANTS)
    model, _ = apply_sum(base, total, 7, CONSTANTS)
    assert np.abs(signed(step.model).astype(np.int64) - signed(model)).max() <= 1


@pytest.mark.parametrize("name", ADAPTIVE)
@given(
    change=st.integers(-(2**31) + 1, 2**31 - 1),
    weight=st.integers(1, 1000),
    m=st.floats(-4, 4, allow_subnormal=False),
    v=st.floats(1e-12, 16),
)
def test_adaptive_rules_are_within_rounding_of_the_plain_account(
    name: str, change: int, weight: int, m: float, v: float
) -> None:
    rule = ADAPTIVE[name]
    state = np.array([m, v], dtype=">f8").view(LANE)
    step = rule.step(lanes_of([0]), lanes_of([change]), weight, state, CONSTANTS)
    average = Fraction(change, weight * 2**CONSTANTS.scale_bits)
    factors = (rule.beta1, getattr(rule, "beta2", 0.0))
    expected_m, expected_v = plain.adaptive(name, average, (m, v), factors)
    actual_m, actual_v = step.state.view(">f8").tolist()
    largest_m, largest_v = max(abs(m), abs(float(average))), max(v, float(average) ** 2)
    assert abs(actual_m - expected_m) <= 1e-14 * largest_m
    assert abs(actual_v - expected_v) <= 1e-14 * largest_v
    move = rule.learning_rate * actual_m / (actual_v**0.5 + rule.tau) * 2**CONSTANTS.fraction_bits
    assert abs(listed(step.model)[0] - max(-(2.0**31), min(2.0**31 - 1, move))) <= 0.5 + 1e-9 * abs(move)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_no_moment_is_ever_subnormal(name: str) -> None:
    rule = ADAPTIVE[name]
    state = np.array([1e-119, -1e-121, 5e-324, 1e-110, 1e-122, 5e-324], dtype=">f8").view(LANE)
    step = rule.step(lanes_of([0] * 3), lanes_of([0] * 3), 1, state, CONSTANTS)
    values = step.state.view(">f8").astype(float)
    assert all(value == 0 or abs(value) >= 2.0**-400 for value in values)
    assert values[0] > 0
    assert values[1] == values[2] == values[5] == 0


def test_a_step_beyond_a_lane_is_clamped_and_counted() -> None:
    rule = FedAdam(1e9, 0.0, 1e-9, 0.0)
    step = rule.step(lanes_of([0, 0]), lanes_of([9, -9]), 1, rule.initial(2), CONSTANTS)
    assert listed(step.model) == [2**31 - 1, -(2**31)]
    assert step.clamped == 2


@pytest.mark.parametrize("rule", [*ADAPTIVE.values(), FedAvgM(2**15, 2**16)])
def test_vectors_that_do_not_belong_together_are_refused(rule: Any) -> None:
    with pytest.raises(ValueError, match="lanes"):
        rule.step(lanes_of([0] * 3), lanes_of([0] * 3), 1, rule.initial(2), CONSTANTS)
    with pytest.raises(ValueError, match="weight"):
        rule.step(lanes_of([0] * 3), lanes_of([0] * 3), 0, rule.initial(3), CONSTANTS)
    with pytest.raises(ValueError, match="state"):
        aggregate_round(lanes_of([0]), [lanes_of([1])], 1, CONSTANTS, rule=rule)


# ---------------------------------------------------------------------- blocks, files, golden bytes

DIMENSION = BLOCK_VALUES // 5 + 1001  # more than one block of five updates, and the last one short


def drawn_round(count: int = 5, dimension: int = DIMENSION) -> tuple[Lanes, LaneMatrix]:
    """Draw a round from a linear congruence that no library can change."""
    values = np.arange(count * dimension, dtype=np.uint64)
    values = (values * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)) >> np.uint64(43)
    rows = (values % np.uint64(2 * BOUND + 1)).astype(np.int64).reshape(count, dimension) - BOUND
    return lanes_of(rows[0] * 3), lanes_of(rows)


def digest(*lanes: Lanes) -> str:
    return hashlib.sha256(b"".join(one.tobytes() for one in lanes)).hexdigest()[:16]


GOLDEN_STEPS = {
    "fedadagrad": "b2a64191f323c3f1",
    "fedadam": "f421d5501a7a4cda",
    "fedyogi": "8fd395760f58a8b3",
    "fedavgm": "5ca591d7e1c49dca",
}
GOLDEN_RESULTS = {
    "median": "1c2f4e4efbf77ce0",
    "trimmed_mean": "2f06727de1de2bb5",
    "centred_clipping": "6f4cc4e264788e3a",
}
GOLDEN_KEPT = {"multi_krum": (3, 4), "norm_bound": (2, 3, 4)}
RESULT_RULES = {
    "median": Median(),
    "trimmed_mean": TrimmedMean(Fraction(1, 5)),
    "centred_clipping": CentredClipping(100.0, 2),
}


@pytest.mark.parametrize("name", GOLDEN_STEPS)
def test_three_steps_give_the_bytes_that_every_machine_gives(name: str) -> None:
    rule = (ADAPTIVE | {"fedavgm": FedAvgM(58982, 2**15)})[name]
    model, updates = drawn_round(3, 2 * (1 << 16) + 77)
    state = rule.initial(model.size)
    for total in updates:
        step = rule.step(model, total, 3, state, CONSTANTS)
        model, state = step.model, step.state
    assert digest(model, state) == GOLDEN_STEPS[name]


@pytest.mark.parametrize("name", GOLDEN_RESULTS)
def test_results_give_the_bytes_that_every_machine_gives(name: str) -> None:
    base, updates = drawn_round()
    rule = RESULT_RULES[name]
    made = aggregate_result(base, updates, CONSTANTS, rule=rule, carried=rule.initial(DIMENSION))
    assert digest(made.total, made.model) == GOLDEN_RESULTS[name]


def test_selections_over_several_blocks_are_those_that_every_machine_makes() -> None:
    _, updates = drawn_round()
    weights = [1, 2, 3, 4, 5]
    bound = NormBound(50.0)
    assert MultiKrum(1, 2).kept(updates, weights, CONSTANTS) == GOLDEN_KEPT["multi_krum"]
    assert bound.kept(updates, weights, CONSTANTS) == GOLDEN_KEPT["norm_bound"]


@pytest.mark.parametrize("updates", [np.ones((2, 3), np.uint32), lanes_of([1, 2]), lanes_of(np.ones((0, 3)))])
def test_lanes_of_another_form_are_refused(updates: LaneMatrix) -> None:
    for rule in RESULT_RULES.values():
        with pytest.raises(ValueError, match="big-endian"):
            rule.result(updates, rule.initial(3), CONSTANTS)
    for chooser in (MultiKrum(0, 0), NormBound(1.0)):
        with pytest.raises(ValueError, match="big-endian"):
            chooser.kept(updates, [1] * updates.shape[0], CONSTANTS)


def test_a_round_in_a_file_gives_what_one_in_memory_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    _, updates = drawn_round()
    assert updates.nbytes < IN_MEMORY_BYTES
    with spooled(iter(updates), 9, DIMENSION) as in_memory:
        expected = Median().result(in_memory, lanes_of([]), CONSTANTS)
    monkeypatch.setattr("fl_chain.run.spool.IN_MEMORY_BYTES", 0)
    with spooled(iter(updates), 9, DIMENSION) as in_file:
        assert isinstance(in_file, np.memmap)
        assert in_file.shape == updates.shape
        made = Median().result(in_file, lanes_of([]), CONSTANTS)
    assert made.lanes.tobytes() == expected.lanes.tobytes()
    with spooled(iter(()), 9, DIMENSION) as empty:
        assert empty.shape == (0, DIMENSION)
        with pytest.raises(ValueError, match="nothing is included"):
            aggregate_result(lanes_of([0] * DIMENSION), empty, CONSTANTS, rule=Median(), carried=lanes_of([]))
