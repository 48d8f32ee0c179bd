import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tree import naive_root, random_lanes

from fl_chain.commitment import merkle
from fl_chain.commitment.chunks import LANE, chunk_count, depth, padded_chunk, padded_chunk_count
from fl_chain.commitment.tree import (
    chunk_path,
    root_of_chunk_hashes,
    vector_root,
    vector_tree,
    verify_chunk_path,
)
from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.records import Digest

BORDERS = [1, 2, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, 4096, 4097, 7168, 8191, 8193]


@pytest.mark.parametrize("dimension", BORDERS)
def test_root_equals_plain_recursion_at_chunk_borders(dimension: int) -> None:
    lanes = random_lanes(dimension)
    assert vector_root(lanes) == naive_root(lanes.tobytes())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40_000), st.integers(0, 2**32))
def test_root_equals_plain_recursion(dimension: int, seed: int) -> None:
    lanes = random_lanes(dimension, seed)
    assert vector_root(lanes) == naive_root(lanes.tobytes())


@pytest.mark.parametrize("chunks", [1023, 1024, 1025, 2048, 2049, 3000])
def test_root_equals_plain_recursion_at_block_borders(chunks: int) -> None:
    lanes = random_lanes(chunks * 1024 - 1)
    tree = vector_tree(lanes)
    assert tree.root == naive_root(lanes.tobytes())
    assert len(tree.chunk_hashes) == 32 * chunks
    assert root_of_chunk_hashes(tree.chunk_hashes, lanes.size) == tree.root


def test_one_chunk_is_its_own_root() -> None:
    lanes = random_lanes(1000)
    assert vector_root(lanes) == hashlib.sha256(b"\x00" + lanes.tobytes().ljust(4096, b"\x00")).digest()


def test_zero_subtree_roots_are_roots_of_zero_vectors() -> None:
    for level in range(6):
        root = vector_root(np.zeros(1024 << level, dtype=LANE))
        assert merkle.ZERO_SUBTREE_ROOTS[level] == root
    assert len(merkle.ZERO_SUBTREE_ROOTS) == 1 + depth(2**64 - 1)


def test_zero_lanes_at_the_end_do_not_move_the_root_within_a_padded_tree() -> None:
    # The dimension is fixed by the ledger, so this is no ambiguity.
    lanes = random_lanes(2100)
    assert vector_root(lanes) == vector_root(np.append(lanes, np.zeros(900, LANE)).astype(LANE))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000), st.data())
def test_any_altered_lane_moves_the_root(dimension: int, data: st.DataObject) -> None:
    lanes = random_lanes(dimension)
    before = vector_root(lanes)
    lanes[data.draw(st.integers(0, dimension - 1))] ^= np.uint32(1 << data.draw(st.integers(0, 31)))
    assert vector_root(lanes) != before


def test_read_only_and_offset_memory_is_hashed_where_it_lies() -> None:
    content = b"xyz" + random_lanes(1500).tobytes()
    lanes = np.frombuffer(content, dtype=LANE, offset=3)
    assert vector_root(lanes) == naive_root(content[3:])


def test_native_lanes_are_refused() -> None:
    with pytest.raises(ValueError, match="lanes_from_native"):
        vector_root(np.zeros(4, dtype=np.uint32))


@pytest.mark.parametrize("length", [0, 31, 32, 63, 65, 96])
def test_a_wrong_number_of_chunk_hashes_is_refused(length: int) -> None:
    with pytest.raises(MalformedBlob, match="2 chunk hashes"):
        root_of_chunk_hashes(bytes(length), 2048)
    with pytest.raises(MalformedBlob, match="2 chunk hashes"):
        chunk_path(bytes(length), 0, 2048)


@pytest.mark.parametrize("length", [0, 4095, 4097])
def test_a_chunk_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="4096 bytes"):
        merkle.chunk_hash(bytes(length))


