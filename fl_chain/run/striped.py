"""Deriving a whole round on several cores, where its blobs lie on this machine's own disk.

Every thread takes stripes of all vectors, so that hashing and summing are one pass. Only of rounds whose
inputs are all right something comes of it, be it to check a posting or to make one: whatever is not right is
looked at again, vector by vector, by `fl_chain.run.prover` or `fl_chain.run.rounds`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass

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
    OpenFiles,
    RoundFiles,
    StripeRoots,
    UpdateFile,
    compiled_stripes,
    stripe_height,
    stripe_roots,
)
from fl_chain.run.verdicts import Right
from fl_chain.store import Store

log = logging.getLogger(__name__)

LARGEST_LANE = 2**31  # in magnitude
WORTHWHILE_BYTES = 64 << 20  # of updates; below, loading the compiled loops costs more than it saves
SHARED_BYTES = 16 << 20  # where others of them are loaded already


@dataclass(frozen=True, slots=True)
class _Derived:
    """What follows from a round's inputs, which are what they have to be."""

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
        """Return whether a round is plain and large enough, and there are compiled loops here."""
        if claim.stored.masks is not None:
            return False  # what takes its masks off is added as well
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
        begun = self.begin(claim, store, sight or Sight.nothing())
        return None if begun is None else begun.right()

    def begin(self, claim: PostingClaim, store: Store, sight: Sight) -> BegunRound | None:
        """Have the threads derive a round, and do not wait for them; the arguments are those of `right`.

        Returns:
            None where `right` would say None without having hashed anything.
        """
        return self._begin(claim, store, sight, is_published=False)

    def aggregate(self, claim: PostingClaim, store: Store) -> Aggregate | None:
        """Return what the posting of a closed round has to say.

        Args:
            claim: the round; see `fl_chain.run.claims.closed_claim`.
            store: where its blobs are.

        Returns:
            As `right`: None where something is wrong or missing, or has to be looked at more closely.
        """
        begun = self._begin(claim, store, Sight.nothing(), is_published=True)
        return None if begun is None else begun.aggregate()

    def _begin(
        self, claim: PostingClaim, store: Store, sight: Sight, *, is_published: bool
    ) -> BegunRound | None:
        stored = claim.stored
        if compiled_stripes() is None or not (
            0 < stored.included_weight <= stored.quantisation.max_total_weight
        ):
            return None  # such a weight the ledger cannot have taken: a node made it up
        try:
            files = _files(claim, store, is_published=is_published)
            return None if files is None else BegunRound(claim, files, sight, self.pool)
        except OSError as error:
            _say_why(claim, error)
            return None


class BegunRound:
    """A round that threads are deriving. Its files are open until it has been asked for, or is closed.

    Args:
        claim: the round, and what is posted.
        files: of the round.
        sight: takes what is seen of the included updates.
        pool: whose threads work.

    Raises:
        OSError: if a file cannot be opened or read.
    """

    def __init__(self, claim: PostingClaim, files: RoundFiles, sight: Sight, pool: HashingPool) -> None:
        self.claim, self.sight = claim, sight
        self._files, self._opened = files, OpenFiles(files)
        self._futures: tuple[Future[StripeRoots], ...] = ()
        lanes = CHUNK_LANES << stripe_height(files.dimension)
        try:
            self._roots = [
                _opened_root(claim, submission, self._opened.opening(submission.index))
                for submission in claim.submissions
                if submission.index not in claim.stored.excluded
            ]
            self._futures = pool.begin(
                lambda number: stripe_roots(files, self._opened, number, sight),
                range(-(-files.dimension // lanes)),
            )
        except BaseException:
            self.close()
            raise

    def right(self) -> Right | None:
        """Wait for the threads; return the model where the posting is right."""
        derived = self._derived()
        said = tuple(self.claim.partial_sum_roots), self.claim.stored.model_root
        if derived is None or (derived.sum_roots, derived.model_root) != said:
            return None
        return Right(self._files.model, derived.clamped, update_roots=derived.update_roots)

    def aggregate(self) -> Aggregate | None:
        """Wait for the threads; return what a posting has to say where every input is right."""
        derived = self._derived()
        if derived is None:
            return None
        return Aggregate(
            partial_sum_roots=derived.sum_roots,
            chunk_hashes=tuple(one.tobytes() for one in self._files.sum_hashes),
            total=self._files.total,
            model=self._files.model,
            model_root=derived.model_root,
            clamped=derived.clamped,
        )

    def close(self) -> None:
        """Give up what has not been derived yet, and close the files."""
        for future in self._futures:
            future.cancel()
        wait(self._futures)
        self._opened.close()

    def _derived(self) -> _Derived | None:
        """Return what follows from the round's inputs; None where one of them is not what it has to be."""
        try:
            stripes = [future.result() for future in self._futures]
        except OSError as error:
            _say_why(self.claim, error)
            return None
        finally:
            self.close()
        stored, roots = self.claim.stored, self._roots
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
            update_roots=tuple(one for one in roots if one is not None),
            sum_roots=tuple(root(parts) for parts in zip(*(s.sums for s in stripes), strict=True)),
            model_root=root(stripe.model for stripe in stripes),
            clamped=sum(stripe.clamped for stripe in stripes),
        )


def _say_why(claim: PostingClaim, error: OSError) -> None:
    log.debug("round %d is derived vector by vector: %s", claim.stored.round, error)


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


def _opened_root(claim: PostingClaim, submission: Submission, opening: bytes) -> Digest | None:
    """Return the vector root that an opening names; None where it does not open the leaf."""
    root, salt = Digest(opening[:32]), opening[32:]
    stored, who = claim.stored, submission.participant
    sealed = sealed_root(root, salt, stored.run, stored.round, who)
    return root if leaf(sealed, submission.weight, who) == stored.leaves[submission.index] else None
