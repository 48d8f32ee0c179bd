"""A participant's worker: trains beside its own data, submits, publishes after close, claims.

Each call of ``Worker.step`` looks at the ledger and does the one thing that is due next. Whatever it did
before is read from the ledger and from the worker's own folder, so it can be killed at any moment and started
again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from fl_chain.commitment.chunks import Lanes
from fl_chain.encryption.lanes import encrypt
from fl_chain.errors import KeyUnavailable, LedgerReverted, StoreError, VerificationError
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.policy import RunPolicy
from fl_chain.records import Address, Round, RoundStatus, Submission
from fl_chain.run.cohort_key import Keyring, KeyringParts
from fl_chain.run.cohorts import cohort
from fl_chain.run.encrypted import OpenedSums
from fl_chain.run.keeper import active_round, has_ended
from fl_chain.run.kept import KeptState
from fl_chain.run.models import ModelChain
from fl_chain.run.opening import SumOpener
from fl_chain.run.outbox import Outbox, PreparedUpdate
from fl_chain.run.patience import Patience
from fl_chain.run.payout import Payout, is_paid_out
from fl_chain.run.publication import Publication
from fl_chain.run.ring import RingMember, RingParts
from fl_chain.run.rounds import RoundReader
from fl_chain.run.sightings import Sightings
from fl_chain.run.transactions import TransactionOutbox
from fl_chain.run.updates import Learner, UpdateSource
from fl_chain.run.watcher import Signer, Watcher
from fl_chain.store import Store

log = logging.getLogger(__name__)

CLAIM_BATCH = 64  # rewards per claim transaction

# The round that was read is not the one that stands: what stands now is tried with the next step.
_OVERTAKEN = ("WrongStatus", "WrongBaseModel", "AlreadySubmitted")


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker is made of."""

    ledger: Ledger
    account: Account
    store: Store
    learner: Learner
    policy: RunPolicy
    outbox: Outbox
    payout: Address
    is_watching: bool = True  # challenges and objects by itself; it never trains on what it cannot verify
    clock: Callable[[], float] = time.monotonic  # by which the time for training is measured


