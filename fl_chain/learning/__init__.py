"""Models, local training and data, for the floors above: NumPy vectors in and out, torch stays inside.

The names below are imported when they are first used: `fl_chain.learning.manifest` alone needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fl_chain.learning.loading import build_task, task_file_digest
    from fl_chain.learning.participant import Comparison, LocalLearner, LocalUpdate, ModelDefinition

__all__ = [
    "Comparison",
    "LocalLearner",
    "LocalUpdate",
    "ModelDefinition",
    "build_task",
    "task_file_digest",
]

_LOADING = ("build_task", "task_file_digest")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'loading' if name in _LOADING else 'participant'}"), name)
