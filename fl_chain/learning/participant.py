"""One participant's training, and what federation is worth to it: NumPy vectors in and out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from fl_chain.config import TrainingSettings
from fl_chain.learning.definition import ModelDefinition
from fl_chain.learning.manifest import Manifest
from fl_chain.learning.task import OwnerData, Task, joined, n_rows
from fl_chain.learning.training import derive_seed
from fl_chain.learning.work import LocalUpdate, RoundWork, Values

__all__ = ["Comparison", "LocalLearner", "LocalUpdate", "ModelDefinition", "Values"]


class LocalLearner:
    """One participant: its rows, and the training on them."""

    def __init__(
        self,
        task: Task,
        training: TrainingSettings,
        *,
        owner: str,
        source: str | None = None,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """Prepare; the rows are read when they are first needed.

        Args:
            task: what is learnt.
            training: epochs, batch size, learning rate, ...
            owner: whose rows; also parts this participant's batches from the others'.
            source: the participant's own data file, or None for the task's.
            seed: the run's seed, in [0, 2**63).
            device: what torch computes on.

        Raises:
            UnsupportedModel: if the model cannot be aggregated.
            ConfigError: if torch finds no such device.
        """
        self.definition = ModelDefinition(task, seed=seed, training=training, device=device)
        self._task = task
        self._training = training
        self._owner = owner
        self._source = source
        self._seed = seed

    @property
    def manifest(self) -> Manifest:
        """What the lanes stand for."""
        return self.definition.manifest

    @property
    def n_examples(self) -> int:
        """Rows that this participant trains on: its declared sample count.

        Raises:
            InputDataError: if the rows cannot be read.
        """
        return n_rows(self._data.train)

    def genesis_values(self) -> Values:
        """Return the untrained model's parameters; see `ModelDefinition.genesis_values`."""
        return self.definition.genesis_values()

    def train(self, base: Values, *, round_id: int, work: RoundWork | None = None) -> LocalUpdate:
        """Return this participant's model of a round, trained from ``base`` on.

        Batches follow from run seed, round and owner alone (`derive_seed`), so the same call gives the
        same bytes, unless it is the clock that ends it.

        Raises:
            InputDataError: if the rows cannot be read.
            NonFiniteValue: if training diverges.
            UnsupportedModel: if training changes a buffer that is not aggregated.
        """
        seed = derive_seed(self._seed, round_id, self._owner)
        return self.definition.train(base, self._data.train, self._training, seed=seed, work=work)

    def evaluate(self, values: Values, *, kept: Values | None = None) -> dict[str, float]:
        """Return a model's metrics on this participant's held-out rows; see `ModelDefinition.evaluate`."""
        return self.definition.evaluate(values, self._data.test, kept=kept)

    def personalised(self, values: Values, *, epochs: int, kept: Values | None = None) -> LocalUpdate:
        """Return a model fine-tuned on this participant's own rows, which nobody else ever sees.

        It is plain SGD from the global model on, at the run's learning rate: the baseline "FedAvg + FT" of
        Collins, Hassani, Mokhtari, Shakkottai, "FedAvg with Fine Tuning: Local Updates Lead to Representation
        Learning", NeurIPS 2022.

        Args:
            values: the global model, shape (dimension,).
            epochs: over the participant's rows, at least 1.
            kept: its local tensors.
        """
        training = self._training.model_copy(
            update={"algorithm": "fedavg", "proximal_mu": 0.0, "local_epochs": epochs}
        )
        seed = derive_seed(self._seed, 0, f"personalised {self._owner}")
        return self.definition.train(values, self._data.train, training, seed=seed, work=RoundWork(kept=kept))

    @cached_property
    def _data(self) -> OwnerData:
        return self._task.load(self._owner, self._source)


class Comparison:
    """What federation is worth: the same training on fewer rows or on all, judged on one common held-out set.

    It needs the rows of several owners in one place, so it is for demonstrations and experiments.
    """

    def __init__(
        self,
        task: Task,
        training: TrainingSettings,
        *,
        owners: Sequence[str],
        source: str | None = None,
        seed: int,
    ) -> None:
        """Read all owners' rows.

        Args:
            task: what is learnt.
            training: as in the federated run.
            owners: whose rows; their held-out rows together are the common held-out set.
            source: a data file, or None for the task's.
            seed: the run's seed, in [0, 2**63).

        Raises:
            InputDataError: if an owner's rows cannot be read.
        """
        self.definition = ModelDefinition(task, seed=seed, training=training)
        self._training = training.model_copy(update={"algorithm": "fedavg", "proximal_mu": 0.0})
        self._seed = seed
        self._data = {owner: task.load(owner, source) for owner in owners}
        self._held_out = joined([data.test for data in self._data.values()])

    def evaluate(self, values: Values) -> dict[str, float]:
        """Return a model's metrics on the common held-out set."""
        return self.definition.evaluate(values, self._held_out)

    def train_federated(self, *, rounds: int) -> Values:
        """Return the model that plain federated averaging gives: nothing hidden, and nothing quantised.

        Weights, batches and first model are those of the federated run.
        """
        values = self.definition.genesis_values()
        for step in range(1, rounds + 1):
            total, changes = 0, np.zeros(len(values))
            for owner, data in self._data.items():
                seed = derive_seed(self._seed, step, owner)
                update = self.definition.train(values, data.train, self._training, seed=seed)
                changes += update.n_examples * (update.values.astype(np.float64) - values)
                total += update.n_examples
            values = (values + changes / total).astype(np.float32)
        return values

    def evaluate_own(self, values: Values) -> dict[str, dict[str, float]]:
        """Return a model's metrics on each owner's own held-out rows; those undefined there are left out."""
        return {
            owner: self.definition.evaluate(values, data.test)
            for owner, data in self._data.items()
            if n_rows(data.test)
        }

    def train_alone(self, owners: Sequence[str], *, rounds: int) -> Values:
        """Return the model that these owners' pooled rows give without federation.

        It starts from the same first model and sees as many epochs as a federated participant, ``rounds *
        local_epochs``.
        """
        examples = joined([self._data[owner].train for owner in owners])
        training = self._training.model_copy(update={"local_epochs": rounds * self._training.local_epochs})
        seed = derive_seed(self._seed, 0, "+".join(owners))
        return self.definition.train(self.definition.genesis_values(), examples, training, seed=seed).values
