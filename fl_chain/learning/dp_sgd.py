"""Local training whose result hides any one row, or all rows of any one group: DP-SGD.

Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang, "Deep Learning with Differential Privacy", CCS 2016:
each step draws every row by itself, clips the gradient of each, and adds Gaussian noise to their sum.
Gradients of single rows and clipping are Opacus's. Where groups are hidden, groups are drawn instead of rows,
and the sum of a group's gradients is clipped, so that one group counts once however many rows it has.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer
from opacus.validators import ModuleValidator
from torch import nn

from fl_chain.errors import InputDataError, UnsupportedModel
from fl_chain.learning.memory_format import contiguous
from fl_chain.learning.private import BatchLoss
from fl_chain.learning.steps import TrainingStopped
from fl_chain.learning.task import Examples, Rows, n_rows
from fl_chain.learning.work import PrivateWork
from fl_chain.privacy.noise import SecretStream

SUM_TOLERANCE = 1e-3  # of float32 gradients, relative to the rows' own


def train_privately(
    model: nn.Module,
    examples: Rows,
    batch_loss: BatchLoss,
    optimizer: torch.optim.Optimizer,
    work: PrivateWork,
) -> float:
    """Train a model in place, for as many steps as the policy says.

    Args:
        model: whose parameters the optimiser changes.
        examples: the rows.
        batch_loss: the mean loss of some of them; no row may play a part in another's.
        optimizer: takes the noisy gradients.
        work: the policy's settings, and the participant's key.

    Returns:
        The mean of the steps' losses. It is not protected: it stays with the participant.

    Raises:
        UnsupportedModel: if the gradients of single rows cannot be told apart, or do not add up.
        InputDataError: if groups are to be hidden and the rows name none.
    """
    settings, stream = work.settings, SecretStream(work.key)
    units, n_units = _units(examples, is_group=settings.unit == "group")
    # Opacus unfolds images by their strides, and takes those of a contiguous tensor for granted.
    with contiguous(model), _single_gradients(model) as wrapped:
        private = _KeyedOptimizer(
            optimizer,
            stream,
            noise_multiplier=settings.noise_multiplier,
            max_grad_norm=settings.max_grad_norm,
            expected_batch_size=settings.sampling_rate * n_units,
        )
        losses: list[float] = []
        for _ in range(settings.steps):
            drawn = stream.sampled(n_units, settings.sampling_rate)
            rows = torch.from_numpy(np.flatnonzero(drawn[units]))
            private.zero_grad(set_to_none=True)
            if len(rows):
                value = batch_loss(wrapped, rows)
                losses.append(value.item())
                value.backward()  # type: ignore[no-untyped-call]
                _verify_single(private)
                if len(losses) == 1:
                    _verify_sum(private)
                if settings.unit == "group":
                    _sum_by_unit(private, torch.from_numpy(units)[rows])
            else:
                for parameter in private.params:
                    parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))
            try:
                private.step()
            except TrainingStopped:  # the step itself was taken
                break
    return float(np.mean(losses)) if losses else float("nan")


class _KeyedOptimizer(DPOptimizer):  # type: ignore[misc]
    """Opacus's optimiser, with noise that follows from the participant's own key."""

    def __init__(self, optimizer: torch.optim.Optimizer, stream: SecretStream, **settings: float) -> None:
        super().__init__(optimizer, **settings)
        self._stream = stream

    def add_noise(self) -> None:
        """Put clipped sum and noise into each gradient."""
        deviation = self.noise_multiplier * self.max_grad_norm
        for parameter in self.params:
            noise = torch.from_numpy(deviation * self._stream.normal(parameter.numel()))
            summed = parameter.summed_grad
            noisy = summed.double() + noise.to(summed.device).view_as(summed)
            parameter.grad = noisy.to(parameter.dtype).view_as(parameter)


def _units(examples: Rows, *, is_group: bool) -> tuple[npt.NDArray[np.int64], int]:
    """Return whom each row belongs to, and how many of those there are."""
    if not is_group:
        count = n_rows(examples)
        return np.arange(count), count
    if not isinstance(examples, Examples) or examples.groups is None:
        raise InputDataError(
            "the run's policy hides groups of rows, and the rows name no group: name the task's "
            "group_column, or fill in Examples.groups"
        )
    groups, numbers = np.unique(examples.groups.cpu().numpy(), return_inverse=True)
    return numbers.astype(np.int64), len(groups)


@contextmanager
def _single_gradients(model: nn.Module) -> Iterator[nn.Module]:
    """Have backward passes keep the gradient of each row, and leave the model as it was."""
    problems: list[Exception] = list(ModuleValidator.validate(model, strict=False))
    try:
        wrapped = None if problems else GradSampleModule(model, loss_reduction="mean")
    except NotImplementedError as error:
        problems.append(error)
    if problems or wrapped is None:
        raise UnsupportedModel(
            "no gradient of a single row can be told apart in this model, so none can be hidden: "
            f"{problems[0]}"
        )
    try:
        with warnings.catch_warnings():
            # Inputs are data: that they need no gradient is as it should be.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            yield wrapped
    finally:
        wrapped.to_standard_module()
        for parameter in model.parameters():
            parameter.grad = None
            for name in ("grad_sample", "summed_grad"):
                if hasattr(parameter, name):
                    delattr(parameter, name)


def _verify_single(optimizer: DPOptimizer) -> None:
    if any(not isinstance(parameter.grad_sample, torch.Tensor) for parameter in optimizer.params):
        raise UnsupportedModel(
            "a parameter has no gradient of its own for each row, used twice or not at all: with "
            "differential privacy every parameter is used once"
        )


def _verify_sum(optimizer: DPOptimizer) -> None:
    """Check the gradients of the rows against their mean, which torch itself derived."""
    for parameter in optimizer.params:
        mean = parameter.grad_sample.mean(0)
        if torch.linalg.vector_norm(mean - parameter.grad) > SUM_TOLERANCE * torch.linalg.vector_norm(
            parameter.grad_sample
        ):
            raise UnsupportedModel(
                "the gradients of single rows do not add up to the batch's gradient, so clipping them would "
                "train something else: have the model's forward leave tensors contiguous"
            )


def _sum_by_unit(optimizer: DPOptimizer, owners: torch.Tensor) -> None:
    """Replace the gradients of rows by their sums over each unit that was drawn."""
    drawn, places = torch.unique(owners, return_inverse=True)
    for parameter in optimizer.params:
        single = parameter.grad_sample
        summed = single.new_zeros((len(drawn), *parameter.shape))
        parameter.grad_sample = summed.index_add_(0, places.to(single.device), single)
