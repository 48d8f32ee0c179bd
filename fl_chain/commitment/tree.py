"""The vector root and what proves that a chunk belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fl_chain.commitment.chunks import (
    LANE,
    Lanes,
    chunk_count,
    depth,
    lane_bytes,
    verify_chunk_index,
)
from fl_chain.commitment.encoding import bytes32
from fl_chain.commitment.merkle import (
    BLOCK_BYTES,
    BLOCK_LEVEL,
    ZERO_SUBTREE_ROOTS,
    hash_block,
    hash_chunks,
    node_hash,
    subtree_root,
)
from fl_chain.commitment.native import hashing_for
from fl_chain.commitment.sizes import HASH_BYTES
from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.records import Digest

if TYPE_CHECKING:
    from fl_chain.commitment.pool import HashingPool

__all__ = [
    "LANE",
    "Lanes",
    "VectorTree",
    "chunk_path",
    "path_root",
    "root_of_chunk_hashes",
    "vector_root",
    "vector_tree",
    "verify_chunk_path",
]


@dataclass(frozen=True, slots=True)
class VectorTree:
    """A vector's root with the hashes below it."""

    dimension: int  # lanes
    chunk_hashes: bytes  # 32 bytes for each chunk that holds lanes, without the padding chunks
    root: Digest


def vector_tree(lanes: Lanes, *, pool: HashingPool | None = None) -> VectorTree:
    """Return a vector's root and its chunk hashes.

    Args:
        lanes: shape (dimension,), contiguous big-endian uint32. Nothing is copied but an incomplete last
            chunk.
        pool: threads to share the work with; small vectors stay in this one.

    Raises:
        ValueError: if the lanes are of another form.
    """
    view = lane_bytes(lanes)
    height = depth(lanes.size)
    if height <= BLOCK_LEVEL:
        hashes = hash_chunks(view)
        return VectorTree(lanes.size, hashes, Digest(subtree_root(hashes, 0, height)))
    hashing_for(len(view))  # loads them where the whole vector is worth it: a single block never is
    if pool is not None and pool.is_worthwhile(len(view)):
        blocks = pool.hash_blocks(view)
    else:
        starts = range(0, len(view), BLOCK_BYTES)
        blocks = [hash_block(view[start : start + BLOCK_BYTES]) for start in starts]
    root = subtree_root(b"".join([root for _, root in blocks]), BLOCK_LEVEL, height)
    return VectorTree(lanes.size, b"".join([hashes for hashes, _ in blocks]), Digest(root))


def vector_root(lanes: Lanes, *, pool: HashingPool | None = None) -> Digest:
    """Return the root that stands for a vector: a model, an update, a sum or a state.

    Args:
        lanes: shape (dimension,), contiguous big-endian uint32.
        pool: threads to share the work with; small vectors stay in this one.

    Raises:
        ValueError: if the lanes are of another form.
    """
    return vector_tree(lanes, pool=pool).root


def root_of_chunk_hashes(hashes: bytes, dimension: int) -> Digest:
    """Return the vector root from the hashes of all chunks that hold lanes.

    Raises:
        MalformedBlob: if their number is not the one that ``dimension`` lanes have.
    """
    _verify_hash_count(hashes, dimension)
    return Digest(subtree_root(hashes, 0, depth(dimension)))


def chunk_path(hashes: bytes, index: int, dimension: int) -> tuple[Digest, ...]:
    """Return the siblings from a chunk up to the root.

    Args:
        hashes: of all chunks that hold lanes, 32 bytes each.
        index: of the chunk, which may be one of the padding.
        dimension: lanes of the vector.

    Raises:
        MalformedBlob: if the number of hashes is not the one that ``dimension`` lanes have.
        ValueError: if there is no such chunk.
    """
    _verify_hash_count(hashes, dimension)
    verify_chunk_index(index, dimension)
    path = []
    for level in range(depth(dimension)):
        sibling = (index >> level) ^ 1
        span = HASH_BYTES << level
        below = hashes[sibling * span : (sibling + 1) * span]
        path.append(Digest(subtree_root(below, 0, level) if below else ZERO_SUBTREE_ROOTS[level]))
    return tuple(path)


def verify_chunk_path(
    root: Digest, chunk_hash: bytes, index: int, path: Sequence[bytes], dimension: int
) -> None:
    """Check that a chunk stands at an index of the vector with this root.

    Args:
        root: the vector root, 32 bytes.
        chunk_hash: of the padded chunk, 32 bytes.
        index: of the chunk, which may be one of the padding.
        path: its siblings, lowest first; their number follows from the dimension, never from the proof.
        dimension: lanes of the vector.

    Raises:
        MalformedBlob: if the path has another length than the tree, or the tree has no such chunk.
        DigestMismatch: if it leads to another root.
    """
    if len(path) != depth(dimension) or any(len(sibling) != HASH_BYTES for sibling in path):
        raise MalformedBlob(
            f"a chunk path for {dimension} lanes has {depth(dimension)} digests, not {len(path)}"
        )
    if not 0 <= index < 1 << len(path):
        raise MalformedBlob(f"chunk {index} is outside the {1 << len(path)} chunks of {dimension} lanes")
    node = path_root(bytes32(chunk_hash, "the chunk hash"), index, path)
    if node != root:
        raise DigestMismatch(f"the path of chunk {index}", expected=root, actual=node)


def path_root(chunk_hash: bytes, index: int, path: Sequence[bytes]) -> Digest:
    """Return where a path leads to; the caller fixes its length, or a node would pass for a chunk.

    Args:
        chunk_hash: of the padded chunk, 32 bytes.
        index: of the chunk.
        path: its siblings, lowest first, 32 bytes each.
    """
    node = chunk_hash
    for level, sibling in enumerate(path):
        node = node_hash(sibling, node) if index >> level & 1 else node_hash(node, sibling)
    return Digest(node)


def _verify_hash_count(hashes: bytes, dimension: int) -> None:
    expected = chunk_count(dimension)
    if len(hashes) != expected * HASH_BYTES:
        raise MalformedBlob(
            f"{len(hashes)} bytes instead of the {expected * HASH_BYTES} of {expected} chunk hashes"
        )
