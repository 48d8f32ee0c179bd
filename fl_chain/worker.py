"""A participant's worker: trains beside its own data, submits, publishes after close, claims.

Each call of ``Worker.step`` looks at the ledger and does the one thing that is due next. Whatever it did
before is read from the ledger and from the worker's own folder, so it can be stopped at any moment and
started again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.quantise import declared_weight, model_values, quantise_update
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.seals import salt, sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import StoreError, VerificationError
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.policy import RunPolicy
from fl_chain.records import Address, Opening, Round, RoundStatus, Submission
from fl_chain.run.keeper import has_ended
from fl_chain.run.models import ModelChain
from fl_chain.run.outbox import Outbox, PreparedUpdate
from fl_chain.run.patience import Patience
from fl_chain.run.rounds import RoundReader
from fl_chain.store import Store, WriteState

log = logging.getLogger(__name__)

CLAIM_BATCH = 64  # rewards per claim transaction
REPUBLICATION_S = 30.0  # between two looks whether a published update is still there


class LocalUpdate(Protocol):
    """What local training returns."""

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The trained parameters, shape (dimension,)."""

    @property
    def n_examples(self) -> int:
        """Training rows."""

    @property
    def loss(self) -> float:
        """Mean training loss of the last epoch."""


class Learner(Protocol):
    """The model and the data beside it."""

    def train(self, base: npt.NDArray[np.float32], *, round_id: int) -> LocalUpdate:
        """Train from ``base``; the same arguments give the same bytes."""


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


