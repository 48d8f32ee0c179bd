"""Encoding calls of a contract and decoding what they return, by the compiler's description of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_hash.auto import keccak

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.artifact import masked_ledger, secure_aggregation, training_ledger


@dataclass(frozen=True, slots=True)
class AbiFunction:
    """One external function."""

    name: str
    selector: bytes  # 4 bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def encode(self, arguments: Sequence[Any]) -> bytes:
        """Return the input of a call.

        Raises:
            ValueError: an argument does not fit its type.
        """
        try:
            return self.selector + encode(self.inputs, arguments)
        except EncodingError as error:
            raise ValueError(f"{self.name} does not take these arguments: {error}") from error

    def decode_input(self, data: bytes) -> tuple[Any, ...]:
        """Return the arguments of a call from its input.

        Raises:
            MalformedResponse: it is no call of this function.
        """
        try:
            return decode(self.inputs, data[len(self.selector) :])
        except DecodingError as error:
            raise MalformedResponse(f"a call of {self.name} has other arguments: {error}") from error

    def decode(self, output: bytes) -> tuple[Any, ...]:
        """Return what a call returned.

        Raises:
            MalformedResponse: the output is not of the function's types.
        """
        try:
            return decode(self.outputs, output)
        except DecodingError as error:
            raise MalformedResponse(f"{self.name} returned what it cannot return: {error}") from error


@dataclass(frozen=True, slots=True)
class AbiError:
    """One custom error."""

    name: str
    types: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContractAbi:
    """A contract's functions by name, its custom errors by selector, its events by first topic."""

    constructor: tuple[str, ...]
    functions: Mapping[str, AbiFunction]
    errors: Mapping[bytes, AbiError]
    events: Mapping[bytes, Mapping[str, Any]]

    def name_of(self, selector: bytes) -> str | None:
        """Return the name of the function with a selector."""
        return next((one.name for one in self.functions.values() if one.selector == selector), None)


def parse_abi(description: Sequence[Mapping[str, Any]]) -> ContractAbi:
    """Read the compiler's description of a contract."""
    functions: dict[str, AbiFunction] = {}
    errors: dict[bytes, AbiError] = {}
    events: dict[bytes, Mapping[str, Any]] = {}
    constructor: tuple[str, ...] = ()
    for entry in description:
        inputs = tuple(_canonical_type(field) for field in entry.get("inputs", ()))
        if entry["type"] == "fallback":
            continue
        if entry["type"] == "constructor":
            constructor = inputs
            continue
        signature_hash = keccak(f"{entry['name']}({','.join(inputs)})".encode())
        if entry["type"] == "function":
            outputs = tuple(_canonical_type(field) for field in entry["outputs"])
            functions[entry["name"]] = AbiFunction(entry["name"], signature_hash[:4], inputs, outputs)
        elif entry["type"] == "error":
            fields = tuple(field["name"] for field in entry["inputs"])
            errors[signature_hash[:4]] = AbiError(entry["name"], inputs, fields)
        elif entry["type"] == "event":
            events[signature_hash] = entry
    return ContractAbi(constructor, functions, errors, events)


@cache
def ledger_abi() -> ContractAbi:
    """Return the training ledger's description."""
    return parse_abi(training_ledger().abi)


@cache
def masked_ledger_abi() -> ContractAbi:
    """Return the masked ledger's description, which has all of the training ledger's but the constructor."""
    return parse_abi(masked_ledger().abi)


@cache
def masks_abi() -> ContractAbi:
    """Return the description of what holds a masked ledger's keys and decides its challenges."""
    return parse_abi(secure_aggregation().abi)


def _canonical_type(field: Mapping[str, Any]) -> str:
    kind: str = field["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(_canonical_type(component) for component in field["components"])
    return f"({inner}){kind.removeprefix('tuple')}"
