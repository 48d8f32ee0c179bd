"""Where a contract's state lies in its storage, from the compiler's own description of it.

Source: "Layout of State Variables in Storage", Solidity documentation: values smaller than a word share one,
lowest bytes first; what a mapping holds under a key begins at ``keccak256(key . slot)``; a struct's members
follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from eth_hash.auto import keccak

WORD_BYTES = 32

Key: TypeAlias = int | str  # a number, or an address
Value: TypeAlias = int | bytes | str | Mapping[str, "Value"]  # a struct's by the names of its members


def mapping_slot(slot: int, key: Key) -> int:
    """Return the slot at which a mapping's value for a key begins.

    Args:
        slot: the mapping's own.
        key: a number or an address.
    """
    number = int(key, 16) if isinstance(key, str) else key
    return int.from_bytes(keccak(_word(number) + _word(slot)), "big")


class StorageLayout:
    """Where each state variable of a contract lies."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        """Take the compiler's description.

        Args:
            description: ``storageLayout`` of the compiler's standard output.
        """
        self._types: Mapping[str, Any] = description["types"]
        self._variables = {one["label"]: one for one in description["storage"]}

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of all state variables, in the contract's order."""
        return tuple(self._variables)

    def words(self, variable: str, *keys: Key, value: Value) -> dict[int, int]:
        """Return the words that hold a value, by their slots; bytes beside it in them are zero.

        Args:
            variable: the state variable's name.
            keys: of the mappings that lead to the value, outermost first.
            value: a number, bytes, an address, or a struct's members by name.

        Raises:
            KeyError: there is no such variable or member, or a struct's members are not all there.
            ValueError: the keys lead to no value, or a value does not fit its type.
        """
        found = self._variables[variable]
        slot, kind = int(found["slot"]), found["type"]
        for key in keys:
            if self._types[kind]["encoding"] != "mapping":
                raise ValueError(f"{variable} is no mapping of {len(keys)} keys")
            slot, kind = mapping_slot(slot, key), self._types[kind]["value"]
        return self._packed(variable, kind, slot, 0 if keys else found["offset"], value)

    def _packed(self, name: str, kind: str, slot: int, offset: int, value: Value) -> dict[int, int]:
        described = self._types[kind]
        if isinstance(value, Mapping):
            members = described.get("members", ())
            if {member["label"] for member in members} != value.keys():
                raise KeyError(f"{name} has other members than {', '.join(value)}")
            words: dict[int, int] = {}
            for member in members:
                label, at = member["label"], slot + int(member["slot"])
                part = self._packed(f"{name}.{label}", member["type"], at, member["offset"], value[label])
                for place, word in part.items():
                    words[place] = words.get(place, 0) | word
            return words
        if described["encoding"] != "inplace" or "members" in described:
            raise ValueError(f"{name} is no value of one word")
        number = _number(value)
        if not 0 <= number < 1 << 8 * int(described["numberOfBytes"]):
            raise ValueError(f"{name} cannot hold {number}")
        return {slot: number << 8 * offset}


def _number(value: int | bytes | str) -> int:
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    return int(value, 16) if isinstance(value, str) else int(value)


def _word(number: int) -> bytes:
    return number.to_bytes(WORD_BYTES, "big")
