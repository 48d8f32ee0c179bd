"""Whether a proof about masks shows that a posting is wrong: what SecureAggregation.sol decides.

The order of the checks and the errors are the contract's, as in `fl_chain.aggregation.challenges`.
"""

from __future__ import annotations

import numpy as np

from fl_chain.commitment.chunks import CHUNK_LANES, LANE, depth, padded_chunk_count
from fl_chain.commitment.merkle import chunk_hash
from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.commitment.proofs import MaskProof, PostedMasks, PostedRound, SeedProof
from fl_chain.commitment.seals import leaf
from fl_chain.commitment.tree import path_root
from fl_chain.errors import ProofRejected
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.keys import round_private_key
from fl_chain.masking.masks import Mask, chunk_of_mask, is_subtracted, pair_mask_key, self_mask_key
from fl_chain.masking.setup import set_up_digest
from fl_chain.masking.shares import seed_commitment
from fl_chain.records import Address, Digest, PublishedKeys


def verify_seed_proof(proof: SeedProof, posted: PostedRound) -> None:
    """Check that a published seed is not the one that its owner committed to.

    Raises:
        ProofRejected: if the proof does not show it; carries the contract's custom error.
    """
    masks = _masks(posted)
    _verify_published(proof, masks)
    if proof.number >= len(proof.seeds):
        raise ProofRejected("IndexOutOfBounds", index=proof.number, submissions=len(proof.seeds))
    is_survivor = proof.number < masks.survivors
    if is_survivor:
        owner = _survivor(proof, proof.number, posted)
    else:
        owner = _departed(proof, proof.number - masks.survivors)
    _verify_set_up(proof.owner, owner, proof.set_ups)
    if owner in masks.left and not any(proof.seeds[proof.number]):
        raise ProofRejected("NothingWrong")
    expected = proof.owner.mask_commitment if is_survivor else proof.owner.key_commitment
    if seed_commitment(proof.seeds[proof.number]) == expected:
        raise ProofRejected("NothingWrong")


def verify_mask_proof(proof: MaskProof, posted: PostedRound) -> None:
    """Check that a chunk of a listed term is not what its seed gives.

    Raises:
        ProofRejected: if the proof does not show it; carries the contract's custom error.
    """
    masks = _masks(posted)
    _verify_published(proof, masks)
    given = sums_hash(proof.partial_sum_roots)
    if given != posted.sums_hash:
        raise ProofRejected("WrongPartialSums", given=given, expected=posted.sums_hash)
    chunks = padded_chunk_count(posted.dimension)
    if proof.chunk >= chunks:
        raise ProofRejected("ChunkOutOfBounds", chunk=proof.chunk, chunks=chunks)
    if len(proof.path) != depth(posted.dimension):
        raise ProofRejected(
            "WrongLength", field="path", given=len(proof.path), expected=depth(posted.dimension)
        )
    if proof.term >= masks.terms:
        raise ProofRejected("IndexOutOfBounds", index=proof.term, submissions=masks.terms)
    root = path_root(proof.chunk_hash, proof.chunk, proof.path)
    if root != proof.partial_sum_roots[proof.term]:
        expected = proof.partial_sum_roots[proof.term]
        raise ProofRejected("PathMismatch", field="path", given=root, expected=expected)
    mask = _mask(proof, posted, masks)
    lanes = min(CHUNK_LANES, max(0, posted.dimension - proof.chunk * CHUNK_LANES))
    content = np.zeros(CHUNK_LANES, dtype=LANE)
    content[:lanes] = chunk_of_mask(mask, proof.chunk)[:lanes]
    if chunk_hash(content.tobytes()) == proof.chunk_hash:
        raise ProofRejected("NothingWrong")


def _mask(proof: MaskProof, posted: PostedRound, masks: PostedMasks) -> Mask:
    context = MaskingContext(posted.run, posted.round, posted.base_model_root)
    if proof.term < masks.survivors:
        owner = _survivor(proof, proof.term, posted)
        return Mask(self_mask_key(proof.seeds[proof.term], context, owner), is_negative=True)
    if masks.pairs is None:
        number = proof.term // masks.survivors - 1
        peer = _survivor(proof, proof.term % masks.survivors, posted)
    else:
        gone, peer = masks.pairs[proof.term - masks.survivors]
        number = _all_departed(proof).index(gone)
        if proof.peer.participant != peer:
            raise ProofRejected("NotTheVertex", participant=proof.peer.participant, expected=peer)
    owner = _departed(proof, number)
    _verify_set_up(proof.peer, peer, proof.set_ups)
    private = round_private_key(proof.seeds[masks.survivors + number], context)
    key = pair_mask_key(private, proof.peer.round_key, context, (owner, peer))
    return Mask(key, is_negative=not is_subtracted(peer, owner))


def _masks(posted: PostedRound) -> PostedMasks:
    if posted.masks is None:
        raise ProofRejected("NoSuchChallenge")
    return posted.masks


def _verify_published(proof: SeedProof | MaskProof, masks: PostedMasks) -> None:
    if proof.seeds != masks.seeds:
        raise ProofRejected("WrongSeeds")
    if proof.departed != masks.departed:
        raise ProofRejected("WrongDeparted")
    if proof.set_ups != masks.set_ups:
        raise ProofRejected("WrongRing")


def _survivor(proof: SeedProof | MaskProof, number: int, posted: PostedRound) -> Address:
    """Return the participant whose submission is the ``number``th of those that stay."""
    staying = [index for index in range(len(posted.leaves)) if index not in posted.excluded]
    index, opened = staying[number], proof.leaf
    if leaf(opened.sealed_root, opened.weight, opened.participant) != posted.leaves[index]:
        raise ProofRejected("LeafMismatch", round=posted.round, index=index)
    return opened.participant


def _departed(proof: SeedProof | MaskProof, number: int) -> Address:
    return _all_departed(proof)[number]


def _all_departed(proof: SeedProof | MaskProof) -> list[Address]:
    excluded = [one.participant for one in proof.departed.exclusions]
    return [*excluded, *proof.departed.absentees]


def _verify_set_up(keys: PublishedKeys, participant: Address, set_ups: tuple[Digest, ...]) -> None:
    if keys.participant != participant:
        raise ProofRejected("WrongMember", given=keys.participant, expected=participant)
    if set_up_digest(keys) not in set_ups:
        raise ProofRejected("WrongRing")