class Worker:
    """One participant's side of a run."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._patience = Patience(
            parts.ledger, parts.account, rank=1 + int(parts.account.address[2:6], 16) % 16
        )
        self._models = ModelChain(RoundReader(parts.ledger.sync(), parts.store))
        self._published_at: dict[int, float] = {}  # monotonic seconds, by round
        self._refused: dict[int, str] = {}

    def step(self) -> bool:
        """Do what is due next, at most one thing.

        Returns:
            Whether anything was done; if not, wait a moment before the next call.

        Raises:
            LedgerError: if the ledger cannot be reached or refuses what it should accept.
            ModelError: if the trained model cannot be represented.
        """
        history = self._parts.ledger.sync()
        return (
            self._register(history)
            or self._publish(history)
            or self._submit(history)
            or self._claim(history)
            or self._leave(history)
            or self._patience.step(history)
        )

    def is_done(self) -> bool:
        """Return whether the run has ended and everything that was earned here is claimed."""
        ledger = self._parts.ledger
        history = ledger.sync()
        identity = self._identity(history)
        participant = history.participants.get(identity)
        return (
            participant is not None
            and not participant.registered
            and has_ended(history, ledger.head().timestamp)
            and not self._unclaimed(history)
        )

    def _identity(self, history: History) -> Address:
        return history.identity_of(self._parts.account.address)

    def _register(self, history: History) -> bool:
        participant = history.participants.get(self._identity(history))
        now = self._parts.ledger.head().timestamp
        if (
            participant is None
            or not participant.admitted
            or participant.registered
            or has_ended(history, now)
        ):
            return False
        self._parts.ledger.register(self._parts.account, self._parts.payout)
        log.info("registered as %s", self._parts.account.address)
        return True

    def _submit(self, history: History) -> bool:
        current = self._open_round(history)
        if current is None:
            return False
        prepared = self._prepared(current, history)
        if prepared is None:
            return False
        self._parts.ledger.submit(
            self._parts.account,
            round=current.id,
            base_model_root=history.model_root(current.base_round),
            sealed_root=prepared.sealed_root,
            weight=prepared.weight,
        )
        log.info(
            "round %d: submitted 0x%s, weight %d", current.id, prepared.sealed_root.hex(), prepared.weight
        )
        return True

    def _open_round(self, history: History) -> Round | None:
        latest = history.rounds.get(history.state.latest)
        identity = self._identity(history)
        participant = history.participants.get(identity)
        if latest is None or latest.status is not RoundStatus.OPEN or participant is None:
            return None
        if not participant.registered or latest.id >= participant.barred_from:
            return None
        if any(s.participant == identity for s in history.submissions[latest.id]):
            return None
        now = self._parts.ledger.head().timestamp
        return latest if now < latest.since + history.policy.submission_s else None

    def _prepared(self, current: Round, history: History) -> PreparedUpdate | None:
        """Return a round's update: the one on disk, or a new one; None while its base is not verified."""
        base_root = history.model_root(current.base_round)
        kept = self._parts.outbox.load(current.id)
        if kept is not None and kept.base_model_root == base_root:
            return kept
        try:
            base = self._models.model(current.base_round)
        except (StoreError, VerificationError) as error:
            self._refuse(current.id, error)
            return None
        prepared = self._trained(current, history, base)
        self._parts.outbox.save(prepared)
        return prepared

    def _refuse(self, round_id: int, error: Exception) -> None:
        if self._refused.get(round_id) != str(error):
            self._refused[round_id] = str(error)
            log.warning("round %d: will not train on a model that cannot be verified: %s", round_id, error)

    def _trained(self, current: Round, history: History, base: Lanes) -> PreparedUpdate:
        quantisation = history.policy.quantisation
        base_values = model_values(base, quantisation.fraction_bits)
        update = self._parts.learner.train(base_values, round_id=current.step)
        identity = self._identity(history)
        weight = declared_weight(
            update.n_examples,
            self._parts.policy.examples_per_weight,
            history.participants[identity].weight_cap,
        )
        lanes = quantise_update(update.values, base_values, weight, quantisation)
        root = vector_root(lanes)
        round_salt = salt(self._parts.outbox.secret, history.run, current.id)
        log.info("round %d: trained on %d rows, loss %.4f", current.id, update.n_examples, update.loss)
        return PreparedUpdate(
            round=current.id,
            base_model_root=history.model_root(current.base_round),
            sealed_root=sealed_root(root, round_salt, history.run, current.id, identity),
            weight=weight,
            opening=Opening(root, round_salt),
            lanes=lanes,
        )

    def _publish(self, history: History) -> bool:
        """Publish one update whose round has closed, and go on doing so until the round is final."""
        for submission in self._own_submissions(history):
            current = history.rounds[submission.round]
            if current.status not in (RoundStatus.CLOSED, RoundStatus.POSTED):
                continue
            if not self._is_publication_due(submission):
                continue
            self._published_at[submission.round] = time.monotonic()
            kept = self._parts.outbox.load(submission.round)
            if kept is None or kept.sealed_root != submission.sealed_root:
                log.warning("round %d: the update is not in this worker's folder any more", submission.round)
                continue
            outcomes = self._parts.store.write_update(
                submission.participant,
                submission.sealed_root,
                kept.opening,
                kept.lanes,
                run=history.run,
                round=submission.round,
            )
            if any(outcome.state is WriteState.WRITTEN for outcome in outcomes):
                log.info("round %d: update published", submission.round)
                return True
        return False

    def _is_publication_due(self, submission: Submission) -> bool:
        """Return whether an update has not been published yet, or has gone missing since."""
        published_at = self._published_at.get(submission.round)
        if published_at is None:
            return True
        if time.monotonic() - published_at < REPUBLICATION_S:
            return False
        self._published_at[submission.round] = time.monotonic()
        return not self._parts.store.has_update(submission.participant, submission.sealed_root)

    def _own_submissions(self, history: History) -> list[Submission]:
        identity = self._identity(history)
        first = history.state.settled + 1
        self._parts.outbox.drop_before(first)
        return [
            submission
            for round_id in range(first, history.state.latest + 1)
            for submission in history.submissions[round_id]
            if submission.participant == identity
        ]

    def _unclaimed(self, history: History) -> list[Submission]:
        return history.unclaimed_rewards(self._identity(history))

    def _claim(self, history: History) -> bool:
        due = self._unclaimed(history)
        ended = has_ended(history, self._parts.ledger.head().timestamp)
        if not due or (len(due) < CLAIM_BATCH and not ended):
            return False
        self._parts.ledger.claim(self._parts.account, self._identity(history), due[:CLAIM_BATCH])
        log.info("claimed the rewards of %d rounds", len(due[:CLAIM_BATCH]))
        return True

    def _leave(self, history: History) -> bool:
        participant = history.participants.get(self._identity(history))
        if participant is None or not participant.registered:
            return False
        if not has_ended(history, self._parts.ledger.head().timestamp):
            return False
        self._parts.ledger.leave(self._parts.account)
        log.info("left the run; the deposit is paid back after %d s", history.policy.unbonding_s)
        return True
