"""The seeds and terms of a masked posting, derived again, and the proofs that one of them is wrong."""

from __future__ import annotations

from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.proofs import LeafOpening, MaskProof, PostedMasks, SeedProof
from fl_chain.commitment.tree import chunk_path
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.groups import MaskedGroup
from fl_chain.masking.shares import seed_commitment
from fl_chain.masking.unmasking import UnmaskingTerm, is_of_round_key, ring_terms, term_lanes
from fl_chain.records import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, Submission
from fl_chain.run.group_sums import GroupedRound
from fl_chain.run.postings import PostingClaim

_NO_LEAF = LeafOpening(ZERO_DIGEST, 0, ZERO_ADDRESS)


class PostedTerms:
    """What takes the masks off a posting.

    Args:
        claim: the posting.
        masks: what the ledger stores of its masks.
    """

    def __init__(self, claim: PostingClaim, masks: PostedMasks) -> None:
        stored = claim.stored
        self._claim, self._masks, self._dimension = claim, masks, stored.dimension
        self._context = MaskingContext(stored.run, stored.round, stored.base_model_root)
        self._keys = {one.participant: one for one in masks.keys}
        self._stayed = [one for one in claim.submissions if one.index not in stored.excluded]
        survivors = [one.participant for one in self._stayed]
        departed = [one.participant for one in masks.departed.exclusions] + list(masks.departed.absentees)
        self._owners = [self._keys[who] for who in survivors + departed]
        self._numbers = {who: number for number, who in enumerate(survivors + departed)}
        self._terms = ring_terms(survivors, departed if masks.pairs is None else ())
        self._terms += [UnmaskingTerm(*pair) for pair in masks.pairs or ()]

    def wrong_seed(self) -> int | None:
        """Return the number of the first seed that is not the one committed to; None where all are."""
        for number, owner in enumerate(self._owners):
            is_survivor = number < len(self._stayed)
            if owner.participant in self._masks.left and not any(self._masks.seeds[number]):
                continue
            commitment = owner.mask_commitment if is_survivor else owner.key_commitment
            if seed_commitment(self._masks.seeds[number]) != commitment:
                return number
        return None

    def spoiler(self) -> Address | None:
        """Return the first of the departed whose round key is not of its seed; None where there is none."""
        first = len(self._stayed)
        for owner, seed in zip(self._owners[first:], self._masks.seeds[first:], strict=True):
            if not is_of_round_key(owner, seed, self._context):
                return owner.participant
        return None

    def grouped(self) -> GroupedRound:
        """Return the groups of a round, with the seeds that take their masks off."""
        stored = self._claim.stored
        members = [one.participant for one in self._owners]
        return GroupedRound(
            groups=tuple(MaskedGroup(*one) for one in self._masks.groups),
            keys=self._keys,
            seeds=dict(zip(members, self._masks.seeds, strict=True)),
            weights={one.participant: one.weight for one in self._stayed},
            context=self._context,
            dimension=self._dimension,
            quantisation=stored.quantisation,
        )

    def lanes(self, term: int) -> Lanes:
        """Return a term's vector, from a seed that is right."""
        seed = self._masks.seeds[self._number(term)]
        return term_lanes(self._terms[term], seed, self._context, self._keys, self._dimension)

    def seed_proof(self, number: int) -> SeedProof:
        """Return the proof that a published seed is wrong."""
        masks, owner = self._masks, self._owners[number]
        leaf = _leaf(self._stayed[number]) if number < len(self._stayed) else _NO_LEAF
        return SeedProof(number, masks.seeds, masks.departed, masks.set_ups, owner, leaf)

    def mask_proof(self, term: int, chunk: int, hashes: bytes) -> MaskProof:
        """Return the proof that a term is wrong in a chunk.

        Args:
            term: its place in the posted list.
            chunk: in which it is wrong.
            hashes: the chunk hashes under the listed root.
        """
        masks, shared = self._masks, self._terms[term]
        peer = shared.owner if shared.peer is None else shared.peer
        return MaskProof(
            term=term,
            chunk=chunk,
            chunk_hash=Digest(hashes[32 * chunk : 32 * chunk + 32]),
            path=chunk_path(hashes, chunk, self._dimension),
            partial_sum_roots=tuple(self._claim.partial_sum_roots),
            seeds=masks.seeds,
            departed=masks.departed,
            set_ups=masks.set_ups,
            owner=self._owners[self._number(term)],
            peer=self._keys[peer],
            leaf=_leaf(self._stayed[self._numbers[peer]]),
        )

    def _number(self, term: int) -> int:
        """Return the number of the seed that gives a term."""
        return self._numbers[self._terms[term].owner]


def _leaf(submission: Submission) -> LeafOpening:
    return LeafOpening(submission.sealed_root, submission.weight, submission.participant)
