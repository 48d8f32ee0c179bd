"""Deriving a whole round on several cores, where its blobs lie on this machine's own disk.

Every thread takes stripes of all vectors, so that hashing and summing are one pass. The answer is only
whether everything is right: whatever is not, `fl_chain.run.prover` looks at again, vector by vector.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, wait

import numpy as np

from fl_chain.commitment.chunks import CHUNK_LANES, LANE, depth
from fl_chain.commitment.merkle import subtree_root
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.seals import leaf, sealed_root
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


class StripedRounds:
    """Threads that derive rounds together; they start with the first round that is large enough.

    Args:
        pool: of the threads.
    """

    def __init__(self, pool: HashingPool) -> None:
        self.pool = pool

    def is_worthwhile(self, claim: PostingClaim) -> bool:
        """Return whether a round is large enough, and there are compiled loops here."""
        size = LANE.itemsize * claim.stored.dimension * len(claim.submissions)
        return size >= WORTHWHILE_BYTES and compiled_stripes() is not None

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
        stored = claim.stored
        if compiled_stripes() is None or not (
            0 < stored.included_weight <= stored.quantisation.max_total_weight
        ):
            return None  # such a weight the ledger cannot have taken: a node made it up
        try:
            files = _files(claim, store)
            return None if files is None else BegunRound(claim, files, sight, self.pool)
        except OSError as error:
            _say_why(claim, error)
            return None


class BegunRound:
    """A round that threads are deriving. Its files are open until it has been asked for, or is closed.

    Args:
        claim: what is posted.
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
        """Wait for the threads; return the model where everything is right."""
        try:
            stripes = [future.result() for future in self._futures]
        except OSError as error:
            _say_why(self.claim, error)
            return None
        finally:
            self.close()
        return self._judged(stripes)

    def close(self) -> None:
        """Give up what has not been derived yet, and close the files."""
        for future in self._futures:
            future.cancel()
        wait(self._futures)
        self._opened.close()

    def _judged(self, stripes: list[StripeRoots]) -> Right | None:
        stored, roots = self.claim.stored, self._roots
        height = stripe_height(stored.dimension)

        def root(parts: list[bytes]) -> bytes:
            return subtree_root(b"".join(parts), height, depth(stored.dimension))

        is_right = (
            all(stripe.is_in_range for stripe in stripes)
            and [root([s.updates[i] for s in stripes]) for i in range(len(roots))] == roots
            and [root(list(parts)) for parts in zip(*(s.sums for s in stripes), strict=True)]
            == list(self.claim.partial_sum_roots)
            and root([stripe.base for stripe in stripes]) == stored.base_model_root
            and root([stripe.model for stripe in stripes]) == stored.model_root
        )
        if not is_right:
            return None
        clamped = sum(stripe.clamped for stripe in stripes)
        found = tuple(one for one in roots if one is not None)
        return Right(self._files.model, clamped, update_roots=found)


def _say_why(claim: PostingClaim, error: OSError) -> None:
    log.debug("round %d is derived vector by vector: %s", claim.stored.round, error)


def _files(claim: PostingClaim, store: Store) -> RoundFiles | None:
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
    return RoundFiles(
        dimension=stored.dimension,
        updates=tuple(updates),
        base=str(base),
        model=np.empty(stored.dimension, dtype=LANE),
        included_weight=stored.included_weight,
        quantisation=stored.quantisation,
    )


def _opened_root(claim: PostingClaim, submission: Submission, opening: bytes) -> Digest | None:
    """Return the vector root that an opening names; None where it does not open the leaf."""
    root, salt = Digest(opening[:32]), opening[32:]
    stored, who = claim.stored, submission.participant
    sealed = sealed_root(root, salt, stored.run, stored.round, who)
    return root if leaf(sealed, submission.weight, who) == stored.leaves[submission.index] else None
