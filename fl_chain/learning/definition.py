"""A run's model: its manifest, its first values, its training. NumPy vectors in and out."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fl_chain.config import TrainingSettings
from fl_chain.errors import ConfigError, InputDataError, UnsupportedModel
from fl_chain.learning.layout import VectorLayout
from fl_chain.learning.manifest import Manifest
from fl_chain.learning.memory_format import lay_out
from fl_chain.learning.private import PrivateTraining
from fl_chain.learning.steps import GuidedSteps, TrainingStopped
from fl_chain.learning.task import Examples, Rows, Task, n_rows
from fl_chain.learning.training import seeded_torch, use_one_deterministic_thread
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
        lay_out(self._module)
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
        examples: Rows,
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
        if n_rows(examples) == 0:
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
        n_seen = n_rows(examples)
        if work.time_s is not None:
            n_seen = min(n_seen, steps * training.batch_size)
        return LocalUpdate(self._layout.joined(trained, control), n_seen, loss, kept)

    def evaluate(self, values: Values, examples: Rows, *, kept: Values | None = None) -> dict[str, float]:
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

    def named_tensors(
        self, values: Values, *, kept: Values | None = None
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Return a participant's whole model, tensor by tensor: the shared ones and its own."""
        model, _ = self._layout.split(values)
        self._load(model, self._split_kept(kept)[1])
        shared = shared_parameters(self._module, self._layout.model, self._local)
        tensors = shared | local_tensors(self._module, self._local)
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}

    def _trained(
        self,
        examples: Rows,
        training: TrainingSettings,
        seed: int,
        work: RoundWork,
        correction: Values | None,
    ) -> tuple[float, int]:
        """Train the module; return the loss and the number of steps, which is 0 where nobody asks for it."""
        if work.private is not None:
            private = PrivateTraining(work.private)
            with private.active():
                trained = self._trained(examples, training, seed, replace(work, private=None), correction)
            private.verify_used()
            return trained
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

    def _on_device(self, examples: Rows) -> Rows:
        """Return rows in memory where torch computes; who reads a dataset moves its batches."""
        if self._device.type == "cpu" or not isinstance(examples, Examples):
            return examples
        inputs, targets = examples.inputs.to(self._device), examples.targets.to(self._device)
        return Examples(inputs, targets, examples.groups)

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
        torch.zeros(1, device=device).cpu()  # some devices exist in name only
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
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
