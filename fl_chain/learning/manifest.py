"""The manifest: which lanes of the vector belong to which tensor of the model.

Tensors stand in bytewise order of their names, each flattened row by row, one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.canonical import canonical_json, document_hash
from fl_chain.commitment.encoding import U64_LIMIT
from fl_chain.errors import MalformedBlob, NonFiniteValue, UnsupportedModel, ValueOutOfRange
from fl_chain.records import Digest

DTYPE = "float32"


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor: its name in the model, its element type and its shape."""

    name: str
    shape: tuple[int, ...]
    dtype: str = DTYPE

    @property
    def size(self) -> int:
        """Elements of the tensor, lanes of the vector."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The tensors of a model in the order of the vector.

    Raises:
        UnsupportedModel: if there is none, or a name is not printable ASCII, or names are not in strictly
            ascending bytewise order, or a tensor is empty or not float32, or there are 2^64 lanes or more.
    """

    tensors: tuple[TensorEntry, ...]

    def __post_init__(self) -> None:
        if not self.tensors:
            raise UnsupportedModel("the model has no parameters, so there is nothing to train together")
        for tensor in self.tensors:
            _verify_entry(tensor)
        for left, right in pairwise(self.tensors):
            if not left.name < right.name:
                raise UnsupportedModel(
                    f"manifest names are not in ascending order: {left.name!r}, {right.name!r}"
                )
        if self.dimension >= U64_LIMIT:
            raise UnsupportedModel(f"the model has {self.dimension} parameters; a vector has below 2^64")

    @property
    def dimension(self) -> int:
        """Lanes of the whole vector."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def hash(self) -> Digest:
        """SHA-256 of the canonical JSON, which the ledger stores."""
        return document_hash(self.to_document())

    def to_document(self) -> list[dict[str, Any]]:
        """Return the manifest as the list that is hashed."""
        return [{"dtype": t.dtype, "name": t.name, "shape": list(t.shape)} for t in self.tensors]

    def to_json(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(self.to_document())

    def slices(self) -> Iterator[tuple[TensorEntry, slice]]:
        """Yield each tensor with its place in the vector."""
        start = 0
        for tensor in self.tensors:
            yield tensor, slice(start, start + tensor.size)
            start += tensor.size

    def element(self, lane: int) -> str:
        """Return what a lane stands for, such as ``output.weight[0, 3]``.

        Raises:
            IndexError: if the vector has no such lane.
        """
        for tensor, place in self.slices():
            if place.start <= lane < place.stop:
                index = _position(lane - place.start, tensor.shape)
                return tensor.name + (f"[{', '.join(map(str, index))}]" if index else "")
        raise IndexError(f"lane {lane} is outside the vector of {self.dimension} lanes")

    def verify_values(
        self, values: npt.NDArray[np.floating[Any]], *, fraction_bits: int | None = None
    ) -> None:
        """Check that a vector is finite and, where ``fraction_bits`` is given, fits the ledger's fixed point.

        Args:
            values: shape (dimension,).
            fraction_bits: a lane holds ``rint(value * 2**fraction_bits)`` in 32 bits.

        Raises:
            ValueError: if the shape is another.
            NonFiniteValue: naming the tensor of the first NaN or infinity.
            ValueOutOfRange: naming the tensor of the first value that does not fit.
        """
        if values.shape != (self.dimension,):
            raise ValueError(f"the vector has the shape {values.shape}, the manifest {(self.dimension,)}")
        if not is_finite(values):
            finite = np.isfinite(values)
            lane = int(np.argmin(finite))
            raise NonFiniteValue(
                f"{self.element(lane)} is {values[lane]}. Lower the learning rate, scale the inputs, or look "
                "for missing values in the data."
            )
        if fraction_bits is None:
            return
        scaled = np.rint(values.astype(np.float64) * 2.0**fraction_bits)
        fits = (scaled >= -(2.0**31)) & (scaled <= 2.0**31 - 1)
        if not fits.all():
            lane = int(np.argmin(fits))
            raise ValueOutOfRange(
                f"{self.element(lane)} is {values[lane]}, beyond the +-{2.0 ** (31 - fraction_bits):g} that "
                f"fraction_bits = {fraction_bits} leaves. Take fewer fraction_bits, or weight decay."
            )


def is_finite(values: npt.NDArray[np.floating[Any]]) -> bool:
    """Return whether a vector holds neither NaN nor infinity; faster than looking at each value."""
    with np.errstate(over="ignore", invalid="ignore"):
        # One value that is not finite makes the sum of squares so; one that overflows is looked at closely.
        return bool(np.isfinite(np.dot(values, values)) or np.isfinite(values).all())


def _position(element: int, shape: tuple[int, ...]) -> list[int]:
    """Return the index of a tensor's element, counted row by row; NumPy stops at 2^63 elements."""
    index: list[int] = []
    for length in reversed(shape):
        element, at = divmod(element, length)
        index.insert(0, at)
    return index


def _verify_entry(tensor: TensorEntry) -> None:
    if not tensor.name or not tensor.name.isascii() or not tensor.name.isprintable():
        raise UnsupportedModel(f"the parameter name {tensor.name!r} is not printable ASCII; rename it")
    if tensor.dtype != DTYPE:
        raise UnsupportedModel(
            f"{tensor.name} is {tensor.dtype}; parameters must be float32: call model.float()"
        )
    if any(length < 1 for length in tensor.shape):
        raise UnsupportedModel(f"{tensor.name} has the shape {tensor.shape} and so no elements; remove it")


def parse_manifest(document: Any) -> Manifest:
    """Return the manifest that a parsed JSON document holds.

    Raises:
        MalformedBlob: if it is not a list of exactly ``{"dtype", "name", "shape"}``.
        UnsupportedModel: if it is one that this version cannot represent.
    """
    if not isinstance(document, list):
        raise MalformedBlob("a manifest is a list of tensors")
    return Manifest(tuple(_parse_entry(item) for item in document))


def _parse_entry(item: Any) -> TensorEntry:
    if not isinstance(item, dict) or set(item) != {"dtype", "name", "shape"}:
        raise MalformedBlob('a manifest entry has exactly "dtype", "name" and "shape"')
    name, dtype, shape = item["name"], item["dtype"], item["shape"]
    is_typed = isinstance(name, str) and isinstance(dtype, str) and isinstance(shape, list)
    if not is_typed or any(type(length) is not int for length in shape):
        raise MalformedBlob(
            "a manifest entry has a string name, a string dtype and a list of integers as shape"
        )
    return TensorEntry(name=name, shape=tuple(shape), dtype=dtype)