class Worker:
    """One participant's side of a run."""

    def __init__(self, parts: WorkerParts) -> None:
        ledger, account = parts.ledger, parts.account
        self._parts = parts
        self._keyring, self._opener = self._key_holding()
        opener = None if self._opener is None else self._opener.opened
        reader = RoundReader(ledger.sync(), parts.store, parts.policy.rule, opener)
        self._reader = reader
        models = ModelChain(reader)
        self._transactions = TransactionOutbox(parts.outbox.folder, account)
        rank = 1 + int(account.address[2:6], 16) % 16
        self._patience = Patience(ledger, account, self._transactions, rank=rank)
        self._payout = Payout(ledger, account, self._transactions)
        outbox = parts.outbox
        self._ring = RingMember(
            RingParts(
                ledger,
                account,
                parts.store,
                self._transactions,
                outbox.secret,
                outbox.folder,
                parts.policy.groups,
            )
        )
        self._updates = UpdateSource(
            learner=parts.learner,
            policy=parts.policy,
            outbox=parts.outbox,
            models=models,
            kept=KeptState(parts.outbox.folder),
            chain_time=lambda: ledger.head().timestamp,
            clock=parts.clock,
            ring=self._ring,
            encrypt=self._encrypted,
        )
        self._publication = Publication(parts.store, self._updates)
        signer = Signer(account, self._transactions, rank_s=rank) if parts.is_watching else None
        self._watcher = Watcher(ledger, models, Sightings(reader), signer)
        self._unverified: dict[int, str] = {}
        self._refused: set[int] = set()
        self._reorganisations = 0

    def step(self) -> bool:
        """Do what is due next, at most one thing.

        Returns:
            Whether anything was done; if not, wait a moment before the next call.

        Raises:
            LedgerError: if the ledger cannot be reached or refuses what it should accept.
            ModelError: if the trained model cannot be represented.
            StateUnwritable: if the worker's folder does not take what has to be durable.
            KeyUnavailable: if another key signs for this participant by now.
        """
        history = self._parts.ledger.sync()
        if not history.has_begun:  # the deployment itself waits for its confirmations
            return False
        self._notice_reorganisation()
        self._verify_key(history)
        return (
            self._publication.step(history, self._own_submissions(history))
            or self._open_sums(history)
            or self._register(history)
            or self._ring.step(history, self._identity(history))
            or self._watcher.step(history)
            or self._submit(history)
            or self._claim(history)
            or self._leave(history)
            or self._patience.step(history)
        )

    def is_done(self) -> bool:
        """Return whether the run has ended, and rewards and deposit are paid out."""
        ledger = self._parts.ledger
        history = ledger.sync()
        identity = self._identity(history)
        participant = history.participants.get(identity)
        return (
            participant is not None
            and not participant.registered
            and has_ended(history, ledger.synced.timestamp)
            and not self._unclaimed(history)
            and is_paid_out(history, identity)
        )

    def _notice_reorganisation(self) -> None:
        """Forget what was concluded about rounds that may be others now; what is on disk holds for any."""
        if self._parts.ledger.reorganisations != self._reorganisations:
            self._reorganisations = self._parts.ledger.reorganisations
            self._refused.clear()
            self._unverified.clear()

    def _identity(self, history: History) -> Address:
        return history.identity_of(self._parts.account.address)

    def _verify_key(self, history: History) -> None:
        own = self._parts.account.address
        participant = history.participants.get(self._identity(history))
        if participant is not None and participant.signer != own:
            raise KeyUnavailable(
                f"the key {own} was rotated out: {participant.signer} signs for this participant now. Name "
                "that key in [keys], keep `state` in [worker] as it is, and start the worker again"
            )

    # ------------------------------------------------------------------ encryption

    def _key_holding(self) -> tuple[Keyring | None, SumOpener | None]:
        """Return what holds the cohort's key and opens sums with it; nothing in a run that has none."""
        parts, cohort = self._parts, self._parts.policy.key_cohort
        if cohort is None:
            return None, None
        outbox = parts.outbox
        keyring = Keyring(
            KeyringParts(parts.ledger, parts.account, parts.store, outbox.secret, outbox.folder, cohort)
        )
        opened = OpenedSums(keyring.folder)
        opener = SumOpener(
            parts.account,
            parts.store,
            opened,
            key=lambda: keyring.key,
            own_root=lambda *asked: self._updates.sealed_root(*asked),  # noqa: PLW0108 - it is made later
        )
        return keyring, opener

    def _open_sums(self, history: History) -> bool:
        """Take the cohort's key, and open the sums of rounds with it."""
        if self._keyring is None or self._opener is None:
            return False
        identity = self._identity(history)
        if self._keyring.step(history, identity):
            return True
        try:
            rounds = self._reader.encrypted
        except (StoreError, VerificationError) as error:
            log.warning("the policy document cannot be read: %s", error)
            return False
        return self._opener.step(rounds, identity, self._parts.ledger.head().timestamp)

    def _encrypted(self, lanes: Lanes) -> Lanes:
        key = None if self._keyring is None else self._keyring.key
        if key is None:
            raise ValueError("nobody registers before the cohort's key is there")
        return encrypt(lanes, key.public)

    def _send(self, what: str, is_due: Callable[[], bool], call: Callable[[], Receipt]) -> bool:
        return self._transactions.send(what, is_due=is_due, call=call) is not None

    def _register(self, history: History) -> bool:
        ledger, account = self._parts.ledger, self._parts.account
        identity = self._identity(history)
        participant = history.participants.get(identity)
        if (
            participant is None
            or not participant.admitted
            or participant.registered
            or (self._keyring is not None and self._keyring.key is None)  # nothing to encrypt with yet
            or identity in history.departed  # who left comes back by a decision of its own
            or has_ended(history, ledger.synced.timestamp)
        ):
            return False
        is_sent = self._send(
            "registration",
            lambda: not ledger.participant(identity).registered,
            lambda: ledger.register(account, self._parts.payout),
        )
        if is_sent:
            log.info("registered as %s", account.address)
        return is_sent

    def _submit(self, history: History) -> bool:
        current = self._open_round(history)
        if current is None:
            return False
        prepared = self._prepared(current, history)
        if prepared is None:
            return False
        identity = self._identity(history)
        try:
            is_sent = self._send(
                f"submission to round {current.id}",
                lambda: self._is_awaited(current, identity),
                lambda: self._parts.ledger.submit(
                    self._parts.account,
                    round=current.id,
                    base_model_root=prepared.base_model_root,
                    sealed_root=prepared.sealed_root,
                    weight=prepared.weight,
                ),
            )
        except LedgerReverted as error:
            if error.name not in _OVERTAKEN:
                self._refused.add(current.id)
            log.warning("round %d: not submitted: %s", current.id, error)
            return False
        if is_sent:
            log.info(
                "round %d: submitted 0x%s, weight %d",
                current.id,
                prepared.sealed_root.hex(),
                prepared.weight,
            )
        return is_sent

    def _is_awaited(self, current: Round, identity: Address) -> bool:
        """Return whether a round still takes the submission, after however long the training took."""
        ledger = self._parts.ledger
        return (
            ledger.participant(identity).last_seen < current.id
            and ledger.round(current.id).status is RoundStatus.OPEN
            and ledger.head().timestamp < current.since + ledger.policy().submission_s
        )

    def _open_round(self, history: History) -> Round | None:
        current = active_round(history)
        identity = self._identity(history)
        participant = history.participants.get(identity)
        if current is None or current.status is not RoundStatus.OPEN or participant is None:
            return None
        has_key = self._keyring is None or self._keyring.key is not None
        if not participant.registered or current.id >= participant.barred_from or not has_key:
            return None
        if current.id in self._refused or any(
            s.participant == identity for s in history.submissions[current.id]
        ):
            return None
        members = cohort(history, self._parts.policy, current.id)
        if members is not None and identity not in members:
            return None
        now = self._parts.ledger.head().timestamp
        if history.is_masked and not self._ring.may_submit(history, current.id, identity, now):
            return None
        return current if now < current.since + history.policy.submission_s else None

    def _prepared(self, current: Round, history: History) -> PreparedUpdate | None:
        """Return a round's update; None while its base is not verified."""
        try:
            return self._updates.prepared(current, history, self._identity(history))
        except (StoreError, VerificationError) as error:
            if self._unverified.get(current.id) != str(error):
                self._unverified[current.id] = str(error)
                log.warning(
                    "round %d: will not train on a model that cannot be verified: %s", current.id, error
                )
            return None

    def _own_submissions(self, history: History) -> list[Submission]:
        identity = self._identity(history)
        first = history.state.settled + 1
        self._updates.drop_settled(history, identity)
        return [
            submission
            for round_id in range(first, history.state.latest + 1)
            for submission in history.submissions[round_id]
            if submission.participant == identity
        ]

    def _unclaimed(self, history: History) -> list[Submission]:
        return history.unclaimed_rewards(self._identity(history))

    def _claim(self, history: History) -> bool:
        ledger, identity = self._parts.ledger, self._identity(history)
        due = self._unclaimed(history)
        ended = has_ended(history, ledger.synced.timestamp)
        if not due or (len(due) < CLAIM_BATCH and not ended):
            return False
        batch = [one for one in due[:CLAIM_BATCH] if not ledger.is_claimed(one.round, one.index)]
        is_sent = self._send(
            f"claim of {len(batch)} rewards",
            lambda: bool(batch) and not ledger.is_claimed(batch[0].round, batch[0].index),
            lambda: ledger.claim(self._parts.account, identity, batch),
        )
        if is_sent:
            log.info("claimed the rewards of %d rounds", len(batch))
        return is_sent

    def _leave(self, history: History) -> bool:
        """After the end: leave, and take the deposit out when it is due."""
        ledger, identity = self._parts.ledger, self._identity(history)
        participant = history.participants.get(identity)
        if participant is None or not has_ended(history, ledger.synced.timestamp):
            return False
        if not participant.registered:
            return self._payout.step(identity)
        is_sent = self._send(
            "leaving",
            lambda: ledger.participant(identity).registered,
            lambda: ledger.leave(self._parts.account),
        )
        if is_sent:
            log.info("left the run; the deposit is paid back after %d s", history.policy.unbonding_s)
        return is_sent
