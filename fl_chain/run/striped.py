"""Deriving a whole round on several cores, where its blobs lie on this machine's own disk.

Every process takes stripes of all vectors, so that hashing and summing are one pass and no vector travels
between processes. The answer is only whether everything is right: whatever is not, `fl_chain.run.prover`
looks at again, vector by vector.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from fl_chain.commitment.chunks import CHUNK_LANES, LANE, depth
from fl_chain.commitment.merkle import subtree_root
from fl_chain.commitment.seals import leaf, sealed_root
from fl_chain.records import Digest, Submission
from fl_chain.run.prover import PostingClaim
from fl_chain.run.stripes import (
    RoundFiles,
    StripeRoots,
    UpdateFile,
    stripe_height,
    stripe_roots,
)
from fl_chain.run.verdicts import Right
from fl_chain.store import Store
from fl_chain.store.blobs import OPENING_BYTES

log = logging.getLogger(__name__)

WORTHWHILE_BYTES = 64 << 20  # of updates; below, starting processes costs more than it saves


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class StripedRounds:
    """Processes that derive rounds together; they start with the first round that is large enough.

    Args:
        processes: how many, usually the number of cores.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def is_worthwhile(self, claim: PostingClaim) -> bool:
        """Return whether a round is large enough."""
        size = LANE.itemsize * claim.stored.dimension * len(claim.submissions)
        return hasattr(os, "memfd_create") and size >= WORTHWHILE_BYTES

    def right(self, claim: PostingClaim, store: Store) -> Right | None:
        """Return the model of a posting that is right.

        Returns:
            None where something is wrong, missing, not on this machine, or has to be looked at more closely.
        """
        model = os.memfd_create("fl_chain model")
        try:
            os.ftruncate(model, LANE.itemsize * claim.stored.dimension)
            return self._right(claim, store, model)
        except (OSError, BrokenProcessPool) as error:
            log.debug("round %d is derived in one process: %s", claim.stored.round, error)
            self.close()
            return None
        finally:
            os.close(model)

    def close(self) -> None:
        """End the processes; the next round starts new ones."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _right(self, claim: PostingClaim, store: Store, model: int) -> Right | None:
        stored = claim.stored
        files = self._files(claim, store, model)
        if files is None:
            return None
        pairs = zip(claim.submissions, files.updates, strict=True)
        opened = [_opened_root(claim, submission, file) for submission, file in pairs if file is not None]
        stripes = self._stripes(files)
        height = stripe_height(stored.dimension)

        def root(parts: list[bytes]) -> bytes:
            return subtree_root(b"".join(parts), height, depth(stored.dimension))

        is_right = (
            all(stripe.is_in_range for stripe in stripes)
            and [root([s.updates[i] for s in stripes]) for i in range(len(opened))] == opened
            and [root([s.sums[i] for s in stripes]) for i in range(len(claim.partial_sum_roots))]
            == list(claim.partial_sum_roots)
            and root([stripe.base for stripe in stripes]) == stored.base_model_root
            and root([stripe.model for stripe in stripes]) == stored.model_root
        )
        if not is_right:
            return None
        lanes = np.empty(stored.dimension, dtype=LANE)
        os.preadv(model, [lanes.view(np.uint8).data], 0)
        return Right(lanes, sum(stripe.clamped for stripe in stripes))

    def _stripes(self, files: RoundFiles) -> list[StripeRoots]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.processes, mp_context=get_context("spawn"))
        lanes = CHUNK_LANES << stripe_height(files.dimension)
        count = -(-files.dimension // lanes)
        return list(self._pool.map(stripe_roots, [files] * count, range(count)))

    def _files(self, claim: PostingClaim, store: Store, model: int) -> RoundFiles | None:
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
            bound = stored.quantisation.clip_lanes * submission.weight
            updates.append(UpdateFile(str(path), OPENING_BYTES, bound))
        return RoundFiles(
            dimension=stored.dimension,
            updates=tuple(updates),
            base=str(base),
            model=f"/proc/{os.getpid()}/fd/{model}",
            included_weight=stored.included_weight,
            quantisation=stored.quantisation,
        )


def _opened_root(claim: PostingClaim, submission: Submission, update: UpdateFile) -> Digest | None:
    """Return the vector root that a file's opening names; None where it does not open the leaf."""
    with Path(update.path).open("rb") as file:
        opening = file.read(OPENING_BYTES)
    root, salt = Digest(opening[:32]), opening[32:]
    stored, who = claim.stored, submission.participant
    sealed = sealed_root(root, salt, stored.run, stored.round, who)
    return root if leaf(sealed, submission.weight, who) == stored.leaves[submission.index] else None
