"""Whether a proof shows that a posting is wrong: what ChallengeVerifier.sol decides, check by check.

The order of the checks and the errors are the contract's, so that both refuse the same proof for the same
reason. Every length follows from what the ledger stores, never from the proof.
"""

from __future__ import annotations

import numpy as np

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.quantise import SIGNED_LANE
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, depth, padded_chunk_count
from fl_chain.commitment.merkle import chunk_hash
from fl_chain.commitment.partial_sums import children, list_index, place_of, sums_hash
from fl_chain.commitment.proofs import (
    ApplyProof,
    PostedRound,
    Proof,
    RangeProof,
    SubmissionOpening,
    SumProof,
)
from fl_chain.commitment.seals import leaf, sealed_root
from fl_chain.commitment.sizes import CHUNK_BYTES
from fl_chain.commitment.tree import path_root
from fl_chain.errors import ProofRejected
from fl_chain.records import AggregationKind, Digest, FallReason

_CHALLENGES = {
    AggregationKind.SUMS: frozenset({FallReason.SUM, FallReason.RANGE, FallReason.APPLY}),
    AggregationKind.SUMS_WITH_STATE: frozenset({FallReason.SUM, FallReason.RANGE}),
    AggregationKind.RESULT: frozenset({FallReason.RANGE}),
    AggregationKind.MASKED_SUMS: frozenset(
        {FallReason.SUM, FallReason.APPLY, FallReason.SEED, FallReason.MASK}
    ),
    AggregationKind.MASKED_RESULT: frozenset({FallReason.SEED}),
}


def challenges_of(kind: AggregationKind) -> frozenset[FallReason]:
    """Return which challenges exist in a run of a kind."""
    return _CHALLENGES[kind]


def verify_proof(proof: Proof, posted: PostedRound) -> None:
    """Check that a proof shows a posting to be wrong.

    Args:
        proof: of a wrong sum, range or model.
        posted: what the ledger stores of the round.

    Raises:
        ProofRejected: if it does not; carries the contract's custom error.
    """
    if isinstance(proof, SumProof):
        verify_sum_proof(proof, posted)
    elif isinstance(proof, RangeProof):
        verify_range_proof(proof, posted)
    elif isinstance(proof, ApplyProof):
        verify_apply_proof(proof, posted)
    else:
        raise TypeError(f"{type(proof).__name__} is about masks: see fl_chain.masking.challenges")


def is_proof(proof: Proof, posted: PostedRound) -> bool:
    """Return whether a proof shows a posting to be wrong."""
    try:
        verify_proof(proof, posted)
    except ProofRejected:
        return False
    return True


