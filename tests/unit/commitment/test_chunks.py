import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_tree import random_lanes

from fl_chain.commitment.chunks import (
    CHUNK_LANES,
    LANE,
    chunk_count,
    depth,
    lane_blocks,
    lane_bytes,
    lanes_from_bytes,
    lanes_from_native,
    padded_chunk,
    padded_chunk_count,
    verify_lanes,
)
from fl_chain.errors import MalformedBlob


@pytest.mark.parametrize(
    ("dimension", "chunks", "levels"),
    [
        (1, 1, 0),
        (1024, 1, 0),
        (1025, 2, 1),
        (2048, 2, 1),
        (2049, 3, 2),
        (4096, 4, 2),
        (4097, 5, 3),
        (2**64 - 1, 2**54, 54),
    ],
)
def test_geometry(dimension: int, chunks: int, levels: int) -> None:
    assert chunk_count(dimension) == chunks
    assert depth(dimension) == levels
    assert padded_chunk_count(dimension) == 2**levels


@pytest.mark.parametrize("dimension", [0, -1, 2**64])
def test_a_dimension_out_of_range_is_refused(dimension: int) -> None:
    with pytest.raises(ValueError, match="dimension"):
        chunk_count(dimension)


@given(st.integers(1, 2**40))
def test_chunks_hold_the_lanes_and_no_chunk_is_empty(dimension: int) -> None:
    assert (chunk_count(dimension) - 1) * CHUNK_LANES < dimension <= chunk_count(dimension) * CHUNK_LANES
    assert padded_chunk_count(dimension) // 2 < chunk_count(dimension) <= padded_chunk_count(dimension)


def test_native_integers_become_big_endian_bytes_once_and_explicitly() -> None:
    assert lanes_from_native(np.array([1, 2**31], dtype=np.uint32)).tobytes().hex() == "0000000180000000"
    assert lanes_from_native(np.array([-1], dtype=np.int32)).tobytes().hex() == "ffffffff"


@pytest.mark.parametrize(
    "values",
    [np.zeros(2, dtype=np.int64), np.zeros(2), np.zeros((1, 2), dtype=np.uint32), np.zeros(2, dtype=LANE)],
)
def test_native_conversion_refuses_other_types(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint32 or int32"):
        lanes_from_native(values)


@pytest.mark.parametrize(
    "lanes",
    [
        np.zeros(4, dtype=np.uint32),
        np.zeros(4, dtype=">i4"),
        np.zeros(0, dtype=LANE),
        np.zeros((2, 2), dtype=LANE),
        np.zeros(8, dtype=LANE)[::2],
    ],
)
def test_what_cannot_be_hashed_where_it_lies_is_refused(lanes: np.ndarray) -> None:
    with pytest.raises(ValueError, match="lane"):
        verify_lanes(lanes)


def test_bytes_and_lanes_share_memory() -> None:
    lanes = random_lanes(5)
    view = lane_bytes(lanes)
    assert view == lanes.tobytes()
    again = lanes_from_bytes(view, 5)
    lanes[3] = 7
    assert again[3] == 7
    assert not lanes_from_bytes(bytes(view), 5).flags.writeable


@pytest.mark.parametrize("length", [0, 19, 21, 24])
def test_bytes_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(MalformedBlob, match="20 of 5 lanes"):
        lanes_from_bytes(bytes(length), 5)


def test_padded_chunks() -> None:
    lanes = random_lanes(2500)
    content = lanes.tobytes()
    assert padded_chunk(lanes, 0) == content[:4096]
    assert padded_chunk(lanes, 2) == content[8192:].ljust(4096, b"\x00")
    assert padded_chunk(lanes, 3) == bytes(4096)
    for index in (-1, 4):
        with pytest.raises(ValueError, match="outside the 4 chunks"):
            padded_chunk(lanes, index)


@given(st.integers(1, 300), st.integers(1, 50))
def test_blocks_cover_every_lane_once(dimension: int, block_lanes: int) -> None:
    covered = [lane for block in lane_blocks(dimension, block_lanes) for lane in range(dimension)[block]]
    assert covered == list(range(dimension))
