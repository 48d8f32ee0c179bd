"""Fixed-length byte strings: what every tagged hash input is made of."""

from __future__ import annotations

import re

from fl_chain.records import Address

U64_LIMIT = 2**64
_ADDRESS = re.compile("0x[0-9a-f]{40}")


def u64(value: int, name: str) -> bytes:
    """Return an integer as eight big-endian bytes.

    Args:
        value: 0 to 2^64 - 1.
        name: what it is, for the message.

    Raises:
        ValueError: if the value is not an integer or does not fit.
    """
    if type(value) is not int or not 0 <= value < U64_LIMIT:
        raise ValueError(f"{name} is {value!r}; it must be an integer from 0 to 2^64 - 1")
    return value.to_bytes(8, "big")


def bytes32(value: bytes, name: str) -> bytes:
    """Return a value of 32 bytes unchanged.

    Raises:
        ValueError: if it is not 32 bytes.
    """
    if not isinstance(value, bytes) or len(value) != 32:
        raise ValueError(f"{name} must be 32 bytes, not {_described(value)}")
    return value


def address_bytes(value: Address, name: str) -> bytes:
    """Return an address as 20 bytes.

    Raises:
        ValueError: if it is not ``0x`` and 40 lower-case hexadecimal digits.
    """
    if _ADDRESS.fullmatch(value) is None:
        raise ValueError(f"{name} is {value!r}; it must be 0x and 40 lower-case hexadecimal digits")
    return bytes.fromhex(value[2:])


def _described(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else f"a {type(value).__name__}"
