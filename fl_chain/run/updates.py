"""Making a round's update: once, saved before anyone hears of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.quantise import (
    committed_update,
    declared_weight,
    model_values,
    requantise_update,
)
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.seals import salt, sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.config import ClientPrivacySettings, RowPrivacySettings
from fl_chain.learning.work import LocalUpdate, PrivateWork, RoundWork, Values
from fl_chain.ledger.history import History
from fl_chain.masking.context import MaskingContext, derived
from fl_chain.policy import RunPolicy, noise_of
from fl_chain.privacy.clients import WEIGHT, noisy_update
from fl_chain.records import Address, Digest, Opening, Round, RoundStatus, RunId, Submission
from fl_chain.run.cohorts import participation
from fl_chain.run.kept import KeptState
from fl_chain.run.models import ModelChain
from fl_chain.run.outbox import Outbox, PreparedUpdate
from fl_chain.run.ring import RingMember

log = logging.getLogger(__name__)


class Learner(Protocol):
    """The model and the data beside it."""

    def train(
        self, base: npt.NDArray[np.float32], *, round_id: int, work: RoundWork | None = None
    ) -> LocalUpdate:
        """Train from ``base``; the same arguments give the same bytes, unless the clock ends it."""


@dataclass(frozen=True, slots=True)
class UpdateSource:
    """Trains, quantises and seals, and keeps the result in the outbox.

    Attributes:
        learner: trains.
        policy: of the run.
        outbox: takes every update before anyone hears of it.
        models: the verified global models.
        kept: takes what the participant keeps for its next round.
        chain_time: the chain's time, in seconds.
        clock: seconds that only grow, by which the time for training is measured.
        ring: puts masks on, in a masked run.
        encrypt: makes ciphertexts, in an encrypted run.
    """

    learner: Learner
    policy: RunPolicy
    outbox: Outbox
    models: ModelChain
    kept: KeptState
    chain_time: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    ring: RingMember | None = None
    encrypt: Callable[[Lanes], Lanes] | None = None

    def prepared(self, current: Round, history: History, identity: Address) -> PreparedUpdate:
        """Return a round's update: the one on disk, or a new one that is on disk when this returns.

        Raises:
            StoreError: if the round's base cannot be read.
            VerificationError: if the base is not what its inputs give; nobody should train on it.
            ModelError: if the trained model cannot be represented.
            StateUnwritable: if the disk does not take the update.
        """
        ring = history.round_masks(current.id).ring_digest() if history.is_masked else None
        kept = self.outbox.load(current.id, history.model_root(current.base_round), ring=ring)
        if kept is not None:
            return kept
        prepared = None
        if current.status is RoundStatus.OPEN:
            prepared = self._retargeted(current, history, identity)
        prepared = prepared or self._trained(current, history, identity)
        self.outbox.save(prepared, ring=ring)
        return prepared

    def submitted(self, submission: Submission, history: History) -> PreparedUpdate | None:
        """Return what opens a submission; trained again where the disk has lost it.

        Returns:
            None where it is lost, and training again does not give the same update.

        Raises:
            As `prepared`.
        """
        prepared = self.prepared(history.rounds[submission.round], history, submission.participant)
        return prepared if prepared.sealed_root == submission.sealed_root else None

    def sealed_root(self, history: History, round_id: int) -> Digest | None:
        """Return the sealed root of the update that is saved for a round; None where there is none."""
        kept = self.outbox.load(round_id, history.model_root(history.rounds[round_id].base_round))
        return None if kept is None else kept.sealed_root

    def drop_settled(self, history: History, identity: Address) -> None:
        """Remove what no round needs any more: updates of settled rounds, and what was kept before those."""
        first = history.state.settled + 1
        if self.policy.training.staleness_factor is not None:  # what was late may yet be submitted
            first = min(first, history.state.latest - self.policy.training.max_staleness)
        self.outbox.drop_before(first)
        if self._keeps:
            self.kept.drop_unneeded(history, identity)

    @property
    def _keeps(self) -> bool:
        """Whether a participant has anything to remember from one round to the next."""
        return self.policy.training.algorithm == "scaffold" or bool(self.policy.training.local)

    def _trained(self, current: Round, history: History, identity: Address) -> PreparedUpdate:
        quantisation = history.policy.quantisation
        base_values = model_values(self.models.model(current.base_round), quantisation.fraction_bits)
        base_root = history.model_root(current.base_round)
        key = noise_key(self.policy, self.outbox.secret, history.run, current.id, base_root)
        work = RoundWork(
            kept=self._kept_before(current, history, identity),
            participation=participation(history, self.policy, current.id),
            time_s=self._time_s(current),
            clock=self.clock,
            private=private_work(self.policy, key),
        )
        update = self.learner.train(base_values, round_id=current.step, work=work)
        weight_cap = history.participants[identity].weight_cap
        weight, lanes, root = weighted_update(self.policy, update, base_values, weight_cap, key)
        if update.kept is not None:
            self.kept.save(current.id, base_root, update.kept)
        log.info("round %d: trained on %d rows, loss %.4f", current.id, update.n_examples, update.loss)
        if history.is_masked:
            if self.ring is None:
                raise ValueError("in a masked run nothing leaves without masks")
            lanes = self.ring.masked(history, current.id, identity, lanes)
            root = vector_root(lanes)
        if self.policy.key_cohort is not None:
            if self.encrypt is None:
                raise ValueError("in an encrypted run nothing leaves that is not encrypted")
            lanes = self.encrypt(lanes)
            root = vector_root(lanes)
        return self._sealed(current, history, identity, weight, lanes, root)

    def _kept_before(
        self, current: Round, history: History, identity: Address
    ) -> npt.NDArray[np.float32] | None:
        if not self._keeps:
            return None
        return self.kept.before(current.base_round, history, identity)

    def _time_s(self, current: Round) -> float | None:
        """Return how long training may take from now on; None for as long as it takes."""
        share = self.policy.training.deadline_share
        if share is None or current.status is not RoundStatus.OPEN:
            return None
        return max(0.0, current.since + share * self.policy.ledger.submission_s - self.chain_time())

    def _retargeted(self, current: Round, history: History, identity: Address) -> PreparedUpdate | None:
        """Return a late change as an update of this round; None where there is none that still counts."""
        training = self.policy.training
        late = self._late(current, history, identity)
        if late is None or training.staleness_factor is None:
            return None
        self.models.model(current.base_round)  # as before training: only what is built on a verified model
        age = current.step - history.rounds[late.round].step
        weight = min(late.weight, history.participants[identity].weight_cap)
        factor = training.staleness_factor**age
        lanes = requantise_update(late.lanes, late.weight, weight, factor, history.policy.quantisation)
        values = self.kept.load(late.round, late.base_model_root)
        if values is not None:
            self.kept.save(current.id, history.model_root(current.base_round), values)
        log.info("round %d: takes over the late update of round %d at %.3g", current.id, late.round, factor)
        return self._sealed(current, history, identity, weight, lanes, vector_root(lanes))

    def _late(self, current: Round, history: History, identity: Address) -> PreparedUpdate | None:
        """Return the newest update that was made for an earlier round and came late, if it still counts."""
        training = self.policy.training
        if training.staleness_factor is None:
            return None
        for round_id, base in self.outbox.saved_rounds(1, current.id - 1):
            earlier = history.rounds[round_id]
            if any(s.participant == identity for s in history.submissions[round_id]):
                return None  # whatever is older is older than what was submitted
            is_built_on = base == history.model_root(earlier.base_round) and is_below(
                history, earlier.base_round, current.base_round
            )
            if is_built_on and current.step - earlier.step <= training.max_staleness:
                return self.outbox.load(round_id, base)
        return None

    def _sealed(  # noqa: PLR0917 - what an update is made of, in the order in which it is made
        self, current: Round, history: History, identity: Address, weight: int, lanes: Lanes, root: Digest
    ) -> PreparedUpdate:
        base_root = history.model_root(current.base_round)
        secret = self.outbox.secret
        return sealed_update(
            lanes, root, weight, current.id, base_root, secret, run=history.run, identity=identity
        )


def sealed_update(  # noqa: PLR0917 - what an update is made of, in the order in which it is made
    lanes: Lanes,
    root: Digest,
    weight: int,
    round_id: int,
    base_model_root: Digest,
    secret: bytes,
    *,
    run: RunId,
    identity: Address,
) -> PreparedUpdate:
    """Return an update with its commitment.

    Args:
        lanes: of the update, shape (dimension,), big-endian.
        root: their vector root.
        weight: the declared weight.
        round_id: the round that it is for.
        base_model_root: of the model that it starts from.
        secret: the participant's, 32 bytes, from which the salt follows.
        run: which chain and ledger.
        identity: the participant.
    """
    round_salt = salt(secret, run, round_id)
    return PreparedUpdate(
        round=round_id,
        base_model_root=base_model_root,
        sealed_root=sealed_root(root, round_salt, run, round_id, identity),
        weight=weight,
        opening=Opening(root, round_salt),
        lanes=lanes,
    )


def noise_key(
    policy: RunPolicy, secret: bytes, run: RunId, round_id: int, base_model_root: Digest
) -> bytes | None:
    """Return what a participant's noise in a round follows from; None where the policy asks for none.

    The key is bound to round and base: the same noise under two updates would cancel in their difference.

    Args:
        policy: of the run.
        secret: the participant's, 32 bytes.
        run: which chain and ledger.
        round_id: the round.
        base_model_root: of the model that it starts from.
    """
    if noise_of(policy.privacy) is None:
        return None
    return derived(secret, MaskingContext(run, round_id, base_model_root), b"privacy noise")


def private_work(policy: RunPolicy, key: bytes | None) -> PrivateWork | None:
    """Return how training hides a participant's rows; None where it is not training that hides them."""
    if key is None or not isinstance(policy.privacy, RowPrivacySettings):
        return None
    return PrivateWork(policy.privacy, key)


def weighted_update(
    policy: RunPolicy, update: LocalUpdate, base: Values, weight_cap: int, key: bytes | None
) -> tuple[int, Lanes, Digest]:
    """Return weight, lanes and vector root of what a participant learnt.

    Args:
        policy: of the run.
        update: what was learnt.
        base: the model that training started from, shape (dimension,).
        weight_cap: the most that the operator allows the participant.
        key: what noise follows from; see `noise_key`.

    Raises:
        InputDataError: if it was trained on no example.
        NonFiniteValue: if training diverged.
    """
    quantisation = policy.ledger.quantisation
    if key is not None and isinstance(policy.privacy, ClientPrivacySettings):
        lanes = noisy_update(update.values, base, policy.privacy, quantisation, key)
        return WEIGHT, lanes, vector_root(lanes)
    weight = declared_weight(update.n_examples, policy.examples_per_weight, weight_cap)
    return weight, *committed_update(update.values, base, weight, quantisation)


def is_below(history: History, ancestor: int, round_id: int) -> bool:
    """Return whether a round's model is built on another's, or is the same; 0 stands for genesis."""
    while round_id > ancestor:
        round_id = history.rounds[round_id].base_round
    return round_id == ancestor
