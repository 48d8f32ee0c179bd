"""Every division covers all rows once; each kind is skewed in the way that it promises, and in no other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_chain.data.partition import (
    Drawing,
    Kind,
    Partition,
    by_owner,
    class_counts,
    class_shards,
    dirichlet_mixtures,
    dirichlet_shares,
    dirichlet_sizes,
    drawn,
    iid,
)
from fl_chain.errors import ConfigError, InputDataError

LABELS = np.repeat(np.arange(10), 60)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def covers(parts: Partition, n_rows: int) -> bool:
    return np.array_equal(np.sort(np.concatenate(parts)), np.arange(n_rows)) and all(
        np.all(np.diff(part) > 0) for part in parts
    )


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(list(Kind)),
    labels=st.lists(st.integers(0, 4), min_size=24, max_size=200).map(np.array),
    n_participants=st.integers(1, 6),
    concentration=st.sampled_from([0.01, 0.5, 100.0]),
    seed=st.integers(0, 2**32),
)
def test_every_kind_covers_all_rows_once_and_repeats_itself(
    kind: Kind, labels: np.ndarray, n_participants: int, concentration: float, seed: int
) -> None:
    drawing = Drawing(kind, n_participants, concentration)
    try:
        first = drawn(drawing, len(labels), labels, rng(seed))
    except ConfigError:
        assert kind in {Kind.SIZE, Kind.DIRICHLET_SHARES}  # the only kinds that leave somebody without rows
        return
    assert len(first) == n_participants
    assert covers(first, len(labels))
    again = drawn(drawing, len(labels), labels, rng(seed))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_owners_keep_their_rows() -> None:
    names, parts = by_owner(["b", "a", "b", "c", "a"])
    assert names == ("a", "b", "c")
    assert [part.tolist() for part in parts] == [[1, 4], [0, 2], [3]]


def test_iid_parts_differ_by_one_row_at_most_and_look_alike() -> None:
    parts = iid(len(LABELS), 7, rng())
    assert {len(part) for part in parts} == {85, 86}
    _, counts = class_counts(LABELS, parts)
    assert counts.min() >= 1


def test_shards_give_each_participant_two_classes_of_a_sorted_set() -> None:
    parts = class_shards(LABELS, 10, rng())
    assert {len(part) for part in parts} == {60}
    _, counts = class_counts(LABELS, parts)
    assert set((counts > 0).sum(axis=1).tolist()) <= {1, 2}


def test_mixtures_have_equal_sizes_and_their_skew_follows_the_concentration() -> None:
    def largest_share(concentration: float) -> float:
        parts = dirichlet_mixtures(LABELS, 10, concentration, rng())
        assert {len(part) for part in parts} == {60}
        _, counts = class_counts(LABELS, parts)
        return float((counts.max(axis=1) / counts.sum(axis=1)).mean())

    # 60 rows of ten equal classes: about a sixth is the largest share by chance alone.
    assert largest_share(1e6) < 0.25 < largest_share(10.0) < largest_share(0.01)
    assert largest_share(0.01) > 0.9


def test_shares_skew_sizes_too_and_respect_the_minimum() -> None:
    parts = dirichlet_shares(LABELS, 10, 0.5, rng(), min_rows=20)
    sizes = [len(part) for part in parts]
    assert min(sizes) >= 20
    assert max(sizes) > 2 * min(sizes)
    _, even = class_counts(LABELS, dirichlet_shares(LABELS, 10, 1e6, rng()))
    assert even.min() >= 5
    assert even.max() <= 7


def test_sizes_are_skewed_and_classes_are_not() -> None:
    labels = np.tile(np.arange(2), 5000)
    parts = dirichlet_sizes(len(labels), 5, 0.5, rng(), min_rows=200)
    sizes = np.array([len(part) for part in parts])
    assert sizes.min() >= 200
    assert sizes.max() > 3 * sizes.min()
    assert all(abs(labels[part].mean() - 0.5) < 0.15 for part in parts)


def test_the_minimum_holds_on_both_sides() -> None:
    assert [len(part) for part in dirichlet_sizes(12, 3, 1e9, rng(), min_rows=4)] == [4, 4, 4]
    with pytest.raises(ConfigError, match="12 rows cannot be divided into 3 parts of at least 5"):
        dirichlet_sizes(12, 3, 1e9, rng(), min_rows=5)


def test_a_minimum_that_is_never_drawn_is_refused_with_advice() -> None:
    with pytest.raises(ConfigError, match="raise the concentration"):
        dirichlet_shares(LABELS, 10, 0.001, rng(), min_rows=59)


@pytest.mark.parametrize("concentration", [0.0, -1.0, float("inf"), float("nan")])
def test_a_concentration_that_is_none_is_refused(concentration: float) -> None:
    for call in (dirichlet_mixtures, dirichlet_shares):
        with pytest.raises(ConfigError, match="concentration"):
            call(LABELS, 3, concentration, rng())
    with pytest.raises(ConfigError, match="concentration"):
        dirichlet_sizes(10, 3, concentration, rng())


def test_as_many_participants_as_rows_and_no_more() -> None:
    assert covers(iid(5, 5, rng()), 5)
    with pytest.raises(ConfigError, match="ask for fewer"):
        iid(5, 6, rng())
    with pytest.raises(ConfigError, match="at least 1"):
        iid(5, 0, rng())
    with pytest.raises(ConfigError, match="at least 1"):
        class_shards(LABELS, 3, rng(), shards_each=0)


def test_rows_without_classes_are_divided_by_chance_or_size_only() -> None:
    assert covers(drawn(Drawing(Kind.IID, 3), 10, None, rng()), 10)
    with pytest.raises(InputDataError, match="take iid or size"):
        drawn(Drawing(Kind.SHARDS, 3), 10, None, rng())


def test_no_rows_have_no_owners() -> None:
    with pytest.raises(InputDataError, match="no rows"):
        by_owner([])
