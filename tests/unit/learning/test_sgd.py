"""The lean SGD against torch's, to the last bit."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from fl_chain.learning.sgd import LeanSGD

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


def trained(
    momentum: float, weight_decay: float, *, is_lean: bool, usual: frozenset[int] = frozenset()
) -> list[torch.Tensor]:
    """Return what six steps make of a model; those that are named are taken by torch's own step."""
    model = PartlyUsed()
    kind: Any = LeanSGD if is_lean else torch.optim.SGD
    optimizer = kind(list(model.parameters()), lr=0.1, momentum=momentum, weight_decay=weight_decay)
    rows = torch.randn((6, 4, 5), generator=torch.Generator().manual_seed(1))
    for number, batch in enumerate(rows):
        optimizer.forget_gradients() if is_lean else optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.advance() if is_lean and number not in usual else optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize(("momentum", "weight_decay"), CONSTANTS)
def test_every_parameter_is_the_same(momentum: float, weight_decay: float) -> None:
    lean = trained(momentum, weight_decay, is_lean=True)
    expected = trained(momentum, weight_decay, is_lean=False)
    assert all(torch.equal(one, other) for one, other in zip(lean, expected, strict=True))


def test_both_kinds_of_steps_go_on_from_one_another() -> None:
    mixed = trained(0.9, 0.01, is_lean=True, usual=frozenset({1, 4}))
    expected = trained(0.9, 0.01, is_lean=False)
    assert all(torch.equal(one, other) for one, other in zip(mixed, expected, strict=True))


@pytest.mark.parametrize("register", [register_optimizer_step_pre_hook, register_optimizer_step_post_hook])
def test_what_is_registered_for_every_step_is_called(register: Any) -> None:
    called: list[object] = []
    handle = register(lambda *_: called.append(None))
    try:
        hooked = trained(0.9, 0.01, is_lean=True)
    finally:
        handle.remove()
    assert len(called) == 6
    expected = trained(0.9, 0.01, is_lean=False)
    assert all(torch.equal(one, other) for one, other in zip(hooked, expected, strict=True))
