"""Whether the compiled arithmetic can be used: where the compiled hashing is, and loading it pays."""

from __future__ import annotations

from functools import cache
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.native import Octets, kernels_for, load_compiled

Floats32 = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]


_LOOPS = {
    "quantise": "f4[] f4[] f8 f8 f8 =u4[] -> b1",
    "quantise_and_hash": "f4[] f4[] f8 f8 f8 =u4[] =u1[,] =u4[] -> b1",
    "apply": "u4[] u4[] f8 f8 f8 =u4[] -> i8",
    "is_within": "u4[] i8 -> b1",
    "read_values": "u4[] f4 =f4[]",
}


class Kernels(Protocol):
    """What `fl_chain.aggregation.kernels` has; see there."""

    def quantise(  # noqa: PLR0917 - compiled functions take no keywords
        self, local: Floats32, base: Floats32, scale: float, clip: float, weight: float, lanes: Words
    ) -> bool:
        """Quantise an update."""
        ...

    def quantise_and_hash(  # noqa: PLR0917
        self,
        local: Floats32,
        base: Floats32,
        scale: float,
        clip: float,
        weight: float,
        lanes: Words,
        hashes: Octets,
        last: Words,
    ) -> bool:
        """Quantise an update and hash its chunks."""
        ...

    def apply(  # noqa: PLR0917
        self, base: Words, total: Words, factor: float, half: float, divisor: float, model: Words
    ) -> int:
        """Apply a sum to a model."""
        ...

    def is_within(self, lanes: Words, bound: int) -> bool:
        """Return whether lanes keep a bound."""
        ...

    def read_values(self, lanes: Words, scale: np.float32, values: Floats32) -> None:
        """Return a model's float32 image."""
        ...


def arithmetic_for(size_bytes: int) -> Kernels | None:
    """Return the compiled arithmetic if the compiled loops are loaded, or so much is worth loading it.

    Returns:
        None where it is not, or does not work here: NumPy computes the same then.
    """
    return None if kernels_for(size_bytes) is None else _arithmetic()


@cache
def _arithmetic() -> Kernels | None:
    return cast(Kernels | None, load_compiled("fl_chain.aggregation.kernels", _LOOPS))
