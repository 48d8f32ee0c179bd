"""A decoder that does not end."""

from __future__ import annotations

COVERS = ()


def fuzz(data: bytes) -> None:
    while len(data) > 3:
        pass


def seeds() -> list[bytes]:
    return [b"0123456789"]
