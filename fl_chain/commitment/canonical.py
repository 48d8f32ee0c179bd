"""Canonical JSON: one spelling a value, so that its hash stands for it.

The subset of RFC 8785 without floats, truth values and null: keys sorted, no white space, printable ASCII,
integers and strings in lists and objects. Integers are written out in full, also beyond the 2^53 of
JavaScript.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from fl_chain.errors import ConfigError, MalformedBlob
from fl_chain.records import Digest

INTEGER_LIMIT = 2**256
MAX_NESTING = 64

_BRACKETS_AND_STRINGS = re.compile(rb"[\[\]{}]|\"[^\"\\]*(?:\\.[^\"\\]*)*\"", re.DOTALL)


def canonical_json(value: Any) -> bytes:
    """Return the one spelling of a value.

    Args:
        value: integers and strings in lists, tuples and dicts.

    Raises:
        ConfigError: naming the place of a float, a truth value, None, a string that is not printable ASCII,
            a key that is not a string, an integer of more than 256 bits, or any other object.
    """
    _verify_representable(value, "$", 0)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def parse_canonical_json(content: bytes) -> Any:
    """Return the value that canonical JSON stands for.

    Raises:
        MalformedBlob: if it is not JSON, or not in its one spelling (a key twice, white space, another
            order).
    """
    try:
        verify_nesting(content, MAX_NESTING)
        value = json.loads(content.decode("ascii"))
        spelling = canonical_json(value)
    except (ValueError, RecursionError, ConfigError) as error:
        raise MalformedBlob(f"not canonical JSON: {error}") from error
    if spelling != content:
        raise MalformedBlob("not canonical JSON: keys are sorted and there once, without white space")
    return value


def verify_nesting(content: bytes, most: int) -> None:
    """Check, before JSON is parsed, that it is not nested too deep.

    Python's parser recurses; where a library has raised the recursion limit, deep nesting would exhaust the
    stack of the process instead of raising an error.

    Args:
        content: JSON, or what should be.
        most: levels of lists and objects that are allowed.

    Raises:
        ValueError: if it is nested deeper.
    """
    if content.count(b"[") + content.count(b"{") <= most:
        return
    depth = 0
    for token in _BRACKETS_AND_STRINGS.finditer(content):
        first = token[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > most:
            raise ValueError(f"nested more than {most} deep")


def document_hash(document: Any) -> Digest:
    """Return the SHA-256 of a document's canonical JSON, as the ledger stores it for manifest and policy.

    Args:
        document: the value, or its canonical JSON as bytes.

    Raises:
        ConfigError: if the value has no canonical JSON.
    """
    content = document if isinstance(document, bytes) else canonical_json(document)
    return Digest(hashlib.sha256(content).digest())


def _verify_representable(value: Any, place: str, nesting: int) -> None:
    if nesting > MAX_NESTING:
        raise ConfigError(f"a hashed document is nested more than {MAX_NESTING} deep at {place}")
    if type(value) is str:
        _verify_text(value, place)
    elif type(value) is int:
        if abs(value) >= INTEGER_LIMIT:
            raise ConfigError(f"{place} has more than 256 bits, too large for a hashed document")
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise ConfigError(f"a key at {place} is {key!r}; keys of a hashed document are strings")
            _verify_text(key, f"a key at {place}")
            _verify_representable(item, f"{place}.{key}", nesting + 1)
    elif isinstance(value, list | tuple):
        _verify_items(value, place, nesting)
    else:
        raise ConfigError(
            f"{place} is {value!r}; a hashed document holds integers and strings only: "
            "write a float as a string or as a scaled integer, leave out what is unset"
        )


def _verify_items(items: Sequence[Any], place: str, nesting: int) -> None:
    for index, item in enumerate(items):
        _verify_representable(item, f"{place}[{index}]", nesting + 1)


def _verify_text(text: str, place: str) -> None:
    if not all(" " <= character <= "~" for character in text):
        raise ConfigError(f"{place} holds {text!r}; a hashed document holds printable ASCII only")
