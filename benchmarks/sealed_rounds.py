"""A round as the ledger's participants go through it: sealed updates, a posting, and its examination."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fl_chain.aggregation.round import aggregate_round
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.commitment.proofs import PostedRound
from fl_chain.commitment.seals import leaf, salt, sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.records import Address, Digest, Opening, Quantisation, RunId, Submission, address
from fl_chain.run.postings import PostingClaim
from fl_chain.run.prover import examine
from fl_chain.run.verdicts import Right
from fl_chain.store import Update

RUN = RunId(31337, address("0x" + "ab" * 20))


def people(count: int) -> tuple[Address, ...]:
    """Return so many participants."""
    return tuple(
        address(hashlib.sha256(f"client {number}".encode()).digest()[:20]) for number in range(count)
    )


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a participant submits, and what it publishes when the round has closed."""

    submission: Submission
    update: Update


def sealed(round_id: int, index: int, who: Address, weight: int, lanes: Lanes) -> Sealed:
    """Return a participant's update under its seal.

    Args:
        round_id: of the round.
        index: of the submission in it.
        who: submits it.
        weight: that the update was made with.
        lanes: of the update, shape (dimension,).
    """
    opening = Opening(vector_root(lanes), salt(hashlib.sha256(who.encode()).digest(), RUN, round_id))
    root = sealed_root(opening.vector_root, opening.salt, RUN, round_id, who)
    return Sealed(
        Submission(round_id, index, who, weight, root, leaf(root, weight, who)), Update(opening, lanes)
    )


@dataclass(frozen=True, slots=True)
class _Blobs:
    """A round's vectors, for whoever examines it."""

    base: Lanes
    sealed: Sequence[Sealed]

    def update(self, submission: Submission) -> Update:
        return self.sealed[submission.index].update

    def base_model(self) -> Lanes:
        return self.base

    def carried(self) -> Lanes:
        return self.base[:0]

    def sum_hashes(self, root: Digest) -> bytes:
        raise NotImplementedError("only a wrong sum is looked up")

    def model_hashes(self, root: Digest) -> bytes:
        raise NotImplementedError("only a wrong model is looked up")


def posted(round_id: int, base: Lanes, submitted: Sequence[Sealed], quantisation: Quantisation) -> Lanes:
    """Return the model of a round of weighted averaging, after examining its posting as each worker does.

    Args:
        round_id: of the round.
        base: the model that it started from, shape (dimension,).
        submitted: in the ledger's order.
        quantisation: the run's constants.

    Raises:
        RuntimeError: if the posting is not right.
    """
    submissions = [one.submission for one in submitted]
    weight = sum(submission.weight for submission in submissions)
    made = aggregate_round(base, [one.update.lanes for one in submitted], weight, quantisation)
    stored = PostedRound(
        run=RUN,
        round=round_id,
        dimension=base.size,
        quantisation=quantisation,
        leaves=[submission.leaf for submission in submissions],
        excluded=frozenset(),
        included_weight=weight,
        sums_hash=sums_hash(made.partial_sum_roots),
        base_model_root=vector_root(base),
        model_root=made.model_root,
    )
    claim = PostingClaim(stored, made.partial_sum_roots, submissions, ())
    outcome = examine(claim, _Blobs(base, submitted))
    if not isinstance(outcome, Right):
        raise RuntimeError(f"round {round_id} is not right: {outcome}")  # noqa: TRY004 - it is no argument
    return outcome.model
