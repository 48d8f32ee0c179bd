"""Building the smallest proof that a posting is wrong, from the vectors that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_chain.commitment.chunks import CHUNK_LANES, Lanes, padded_chunk
from fl_chain.commitment.merkle import ZERO_SUBTREE_ROOTS
from fl_chain.commitment.proofs import ApplyProof, RangeProof, SubmissionOpening, SumProof
from fl_chain.commitment.sizes import HASH_BYTES
from fl_chain.commitment.tree import VectorTree, chunk_path, vector_tree
from fl_chain.records import Digest


@dataclass(frozen=True, slots=True)
class OpenedChunk:
    """One chunk of a vector with what leads from it to the vector's root."""

    content: bytes  # 4096 bytes
    path: tuple[Digest, ...]  # siblings, lowest first


def opened_chunk(lanes: Lanes, tree: VectorTree, chunk: int) -> OpenedChunk:
    """Return a chunk of a vector that is at hand.

    Args:
        lanes: shape (dimension,), big-endian.
        tree: of these lanes.
        chunk: may be one of the padding.

    Raises:
        ValueError: if there is no such chunk.
    """
    return OpenedChunk(padded_chunk(lanes, chunk), chunk_path(tree.chunk_hashes, chunk, tree.dimension))


def differing_chunk(derived: bytes, posted: bytes) -> int:
    """Return the first chunk in which two vectors differ.

    Args:
        derived: the hashes of all chunks that hold lanes, 32 bytes each.
        posted: those of the other vector, of the same number.

    Raises:
        ValueError: if they do not differ.
    """
    for start in range(0, len(derived), HASH_BYTES):
        if derived[start : start + HASH_BYTES] != posted[start : start + HASH_BYTES]:
            return start // HASH_BYTES
    raise ValueError("the chunk hashes are the same, so the vectors are")


def sum_proof(
    index: int,
    chunk: int,
    *,
    posted_hashes: bytes,
    dimension: int,
    partial_sum_roots: Sequence[Digest],
    openings: Sequence[SubmissionOpening],
    summands: Sequence[OpenedChunk],
) -> SumProof:
    """Return the proof that a listed sum is wrong in a chunk.

    Args:
        index: of the sum in the posted list.
        chunk: in which it is wrong.
        posted_hashes: the chunk hashes under the listed root.
        dimension: lanes of the model.
        partial_sum_roots: the posted list.
        openings: of the included submissions of a group of level 1, ascending; none on other levels.
        summands: that chunk of everything that the sum adds up, in order.
    """
    return SumProof(
        index=index,
        chunk=chunk,
        chunk_hash=_chunk_hash(posted_hashes, chunk),
        path=chunk_path(posted_hashes, chunk, dimension),
        partial_sum_roots=tuple(partial_sum_roots),
        openings=tuple(openings),
        chunks=b"".join(summand.content for summand in summands),
        paths=tuple(sibling for summand in summands for sibling in summand.path),
    )


def range_proof(index: int, opening: SubmissionOpening, lanes: Lanes, lane: int) -> RangeProof:
    """Return the proof that an included update has a lane that no valid update has.

    Args:
        index: of the submission.
        opening: of its leaf.
        lanes: the update, up to the end of its last chunk where a lane past the dimension is meant.
        lane: index of the lane in the update.
    """
    chunk = lane // CHUNK_LANES
    opened = opened_chunk(lanes, vector_tree(lanes), chunk)
    return RangeProof(index, opening, chunk, lane % CHUNK_LANES, opened.content, opened.path)


def apply_proof(
    chunk: int,
    *,
    partial_sum_roots: Sequence[Digest],
    base: OpenedChunk,
    total: OpenedChunk,
    posted_hashes: bytes,
    dimension: int,
) -> ApplyProof:
    """Return the proof that a model does not follow from its total in a chunk.

    Args:
        chunk: in which it is wrong.
        partial_sum_roots: the posted list.
        base: that chunk of the model that the round started from.
        total: that chunk of the posted total.
        posted_hashes: the chunk hashes under the posted model's root.
        dimension: lanes of the model.
    """
    return ApplyProof(
        chunk=chunk,
        partial_sum_roots=tuple(partial_sum_roots),
        base_content=base.content,
        base_path=base.path,
        total_content=total.content,
        total_path=total.path,
        model_chunk_hash=_chunk_hash(posted_hashes, chunk),
        model_path=chunk_path(posted_hashes, chunk, dimension),
    )


def _chunk_hash(hashes: bytes, chunk: int) -> Digest:
    """Return the hash of a chunk of a vector; of a zero chunk where it is one of the padding."""
    return Digest(hashes[chunk * HASH_BYTES : (chunk + 1) * HASH_BYTES] or ZERO_SUBTREE_ROOTS[0])
