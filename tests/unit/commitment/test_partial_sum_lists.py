import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.commitment.partial_sums import (
    children,
    level_sizes,
    list_index,
    partial_sum_count,
    sums_hash,
)
from fl_chain.records import Digest


@pytest.mark.parametrize(
    ("submissions", "sizes"),
    [
        (1, (1,)),
        (8, (1,)),
        (9, (2, 1)),
        (64, (8, 1)),
        (65, (9, 2, 1)),
        (100, (13, 2, 1)),
        (512, (64, 8, 1)),
        (513, (65, 9, 2, 1)),
    ],
)
def test_level_sizes(submissions: int, sizes: tuple[int, ...]) -> None:
    assert level_sizes(submissions) == sizes
    assert partial_sum_count(submissions) == sum(sizes)


@given(st.integers(1, 5000))
def test_every_submission_is_added_exactly_once_on_every_level(submissions: int) -> None:
    below = submissions
    positions = []
    for level, size in enumerate(level_sizes(submissions), start=1):
        members = [child for position in range(size) for child in children(level, position, submissions)]
        assert members == list(range(below))
        assert all(1 <= len(children(level, position, submissions)) <= 8 for position in range(size))
        positions += [list_index(level, position, submissions) for position in range(size)]
        below = size
    assert positions == list(range(partial_sum_count(submissions)))
    assert below == 1


@pytest.mark.parametrize("submissions", [0, -1])
def test_no_submission_has_no_sum(submissions: int) -> None:
    with pytest.raises(ValueError, match="have no sum"):
        level_sizes(submissions)


@pytest.mark.parametrize(("level", "position"), [(0, 0), (1, 2), (1, -1), (2, 1), (3, 0)])
def test_a_partial_sum_that_is_not_there_is_refused(level: int, position: int) -> None:
    with pytest.raises(ValueError, match="no partial sum"):
        children(level, position, 9)
    with pytest.raises(ValueError, match="no partial sum"):
        list_index(level, position, 9)


def test_sums_hash_depends_on_order() -> None:
    roots = [Digest(bytes([number]) * 32) for number in range(3)]
    assert sums_hash(roots) != sums_hash(roots[::-1])
    assert sums_hash(roots) != sums_hash(roots[:2])


def test_sums_hash_of_a_rule_without_sums_is_that_of_the_tag_alone() -> None:
    assert sums_hash([]) == hashlib.sha256(b"\x03").digest()


def test_sums_hash_refuses_what_could_be_read_two_ways() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        sums_hash([Digest(bytes(64))])
