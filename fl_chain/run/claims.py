"""A posted round as the ledger and the stores have it: what the prover works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.commitment.proofs import PostedMasks, PostedRound
from fl_chain.commitment.tree import vector_tree
from fl_chain.errors import StoreError, VerificationError
from fl_chain.ledger.history import History
from fl_chain.records import ZERO_DIGEST, Digest, Exclusion, Submission
from fl_chain.run.masked_rounds import posted_masks
from fl_chain.run.postings import PostingClaim
from fl_chain.store import Store, Update


def posting_claim(
    history: History, round_id: int, *, outsiders: frozenset[int] = frozenset()
) -> PostingClaim:
    """Return what a round's standing posting says, and what the ledger stores about it.

    Args:
        history: of the run.
        round_id: the round.
        outsiders: the submissions, by index, whose participants are not in the round's cohort.

    Raises:
        KeyError: if the round has no posting that stands.
    """
    posting, submissions = history.postings[round_id], history.submissions[round_id]
    stored = _stored(
        history,
        round_id,
        posting.exclusions,
        included_weight=posting.included_weight,
        sums_hash=sums_hash(posting.partial_sum_roots),
        model_root=posting.model_root,
        masks=posted_masks(history, round_id, posting.poster) if history.is_masked else None,
    )
    roots = (posting.result_root, posting.state_root)
    return PostingClaim(
        stored, posting.partial_sum_roots, submissions, posting.exclusions, *roots, outsiders=outsiders
    )


def closed_claim(history: History, round_id: int, exclusions: Sequence[Exclusion]) -> PostingClaim:
    """Return the same of a round that nobody has posted: what a posting would say is zero or missing.

    Args:
        history: of the run.
        round_id: a closed round.
        exclusions: what is left out, ascending by index.
    """
    submissions = history.submissions[round_id]
    left_out = {exclusion.index for exclusion in exclusions}
    stored = _stored(
        history,
        round_id,
        exclusions,
        included_weight=sum(one.weight for one in submissions if one.index not in left_out),
        sums_hash=ZERO_DIGEST,
        model_root=ZERO_DIGEST,
    )
    return PostingClaim(stored, (), submissions, exclusions)


def _stored(
    history: History,
    round_id: int,
    exclusions: Sequence[Exclusion],
    *,
    included_weight: int,
    sums_hash: Digest,
    model_root: Digest,
    masks: PostedMasks | None = None,
) -> PostedRound:
    return PostedRound(
        run=history.run,
        round=round_id,
        dimension=history.definition.dimension,
        quantisation=history.policy.quantisation,
        leaves=[submission.leaf for submission in history.submissions[round_id]],
        excluded=frozenset(exclusion.index for exclusion in exclusions),
        included_weight=included_weight,
        sums_hash=sums_hash,
        base_model_root=history.model_root(history.rounds[round_id].base_round),
        model_root=model_root,
        masks=masks,
    )


@dataclass(frozen=True, slots=True)
class StoredBlobs:
    """A posted round's blobs in the stores; every read is checked against what the ledger has."""

    history: History
    store: Store
    base_model: Callable[[], Lanes]  # the model that the round started from
    carried: Callable[[], Lanes] = lambda: np.empty(0, dtype=LANE)  # what the base's round left besides

    def update(self, submission: Submission) -> Update:
        """See `RoundBlobs.update`."""
        return self.store.read_update(
            submission.participant,
            submission.sealed_root,
            self.history.definition.dimension,
            run=self.history.run,
            round=submission.round,
        )

    def sum_hashes(self, root: Digest) -> bytes:
        """See `RoundBlobs.sum_hashes`."""
        return self.store.read_sum(root, self.history.definition.dimension)

    def model_hashes(self, root: Digest) -> bytes:
        """Return the chunk hashes of a model: from its lanes, or from where those of sums are."""
        dimension = self.history.definition.dimension
        try:
            return vector_tree(self.store.read_model(root, dimension)).chunk_hashes
        except (StoreError, VerificationError) as error:
            try:
                return self.store.read_sum(root, dimension)
            except (StoreError, VerificationError):
                raise error from None
