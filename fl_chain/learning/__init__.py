"""Models, local training and data, for the floors above: NumPy vectors in and out, torch stays inside.

The names below are imported when they are first used: `fl_chain.learning.manifest` alone needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fl_chain.learning.definition import ModelDefinition
    from fl_chain.learning.loading import build_task, task_file_digest
    from fl_chain.learning.participant import Comparison, LocalLearner
    from fl_chain.learning.task import OwnerData, Rows, Task, class_labels, joined, n_rows, selected
    from fl_chain.learning.training import derive_seed
    from fl_chain.learning.work import LocalUpdate

__all__ = [
    "Comparison",
    "LocalLearner",
    "LocalUpdate",
    "ModelDefinition",
    "OwnerData",
    "Rows",
    "Task",
    "build_task",
    "class_labels",
    "derive_seed",
    "joined",
    "n_rows",
    "selected",
    "task_file_digest",
]

_MODULES = {
    "ModelDefinition": "definition",
    "build_task": "loading",
    "task_file_digest": "loading",
    "OwnerData": "task",
    "Rows": "task",
    "Task": "task",
    "class_labels": "task",
    "joined": "task",
    "n_rows": "task",
    "selected": "task",
    "derive_seed": "training",
    "LocalUpdate": "work",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'participant')}"), name)
