"""Which updates were there in time: what tells a wrongful exclusion from an update that came late.

A submission may be left out as unreadable. Whoever looks later and finds its update cannot tell whether it
was there when the aggregator looked: its participant may have held it back, to make a right posting look
wrong. So only what was read, and found good, before anything could be left out counts against an exclusion.
"""

from __future__ import annotations

import logging

from fl_chain.errors import ConfigError, StoreError, VerificationError
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus, Submission
from fl_chain.run.keeper import active_round
from fl_chain.run.rounds import RoundReader

log = logging.getLogger(__name__)


class Sightings:
    """Remembers which updates of closed rounds this process has read in time.

    It looks only in the second half of the time to publish, and so not at all in a round that is posted
    before, as one with every update in its place is.
    """

    def __init__(self, reader: RoundReader) -> None:
        self._reader = reader
        self._seen: dict[int, set[int]] = {}
        self._looked_at = -1  # chain time

    def of(self, round_id: int) -> frozenset[int]:
        """Return the submissions of a round whose updates were there in time."""
        return frozenset(self._seen.get(round_id, ()))

    def step(self, history: History, now: int) -> None:
        """Look at the updates of the round that waits for its posting, at most once a second."""
        current = active_round(history)
        if current is None or current.status is not RoundStatus.CLOSED or now == self._looked_at:
            return
        publication_s = history.policy.publication_s
        if current.since + publication_s // 2 <= now < current.since + publication_s:
            self._looked_at = now
            seen = self._seen.setdefault(current.id, set())
            for submission in history.submissions[current.id]:
                if submission.index not in seen and self._is_good(submission):
                    seen.add(submission.index)
        for settled in [round_id for round_id in self._seen if round_id <= history.state.settled]:
            del self._seen[settled]

    def _is_good(self, submission: Submission) -> bool:
        try:
            if self._reader.is_encrypted:
                return False  # nothing may be left out there, late or not
            if not self._reader.store.has_update(submission.participant, submission.sealed_root):
                return False
            self._reader.update(submission)
        except (StoreError, VerificationError, ConfigError) as error:
            log.debug("round %d, submission %d: %s", submission.round, submission.index, error)
            return False
        return True
