"""Finding what is wrong with a posting, and the smallest proof of it, from public data alone.

Updates are read one at a time and added up as they come, so memory holds one vector a level whatever the
cohort. Only where a sum turns out wrong are the updates below it read once more, for the one chunk that
shows it. Nothing that the poster says is believed: every blob is checked against the root that the ledger
has, and what a proof rests on is derived here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

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
from fl_chain.aggregation.round import FEDAVG, aggregate_result
from fl_chain.aggregation.rules.grouped import Grouped
from fl_chain.aggregation.rules.rule import ResultRule, Rule, StateRule
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.commitment.chunks import Lanes, padded_chunk
from fl_chain.commitment.partial_sums import FAN_IN, children, level_sizes, list_index, place_of
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.proofs import (
    MaskProof,
    PostedRound,
    Proof,
    RangeProof,
    SeedProof,
    SubmissionOpening,
)
from fl_chain.commitment.tree import chunk_path, vector_tree
from fl_chain.errors import SpoiltRound, StoreError, VerificationError
from fl_chain.masking.challenges import verify_mask_proof, verify_seed_proof
from fl_chain.records import Address, Digest, Submission
from fl_chain.run.exclusions import exclusion_doubts
from fl_chain.run.masked_rounds import verify_sum
from fl_chain.run.posted_terms import PostedTerms
from fl_chain.run.postings import PostingClaim, RoundBlobs, lane_out_of_range
from fl_chain.run.spool import spooled
from fl_chain.run.verdicts import Doubt, Hidden, Outcome, Proven, Right, Unprovable
from fl_chain.store import Update


def examine(
    claim: PostingClaim,
    blobs: RoundBlobs,
    *,
    seen_in_time: Collection[int] = (),
    pool: HashingPool | None = None,
    rule: Rule = FEDAVG,
) -> Outcome:
    """Derive a posting again, and prove it wrong where it is.

    The order is that of cost: an included update out of range, the first wrong sum on the lowest level, the
    model and what else the rule gives, what is left out.

    Args:
        claim: the posting.
        blobs: the round's vectors.
        seen_in_time: submissions whose updates the caller itself has read and found valid before anything
            could be left out. Whoever publishes late cannot make a right posting look wrong.
        pool: threads to share the hashing with.
        rule: the run's.

    Raises:
        ProofRejected: if the proof that was found does not hold, so that the claim is not the ledger's.
    """
    outcome = _Examination(claim, blobs, seen_in_time, pool, rule).outcome()
    if isinstance(outcome, Proven):
        verify_any_proof(outcome.proof, claim.stored)
    return outcome


def verify_any_proof(proof: Proof, posted: PostedRound) -> None:
    """Check that a proof of any kind shows a posting to be wrong.

    Raises:
        ProofRejected: if it does not.
    """
    if isinstance(proof, SeedProof):
        verify_seed_proof(proof, posted)
    elif isinstance(proof, MaskProof):
        verify_mask_proof(proof, posted)
    else:
        verify_proof(proof, posted)


class _Examination:
    """One pass over a round."""

    def __init__(
        self,
        claim: PostingClaim,
        blobs: RoundBlobs,
        seen_in_time: Collection[int],
        pool: HashingPool | None,
        rule: Rule,
    ) -> None:
        self._rule = rule
        self._claim = claim
        self._stored = claim.stored
        self._blobs = blobs
        self._seen_in_time = seen_in_time
        self._pool = pool
        self._masks = None if claim.stored.masks is None else PostedTerms(claim, claim.stored.masks)
        self._updates = len(claim.submissions)
        self._count = self._updates + claim.stored.terms  # summands
        self._hashes: dict[int, bytes] = {}  # of each derived sum, by its place in the list
        self._wrong: list[int] = []
        self._unknown: set[int] = set()  # sums over an update that cannot be read
        self._doubts: list[Doubt] = []

    def outcome(self) -> Outcome:
        rule = self._rule
        if isinstance(rule, Grouped) and self._masks is not None:
            return self._examined_groups(rule, self._masks)
        if isinstance(rule, ResultRule):
            return self._examined_result(rule)
        if self._masks is not None:
            wrong = self._examined_masks(self._masks)
            if wrong is not None:
                return wrong
        sums = PartialSums(self._stored.dimension, self._compare)
        for submission in self._claim.submissions:
            lanes = None
            if submission.index not in self._stored.excluded:
                update = self._read(submission)
                if update is not None:
                    lane = lane_out_of_range(update, submission, self._stored)
                    if lane is not None:
                        opening = _opening(update, submission)
                        return Proven(range_proof(submission.index, opening, update.lanes, lane))
                    lanes = update.lanes[: self._stored.dimension]
            sums.add(lanes)
        for term in range(self._stored.terms):
            sums.add(self._term_lanes(term))
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
        if place not in self._unknown and tree.root != self._sum_roots[place]:
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
                posted = self._blobs.sum_hashes(self._sum_roots[place])
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
            elif child >= self._updates:
                term = self._term_lanes(child - self._updates)
                summands.append(opened_chunk(term, vector_tree(term), chunk))
            elif child not in self._stored.excluded:
                submission = self._claim.submissions[child]
                update = self._blobs.update(submission)
                openings.append(_opening(update, submission))
                summands.append(opened_chunk(update.lanes, vector_tree(update.lanes), chunk))
        return sum_proof(
            self._stored.terms + place,
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
        for child in range(position * span, min((position + 1) * span, self._count)):
            if child >= self._updates:
                total = chunk_sum(total + padded_chunk(self._term_lanes(child - self._updates), chunk))
            elif child not in self._stored.excluded:
                update = self._blobs.update(self._claim.submissions[child])
                total = chunk_sum(total + padded_chunk(update.lanes, chunk))
        return total or chunk_sum(b"")

    @property
    def _sum_roots(self) -> Sequence[Digest]:
        """The listed partial sums, without the terms before them."""
        return self._claim.partial_sum_roots[self._stored.terms :]

    # ------------------------------------------------------------------ masks

    def _examined_masks(self, masks: PostedTerms) -> Outcome | None:
        """Return what is wrong with seeds and terms; None where they are what the ring committed to."""
        number = masks.wrong_seed()
        if number is not None:
            return Proven(masks.seed_proof(number))
        spoiler = masks.spoiler()
        if spoiler is not None:
            self._doubt(Hidden.SPOILT, None, f"{spoiler} published a round key that is not of its seed")
            return Unprovable(tuple(self._doubts))
        for term in range(self._stored.terms):
            tree, posted = vector_tree(masks.lanes(term)), self._claim.partial_sum_roots[term]
            if tree.root == posted:
                continue
            try:
                hashes = self._blobs.sum_hashes(posted)
            except (StoreError, VerificationError) as error:
                self._doubt(Hidden.SUM_HASHES, term, f"term {term} is wrong: {error}")
                continue
            return Proven(masks.mask_proof(term, differing_chunk(tree.chunk_hashes, hashes), hashes))
        return Unprovable(tuple(self._doubts)) if self._doubts else None

    def _term_lanes(self, term: int) -> Lanes:
        assert self._masks is not None  # noqa: S101 - only a masked round has terms
        return self._masks.lanes(term)

    # ------------------------------------------------------------------ model and exclusions

    def _examined_model(self, total: Lanes) -> Outcome:  # noqa: PLR0911 - one for each thing that is missing
        stored, roots = self._stored, self._claim.partial_sum_roots
        last = len(self._sum_roots) - 1
        if last in self._unknown or last in self._wrong:
            return Unprovable(tuple(self._doubts))
        base = self._base()
        if base is None:
            return Unprovable(tuple(self._doubts))
        if stored.masks is not None:
            try:
                verify_sum(total, stored.included_weight, stored.quantisation)
            except SpoiltRound as error:
                self._doubt(Hidden.SPOILT, None, str(error))
                return Unprovable(tuple(self._doubts))
        if isinstance(self._rule, StateRule):
            return self._examined_step(self._rule, base, total)
        model, clamped = apply_sum(base, total, stored.included_weight, stored.quantisation)
        tree = vector_tree(model, pool=self._pool)
        if tree.root == stored.model_root:
            return self._right_but_for_exclusions(Right(model, clamped))
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

    def _right_but_for_exclusions(self, right: Right) -> Outcome:
        self._doubts += exclusion_doubts(self._claim, self._blobs, self._seen_in_time, self._rule)
        return Unprovable(tuple(self._doubts)) if self._doubts else right

    # ------------------------------------------------------------------ what only a second execution shows

    def _carried(self) -> Lanes | None:
        try:
            return self._blobs.carried()
        except (StoreError, VerificationError) as error:
            self._doubt(Hidden.CARRIED, None, f"what the round before carried on: {error}")
            return None

    def _examined_step(self, rule: StateRule, base: Lanes, total: Lanes) -> Outcome:
        stored, state = self._stored, self._carried()
        if state is None:
            return Unprovable(tuple(self._doubts))
        step = rule.step(base, total, stored.included_weight, state, stored.quantisation)
        self._compare_root("state", step.state, self._claim.state_root)
        self._compare_root("model", step.model, stored.model_root)
        return self._right_but_for_exclusions(Right(step.model, step.clamped, step.state))

    def _examined_result(self, rule: ResultRule) -> Outcome:
        stored = self._stored
        included = [one for one in self._claim.submissions if one.index not in stored.excluded]
        try:
            with spooled(self._in_range(included), len(included), stored.dimension) as updates:
                base, carried = self._base(), self._carried()
                if self._doubts or base is None or carried is None:
                    return Unprovable(tuple(self._doubts))
                made = aggregate_result(
                    base, updates, stored.quantisation, rule=rule, carried=carried, pool=self._pool
                )
        except _OutOfRange as found:
            return Proven(found.proof)
        self._compare_root("result", made.total, self._claim.result_root)
        self._compare_root("model", made.model, stored.model_root)
        return self._right_but_for_exclusions(Right(made.model, made.clamped, made.carried))

    def _examined_groups(self, rule: Grouped, masks: PostedTerms) -> Outcome:
        number = masks.wrong_seed()
        if number is not None:
            return Proven(masks.seed_proof(number))
        stored = self._stored
        included = [one for one in self._claim.submissions if one.index not in stored.excluded]
        sums = masks.grouped().sums(self._masked(included))
        base = self._base()
        if self._doubts or base is None:
            return Unprovable(tuple(self._doubts))
        try:
            sums.verify_majority(rule.groups)
        except SpoiltRound as error:
            self._doubt(Hidden.SPOILT, None, str(error))
            return Unprovable(tuple(self._doubts))
        carried = rule.initial(stored.dimension)
        made = aggregate_result(
            base, sums.means, stored.quantisation, rule=rule, carried=carried, pool=self._pool
        )
        self._compare_root("result", made.total, self._claim.result_root)
        self._compare_root("model", made.model, stored.model_root)
        return self._right_but_for_exclusions(Right(made.model, made.clamped))

    def _masked(self, included: Sequence[Submission]) -> Iterator[tuple[Address, Lanes]]:
        for one in included:
            update = self._read(one)
            if update is None:
                continue
            if lane_out_of_range(update, one, self._stored) is not None:
                self._doubt(Hidden.SPOILT, one.index, f"submission {one.index} has lanes past the model")
                continue
            yield one.participant, update.lanes[: self._stored.dimension]

    def _in_range(self, included: Sequence[Submission]) -> Iterator[Lanes]:
        for submission in included:
            update = self._read(submission)
            if update is None:
                continue
            lane = lane_out_of_range(update, submission, self._stored)
            if lane is not None:
                raise _OutOfRange(
                    range_proof(submission.index, _opening(update, submission), update.lanes, lane)
                )
            yield update.lanes[: self._stored.dimension]

    def _base(self) -> Lanes | None:
        try:
            return self._blobs.base_model()
        except (StoreError, VerificationError) as error:
            self._doubt(Hidden.BASE_MODEL, None, f"the base model: {error}")
            return None

    def _compare_root(self, what: str, derived: Lanes, posted: Digest) -> None:
        root = vector_tree(derived, pool=self._pool).root
        if root != posted:
            detail = f"the {what} is 0x{posted.hex()}, and {self._rule.name} gives 0x{root.hex()}"
            self._doubt(Hidden.RULE, None, detail)

    def _doubt(self, hidden: Hidden, index: int | None, detail: str) -> None:
        self._doubts.append(Doubt(hidden, index, detail))


class _OutOfRange(Exception):
    """An included update has a lane that no valid one has."""

    def __init__(self, proof: RangeProof) -> None:
        super().__init__()
        self.proof = proof


def _opening(update: Update, submission: Submission) -> SubmissionOpening:
    return SubmissionOpening(
        update.opening.vector_root, update.opening.salt, submission.weight, submission.participant
    )


def _sums_over(index: int, count: int) -> list[int]:
    """Return the places of all listed sums that a submission is in."""
    levels = range(1, len(level_sizes(count)) + 1)
    return [list_index(level, index // FAN_IN**level, count) for level in levels]
