"""Deriving a round in one pass over its files, where nothing is wrong with it.

A round whose blobs lie on this machine is read stripe by stripe on several cores: hashed, summed and looked
at while each stripe is in a core's own cache. That says only whether everything is right. Whatever is not is
read again, update by update, by what can say what is wrong; so both say the same of the same round.
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.aggregation.round import Derived
from fl_chain.audit.observation import Observation, observation
from fl_chain.audit.statistics import UpdateStatistics
from fl_chain.commitment.pool import HashingPool
from fl_chain.ledger.history import History
from fl_chain.records import AggregationKind, Digest, Posting, Submission
from fl_chain.run.claims import posting_claim
from fl_chain.run.striped import StripedRounds
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
    """Derives rounds of a run in one pass each.

    Args:
        store: where the blobs are.
        statistics: whose signs the updates are looked at by.
        pool: threads that share the work.
    """

    def __init__(self, store: Store, statistics: UpdateStatistics, pool: HashingPool) -> None:
        self._store, self._statistics = store, statistics
        self._striped = StripedRounds(pool)

    def derived(self, history: History, posting: Posting) -> WholeRound | None:
        """Return a round that is right as a whole.

        Args:
            history: of the run.
            posting: the one of its round that stands.

        Returns:
            None where anything is wrong or missing, or has to be looked at update by update.
        """
        if history.policy.aggregation is not AggregationKind.SUMS:
            return None
        claim = posting_claim(history, posting.round)
        if not self._striped.is_worthwhile(claim):
            return None
        sight = self._statistics.sight(len(claim.submissions))
        found = self._striped.right(claim, self._store, sight)
        if found is None:
            return None
        included = [one for one in claim.submissions if one.index not in claim.stored.excluded]
        derived = Derived(
            partial_sum_roots=tuple(claim.partial_sum_roots),
            model=found.model,
            model_root=posting.model_root,
            clamped=found.clamped,
        )
        seen = sight.total()
        updates = tuple(
            SeenUpdate(one, root, observation(seen.sketches[one.index], seen.figures[one.index]))
            for one, root in zip(included, found.update_roots, strict=True)
        )
        sight.done()
        return WholeRound(derived, updates)
