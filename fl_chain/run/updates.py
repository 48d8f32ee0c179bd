"""Making a round's update: once, saved before anyone hears of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.quantise import declared_weight, model_values, quantise_update
from fl_chain.commitment.seals import salt, sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.ledger.history import History
from fl_chain.policy import RunPolicy
from fl_chain.records import Address, Opening, Round, Submission
from fl_chain.run.models import ModelChain
from fl_chain.run.outbox import Outbox, PreparedUpdate

log = logging.getLogger(__name__)


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
class UpdateSource:
    """Trains, quantises and seals, and keeps the result in the outbox."""

    learner: Learner
    policy: RunPolicy
    outbox: Outbox
    models: ModelChain

    def prepared(self, current: Round, history: History, identity: Address) -> PreparedUpdate:
        """Return a round's update: the one on disk, or a new one that is on disk when this returns.

        Raises:
            StoreError: if the round's base cannot be read.
            VerificationError: if the base is not what its inputs give; nobody should train on it.
            ModelError: if the trained model cannot be represented.
            StateUnwritable: if the disk does not take the update.
        """
        kept = self.outbox.load(current.id, history.model_root(current.base_round))
        if kept is not None:
            return kept
        prepared = self._trained(current, history, identity)
        self.outbox.save(prepared)
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

    def _trained(self, current: Round, history: History, identity: Address) -> PreparedUpdate:
        quantisation = history.policy.quantisation
        base_values = model_values(self.models.model(current.base_round), quantisation.fraction_bits)
        update = self.learner.train(base_values, round_id=current.step)
        weight = declared_weight(
            update.n_examples,
            self.policy.examples_per_weight,
            history.participants[identity].weight_cap,
        )
        lanes = quantise_update(update.values, base_values, weight, quantisation)
        root = vector_root(lanes)
        round_salt = salt(self.outbox.secret, history.run, current.id)
        log.info("round %d: trained on %d rows, loss %.4f", current.id, update.n_examples, update.loss)
        return PreparedUpdate(
            round=current.id,
            base_model_root=history.model_root(current.base_round),
            sealed_root=sealed_root(root, round_salt, history.run, current.id, identity),
            weight=weight,
            opening=Opening(root, round_salt),
            lanes=lanes,
        )
