"""Whether and how a round's local training is protected: what tells a task's training loop.

A task that trains by `fl_chain.learning.training.train_sgd` takes part without a change; one that trains in
another way is found out, so that nothing is published that the policy calls protected and is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

from fl_chain.errors import UnsupportedModel
from fl_chain.learning.task import Rows
from fl_chain.learning.work import PrivateWork

_ACTIVE: ContextVar[PrivateTraining | None] = ContextVar("private_training", default=None)

BatchLoss = Callable[[nn.Module, torch.Tensor], torch.Tensor]
"""From a model and the numbers of rows, at least one, to their mean loss."""


class PrivateTraining:
    """One participant's protected training in one round."""

    def __init__(self, work: PrivateWork) -> None:
        """Prepare; nothing is drawn before training begins."""
        self._work = work
        self._is_used = False

    @contextmanager
    def active(self) -> Iterator[None]:
        """Have whatever trains inside train so."""
        token = _ACTIVE.set(self)
        try:
            yield
        finally:
            _ACTIVE.reset(token)

    def verify_used(self) -> None:
        """Check that the task trained so.

        Raises:
            UnsupportedModel: if it trained in a way of its own, so that nothing was hidden.
        """
        if not self._is_used:
            raise UnsupportedModel(
                "the run's policy asks for differential privacy, and the task trained in a loop of its own, "
                "without it: train by fl_chain.learning.training.train_sgd, or take part in another run"
            )

    def train(
        self, model: nn.Module, examples: Rows, batch_loss: BatchLoss, optimizer: torch.optim.Optimizer
    ) -> float:
        """Train a model in place, for as many steps as the policy says.

        Returns:
            The mean of the steps' losses. It is not protected: it stays with the participant.

        Raises:
            UnsupportedModel: if the gradients of single rows cannot be told apart, or this is the second
                training of the round, which the policy does not count.
            InputDataError: if groups are to be hidden and the rows name none.
        """
        if self._is_used:
            raise UnsupportedModel("the task trains twice in one round, and the policy counts one training")
        self._is_used = True
        # Opacus takes seconds to import, and few runs need it.
        from fl_chain.learning.dp_sgd import train_privately

        return train_privately(model, examples, batch_loss, optimizer, self._work)


def active_private_training() -> PrivateTraining | None:
    """Return how the round's policy wants training to be protected; None for not at all."""
    return _ACTIVE.get()
