"""What a posting is examined from: what it says, what the ledger stores, and the round's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fl_chain.aggregation.quantise import verify_masked_update, verify_update
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.proofs import PostedRound
from fl_chain.errors import UpdateOutOfRange
from fl_chain.records import ZERO_DIGEST, Digest, Exclusion, Submission
from fl_chain.store import Update


class RoundBlobs(Protocol):
    """Where a round's vectors come from, each checked against its commitment.

    Everything here raises StoreError where no copy can be read, and VerificationError where what is there is
    not what was committed to.
    """

    def update(self, submission: Submission) -> Update:
        """Return an update with its opening; lanes past the dimension included where there are any."""
        ...

    def base_model(self) -> Lanes:
        """Return the model that the round started from."""
        ...

    def carried(self) -> Lanes:
        """Return what the base's round left besides its model; empty where the rule carries nothing."""
        ...

    def sum_hashes(self, root: Digest) -> bytes:
        """Return the chunk hashes of a listed sum."""
        ...

    def model_hashes(self, root: Digest) -> bytes:
        """Return the chunk hashes of the posted model."""
        ...


@dataclass(frozen=True, slots=True)
class PostingClaim:
    """What a posting says, and what the ledger stores that it is checked against."""

    stored: PostedRound
    partial_sum_roots: Sequence[Digest]
    submissions: Sequence[Submission]  # all of the round, in order
    exclusions: Sequence[Exclusion]
    result_root: Digest = ZERO_DIGEST
    state_root: Digest = ZERO_DIGEST
    outsiders: frozenset[int] = frozenset()  # by index: whose participants are not in the round's cohort


def lane_out_of_range(update: Update, submission: Submission, stored: PostedRound) -> int | None:
    """Return the first lane of an update that no valid one has; None where it is valid."""
    try:
        if stored.masks is not None:
            verify_masked_update(update.lanes, stored.dimension)
        else:
            verify_update(update.lanes, submission.weight, stored.quantisation, stored.dimension)
    except UpdateOutOfRange as error:
        return error.lane
    return None
