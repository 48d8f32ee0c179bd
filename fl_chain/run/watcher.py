"""Watching over postings: each is verified before anything is built on it, and taken down where it is wrong.

What arithmetic can show is challenged, by anyone. What it cannot show, an update or a sum that nobody can
read or a valid update that was left out, is objected to by those who submitted to the round.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from fl_chain.errors import LedgerReverted
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.records import Address, Posting, RoundStatus, Submission
from fl_chain.run.keeper import has_ended
from fl_chain.run.models import ModelChain
from fl_chain.run.rounds import RoundReader
from fl_chain.run.sightings import Sightings
from fl_chain.run.transactions import TransactionOutbox
from fl_chain.run.verdicts import Outcome, Proven, Right, Unprovable
from fl_chain.store import Store

log = logging.getLogger(__name__)

RETRY_S = 2.0  # until what could not be read, or was sent and is not seen yet, is looked at again

# Somebody else was faster, or it came too late.
_OVERTAKEN = ("WrongStatus", "ChallengeWindowClosed", "WrongModel", "AlreadyObjected")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who sends a watcher's transactions, and how long it lets others go first."""

    account: Account
    transactions: TransactionOutbox
    rank_s: int = 0  # after the posting; one proof is enough, and each costs its sender gas


class Watcher:
    """Examines every posting that can still fall, and acts on what it finds.

    Args:
        ledger: where postings are taken down.
        models: examines postings.
        sightings: which updates were there in time.
        signer: None to look on and say what would be done.
    """

    def __init__(
        self, ledger: Ledger, models: ModelChain, sightings: Sightings, signer: Signer | None
    ) -> None:
        self._ledger = ledger
        self._models = models
        self._sightings = sightings
        self._signer = signer
        self._settled: set[Posting] = set()  # nothing is left to be done about them here
        self._looked_at: dict[Posting, tuple[float, int]] = {}  # monotonic seconds, chain time
        self._said: dict[Posting, str] = {}

    def step(self, history: History) -> bool:
        """Look at the oldest posting that is not settled; return whether a transaction was sent.

        Raises:
            LedgerError: if the ledger cannot be reached, or an earlier transaction is still on its way.
            StateUnwritable: if the actor's folder does not take the note of a transaction.
        """
        now = self._ledger.head().timestamp
        self._sightings.step(history, now)
        for round_id in range(history.state.settled + 1, history.state.latest + 1):
            if history.rounds[round_id].status is not RoundStatus.POSTED:
                continue
            posting = history.postings[round_id]
            if posting in self._settled or now >= posting.finalizable_at:
                continue
            if self._is_too_soon(posting, now):
                return False
            outcome = self._models.outcome(round_id, seen_in_time=self._sightings.of(round_id))
            if isinstance(outcome, Right):
                self._settled.add(posting)
                log.debug("round %d: the posting is right", round_id)
                continue
            return self._acted(history, posting, outcome, now)  # what is built on it falls with it
        return False

    def _acted(self, history: History, posting: Posting, outcome: Proven | Unprovable, now: int) -> bool:
        self._say(posting, outcome)
        if isinstance(outcome, Unprovable):
            self._looked_at[posting] = (time.monotonic(), now)
            own = self._own_submission(history, posting)
            if own is None or not may_object(history, posting, outcome, now):
                return False
            return self._objected(posting, own)
        since = history.rounds[posting.round].since
        rank_s = 0 if self._signer is None else min(self._signer.rank_s, history.policy.challenge_s // 4)
        return now >= since + rank_s and self._challenged(posting, outcome)

    def _challenged(self, posting: Posting, outcome: Proven) -> bool:
        signer = self._signer
        if signer is None:
            self._settled.add(posting)
            return False
        return self._sent(
            signer,
            posting,
            f"challenge of round {posting.round}, posting {posting.posting_number}",
            is_due=lambda: self._stands(posting),
            call=lambda: self._ledger.challenge(signer.account, posting.round, outcome.proof),
        )

    def _objected(self, posting: Posting, own: Submission) -> bool:
        signer = self._signer
        if signer is None:
            return False
        return self._sent(
            signer,
            posting,
            f"objection to round {posting.round}, posting {posting.posting_number}",
            is_due=lambda: self._stands(posting) and not self._ledger.has_objected(posting.round, own.index),
            call=lambda: self._ledger.object(signer.account, model_root=posting.model_root, submission=own),
        )

    def _sent(
        self,
        signer: Signer,
        posting: Posting,
        what: str,
        *,
        is_due: Callable[[], bool],
        call: Callable[[], Receipt],
    ) -> bool:
        self._looked_at[posting] = (time.monotonic(), self._ledger.head().timestamp)
        try:
            receipt = signer.transactions.send(what, is_due=is_due, call=call)
        except LedgerReverted as error:
            if error.name not in _OVERTAKEN:
                self._settled.add(posting)  # it would be refused again, and costs gas each time
            log.warning("%s was not taken: %s", what, error)
            return False
        if receipt is not None:
            log.warning("sent the %s", what)
        return receipt is not None

    def _is_too_soon(self, posting: Posting, now: int) -> bool:
        """Return whether a posting was looked at a moment ago, by the clock and by the chain's time."""
        looked_at = self._looked_at.get(posting)
        if looked_at is None:
            return False
        return time.monotonic() < looked_at[0] + RETRY_S and now < looked_at[1] + RETRY_S

    def _stands(self, posting: Posting) -> bool:
        current = self._ledger.round(posting.round)
        return (
            current.status is RoundStatus.POSTED
            and current.posting_number == posting.posting_number
            and self._ledger.model_root(posting.round) == posting.model_root
        )

    def _own_submission(self, history: History, posting: Posting) -> Submission | None:
        if self._signer is None:
            return None
        identity = history.identity_of(self._signer.account.address)
        return own_submission(history, posting.round, identity)

    def _say(self, posting: Posting, outcome: Outcome) -> None:
        verdict = "is wrong, which can be proven" if isinstance(outcome, Proven) else "cannot be derived"
        text = f"the posting of {posting.poster} {verdict}: {outcome}"
        if self._said.get(posting) != text:
            self._said[posting] = text
            log.warning("round %d: %s", posting.round, text)


class Watch:
    """A watcher on its own, for anyone: what ``fl-chain watch`` steps.

    Args:
        ledger: of the run.
        store: where its blobs are.
        signer: None to look on and say what would be done.
    """

    def __init__(self, ledger: Ledger, store: Store, signer: Signer | None) -> None:
        reader = RoundReader(ledger.sync(), store)
        self._ledger = ledger
        self._watcher = Watcher(ledger, ModelChain(reader), Sightings(reader), signer)

    def step(self) -> bool:
        """Look at the oldest posting that is not settled; see `Watcher.step`."""
        history = self._ledger.sync()
        return history.has_begun and self._watcher.step(history)

    def is_done(self) -> bool:
        """Return whether the run has ended, so that nothing can fall any more."""
        history = self._ledger.sync()
        return history.has_begun and has_ended(history, self._ledger.synced.timestamp)


def may_object(history: History, posting: Posting, outcome: Unprovable, now: int) -> bool:
    """Return whether it is time to object.

    A posting that is wrong whatever may yet be published is objected to at once. What cannot be read may
    still come, or be read again when a store is back: half the challenge window is left to it.
    """
    return outcome.is_certain or now >= posting.finalizable_at - history.policy.challenge_s // 2


def own_submission(history: History, round_id: int, identity: Address) -> Submission | None:
    """Return a participant's submission to a round; None where it has none."""
    for submission in history.submissions[round_id]:
        if submission.participant == identity:
            return submission
    return None
