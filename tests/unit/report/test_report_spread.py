import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.report.spread import jain_index, spread

scores = st.lists(st.floats(min_value=0, max_value=1e12), min_size=1, max_size=30)


@given(scores)
def test_figures_of_a_spread_are_in_their_order(values: list[float]) -> None:
    found = spread(values)
    ordered = (found.lowest, found.lower_quartile, found.median, found.upper_quartile, found.highest)
    slack = 1e-9 * found.highest
    assert all(one <= other + slack for one, other in itertools.pairwise(ordered))
    assert found.lowest <= found.mean <= found.highest
    assert 0 <= found.deviation <= found.highest - found.lowest + slack


@given(scores)
def test_jains_index_lies_between_one_share_and_all_alike(values: list[float]) -> None:
    index = jain_index(values)
    if max(values) == 0:
        assert index is None
    else:
        assert index is not None
        assert 1 / len(values) - 1e-9 <= index <= 1 + 1e-9


def test_known_spreads() -> None:
    found = spread([0.9, 0.5, 0.7])
    assert (found.count, found.lowest, found.median, found.highest) == (3, 0.5, 0.7, 0.9)
    assert math.isclose(found.mean, 0.7)
    assert math.isclose(found.deviation, math.sqrt(0.08 / 3))
    assert math.isclose(found.jain or 0, 2.1**2 / (3 * 1.55))
    alone = spread([2.0])
    assert (alone.lower_quartile, alone.upper_quartile, alone.deviation, alone.jain) == (2.0, 2.0, 0.0, 1.0)
    assert jain_index([1.0, 0.0, 0.0, 0.0]) == 0.25
    assert spread([-1.0, 2.0]).jain is None


def test_nobody_has_no_spread() -> None:
    with pytest.raises(ValueError, match="nobody has a score"):
        spread([])
