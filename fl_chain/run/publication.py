"""Publishing a worker's updates once their rounds have closed, and keeping them there until final."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from fl_chain.errors import StateUnwritable, StoreError, VerificationError
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus, Submission
from fl_chain.run.updates import UpdateSource
from fl_chain.store import Store, WriteState

log = logging.getLogger(__name__)

REPUBLICATION_S = 30.0  # between two looks whether a published update is still there
RETRY_S = 2.0  # after a store has failed


class Publication:
    """Puts updates into the store; a store that fails is tried again without holding up anything else."""

    def __init__(self, store: Store, updates: UpdateSource) -> None:
        self._store = store
        self._updates = updates
        self._published: set[Submission] = set()
        self._due_at: dict[Submission, float] = {}  # monotonic seconds
        self._said: dict[int, str] = {}

    def step(self, history: History, submissions: Iterable[Submission]) -> bool:
        """Publish the first of these updates that is due; return whether anything was published."""
        for submission in submissions:
            if history.rounds[submission.round].status not in (RoundStatus.CLOSED, RoundStatus.POSTED):
                continue
            if time.monotonic() < self._due_at.get(submission, 0.0):
                continue
            try:
                is_written = self._publish(submission, history)
            except (StoreError, StateUnwritable, VerificationError) as error:
                self._due_at[submission] = time.monotonic() + RETRY_S
                self._say(submission.round, f"not published yet: {error}")
                continue
            self._due_at[submission] = time.monotonic() + REPUBLICATION_S
            if is_written:
                log.info("round %d: update published", submission.round)
                return True
        return False

    def _publish(self, submission: Submission, history: History) -> bool:
        if submission in self._published and self._store.has_update(
            submission.participant, submission.sealed_root
        ):
            return False
        kept = self._updates.submitted(submission, history)
        if kept is None:
            self._say(
                submission.round, "the update is lost here, and training again does not give the same one"
            )
            return False
        outcomes = self._store.write_update(
            submission.participant,
            submission.sealed_root,
            kept.opening,
            kept.lanes,
            run=history.run,
            round=submission.round,
        )
        self._published.add(submission)
        return any(outcome.state is WriteState.WRITTEN for outcome in outcomes)

    def _say(self, round_id: int, message: str) -> None:
        if self._said.get(round_id) != message:
            self._said[round_id] = message
            log.warning("round %d: %s", round_id, message)
