"""Finding what is wrong with a posting, and the smallest proof of it, from public data alone.

Updates are read one at a time and added up as they come, so memory holds one vector a level whatever the
cohort. Only where a sum turns out wrong are the updates below it read once more, for the one chunk that
shows it. Nothing that the poster says is believed: every blob is checked against the root that the ledger
has, and what a proof rests on is derived here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.challenges import chunk_sum, verify_proof
from fl_chain.aggregation.proving import (
    OpenedChunk,
    apply_proof,
    differing_chunk,
    opened_chunk,
    range_proof,
    sum_proof,
)
from fl_chain.aggregation.quantise import verify_update
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.commitment.chunks import Lanes, padded_chunk
from fl_chain.commitment.partial_sums import FAN_IN, children, level_sizes, list_index, place_of
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.proofs import PostedRound, Proof, SubmissionOpening
from fl_chain.commitment.tree import chunk_path, vector_tree
from fl_chain.errors import StoreError, UpdateOutOfRange, VerificationError
from fl_chain.records import Digest, Exclusion, ExclusionReason, Submission
from fl_chain.run.verdicts import Doubt, Hidden, Outcome, Proven, Right, Unprovable
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
    outsiders: frozenset[int] = frozenset()  # by index: what the policy's rule leaves out


def examine(
    claim: PostingClaim,
    blobs: RoundBlobs,
    *,
    seen_in_time: Collection[int] = (),
    pool: HashingPool | None = None,
) -> Outcome:
    """Derive a posting again, and prove it wrong where it is.

    The order is that of cost: an included update out of range, the first wrong sum on the lowest level, the
    model.

    Args:
        claim: the posting.
        blobs: the round's vectors.
        seen_in_time: submissions whose updates the caller itself has read and found valid before anything
            could be left out. Whoever publishes late cannot make a right posting look wrong.
        pool: threads to share the hashing with.

    Raises:
        ProofRejected: if the proof that was found does not hold, so that the claim is not the ledger's.
    """
    outcome = _Examination(claim, blobs, seen_in_time, pool).outcome()
    if isinstance(outcome, Proven):
        verify_proof(outcome.proof, claim.stored)
    return outcome


class _Examination:
    """One pass over a round."""

    def __init__(
        self,
        claim: PostingClaim,
        blobs: RoundBlobs,
        seen_in_time: Collection[int],
        pool: HashingPool | None,
    ) -> None:
        self._claim = claim
        self._stored = claim.stored
        self._blobs = blobs
        self._seen_in_time = seen_in_time
        self._pool = pool
        self._count = len(claim.submissions)
        self._hashes: dict[int, bytes] = {}  # of each derived sum, by its place in the list
        self._wrong: list[int] = []
        self._unknown: set[int] = set()  # sums over an update that cannot be read
        self._doubts: list[Doubt] = []

    def outcome(self) -> Outcome:
        sums = PartialSums(self._stored.dimension, self._compare)
        for submission in self._claim.submissions:
            lanes = None
            if submission.index not in self._stored.excluded:
                update = self._read(submission)
                if update is not None:
                    lane = _lane_out_of_range(update, submission, self._stored)
                    if lane is not None:
                        opening = _opening(update, submission)
                        return Proven(range_proof(submission.index, opening, update.lanes, lane))
                    lanes = update.lanes[: self._stored.dimension]
            sums.add(lanes)
        sums.finish()
        proof = self._first_sum_proof()
        if proof is not None:
            return Proven(proof)
        return self._examined_model(sums.total)

    # ------------------------------------------------------------------ updates

    def _read(self, submission: Submission) -> Update | None:
        try:
            return self._blobs.update(submission)
        except (StoreError, VerificationError) as error:
            self._doubt(Hidden.UPDATE, submission.index, f"submission {submission.index}: {error}")
            self._unknown.update(_sums_over(submission.index, self._count))
            return None

    # ------------------------------------------------------------------ sums

    def _compare(self, completed: PartialSum) -> None:
        place = list_index(completed.level, completed.position, self._count)
        tree = vector_tree(completed.lanes, pool=self._pool)
        self._hashes[place] = tree.chunk_hashes
        if place not in self._unknown and tree.root != self._claim.partial_sum_roots[place]:
            self._wrong.append(place)

    def _first_sum_proof(self) -> Proof | None:
        """Return the proof for the first wrong sum that has one: right summands, and its chunk hashes."""
        for place in sorted(self._wrong):
            level, position = place_of(place, self._count)
            below = children(level, position, self._count)
            if level > 1:
                summands = {list_index(level - 1, child, self._count) for child in below}
                if summands & (self._unknown | set(self._wrong)):
                    continue
            try:
                posted = self._blobs.sum_hashes(self._claim.partial_sum_roots[place])
            except (StoreError, VerificationError) as error:
                self._doubt(Hidden.SUM_HASHES, place, f"partial sum {place} is wrong: {error}")
                continue
            try:
                return self._sum_proof(place, level, below, posted)
            except (StoreError, VerificationError) as error:  # it was there a moment ago
                self._doubt(Hidden.UPDATE, None, f"an update under partial sum {place}: {error}")
        return None

    def _sum_proof(self, place: int, level: int, below: range, posted: bytes) -> Proof:
        chunk = differing_chunk(self._hashes[place], posted)
        openings: list[SubmissionOpening] = []
        summands: list[OpenedChunk] = []
        for child in below:
            if level > 1:
                hashes = self._hashes[list_index(level - 1, child, self._count)]
                path = chunk_path(hashes, chunk, self._stored.dimension)
                summands.append(OpenedChunk(self._chunk_of_sum(level - 1, child, chunk), path))
            elif child not in self._stored.excluded:
                submission = self._claim.submissions[child]
                update = self._blobs.update(submission)
                openings.append(_opening(update, submission))
                summands.append(opened_chunk(update.lanes, vector_tree(update.lanes), chunk))
        return sum_proof(
            place,
            chunk,
            posted_hashes=posted,
            dimension=self._stored.dimension,
            partial_sum_roots=self._claim.partial_sum_roots,
            openings=openings,
            summands=summands,
        )

    def _chunk_of_sum(self, level: int, position: int, chunk: int) -> bytes:
        """Return one chunk of a sum, from the updates that it adds up."""
        span = FAN_IN**level
        total = b""
        for submission in self._claim.submissions[position * span : (position + 1) * span]:
            if submission.index not in self._stored.excluded:
                update = self._blobs.update(submission)
                total = chunk_sum(total + padded_chunk(update.lanes, chunk))
        return total or chunk_sum(b"")

    # ------------------------------------------------------------------ model and exclusions

    def _examined_model(self, total: Lanes) -> Outcome:
        stored, roots = self._stored, self._claim.partial_sum_roots
        last = len(roots) - 1
        if last in self._unknown or last in self._wrong:
            return Unprovable(tuple(self._doubts))
        try:
            base = self._blobs.base_model()
        except (StoreError, VerificationError) as error:
            self._doubt(Hidden.BASE_MODEL, None, f"the base model: {error}")
            return Unprovable(tuple(self._doubts))
        model, clamped = apply_sum(base, total, stored.included_weight, stored.quantisation)
        tree = vector_tree(model, pool=self._pool)
        if tree.root == stored.model_root:
            self._doubts += wrongful_exclusions(self._claim, self._blobs, self._seen_in_time)
            return Unprovable(tuple(self._doubts)) if self._doubts else Right(model, clamped)
        try:
            posted = self._blobs.model_hashes(stored.model_root)
        except (StoreError, VerificationError) as error:
            self._doubt(Hidden.MODEL_HASHES, None, f"the model is wrong: {error}")
            return Unprovable(tuple(self._doubts))
        chunk = differing_chunk(tree.chunk_hashes, posted)
        path = chunk_path(self._hashes[last], chunk, stored.dimension)
        return Proven(
            apply_proof(
                chunk,
                partial_sum_roots=roots,
                base=opened_chunk(base, vector_tree(base, pool=self._pool), chunk),
                total=OpenedChunk(padded_chunk(total, chunk), path),
                posted_hashes=posted,
                dimension=stored.dimension,
            )
        )

    def _doubt(self, hidden: Hidden, index: int | None, detail: str) -> None:
        self._doubts.append(Doubt(hidden, index, detail))


def wrongful_exclusions(
    claim: PostingClaim, blobs: RoundBlobs, seen_in_time: Collection[int] = ()
) -> list[Doubt]:
    """Return a doubt for each update that a posting should or should not have left out; see `examine`."""
    found = [
        Doubt(Hidden.INCLUSION, index, f"submission {index} is included, and its round's cohort has others")
        for index in sorted(claim.outsiders - claim.stored.excluded)
    ]
    for exclusion in claim.exclusions:
        if exclusion.index in claim.outsiders:
            continue
        submission = claim.submissions[exclusion.index]
        may_be_late = exclusion.reason is ExclusionReason.UNREADABLE
        if may_be_late and exclusion.index not in seen_in_time:
            continue
        try:
            update = blobs.update(submission)
        except (StoreError, VerificationError):
            continue
        if _lane_out_of_range(update, submission, claim.stored) is None:
            reason = exclusion.reason.name.lower().replace("_", " ")
            detail = f"submission {exclusion.index} was left out as {reason}, and is valid"
            found.append(Doubt(Hidden.EXCLUSION, exclusion.index, detail))
    return found


def _lane_out_of_range(update: Update, submission: Submission, stored: PostedRound) -> int | None:
    """Return the first lane of an update that no valid one has; None where it is valid."""
    try:
        verify_update(update.lanes, submission.weight, stored.quantisation, stored.dimension)
    except UpdateOutOfRange as error:
        return error.lane
    return None


def _opening(update: Update, submission: Submission) -> SubmissionOpening:
    return SubmissionOpening(
        update.opening.vector_root, update.opening.salt, submission.weight, submission.participant
    )


def _sums_over(index: int, count: int) -> list[int]:
    """Return the places of all listed sums that a submission is in."""
    levels = range(1, len(level_sizes(count)) + 1)
    return [list_index(level, index // FAN_IN**level, count) for level in levels]
