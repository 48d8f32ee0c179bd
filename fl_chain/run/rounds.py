"""A round derived again from ledger and store: what aggregator, worker and audit all call.

Updates are read one at a time and added up as they come, so memory holds a few vectors whatever the cohort.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fl_chain.aggregation.quantise import verify_update
from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger.history import History
from fl_chain.policy import RunPolicy
from fl_chain.records import Exclusion, ExclusionReason, Submission
from fl_chain.run.cohorts import outsiders
from fl_chain.run.documents import read_policy
from fl_chain.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoundReader:
    """What it takes to read and check a round's updates."""

    history: History
    store: Store

    @cached_property
    def policy(self) -> RunPolicy:
        """The run's policy document.

        Raises:
            StoreError: if no copy of it can be read.
            VerificationError: if it is another one.
        """
        return read_policy(self.history.definition, self.history.policy, self.store)

    def outsiders(self, round_id: int) -> frozenset[int]:
        """Return the submissions, by index, that the rule leaves out because their round's cohort has others.

        Raises:
            As `policy`.
        """
        if not self.history.policy.close_at:  # a cohort has its size there
            return frozenset()
        return outsiders(self.history, self.policy, round_id)

    def update(self, submission: Submission) -> Lanes:
        """Return a submission's update, checked against its commitment and its bounds.

        Returns:
            Big-endian lanes, shape (dimension,).

        Raises:
            StoreError: if no copy can be read.
            VerificationError: if what is there is not what was committed to, or is out of range.
        """
        history = self.history
        dimension = history.definition.dimension
        update = self.store.read_update(
            submission.participant,
            submission.sealed_root,
            dimension,
            run=history.run,
            round=submission.round,
        )
        verify_update(update.lanes, submission.weight, history.policy.quantisation, dimension)
        return update.lanes[:dimension]

    def problem(self, submission: Submission) -> ExclusionReason | None:
        """Return why a submission cannot be included; None where it can."""
        try:
            self.update(submission)
        except UpdateOutOfRange as error:
            log.warning("round %d, %s: %s", submission.round, submission.participant, error)
            return ExclusionReason.OUT_OF_RANGE
        except (StoreError, VerificationError) as error:
            log.warning("round %d, %s: %s", submission.round, submission.participant, error)
            return ExclusionReason.UNREADABLE
        return None

    def aggregate(self, round_id: int, base: Lanes, exclusions: Iterable[Exclusion]) -> Aggregate:
        """Return what a round's aggregate has to be.

        Args:
            round_id: a round that has closed.
            base: lanes of the model that the round started from.
            exclusions: the submissions that are left out.

        Raises:
            StoreError: if an included update cannot be read.
            VerificationError: if one is not what was committed to.
        """
        excluded = {exclusion.index for exclusion in exclusions}
        submissions = self.history.submissions[round_id]
        included_weight = sum(s.weight for s in submissions if s.index not in excluded)
        return aggregate_round(
            base, self._included(submissions, excluded), included_weight, self.history.policy.quantisation
        )

    def _included(self, submissions: Iterable[Submission], excluded: set[int]) -> Iterator[Lanes | None]:
        for submission in submissions:
            yield None if submission.index in excluded else self.update(submission)
