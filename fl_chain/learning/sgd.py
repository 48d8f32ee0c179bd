"""Torch's SGD without what surrounds each of its steps.

``torch.optim.SGD.step`` opens a scope for the profiler, looks for hooks and gathers its state anew: for a
small model that takes longer than the update itself. The update here is torch's own function, so that the
parameters are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import optimizer as torch_optimizer
from torch.optim.sgd import sgd


class LeanSGD(torch.optim.SGD):
    """SGD for a training loop of this package; an ordinary optimiser to everybody else."""

    def __init__(
        self, parameters: Sequence[torch.Tensor], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self._parameters = parameters
        self._velocities: list[torch.Tensor | None] = [None for _ in parameters]
        self._lr, self._momentum, self._weight_decay = lr, momentum, weight_decay

    def forget_gradients(self) -> None:
        """Do what ``zero_grad`` does."""
        for parameter in self._parameters:
            parameter.grad = None

    def advance(self) -> None:
        """Take one step, by ``step`` itself where something is registered to run before or after it.

        Raises:
            Exception: whatever that raises.
        """
        if torch_optimizer._global_optimizer_pre_hooks or torch_optimizer._global_optimizer_post_hooks:
            self.step()
            return
        gradients = {number: one.grad for number, one in enumerate(self._parameters) if one.grad is not None}
        moved = list(gradients)
        velocities = [self._velocities[number] for number in moved]
        with torch.no_grad():
            sgd(
                [self._parameters[number] for number in moved],
                list(gradients.values()),
                velocities,
                foreach=False,
                weight_decay=self._weight_decay,
                momentum=self._momentum,
                lr=self._lr,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
        for number, velocity in zip(moved, velocities, strict=True):
            self._velocities[number] = velocity
