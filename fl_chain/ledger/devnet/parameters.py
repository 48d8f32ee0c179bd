"""Reading JSON-RPC parameters: hexadecimal in, bytes and integers out."""

from __future__ import annotations

from typing import Any


class InvalidParameters(Exception):
    """A request's parameters are not what the method takes."""


class TooManyResults(Exception):
    """A request would return more than the server answers at once; it has to be split."""


def bytes_of(value: Any) -> bytes:
    """Return the bytes of JSON-RPC data."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise InvalidParameters(
            f"expected data as a string of hexadecimal digits with 0x, found {value!r}"[:200]
        )
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise InvalidParameters(f"not hexadecimal data: {value!r}"[:200]) from error


def hash_of(value: Any) -> bytes:
    """Return a hash of 32 bytes."""
    return _sized(value, 32)


def address_of(value: Any) -> bytes:
    """Return an address of 20 bytes."""
    return _sized(value, 20)


def quantity_of(value: Any) -> int:
    """Return an integer that is not negative."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            pass
    raise InvalidParameters(f"expected a quantity in hexadecimal digits with 0x, found {value!r}"[:200])


def _sized(value: Any, size: int) -> bytes:
    raw = bytes_of(value)
    if len(raw) != size:
        raise InvalidParameters(f"expected {size} bytes, found {len(raw)}")
    return raw
