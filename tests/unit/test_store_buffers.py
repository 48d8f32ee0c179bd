"""Memory of blobs is used again when nobody looks at it any more, and never before."""

import gc
from collections.abc import Iterator

import numpy as np
import pytest

from fl_chain.store import buffers
from fl_chain.store.buffers import LARGEST_BYTES, MOST_BUFFERS, SMALLEST_BYTES, empty_buffer

SIZE = SMALLEST_BYTES + 4096


@pytest.fixture(autouse=True)
def _none_idle() -> Iterator[None]:
    gc.collect()
    buffers._idle.clear()
    yield
    buffers._idle.clear()


def place(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again() -> None:
    first = empty_buffer(SIZE)
    where = place(first)
    del first
    second = empty_buffer(SIZE - 4096)
    assert place(second) == where
    assert second.shape == (SIZE - 4096,)


@pytest.mark.parametrize(
    "look",
    [
        lambda array: array[64:].view(">u4"),
        lambda array: np.frombuffer(array.data[8:], dtype=np.uint8),
        lambda array: array[:64][::2],
    ],
)
def test_memory_that_something_looks_at_is_left_alone(look) -> None:
    array = empty_buffer(SIZE)
    array[:] = 7
    kept = look(array)
    expected = kept.copy()
    del array
    for _ in range(MOST_BUFFERS):
        empty_buffer(SIZE)[:] = 9
    assert np.array_equal(kept, expected)


def test_two_buffers_at_once_are_two() -> None:
    one, two = empty_buffer(SIZE), empty_buffer(SIZE)
    one[:], two[:] = 1, 2
    assert (one == 1).all()
    assert (two == 2).all()


@pytest.mark.parametrize(("size", "is_kept"), [(SMALLEST_BYTES - 1, False), (SMALLEST_BYTES, True)])
def test_small_buffers_are_the_allocators(size: int, is_kept: bool) -> None:
    array = empty_buffer(size)
    del array
    assert len(buffers._idle) == is_kept


@pytest.mark.parametrize(("size", "is_kept"), [(LARGEST_BYTES, True), (LARGEST_BYTES + 1, False)])
def test_large_buffers_are_not_kept(size: int, is_kept: bool) -> None:
    array = empty_buffer(size)
    del array
    assert len(buffers._idle) == is_kept


def test_few_buffers_lie_idle() -> None:
    several = [empty_buffer(SIZE) for _ in range(MOST_BUFFERS + 2)]
    del several
    assert len(buffers._idle) == MOST_BUFFERS


@pytest.mark.parametrize(("size", "fits"), [(2 * SMALLEST_BYTES, True), (4 * SMALLEST_BYTES + 2, False)])
def test_memory_that_is_far_too_large_is_let_go(size: int, fits: bool) -> None:
    first = empty_buffer(size)
    where = place(first)
    del first
    second = empty_buffer(size // 2 if fits else SMALLEST_BYTES)
    assert len(buffers._idle) == 0
    assert (place(second) == where) == fits
    assert second.base is not None
