"""Torch's SGD without what surrounds each of its steps.

``torch.optim.SGD.step`` opens a scope for the profiler, looks for hooks and gathers its state anew: for a
small model that takes longer than the update itself. The update here is torch's own function, so that the
parameters are the same to the last bit.
"""

from __future__ import annotations

import torch
from torch.optim import optimizer as torch_optimizer
from torch.optim.sgd import sgd

_VELOCITY = (
    "momentum_buffer"  # where torch's SGD keeps it, so that both kinds of steps go on from one another
)


class LeanSGD(torch.optim.SGD):
    """SGD for a training loop of this package; an ordinary optimiser to everybody else."""

    def forget_gradients(self) -> None:
        """Do what ``zero_grad`` does."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def advance(self) -> None:
        """Take one step, by ``step`` itself where something is registered to run before or after it.

        Raises:
            Exception: whatever that raises.
        """
        if torch_optimizer._global_optimizer_pre_hooks or torch_optimizer._global_optimizer_post_hooks:
            self.step()
            return
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            velocities = [self.state[parameter].get(_VELOCITY) for parameter in moved]
            with torch.no_grad():
                sgd(
                    moved,
                    [parameter.grad for parameter in moved],
                    velocities,
                    foreach=False,
                    weight_decay=group["weight_decay"],
                    momentum=group["momentum"],
                    lr=group["lr"],
                    dampening=group["dampening"],
                    nesterov=group["nesterov"],
                    maximize=group["maximize"],
                )
            if group["momentum"]:
                for parameter, velocity in zip(moved, velocities, strict=True):
                    self.state[parameter][_VELOCITY] = velocity
