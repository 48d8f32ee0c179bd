"""Whether a posting includes only whom its round's cohort has."""

from __future__ import annotations

from contextlib import suppress

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.errors import ConfigError, StoreError, VerificationError
from fl_chain.ledger.history import History
from fl_chain.policy import RunPolicy
from fl_chain.records import Posting
from fl_chain.run.cohorts import outsiders
from fl_chain.run.documents import read_policy
from fl_chain.store import Store


class CohortAudit:
    """Draws every round's cohort again, from what the ledger had when the round opened.

    Args:
        history: of the run.
        store: where its policy document is.
    """

    def __init__(self, history: History, store: Store) -> None:
        self._history = history
        self._policy: RunPolicy | None = None
        with suppress(StoreError, VerificationError, ConfigError):  # the audit of the documents says it
            self._policy = read_policy(history.definition, history.policy, store)

    def follow(self, history: History) -> None:
        """Go on with a history that has grown."""
        self._history = history

    @property
    def is_known(self) -> bool:
        """Whether it can be told who is in a cohort; without close_at no run has one."""
        return self._policy is not None or not self._history.policy.close_at

    def audit(self, posting: Posting, notes: Collection) -> frozenset[int]:
        """Look for included updates of participants who were not drawn.

        Returns:
            The round's submissions, by index, from outside its cohort; none where it cannot be told.
        """
        if self._policy is None or self._policy.cohort is None:
            return frozenset()
        submissions = self._history.submissions[posting.round]
        outside = outsiders(self._history, self._policy, posting.round)
        excluded = {exclusion.index for exclusion in posting.exclusions}
        for submission in submissions:
            if submission.index in excluded:
                continue
            notes.count(CheckId.COHORTS)
            if submission.index in outside:
                notes.add(
                    Kind.OUTSIDER_INCLUDED,
                    "the update is of a participant who was not drawn for this round, and was to be excluded "
                    "by rule",
                    round=posting.round,
                    participant=submission.participant,
                    expected="excluded",
                    actual="included",
                )
        return outside
