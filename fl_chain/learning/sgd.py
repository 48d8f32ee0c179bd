"""Torch's SGD without what surrounds each of its steps.

``torch.optim.SGD`` opens a scope for the profiler in every step, looks for hooks and gathers its state anew:
for a small model that takes longer than the update itself. And the first one that is made loads torch's
compiler, which takes as long as the rest of torch. The update here is torch's own function, so that the
parameters are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import optimizer as torch_optimizer
from torch.optim.sgd import sgd


class LeanSGD:
    """Steps of SGD that nothing is registered for.

    Args:
        parameters: of the model.
        lr: learning rate.
        momentum: of the velocity; 0: there is none.
        weight_decay: added to the gradients, times the parameters.
    """

    def __init__(
        self, parameters: Sequence[torch.Tensor], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        self._parameters = parameters
        self._velocities: list[torch.Tensor | None] = [None for _ in parameters]
        self._lr, self._momentum, self._weight_decay = lr, momentum, weight_decay

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Take one step."""
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


def plain_sgd(
    parameters: Sequence[torch.Tensor], *, lr: float, momentum: float, weight_decay: float
) -> LeanSGD | torch.optim.SGD:
    """Return what takes steps of SGD: torch's own where something is registered for every step by now."""
    is_hooked = torch_optimizer._global_optimizer_pre_hooks or torch_optimizer._global_optimizer_post_hooks
    kind = torch.optim.SGD if is_hooked else LeanSGD
    return kind(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
