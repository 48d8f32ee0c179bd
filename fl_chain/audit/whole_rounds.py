"""Deriving a round in one pass over its files, where nothing is wrong with it.

A round whose blobs lie on this machine is read stripe by stripe on several cores: hashed, summed and looked
at while each stripe is in a core's own cache. That says only whether everything is right. Whatever is not is
read again, update by update, by what can say what is wrong; so both say the same of the same round.
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.aggregation.round import Derived
from fl_chain.audit.observation import Observation, observation
from fl_chain.audit.results import standing_posting
from fl_chain.audit.statistics import UpdateStatistics
from fl_chain.commitment.pool import HashingPool
from fl_chain.ledger.history import History
from fl_chain.records import ZERO_DIGEST, AggregationKind, Digest, Posting, Submission
from fl_chain.run.claims import posting_claim
from fl_chain.run.postings import PostingClaim
from fl_chain.run.striped import BegunRound, StripedRounds
from fl_chain.store import Store


@dataclass(frozen=True, slots=True)
class SeenUpdate:
    """An included update that is what its participant committed to, and in range."""

    submission: Submission
    vector_root: Digest
    observation: Observation


@dataclass(frozen=True, slots=True)
class WholeRound:
    """A round whose posting is right."""

    derived: Derived
    updates: tuple[SeenUpdate, ...]  # in order


class WholeRounds:
    """Derives rounds of a run in one pass each, and begins each next one while the last is looked at.

    Args:
        store: where the blobs are.
        statistics: whose signs the updates are looked at by.
        pool: threads that share the work.
    """

    def __init__(self, store: Store, statistics: UpdateStatistics, pool: HashingPool) -> None:
        self._store, self._statistics = store, statistics
        self._striped = StripedRounds(pool)
        self._ahead: BegunRound | None = None

    def close(self) -> None:
        """Give up a round that was begun ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.close()

    def derived(self, history: History, posting: Posting) -> WholeRound | None:
        """Return a round that is right as a whole.

        Args:
            history: of the run.
            posting: the one of its round that stands.

        Returns:
            None where anything is wrong or missing, or has to be looked at update by update.
        """
        claim = self._claim(history, posting.round)
        begun = None if claim is None else self._begun(claim)
        found = None if begun is None else begun.right()
        if claim is None or begun is None or found is None:
            self.close()
            return None
        included = [one for one in claim.submissions if one.index not in claim.stored.excluded]
        if included:
            self._begin_next(history, posting.round + 1)
        derived = Derived(
            partial_sum_roots=tuple(claim.partial_sum_roots),
            model=found.model,
            model_root=posting.model_root,
            clamped=found.clamped,
        )
        seen = begun.sight.total()
        updates = tuple(
            SeenUpdate(one, root, observation(seen.sketches[one.index], seen.figures[one.index]))
            for one, root in zip(included, found.update_roots, strict=True)
        )
        begun.sight.done()
        return WholeRound(derived, updates)

    def _claim(self, history: History, round_id: int) -> PostingClaim | None:
        """Return what stands of a round, if it can be derived in one pass and that is worthwhile."""
        if history.policy.aggregation is not AggregationKind.SUMS:
            return None
        claim = posting_claim(history, round_id)
        return claim if self._striped.is_worthwhile(claim) else None

    def _begun(self, claim: PostingClaim) -> BegunRound | None:
        ahead, self._ahead = self._ahead, None
        sight = self._statistics.sight(len(claim.submissions))
        if ahead is not None:
            if ahead.claim == claim and ahead.sight.looks_as(sight):
                return ahead
            ahead.close()
        return self._striped.begin(claim, self._store, sight)

    def _begin_next(self, history: History, round_id: int) -> None:
        """Begin the next round. What it is compared with is known, though not yet looked at."""
        if round_id not in history.rounds or standing_posting(history, round_id) is None:
            return
        claim = self._claim(history, round_id)
        if claim is not None:
            seed = history.seeds.get(round_id, ZERO_DIGEST)
            sight = self._statistics.sight_ahead(len(claim.submissions), seed)
            self._ahead = self._striped.begin(claim, self._store, sight)
