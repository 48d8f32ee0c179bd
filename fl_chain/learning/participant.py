"""A run's model and one participant's training, for the floors above: NumPy vectors in and out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np
import torch
from torch import nn

from fl_chain.config import TrainingSettings
from fl_chain.errors import ConfigError, InputDataError, UnsupportedModel
from fl_chain.learning.layout import VectorLayout
from fl_chain.learning.manifest import Manifest
from fl_chain.learning.steps import GuidedSteps, TrainingStopped
from fl_chain.learning.task import Examples, OwnerData, Task
from fl_chain.learning.training import derive_seed, seeded_torch, use_one_deterministic_thread
from fl_chain.learning.vectors import (
    flatten,
    float_buffers,
    load_local,
    load_vector,
    local_tensors,
    manifest_of,
    read_local,
    shared_parameters,
    tensor_views,
    verify_buffers_unchanged,
)
from fl_chain.learning.work import LocalUpdate, RoundWork, Values

__all__ = ["Comparison", "LocalLearner", "LocalUpdate", "ModelDefinition", "Values"]


class ModelDefinition:
    """The model of a run: its manifest, its first values, its training."""

    def __init__(
        self, task: Task, *, seed: int, training: TrainingSettings | None = None, device: str = "cpu"
    ) -> None:
        """Build the model once and read its manifest.

        Args:
            task: what is learnt.
            seed: the run's seed, in [0, 2**63).
            training: says which tensors stay local, and whether there are control variates.
            device: what torch computes on.

        Raises:
            UnsupportedModel: if the model cannot be aggregated.
            ConfigError: if torch finds no such device.
        """
        use_one_deterministic_thread()
        training = training or TrainingSettings()
        self._task = task
        self._seed = seed
        self._device = torch_device(device)
        self._local = training.local
        self._module = self._fresh().to(self._device)
        self._layout = VectorLayout(
            manifest_of(self._module, self._local), has_control=training.algorithm == "scaffold"
        )
        self._first_local = read_local(local_tensors(self._module, self._local))

    @property
    def manifest(self) -> Manifest:
        """What the ledger's lanes stand for."""
        return self._layout.manifest

    @property
    def keeps_nothing(self) -> bool:
        """Whether a participant has nothing to remember from one round to the next."""
        return not self._layout.has_control and not self._first_local.size

    def genesis_values(self) -> Values:
        """Return the untrained model's parameters, and control variates of zero, shape (dimension,).

        Raises:
            NonFiniteValue: naming the tensor.
        """
        model = flatten(self._fresh(), self._layout.model, self._local)
        return self._layout.joined(model, np.zeros_like(model) if self._layout.has_control else None)

    def train(
        self,
        base: Values,
        examples: Examples,
        training: TrainingSettings,
        *,
        seed: int,
        work: RoundWork | None = None,
    ) -> LocalUpdate:
        """Return the model after training on rows, from ``base`` on.

        Args:
            base: shape (dimension,).
            examples: the rows.
            training: the algorithm; one without SCAFFOLD leaves control variates as they are.
            seed: of the batches, in [0, 2**64).
            work: what the participant kept, and how much time it has.

        Raises:
            InputDataError: if there are no rows.
            NonFiniteValue: if training diverges, naming the tensor or the loss.
            UnsupportedModel: if training changes a buffer that is not aggregated.
            ValueError: if what was kept is of another size.
        """
        if len(examples) == 0:
            raise InputDataError("there are no rows to train on")
        work = work or RoundWork()
        model, control = self._layout.split(base)
        own_control, local = self._split_kept(work.kept)
        self._load(model, local)
        buffers = float_buffers(self._module, self._local)
        correction = None
        if control is not None and training.algorithm == "scaffold":
            correction = control - own_control
        loss, steps = self._trained(examples, training, seed, work, correction)
        verify_buffers_unchanged(self._module, buffers, self._local)
        trained = flatten(self._module, self._layout.model, self._local)
        if correction is not None and control is not None:
            change = next_control_change(model, trained, control, steps, training.learning_rate)
            own_control = own_control + change
            control = control + np.float32(work.participation) * change
        kept = None
        if not self.keeps_nothing:
            kept = np.concatenate([own_control, read_local(local_tensors(self._module, self._local))])
        n_seen = len(examples)
        if work.time_s is not None:
            n_seen = min(n_seen, steps * training.batch_size)
        return LocalUpdate(self._layout.joined(trained, control), n_seen, loss, kept)

    def evaluate(self, values: Values, examples: Examples, *, kept: Values | None = None) -> dict[str, float]:
        """Return the metrics of a model on rows, by name; those undefined there are left out.

        Args:
            values: shape (dimension,).
            examples: the rows.
            kept: of the participant whose local tensors are used; None for their first values.

        Raises:
            NonFiniteValue: if the model is not finite.
        """
        model, _ = self._layout.split(values)
        self._load(model, self._split_kept(kept)[1])
        return self._task.evaluate(self._module, self._on_device(examples))

    def _trained(
        self,
        examples: Examples,
        training: TrainingSettings,
        seed: int,
        work: RoundWork,
        correction: Values | None,
    ) -> tuple[float, int]:
        """Train the module; return the loss and the number of steps, which is 0 where nobody asks for it."""
        examples = self._on_device(examples)
        with seeded_torch(seed):
            if training.algorithm == "fedavg" and work.time_s is None:
                return float(self._task.train(self._module, examples, training, seed)), 0
            parameters = shared_parameters(self._module, self._layout.model, self._local)
            steps = GuidedSteps(
                list(parameters.values()),
                proximal_mu=training.proximal_mu,
                correction=None if correction is None else self._tensors(correction),
                work=work,
            )
            loss = float("nan")
            # A task of its own need not know that there is a limit: what it trained so far stays.
            with steps, suppress(TrainingStopped):
                loss = float(self._task.train(self._module, examples, training, seed))
        if steps.steps == 0:
            raise UnsupportedModel(
                "the task trained without a torch optimiser, so that neither algorithm nor time limit can "
                'reach its steps: take one, or algorithm = "fedavg" without deadline_share'
            )
        return loss, steps.steps

    def _tensors(self, values: Values) -> list[torch.Tensor]:
        views = tensor_views(values, self._layout.model)
        return [view.to(self._device) for view in views.values()]

    def _load(self, model: Values, local: Values) -> None:
        load_vector(self._module, self._layout.model, model, self._local)
        if local.size:
            load_local(local_tensors(self._module, self._local), local)

    def _split_kept(self, kept: Values | None) -> tuple[Values, Values]:
        """Return a participant's control variate and its local tensors; at first zeros and first values."""
        size = self._layout.model.dimension if self._layout.has_control else 0
        if kept is None:
            return np.zeros(size, dtype=np.float32), self._first_local
        if kept.shape != (size + self._first_local.size,):
            raise ValueError(f"what was kept has {kept.size} values, not {size + self._first_local.size}")
        return kept[:size], kept[size:]

    def _on_device(self, examples: Examples) -> Examples:
        if self._device.type == "cpu":
            return examples
        return Examples(examples.inputs.to(self._device), examples.targets.to(self._device))

    def _fresh(self) -> nn.Module:
        with seeded_torch(self._seed):
            return self._task.model(self._seed)


