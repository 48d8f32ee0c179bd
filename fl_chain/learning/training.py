"""Local training by SGD: the participant's side of FedAvg.

McMahan, Moore, Ramage, Hampson, Aguera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017 (ClientUpdate).
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, default_collate

from fl_chain.config import TrainingSettings
from fl_chain.errors import NonFiniteValue
from fl_chain.learning.private import active_private_training
from fl_chain.learning.sgd import plain_sgd
from fl_chain.learning.steps import TrainingStopped
from fl_chain.learning.task import Rows, n_rows

GATHERED_BYTES = 4 << 20  # of rows that are gathered at once

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the model's output and the targets of a batch to the batch's mean loss, a scalar."""


def derive_seed(run_seed: int, round_id: int, owner: str) -> int:
    """Return the seed of one participant's training in one round.

    It is the first 8 bytes, big-endian, of ``SHA-256("fl_chain/training" || 0x00 || run seed u64 || round u64
    || owner in UTF-8)``.

    Returns:
        An integer in [0, 2**64).
    """
    material = run_seed.to_bytes(8, "big") + round_id.to_bytes(8, "big") + owner.encode()
    return int.from_bytes(hashlib.sha256(b"fl_chain/training\x00" + material).digest()[:8], "big")


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Seed torch's own generator, for dropout and layers' initialisers, and put its state back afterwards."""
    with torch.random.fork_rng(devices=[]):
        if torch.accelerator.is_available():
            torch.random.manual_seed(seed)
        else:  # the same, without noting down the whole stack for a device that may come
            torch.default_generator.manual_seed(seed)
        yield


def use_one_deterministic_thread() -> None:
    """Make torch repeat itself: one thread, and kernels that give the same bits each time, or an error."""
    torch.set_num_threads(1)
    if "torch._inductor" in sys.modules:
        torch.use_deterministic_algorithms(True)
        return
    # The same without loading torch's compiler, which takes as long as the rest of torch, to tell it.
    os.environ["TORCHINDUCTOR_DETERMINISTIC"] = "1"  # it looks here if it is loaded later
    torch.set_deterministic_debug_mode("error")


def train_sgd(
    model: nn.Module, examples: Rows, loss: Loss, settings: TrainingSettings, *, seed: int
) -> float:
    """Train a model in place by mini-batch SGD.

    Each epoch visits all rows once, in an order drawn from ``seed``; the last batch may be smaller. Where the
    run's policy asks for differential privacy, steps, sampling and noise are those of
    `fl_chain.learning.private` instead, and ``seed`` plays no part.

    Args:
        model: changed in place, left in training mode.
        examples: at least one row, in memory or in a map-style dataset, whose items torch's own
            `default_collate` stacks; both give the same model.
        loss: mean loss of a batch.
        settings: epochs, batch size, learning rate, momentum, weight decay.
        seed: of the order of the rows, in [0, 2**64).

    Returns:
        The mean loss per row over the last epoch; where the time ran out, over what there was of it.

    Raises:
        NonFiniteValue: as soon as a batch's loss is NaN or infinite.
        UnsupportedModel: if the policy asks for differential privacy and the model does not allow it.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    constants: dict[str, Any] = {
        "lr": settings.learning_rate,
        "momentum": settings.momentum,
        "weight_decay": settings.weight_decay,
    }
    device = next(model.parameters()).device
    model.train()
    private = active_private_training()
    if private is not None:

        def loss_of_rows(wrapped: nn.Module, rows: torch.Tensor) -> torch.Tensor:
            inputs, targets = next(_batches(examples, rows, max(1, len(rows)), device))
            mean = loss(wrapped(inputs.contiguous()), targets)
            _verify_finite(mean.item(), 0, settings)
            return mean

        return private.train(model, examples, loss_of_rows, torch.optim.SGD(parameters, **constants))
    optimizer = plain_sgd(parameters, **constants)
    epoch_loss, n_seen = 0.0, 0
    for epoch in range(settings.local_epochs):
        epoch_loss, n_seen = 0.0, 0
        order = torch.randperm(n_rows(examples), generator=generator)
        for inputs, targets in _batches(examples, order, settings.batch_size, device):
            optimizer.zero_grad()
            batch_loss = loss(model(inputs), targets)
            loss_value = batch_loss.item()
            _verify_finite(loss_value, epoch, settings)
            batch_loss.backward()  # type: ignore[no-untyped-call]
            epoch_loss += loss_value * len(targets)
            n_seen += len(targets)
            try:
                optimizer.step()
            except TrainingStopped:  # the step itself was taken
                return epoch_loss / n_seen
    return epoch_loss / n_seen


def _batches(
    examples: Rows, order: torch.Tensor, batch_size: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    if isinstance(examples, Dataset):
        for rows in torch.split(order, batch_size):
            inputs, targets = default_collate([examples[int(row)] for row in rows])
            yield inputs.to(device), targets.to(device)
        return
    # Rows are gathered for many batches at once: for small ones it costs as much as a layer.
    row_bytes = max(1, examples.inputs.nbytes // max(1, len(examples.inputs)))
    together = max(1, GATHERED_BYTES // (row_bytes * batch_size)) * batch_size
    for rows in torch.split(order, together):
        chosen = rows.to(examples.inputs.device)
        gathered = (part[chosen].to(device) for part in (examples.inputs, examples.targets))
        yield from zip(*(torch.split(part, batch_size) for part in gathered), strict=True)


def _verify_finite(loss_value: float, epoch: int, settings: TrainingSettings) -> None:
    if not math.isfinite(loss_value):
        raise NonFiniteValue(
            f"the loss became {loss_value} in local epoch {epoch + 1}. Lower learning_rate (now "
            f"{settings.learning_rate:g}), standardise the inputs, or look for extreme values in the data."
        )