def verify_sum_proof(proof: SumProof, posted: PostedRound) -> None:
    """Check that the summands of a listed partial sum do not add up to it in one chunk.

    Raises:
        ProofRejected: see `verify_proof`.
    """
    _verify_list(proof.partial_sum_roots, posted)
    height = _depth_for(proof.chunk, posted)
    roots = _summand_roots(proof, posted)
    _verify_length("chunks", len(proof.chunks), len(roots) * CHUNK_BYTES)
    _verify_length("paths", len(proof.paths), len(roots) * height)
    _verify_length("path", len(proof.path), height)
    for number, root in enumerate(roots):
        content = proof.chunks[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        path = proof.paths[number * height : (number + 1) * height]
        _verify_path("paths", chunk_hash(content), proof.chunk, path, root)
    _verify_path("path", proof.chunk_hash, proof.chunk, proof.path, proof.partial_sum_roots[proof.index])
    if chunk_hash(chunk_sum(proof.chunks)) == proof.chunk_hash:
        raise ProofRejected("NothingWrong")


def verify_range_proof(proof: RangeProof, posted: PostedRound) -> None:
    """Check that an included update has a lane beyond its bound, or one that is set past the dimension.

    Raises:
        ProofRejected: see `verify_proof`.
    """
    submissions = len(posted.leaves)
    if proof.index >= submissions:
        raise ProofRejected("IndexOutOfBounds", index=proof.index, submissions=submissions)
    if proof.index in posted.excluded:
        raise ProofRejected("NotIncluded", round=posted.round, index=proof.index)
    if proof.lane >= CHUNK_LANES:
        raise ProofRejected("LaneOutOfBounds", lane=proof.lane)
    height = _depth_for(proof.chunk, posted)
    _verify_length("content", len(proof.content), CHUNK_BYTES)
    _verify_length("path", len(proof.path), height)
    root = _opened_root(proof.opening, proof.index, posted)
    _verify_path("path", chunk_hash(proof.content), proof.chunk, proof.path, root)
    value = int(np.frombuffer(proof.content, dtype=SIGNED_LANE)[proof.lane])
    is_past = proof.chunk * CHUNK_LANES + proof.lane >= posted.dimension
    bound = 0 if is_past else posted.quantisation.clip_lanes * proof.opening.weight
    if abs(value) <= bound:
        raise ProofRejected("NothingWrong")


def verify_apply_proof(proof: ApplyProof, posted: PostedRound) -> None:
    """Check that a chunk of the posted model is not what the posted total makes of the base model.

    Raises:
        ProofRejected: see `verify_proof`.
    """
    _verify_list(proof.partial_sum_roots, posted)
    height = _depth_for(proof.chunk, posted)
    _verify_length("baseContent", len(proof.base_content), CHUNK_BYTES)
    _verify_length("basePath", len(proof.base_path), height)
    _verify_length("totalContent", len(proof.total_content), CHUNK_BYTES)
    _verify_length("totalPath", len(proof.total_path), height)
    _verify_length("modelPath", len(proof.model_path), height)
    chunk, total_root = proof.chunk, proof.partial_sum_roots[-1]
    _verify_path("basePath", chunk_hash(proof.base_content), chunk, proof.base_path, posted.base_model_root)
    _verify_path("totalPath", chunk_hash(proof.total_content), chunk, proof.total_path, total_root)
    _verify_path("modelPath", proof.model_chunk_hash, chunk, proof.model_path, posted.model_root)
    model, _ = apply_sum(
        np.frombuffer(proof.base_content, dtype=LANE),
        np.frombuffer(proof.total_content, dtype=LANE),
        posted.included_weight,
        posted.quantisation,
    )
    if chunk_hash(model.tobytes()) == proof.model_chunk_hash:
        raise ProofRejected("NothingWrong")


def chunk_sum(chunks: bytes) -> bytes:
    """Return the sum of chunks of 4096 bytes, lane by lane modulo 2^32; of none: the zero chunk."""
    lanes = np.frombuffer(chunks, dtype=LANE).reshape(-1, CHUNK_LANES)
    total: Lanes = lanes.sum(axis=0, dtype=np.uint32).astype(LANE)
    return total.tobytes()


def _summand_roots(proof: SumProof, posted: PostedRound) -> list[Digest]:
    """Return the vector roots of what a listed sum adds up, without the excluded."""
    listed, submissions, terms = len(proof.partial_sum_roots), len(posted.leaves), posted.terms
    if not terms <= proof.index < listed:
        raise ProofRejected("IndexOutOfBounds", index=proof.index, submissions=listed)
    summands = submissions + terms
    level, position = place_of(proof.index - terms, summands)
    members = children(level, position, summands)
    if level > 1:
        _verify_length("openings", len(proof.openings), 0)
        first = terms + list_index(level - 1, members[0], summands)
        return list(proof.partial_sum_roots[first : first + len(members)])
    updates = [index for index in members if index < submissions]
    included = [index for index in updates if index not in posted.excluded]
    _verify_length("openings", len(proof.openings), len(included))
    pairs = zip(proof.openings, included, strict=True)
    opened = [_opened_root(opening, index, posted) for opening, index in pairs]
    return opened + [proof.partial_sum_roots[index - submissions] for index in members[len(updates) :]]


def _verify_list(roots: tuple[Digest, ...], posted: PostedRound) -> None:
    given = sums_hash(roots)
    if given != posted.sums_hash:
        raise ProofRejected("WrongPartialSums", given=given, expected=posted.sums_hash)


def _depth_for(chunk: int, posted: PostedRound) -> int:
    """Return the length of every path, if there is such a chunk."""
    chunks = padded_chunk_count(posted.dimension)
    if chunk >= chunks:
        raise ProofRejected("ChunkOutOfBounds", chunk=chunk, chunks=chunks)
    return depth(posted.dimension)


def _verify_length(field: str, given: int, expected: int) -> None:
    if given != expected:
        raise ProofRejected("WrongLength", field=field, given=given, expected=expected)


def _verify_path(field: str, node: bytes, chunk: int, path: tuple[Digest, ...], root: Digest) -> None:
    given = path_root(node, chunk, path)
    if given != root:
        raise ProofRejected("PathMismatch", field=field, given=given, expected=root)


def _opened_root(opening: SubmissionOpening, index: int, posted: PostedRound) -> Digest:
    """Return the vector root that a stored leaf opens to."""
    sealed = sealed_root(opening.vector_root, opening.salt, posted.run, posted.round, opening.participant)
    if leaf(sealed, opening.weight, opening.participant) != posted.leaves[index]:
        raise ProofRejected("LeafMismatch", round=posted.round, index=index)
    return opening.vector_root
