"""Deriving a whole round on several cores, where its blobs lie on this machine's own disk.

Every thread takes stripes of all vectors, so that hashing and summing are one pass. Only of rounds whose
inputs are all right something comes of it, be it to check a posting or to make one: whatever is not right is
looked at again, vector by vector, by `fl_chain.run.prover` or `fl_chain.run.rounds`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fl_chain.aggregation.round import Aggregate
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, chunk_count, depth
from fl_chain.commitment.merkle import subtree_root
from fl_chain.commitment.native import kernels_for
from fl_chain.commitment.partial_sums import partial_sum_count
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.seals import leaf, sealed_root
from fl_chain.commitment.sizes import HASH_BYTES
from fl_chain.records import Digest, Submission
from fl_chain.run.postings import PostingClaim
from fl_chain.run.sight import Sight
from fl_chain.run.stripes import (
    RoundFiles,
    StripeRoots,
    UpdateFile,
    compiled_stripes,
    opened,
    stripe_height,
    stripe_roots,
)
from fl_chain.run.verdicts import Right
from fl_chain.store import Store
from fl_chain.store.blobs import OPENING_BYTES

log = logging.getLogger(__name__)

LARGEST_LANE = 2**31  # in magnitude
WORTHWHILE_BYTES = 64 << 20  # of updates; below, loading the compiled loops costs more than it saves
SHARED_BYTES = 16 << 20  # where others of them are loaded already


@dataclass(frozen=True, slots=True)
class _Derived:
    """What follows from a round's inputs, which are what they have to be."""

    files: RoundFiles
    update_roots: tuple[Digest, ...]  # of the included ones
    sum_roots: tuple[Digest, ...]  # as a posting lists them
    model_root: Digest
    clamped: int


