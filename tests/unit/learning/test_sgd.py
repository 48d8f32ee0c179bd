"""The lean SGD against torch's, to the last bit."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from fl_chain.learning.sgd import LeanSGD, plain_sgd

CONSTANTS = [(0.0, 0.0), (0.9, 0.0), (0.0, 0.01), (0.9, 0.01)]


class PartlyUsed(nn.Module):
    """A layer of it takes part in every other step only."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(5, 7), nn.Linear(5, 7)
        self.step = 0

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.step += 1
        return self.first(rows) + (self.second(rows) if self.step % 2 else 0)


def trained(kind: Any, momentum: float, weight_decay: float) -> list[torch.Tensor]:
    """Return what six steps make of a model."""
    model = PartlyUsed()
    optimizer = kind(list(model.parameters()), lr=0.1, momentum=momentum, weight_decay=weight_decay)
    rows = torch.randn((6, 4, 5), generator=torch.Generator().manual_seed(1))
    for batch in rows:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize(("momentum", "weight_decay"), CONSTANTS)
def test_every_parameter_is_the_same(momentum: float, weight_decay: float) -> None:
    lean = trained(LeanSGD, momentum, weight_decay)
    expected = trained(torch.optim.SGD, momentum, weight_decay)
    assert all(torch.equal(one, other) for one, other in zip(lean, expected, strict=True))


@pytest.mark.parametrize("register", [register_optimizer_step_pre_hook, register_optimizer_step_post_hook])
def test_what_is_registered_for_every_step_is_called(register: Any) -> None:
    called: list[object] = []
    handle = register(lambda *_: called.append(None))
    try:
        hooked = trained(plain_sgd, 0.9, 0.01)
    finally:
        handle.remove()
    assert len(called) == 6
    expected = trained(LeanSGD, 0.9, 0.01)
    assert all(torch.equal(one, other) for one, other in zip(hooked, expected, strict=True))


def test_training_loads_no_compiler() -> None:
    program = """
import sys
import torch
from torch import nn
from fl_chain.config import TrainingSettings
from fl_chain.learning.task import Examples
from fl_chain.learning.training import train_sgd, use_one_deterministic_thread
use_one_deterministic_thread()
assert torch.are_deterministic_algorithms_enabled() and torch.get_num_threads() == 1
rows = Examples(torch.ones(4, 2), torch.zeros(4, 1))
settings = TrainingSettings(learning_rate=0.1, local_epochs=1, batch_size=2)
train_sgd(nn.Linear(2, 1), rows, nn.MSELoss(), settings, seed=1)
print([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
import torch._inductor.config
assert torch._inductor.config.deterministic
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
