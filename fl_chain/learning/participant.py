"""A run's model and one participant's training, for the floors above: NumPy vectors in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import nn

from fl_chain.config import TrainingSettings
from fl_chain.errors import InputDataError
from fl_chain.learning.manifest import Manifest
from fl_chain.learning.task import OwnerData, Rows, Task, joined, n_rows
from fl_chain.learning.training import derive_seed, seeded_torch, use_one_deterministic_thread
from fl_chain.learning.vectors import (
    flatten,
    float_buffers,
    load_vector,
    manifest_of,
    verify_buffers_unchanged,
)

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LocalUpdate:
    """What a participant learnt in one round, before it is quantised.

    Attributes:
        values: the trained model, shape (dimension,), float32.
        n_examples: rows that it was trained on.
        loss: mean training loss of the last local epoch, as the task reports it.
    """

    values: Values
    n_examples: int
    loss: float


class ModelDefinition:
    """The model of a run: its manifest, its first values, its training."""

    def __init__(self, task: Task, *, seed: int) -> None:
        """Build the model once and read its manifest.

        Args:
            task: what is learnt.
            seed: the run's seed, in [0, 2**63).

        Raises:
            UnsupportedModel: if the model cannot be aggregated.
        """
        use_one_deterministic_thread()
        self._task = task
        self._seed = seed
        self._module = self._fresh()
        self.manifest: Manifest = manifest_of(self._module)

    def genesis_values(self) -> Values:
        """Return the untrained model's parameters, shape (dimension,).

        Raises:
            NonFiniteValue: naming the tensor.
        """
        return flatten(self._fresh(), self.manifest)

    def train(self, base: Values, examples: Rows, training: TrainingSettings, *, seed: int) -> LocalUpdate:
        """Return the model after training on rows, from ``base`` on.

        Raises:
            InputDataError: if there are no rows.
            NonFiniteValue: if training diverges, naming the tensor or the loss.
            UnsupportedModel: if training changes a buffer that is not aggregated.
        """
        if n_rows(examples) == 0:
            raise InputDataError("there are no rows to train on")
        load_vector(self._module, self.manifest, base)
        buffers = float_buffers(self._module)
        with seeded_torch(seed):
            loss = self._task.train(self._module, examples, training, seed)
        verify_buffers_unchanged(self._module, buffers)
        return LocalUpdate(flatten(self._module, self.manifest), n_rows(examples), float(loss))

    def evaluate(self, values: Values, examples: Rows) -> dict[str, float]:
        """Return the metrics of a model on rows, by name; those undefined there are left out.

        Raises:
            NonFiniteValue: if the model is not finite.
        """
        load_vector(self._module, self.manifest, values)
        return self._task.evaluate(self._module, examples)

    def _fresh(self) -> nn.Module:
        with seeded_torch(self._seed):
            return self._task.model(self._seed)


class LocalLearner:
    """One participant: its rows, and the training on them."""

    def __init__(
        self, task: Task, training: TrainingSettings, *, owner: str, source: str | None = None, seed: int
    ) -> None:
        """Prepare; the rows are read when they are first needed.

        Args:
            task: what is learnt.
            training: epochs, batch size, learning rate, ...
            owner: whose rows; also parts this participant's batches from the others'.
            source: the participant's own data file, or None for the task's.
            seed: the run's seed, in [0, 2**63).

        Raises:
            UnsupportedModel: if the model cannot be aggregated.
        """
        self.definition = ModelDefinition(task, seed=seed)
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

    def train(self, base: Values, *, round_id: int) -> LocalUpdate:
        """Return this participant's model of a round, trained from ``base`` on.

        Batches follow from run seed, round and owner alone (`derive_seed`), so the same call gives the
        same bytes.

        Raises:
            InputDataError: if the rows cannot be read.
            NonFiniteValue: if training diverges.
            UnsupportedModel: if training changes a buffer that is not aggregated.
        """
        seed = derive_seed(self._seed, round_id, self._owner)
        return self.definition.train(base, self._data.train, self._training, seed=seed)

    def evaluate(self, values: Values) -> dict[str, float]:
        """Return a model's metrics on this participant's held-out rows."""
        return self.definition.evaluate(values, self._data.test)

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
        self.definition = ModelDefinition(task, seed=seed)
        self._training = training
        self._seed = seed
        self._data = {owner: task.load(owner, source) for owner in owners}
        self._held_out = joined([data.test for data in self._data.values()])

    def evaluate(self, values: Values) -> dict[str, float]:
        """Return a model's metrics on the common held-out set."""
        return self.definition.evaluate(values, self._held_out)

    def train_alone(self, owners: Sequence[str], *, rounds: int) -> Values:
        """Return the model that these owners' pooled rows give without federation.

        It starts from the same first model and sees as many epochs as a federated participant, ``rounds *
        local_epochs``.
        """
        examples = joined([self._data[owner].train for owner in owners])
        training = self._training.model_copy(update={"local_epochs": rounds * self._training.local_epochs})
        seed = derive_seed(self._seed, 0, "+".join(owners))
        return self.definition.train(self.definition.genesis_values(), examples, training, seed=seed).values