class StripedRounds:
    """Threads that derive rounds together; they start with the first round that is large enough.

    Args:
        pool: of the threads.
    """

    def __init__(self, pool: HashingPool) -> None:
        self.pool = pool

    def is_worthwhile(self, claim: PostingClaim) -> bool:
        """Return whether a round is large enough, and there are compiled loops here."""
        size_bytes = LANE.itemsize * claim.stored.dimension * len(claim.submissions)
        is_loaded = kernels_for(0) is not None
        least = min(SHARED_BYTES, WORTHWHILE_BYTES) if is_loaded else WORTHWHILE_BYTES
        return size_bytes >= least and compiled_stripes() is not None

    def right(self, claim: PostingClaim, store: Store, sight: Sight | None = None) -> Right | None:
        """Return the model of a posting that is right.

        Args:
            claim: the posting.
            store: where its round's blobs are.
            sight: takes what is seen of the included updates; it counts if the posting is found right.

        Returns:
            None where something is wrong, missing, not on this machine, or has to be looked at more closely,
            or where there are no compiled loops.
        """
        if compiled_stripes() is None:
            return None
        try:
            return self._right(claim, store, sight or Sight.nothing())
        except OSError as error:
            log.debug("round %d is derived vector by vector: %s", claim.stored.round, error)
            return None

    def aggregate(self, claim: PostingClaim, store: Store) -> Aggregate | None:
        """Return what the posting of a closed round has to say.

        Args:
            claim: the round; see `fl_chain.run.claims.closed_claim`.
            store: where its blobs are.

        Returns:
            As `right`: None where something is wrong or missing, or has to be looked at more closely.
        """
        if compiled_stripes() is None:
            return None
        try:
            derived = self._derived(claim, store, Sight.nothing(), is_published=True)
        except OSError as error:
            log.debug("round %d is summed vector by vector: %s", claim.stored.round, error)
            return None
        if derived is None:
            return None
        return Aggregate(
            partial_sum_roots=derived.sum_roots,
            chunk_hashes=tuple(one.tobytes() for one in derived.files.sum_hashes),
            total=derived.files.total,
            model=derived.files.model,
            model_root=derived.model_root,
            clamped=derived.clamped,
        )

    def _right(self, claim: PostingClaim, store: Store, sight: Sight) -> Right | None:
        derived = self._derived(claim, store, sight, is_published=False)
        said = tuple(claim.partial_sum_roots), claim.stored.model_root
        if derived is None or (derived.sum_roots, derived.model_root) != said:
            return None
        return Right(derived.files.model, derived.clamped, update_roots=derived.update_roots)

    def _derived(
        self, claim: PostingClaim, store: Store, sight: Sight, *, is_published: bool
    ) -> _Derived | None:
        """Return what follows from a round's inputs; None where one of them is not what it has to be."""
        stored = claim.stored
        files = _files(claim, store, is_published=is_published)
        if files is None or not 0 < stored.included_weight <= stored.quantisation.max_total_weight:
            return None  # a weight that the ledger cannot have taken: a node made it up
        pairs = zip(claim.submissions, files.updates, strict=True)
        roots = [_opened_root(claim, submission, file) for submission, file in pairs if file is not None]
        stripes = self._stripes(files, sight)
        height = stripe_height(stored.dimension)

        def root(parts: Iterable[bytes]) -> Digest:
            return Digest(subtree_root(b"".join(parts), height, depth(stored.dimension)))

        is_right = (
            all(stripe.is_in_range for stripe in stripes)
            and [root(s.updates[i] for s in stripes) for i in range(len(roots))] == roots
            and root(stripe.base for stripe in stripes) == stored.base_model_root
        )
        if not is_right:
            return None
        return _Derived(
            files=files,
            update_roots=tuple(one for one in roots if one is not None),
            sum_roots=tuple(root(parts) for parts in zip(*(s.sums for s in stripes), strict=True)),
            model_root=root(stripe.model for stripe in stripes),
            clamped=sum(stripe.clamped for stripe in stripes),
        )

    def _stripes(self, files: RoundFiles, sight: Sight) -> list[StripeRoots]:
        lanes = CHUNK_LANES << stripe_height(files.dimension)
        count = -(-files.dimension // lanes)
        with opened(files) as descriptors:
            return self.pool.map(lambda number: stripe_roots(files, descriptors, number, sight), range(count))


def _files(claim: PostingClaim, store: Store, *, is_published: bool) -> RoundFiles | None:
    """Return a round's files, with room for what is derived: for what is published of the sums if asked."""
    stored = claim.stored
    base = store.model_file(stored.base_model_root, stored.dimension)
    if base is None:
        return None
    updates: list[UpdateFile | None] = []
    for submission in claim.submissions:
        if submission.index in stored.excluded:
            updates.append(None)
            continue
        path = store.update_file(
            submission.participant,
            submission.sealed_root,
            stored.dimension,
            run=stored.run,
            round=stored.round,
        )
        if path is None:
            return None
        bound = min(stored.quantisation.clip_lanes * submission.weight, LARGEST_LANE)
        updates.append(UpdateFile(str(path), bound))
    sums = partial_sum_count(len(claim.submissions)) if is_published else 0
    return RoundFiles(
        dimension=stored.dimension,
        updates=tuple(updates),
        base=str(base),
        model=np.empty(stored.dimension, dtype=LANE),
        included_weight=stored.included_weight,
        quantisation=stored.quantisation,
        sum_hashes=np.empty((sums, chunk_count(stored.dimension), HASH_BYTES), dtype=np.uint8),
        total=np.empty(stored.dimension if is_published else 0, dtype=LANE),
    )


def _opened_root(claim: PostingClaim, submission: Submission, update: UpdateFile) -> Digest | None:
    """Return the vector root that a file's opening names; None where it does not open the leaf."""
    with Path(update.path).open("rb") as file:
        opening = file.read(OPENING_BYTES)
    root, salt = Digest(opening[:32]), opening[32:]
    stored, who = claim.stored, submission.participant
    sealed = sealed_root(root, salt, stored.run, stored.round, who)
    return root if leaf(sealed, submission.weight, who) == stored.leaves[submission.index] else None