@pytest.mark.parametrize("dimension", BORDERS)
def test_every_chunk_proves_its_place_padding_included(dimension: int) -> None:
    lanes = random_lanes(dimension)
    tree = vector_tree(lanes)
    for index in range(padded_chunk_count(dimension)):
        leaf = merkle.chunk_hash(padded_chunk(lanes, index))
        verify_chunk_path(tree.root, leaf, index, chunk_path(tree.chunk_hashes, index, dimension), dimension)


@settings(max_examples=60, deadline=None)
@given(st.integers(1025, 20_000), st.integers(0, 255), st.data())
def test_every_altered_piece_of_a_chunk_proof_is_refused(
    dimension: int, bit: int, data: st.DataObject
) -> None:
    lanes = random_lanes(dimension)
    tree = vector_tree(lanes)
    index = data.draw(st.integers(0, chunk_count(dimension) - 1))
    leaf = Digest(tree.chunk_hashes[32 * index : 32 * index + 32])
    path = chunk_path(tree.chunk_hashes, index, dimension)
    verify_chunk_path(tree.root, leaf, index, path, dimension)

    with pytest.raises(DigestMismatch):
        verify_chunk_path(flipped(tree.root, bit), leaf, index, path, dimension)
    with pytest.raises(DigestMismatch):
        verify_chunk_path(tree.root, flipped(leaf, bit), index, path, dimension)
    for level in range(len(path)):
        altered = [flipped(node, bit) if at == level else node for at, node in enumerate(path)]
        with pytest.raises(DigestMismatch):
            verify_chunk_path(tree.root, leaf, index, altered, dimension)
        with pytest.raises(DigestMismatch):
            verify_chunk_path(tree.root, leaf, index ^ (1 << level), path, dimension)
    for wrong_length in (path[:-1], (*path, path[-1])):
        with pytest.raises(MalformedBlob, match="chunk path"):
            verify_chunk_path(tree.root, leaf, index, wrong_length, dimension)


def flipped(digest: bytes, bit: int) -> Digest:
    altered = bytearray(digest)
    altered[bit // 8] ^= 1 << bit % 8
    return Digest(bytes(altered))


def test_a_proof_names_what_it_leads_to() -> None:
    lanes = random_lanes(2048)
    tree = vector_tree(lanes)
    path = chunk_path(tree.chunk_hashes, 0, 2048)
    with pytest.raises(DigestMismatch) as caught:
        verify_chunk_path(tree.root, tree.chunk_hashes[32:64], 0, path, 2048)
    assert caught.value.expected == tree.root
    assert caught.value.actual != tree.root


@pytest.mark.parametrize("index", [-1, 4])
def test_a_chunk_outside_the_tree_is_refused(index: int) -> None:
    tree = vector_tree(random_lanes(3000))
    path = chunk_path(tree.chunk_hashes, 0, 3000)
    with pytest.raises(MalformedBlob, match="outside"):
        verify_chunk_path(tree.root, tree.chunk_hashes[:32], index, path, 3000)
    with pytest.raises(ValueError, match="outside"):
        chunk_path(tree.chunk_hashes, index, 3000)


def test_digests_of_another_length_are_refused() -> None:
    tree = vector_tree(random_lanes(2000))
    path = chunk_path(tree.chunk_hashes, 0, 2000)
    with pytest.raises(MalformedBlob, match="chunk path"):
        verify_chunk_path(tree.root, tree.chunk_hashes[:32], 0, [path[0] + b"\x00"], 2000)
    with pytest.raises(ValueError, match="chunk hash must be 32 bytes"):
        verify_chunk_path(tree.root, tree.chunk_hashes[:33], 0, path, 2000)


def test_a_node_cannot_be_passed_off_as_a_chunk() -> None:
    tree = vector_tree(random_lanes(2048))
    children = tree.chunk_hashes[:64]
    assert merkle.chunk_hash(children.ljust(4096, b"\x00")) != tree.root
    with pytest.raises(MalformedBlob, match="chunk path"):  # an inner node with the rest of its path
        verify_chunk_path(tree.root, tree.root, 0, (), 2048)
