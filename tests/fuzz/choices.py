"""Bytes read as decisions, and true documents altered by them.

atheris has a reader of this kind, but a corpus has to be replayed where atheris is not installed, and has to
mean the same under every release of a library.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Json = Any

MOST_EDITS = 6
INTEGERS = (0, 1, -1, 2, 7, 8, 31, 32, 33, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32)
INTEGERS += (
    2**40,
    2**53,
    2**61,
    2**63 - 1,
    2**63,
    2**64 - 1,
    2**64,
    2**128,
    2**256 - 1,
    2**256,
    -(2**63),
    10**30,
)
TEXTS = (
    "",
    "0x",
    "0x0",
    "0x1",
    "0x00",
    "-0x1",
    "0x-1",
    "0x_1",
    " 0x1",
    "0xzz",
    "0x123",
    "1",
    "-1",
    "1.5",
    "nan",
)
TEXTS += (
    "0x" + "ff" * 20,
    "0x" + "ff" * 32,
    "0x" + "00" * 32,
    "0x" + "f" * 65,
    "latest",
    "pending",
    "earliest",
)
TEXTS += (
    "a" * 300,
    "\0",
    "\ud800",
    "é",
    "../..",
    "/etc",
    "file://x",
    "x::y",
    "true",
    "null",
    "[]",
    "{}",
    "\n",
)
OTHERS: tuple[Json, ...] = (None, True, False, 1.5, -0.0, 1e308, float("inf"), float("nan"))


class Choices:
    """Reads decisions off bytes; when they are used up, every further decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def are_over(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        value = 0 if self.are_over else self._data[self._at]
        self._at += 1
        return value

    def below(self, bound: int) -> int:
        """Return an integer from 0 to ``bound - 1``."""
        value = 0
        for _ in range(((bound - 1).bit_length() + 7) // 8):
            value = value << 8 | self.byte()
        return value % bound

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def take(self, length: int) -> bytes:
        """Return the next bytes; fewer where no more are left."""
        taken = self._data[self._at : self._at + length]
        self._at += length
        return taken

    def padded(self, length: int) -> bytes:
        """Return exactly so many bytes, zeros at the end."""
        return self.take(length).ljust(length, b"\0")

    def rest(self) -> bytes:
        return self.take(max(0, len(self._data) - self._at))

    def integer(self) -> int:
        if self.byte() & 1:
            return int.from_bytes(self.take(self.below(34)), "big", signed=True)
        return self.pick(INTEGERS)

    def text(self) -> str:
        match self.below(4):
            case 0:
                return self.pick(TEXTS)
            case 1:
                return hex(self.integer())
            case 2:
                return "0x" + self.take(self.below(100)).hex()
            case _:
                return self.take(self.below(40)).decode("utf-8", "surrogateescape")

    def value(self, nesting: int = 0) -> Json:
        """Return anything that JSON can hold, and what Python's reader takes besides."""
        match self.below(8):
            case 0 | 1:
                return self.text()
            case 2 | 3:
                return self.integer()
            case 4:
                return self.pick(OTHERS)
            case 5 if nesting < 3:
                return [self.value(nesting + 1) for _ in range(self.below(4))]
            case 6 if nesting < 3:
                return {self.text(): self.value(nesting + 1) for _ in range(self.below(4))}
            case _:
                return self.pick(([], {}, [[]], [{}], ""))


def altered(text: str | bytes, choices: Choices) -> Json:
    """Return a document in JSON, a few places in it changed."""
    holder = [json.loads(text)]
    for _ in range(MOST_EDITS):
        if choices.are_over:
            break
        _edit(holder, choices)
    return holder[0] if holder else None


def answer_of(data: bytes, truth: str | bytes) -> Json:
    """Return the document that an input stands for.

    What begins with a bracket is the document itself; anything else says how the true one is altered.

    Raises:
        ValueError: it is no JSON.
    """
    if data[:1] in (b"{", b"["):
        return json.loads(data)
    return altered(truth, Choices(data))


def _edit(holder: list[Json], choices: Choices) -> None:
    place: Any = holder
    key: Any = 0
    while isinstance(place[key], dict | list) and place[key]:
        inner = place[key]
        step = choices.below(len(inner) + 1)
        if step == len(inner):
            break
        place, key = inner, (list(inner)[step] if isinstance(inner, dict) else step)
    match choices.below(8):
        case 0 | 1:
            place[key] = choices.value()
        case 2 if place is not holder:
            del place[key]
        case 3 if isinstance(place, list):
            place.insert(choices.below(len(place) + 1), place[key])
        case 4:
            siblings = list(place) if isinstance(place, dict) else list(range(len(place)))
            other = choices.pick(siblings)
            place[key], place[other] = place[other], place[key]
        case 5:
            place[key] = [place[key]]
        case _:
            place[key] = _varied(place[key], choices)
    if not holder:
        holder.append(None)


def _varied(value: Json, choices: Choices) -> Json:
    """Return something near a value."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return choices.pick(
            (value + 1, value - 1, -value, value << 8, str(value), hex(value), float(value % 2**64))
        )
    if isinstance(value, str):
        at = choices.below(len(value) + 1)
        return choices.pick(
            (
                value[:at] + chr(choices.byte()) + value[at + 1 :],
                value[:at],
                value[:at] + choices.text() + value[at:],
                value.upper(),
                value * 2,
            )
        )
    return choices.value()
