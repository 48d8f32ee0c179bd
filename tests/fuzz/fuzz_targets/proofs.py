"""Chunk paths, chunk hashes and vectors: proofs with bytes of somebody else."""

from __future__ import annotations

from choices import Choices

from fl_chain.commitment.chunks import LANE, chunk_count, depth, lanes_from_bytes, padded_chunk
from fl_chain.commitment.merkle import chunk_hash
from fl_chain.commitment.tree import chunk_path, root_of_chunk_hashes, vector_tree, verify_chunk_path
from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.records import Digest

COVERS = ("fl_chain.commitment.tree", "fl_chain.commitment.chunks", "fl_chain.commitment.merkle")

DIMENSIONS = (1, 1024, 1025, 2048, 2049, 5000, 2**20, 2**32, 2**64 - 1)


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    match choices.below(3):
        case 0:
            _foreign_path(choices)
        case 1:
            _own_path_altered(choices)
        case _:
            _vector(choices)


def _foreign_path(choices: Choices) -> None:
    dimension, index = choices.pick(DIMENSIONS), choices.integer()
    path = [choices.take(choices.pick((32, 32, 32, 31, 33, 0))) for _ in range(choices.below(60))]
    node = choices.padded(32)
    try:
        verify_chunk_path(Digest(choices.take(32).ljust(32, b"\1")), node, index, path, dimension)
    except (DigestMismatch, MalformedBlob):
        return
    assert not path, "a path to a root that was not computed"  # of one chunk, its hash is the root


def _own_path_altered(choices: Choices) -> None:
    dimension = choices.pick(DIMENSIONS[:6])
    hashes = choices.padded(32 * chunk_count(dimension))
    root = root_of_chunk_hashes(hashes, dimension)
    index = choices.below(1 << depth(dimension))
    path = list(chunk_path(hashes, index, dimension))
    node = hashes[32 * index : 32 * index + 32] or chunk_hash(bytes(4096))
    verify_chunk_path(root, node, index, path, dimension)
    if not path:
        return
    at, other = choices.below(len(path)), choices.padded(32)
    is_same = path[at] == other
    path[at] = Digest(other)
    try:
        verify_chunk_path(root, node, index, path, dimension)
    except DigestMismatch:
        assert not is_same
        return
    assert is_same


def _vector(choices: Choices) -> None:
    dimension, content = choices.pick(DIMENSIONS), choices.rest()
    if choices.byte() == 0 and len(content) >= 4:
        dimension, content = len(content) // 4, content[: len(content) // 4 * 4]
    try:
        lanes = lanes_from_bytes(content, dimension)
        tree = vector_tree(lanes)
        assert root_of_chunk_hashes(tree.chunk_hashes, dimension) == tree.root
    except MalformedBlob:
        assert len(content) != dimension * LANE.itemsize
        return
    last = chunk_count(dimension) - 1
    verify_chunk_path(
        tree.root,
        chunk_hash(padded_chunk(lanes, last)),
        last,
        chunk_path(tree.chunk_hashes, last, dimension),
        dimension,
    )
    try:
        root_of_chunk_hashes(tree.chunk_hashes + b"\0", dimension)
    except MalformedBlob:
        return
    raise AssertionError("a hash too many")


def seeds() -> list[bytes]:
    path = bytes([0, 4, 0, 2, 3]) + b"\0" + bytes(32) + b"\0" + bytes(32)
    return [
        path,
        bytes([1, 5, 1, 1]),
        bytes([1, 2]) + bytes(range(96)),
        bytes([2, 0]) + bytes(16),
        b"\2\1" + bytes(4096),
    ]
