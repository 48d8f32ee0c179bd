"""Postings that were taken down: who lost what, and whether the blobs say the same as the contract did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.challenges import challenges_of
from fl_chain.aggregation.quantise import verify_update
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection, FallenSummary
from fl_chain.audit.kinds import Kind
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, chunk_count
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger.history import History
from fl_chain.ledger.views import FallenPosting
from fl_chain.records import Address, Digest, FallReason, Posting, Submission
from fl_chain.run.masked_rounds import seed_check, unmasking_vectors
from fl_chain.store import Store

PROVABLE = (FallReason.RANGE, FallReason.SUM, FallReason.APPLY)
MASKED_PROVABLE = (FallReason.SEED, FallReason.MASK, FallReason.SUM, FallReason.APPLY)


def audit_falls(history: History, store: Store, notes: Collection, round_id: int) -> list[bool | None]:
    """Audit the postings of a round that fell.

    Returns:
        For each, in their order, whether it was right that it fell; None where the blobs do not tell.
    """
    return [
        _audit_fall(history, store, notes, one) for one in history.fallen if one.posting.round == round_id
    ]


def _audit_fall(history: History, store: Store, notes: Collection, fallen: FallenPosting) -> bool | None:
    posting, round_id = fallen.posting, fallen.posting.round
    is_founded: bool | None = None
    if fallen.reason is FallReason.OBJECTIONS:
        notes.count(CheckId.OBJECTIONS)
        is_founded = 2 * _objections(history, fallen) > history.rounds[round_id].submissions
        if is_founded and _is_right(history, store, posting):
            notes.add(
                Kind.REJECTED_THOUGH_RIGHT,
                f"posting {posting.posting_number} was rejected by its submitters, and by the blobs that are "
                "there now its sums and its model were right",
                round=round_id,
                participant=posting.poster,
            )
    else:
        notes.count(CheckId.CHALLENGES)
        try:
            is_founded = _Derivation(history, store, posting).shows(fallen.reason)
        except (StoreError, VerificationError) as error:
            notes.add(
                Kind.FALL_UNVERIFIABLE,
                f"whether the challenge of posting {posting.posting_number} was right rests on the "
                f"contract's word, since a blob is not available: {error}",
                round=round_id,
                participant=posting.poster,
            )
    if is_founded is False:
        notes.add(
            Kind.FALL_UNFOUNDED,
            f"posting {posting.posting_number} was taken down by {fallen.reason.name.lower()}, and nothing "
            "shows that it could be",
            round=round_id,
            participant=posting.poster,
        )
    return is_founded


def fallen_summaries(history: History, round_id: int, founded: Sequence[bool | None]) -> list[FallenSummary]:
    """Return what became of each posting of a round that fell.

    Args:
        history: of the run.
        round_id: the round.
        founded: for each, in their order, whether the blobs show that it was right.
    """
    fallen = [one for one in history.fallen if one.posting.round == round_id]
    return [_summary(history, one, own) for one, own in zip(fallen, founded, strict=True)]


def _summary(history: History, fallen: FallenPosting, is_founded: bool | None) -> FallenSummary:
    posting = fallen.posting
    return FallenSummary(
        posting_number=posting.posting_number,
        poster=posting.poster,
        model_root="0x" + posting.model_root.hex(),
        reason=fallen.reason.name.lower(),
        challenger=None if fallen.reason is FallReason.OBJECTIONS else fallen.challenger,
        objections=_objections(history, fallen),
        bond_lost_wei=fallen.challenge_reward_wei + fallen.bonus_wei,
        challenge_reward_wei=fallen.challenge_reward_wei,
        bonus_wei=fallen.bonus_wei,
        block_number=fallen.place.block_number,
        transaction_hash="0x" + fallen.place.transaction_hash.hex(),
        founded=is_founded,
    )


def _objections(history: History, fallen: FallenPosting) -> int:
    posting = fallen.posting
    return len(history.objections.get((posting.round, posting.posting_number), ()))


def _is_right(history: History, store: Store, posting: Posting) -> bool:
    """Return whether the blobs show that a posting is right.

    One that leaves anything out is not judged, nor one of a kind whose model no challenge is about: only the
    rule says what that has to be.
    """
    if posting.exclusions or FallReason.APPLY not in challenges_of(history.policy.aggregation):
        return False
    derivation = _Derivation(history, store, posting)
    reasons = MASKED_PROVABLE if history.is_masked else PROVABLE
    try:
        return not any(derivation.shows(reason) is not False for reason in reasons)
    except (StoreError, VerificationError):
        return False


class _Derivation:
    """Derives a posting again, the lanes past the dimension included, since a proof may be about those."""

    def __init__(self, history: History, store: Store, posting: Posting) -> None:
        self._history, self._store, self._posting = history, store, posting
        self._dimension = history.definition.dimension
        self._lanes = chunk_count(self._dimension) * CHUNK_LANES
        self._excluded = {exclusion.index for exclusion in posting.exclusions}

    def shows(self, reason: FallReason) -> bool | None:
        """Return whether a proof of a kind exists; None where the blobs do not tell.

        Raises:
            StoreError, VerificationError: if a blob that it takes cannot be read.
        """
        if reason not in challenges_of(self._history.policy.aggregation):
            return False  # there is no such proof in a run of this kind
        if reason is FallReason.RANGE:
            return any(self._is_out_of_range(one) for one in self._included())
        first_wrong = self._wrong_masks()
        if reason in (FallReason.SEED, FallReason.MASK) or first_wrong is not None:
            # What follows from a wrong seed or a wrong term, nobody has to keep.
            return first_wrong is reason if first_wrong in (None, reason) else None
        roots, total = self._sums()
        roots = self._listed_terms + roots
        if reason is FallReason.SUM:
            return roots != self._posting.partial_sum_roots
        if roots[-1] != self._posting.partial_sum_roots[-1]:
            return None  # the model is to follow from the posted total, whose lanes nobody has to keep
        return self._applied(total) != self._posting.model_root

    @property
    def _listed_terms(self) -> tuple[Digest, ...]:
        return self._posting.partial_sum_roots[: self._history.round_masks(self._posting.round).terms]

    def _wrong_masks(self) -> FallReason | None:
        """Return what is wrong with seeds, or else with terms; None where nothing is, or the run has none."""
        if not self._history.is_masked:
            return None
        if self._has_wrong_seed():
            return FallReason.SEED
        if self._history.is_grouped:
            return None  # of groups no term is listed
        derived = tuple(map(vector_root, self._terms()))
        return None if derived == self._listed_terms else FallReason.MASK

    def _included(self) -> Iterator[Submission]:
        for submission in self._history.submissions[self._posting.round]:
            if submission.index not in self._excluded:
                yield submission

    def _update(self, submission: Submission) -> Lanes:
        return self._store.read_update(
            submission.participant,
            submission.sealed_root,
            self._dimension,
            run=self._history.run,
            round=submission.round,
        ).lanes

    def _is_out_of_range(self, submission: Submission) -> bool:
        quantisation = self._history.policy.quantisation
        try:
            verify_update(self._update(submission), submission.weight, quantisation, self._dimension)
        except UpdateOutOfRange:
            return True
        return False

    def _sums(self) -> tuple[tuple[Digest, ...], Lanes]:
        """Return the root of every partial sum as a posting lists them, and the total."""
        levels: list[list[Digest]] = []

        def keep_root(completed: PartialSum) -> None:
            if completed.level > len(levels):
                levels.append([])
            levels[completed.level - 1].append(vector_root(completed.lanes))

        sums = PartialSums(self._lanes, keep_root)
        for submission in self._history.submissions[self._posting.round]:
            is_excluded = submission.index in self._excluded
            sums.add(None if is_excluded else self._padded(self._update(submission)))
        for term in self._terms():
            sums.add(self._padded(term))
        sums.finish()
        return tuple(root for level in levels for root in level), sums.total

    def _seeds(self) -> dict[Address, bytes]:
        """Return the seeds that the posting rested on, by whose they are."""
        history, posting = self._history, self._posting
        submissions, masks = history.submissions[posting.round], history.round_masks(posting.round)
        owners = masks.stayed(submissions) + masks.departed(submissions)
        seeds = history.seeds_at_posting[posting.round, posting.posting_number]
        return dict(zip(owners, seeds, strict=True))

    def _has_wrong_seed(self) -> bool:
        is_right = seed_check(self._history, self._posting.round)
        return any(not is_right(owner, seed) for owner, seed in self._seeds().items())

    def _terms(self) -> Iterator[Lanes]:
        """Yield what takes the masks off; nothing in a run without masks."""
        if self._history.is_masked:
            yield from unmasking_vectors(self._history, self._posting.round, self._seeds())

    def _applied(self, total: Lanes) -> Digest:
        base_root = self._history.base_model_roots[self._posting.round]
        base = self._padded(self._store.read_model(base_root, self._dimension))
        weight, quantisation = self._posting.included_weight, self._history.policy.quantisation
        model, _ = apply_sum(base, total, weight, quantisation)
        return vector_root(model)

    def _padded(self, lanes: Lanes) -> Lanes:
        if lanes.size == self._lanes:
            return lanes
        padded = np.zeros(self._lanes, dtype=LANE)
        padded[: lanes.size] = lanes
        return padded
