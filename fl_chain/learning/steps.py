"""What an algorithm adds to every step of local training, whatever task and optimiser take it.

It is added to the gradients right before the optimiser's step, so a task that trains in a loop of its own
takes part without a change:

- FedProx (Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith, "Federated Optimization in Heterogeneous Networks",
  MLSys 2020): the gradient ``mu * (w - w_base)`` of the proximal term.
- SCAFFOLD (Karimireddy et al., ICML 2020): the correction ``c - c_i``.

The steps are counted, and training stops where another one would not end in time: partial work in the sense
of FedProx's inexact solutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from fl_chain.learning.work import RoundWork


class TrainingStopped(Exception):
    """The time for local training is used up; what was trained so far counts."""


class GuidedSteps:
    """A context in which every optimiser step of this process is counted and corrected.

    Attributes:
        steps: optimiser steps that were taken.
    """

    def __init__(
        self,
        parameters: Sequence[torch.Tensor],
        *,
        proximal_mu: float = 0.0,
        correction: Sequence[torch.Tensor] | None = None,
        work: RoundWork,
    ) -> None:
        """Prepare.

        Args:
            parameters: the shared ones, at the round's base.
            proximal_mu: FedProx's mu; 0 for none.
            correction: what is added to each parameter's gradient; None for nothing.
            work: how much time there is.
        """
        self.steps = 0
        self._parameters = parameters
        self._mu = proximal_mu
        self._anchors = [p.detach().clone() for p in parameters] if proximal_mu else None
        self._correction = correction
        self._work = work
        self._begun_s = self._last_s = 0.0
        self._longest_s = 0.0
        self._handles: list[Any] = []

    def __enter__(self) -> GuidedSteps:
        self._begun_s = self._last_s = self._work.clock()
        if self._anchors is not None or self._correction is not None:
            self._handles.append(register_optimizer_step_pre_hook(self._before))
        self._handles.append(register_optimizer_step_post_hook(self._after))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def _before(self, *_: Any) -> None:
        for number, parameter in enumerate(self._parameters):
            if parameter.grad is None:
                continue
            if self._anchors is not None:
                parameter.grad.add_(parameter - self._anchors[number], alpha=self._mu)
            if self._correction is not None:
                parameter.grad.add_(self._correction[number])

    def _after(self, *_: Any) -> None:
        self.steps += 1
        if self._work.time_s is None:
            return
        now_s = self._work.clock()
        self._longest_s = max(self._longest_s, now_s - self._last_s)
        self._last_s = now_s
        if now_s - self._begun_s + self._longest_s > self._work.time_s:
            raise TrainingStopped(f"after {self.steps} steps")
