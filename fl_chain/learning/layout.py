"""What the ledger's lanes stand for: the shared model, and with SCAFFOLD its control variate beside it.

Karimireddy, Kale, Mohri, Reddi, Stich, Suresh, "SCAFFOLD: Stochastic Controlled Averaging for Federated
Learning", ICML 2020: the server adds up changes of the model and changes of the control variate alike. So
both are lanes of one vector, and what proves the sum of the one proves that of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fl_chain.errors import UnsupportedModel
from fl_chain.learning.manifest import Manifest, TensorEntry
from fl_chain.learning.work import Values

CONTROL_PREFIX = "control/"


@dataclass(frozen=True)
class VectorLayout:
    """How a run's vector is made up.

    Attributes:
        model: the tensors of the shared model.
        has_control: whether each has its control variate beside it, under `CONTROL_PREFIX` and its own name.

    Raises:
        UnsupportedModel: if a tensor of the model has a name that starts with the prefix.
    """

    model: Manifest
    has_control: bool = False

    def __post_init__(self) -> None:
        for tensor in self.model.tensors:
            if tensor.name.startswith(CONTROL_PREFIX):
                raise UnsupportedModel(
                    f"the parameter {tensor.name} has a name that is kept for control variates; rename it"
                )

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest whose hash the ledger holds."""
        if not self.has_control:
            return self.model
        control = (TensorEntry(CONTROL_PREFIX + t.name, t.shape, t.dtype) for t in self.model.tensors)
        return Manifest(tuple(sorted((*self.model.tensors, *control), key=lambda tensor: tensor.name)))

    @cached_property
    def _control_place(self) -> slice:
        """Where the control variate stands: in one piece, since all its names share a prefix."""
        start = sum(tensor.size for tensor in self.model.tensors if tensor.name < CONTROL_PREFIX)
        return slice(start, start + self.model.dimension)

    def split(self, values: Values) -> tuple[Values, Values | None]:
        """Return the model and its control variate, each in the order of ``model``; None for no variate."""
        if not self.has_control:
            return values, None
        place = self._control_place
        return np.concatenate([values[: place.start], values[place.stop :]]), values[place]

    def joined(self, model: Values, control: Values | None) -> Values:
        """Return the run's vector; the opposite of `split`."""
        if control is None:
            return model
        start = self._control_place.start
        return np.concatenate([model[:start], control, model[start:]])