def torch_device(name: str) -> torch.device:
    """Return a device that torch finds here.

    Raises:
        ConfigError: if there is none of that name.
    """
    try:
        device = torch.device(name)
        if device.type == "cuda":
            # Read when CUDA starts: without it its sums come in another order each time.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"torch finds no device {name!r} here ({reason}): take cpu, or install a torch for that device"
        ) from error
    return device


def next_control_change(
    base: Values, trained: Values, control: Values, steps: int, learning_rate: float
) -> Values:
    """Return by how much a participant's control variate changes: option II of SCAFFOLD.

    ``c_i+ - c_i = (x - y_i) / (K eta) - c``, in float64 and then rounded.

    Args:
        base: x, the round's model, shape (dimension of the model,).
        trained: y_i, the participant's.
        control: c, the round's control variate.
        steps: K, at least 1.
        learning_rate: eta.
    """
    change = (base.astype(np.float64) - trained) / (steps * learning_rate)
    return (change - control).astype(np.float32)


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
        return len(self._data.train)

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
        self._held_out = _joined([data.test for data in self._data.values()])

    def evaluate(self, values: Values) -> dict[str, float]:
        """Return a model's metrics on the common held-out set."""
        return self.definition.evaluate(values, self._held_out)

    def train_alone(self, owners: Sequence[str], *, rounds: int) -> Values:
        """Return the model that these owners' pooled rows give without federation.

        It starts from the same first model and sees as many epochs as a federated participant, ``rounds *
        local_epochs``.
        """
        examples = _joined([self._data[owner].train for owner in owners])
        training = self._training.model_copy(update={"local_epochs": rounds * self._training.local_epochs})
        seed = derive_seed(self._seed, 0, "+".join(owners))
        return self.definition.train(self.definition.genesis_values(), examples, training, seed=seed).values


def _joined(parts: Sequence[Examples]) -> Examples:
    return Examples(torch.cat([part.inputs for part in parts]), torch.cat([part.targets for part in parts]))
