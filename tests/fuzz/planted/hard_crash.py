"""A decoder that takes its process down."""

from __future__ import annotations

import ctypes

COVERS = ()


def fuzz(data: bytes) -> None:
    if len(data) > 3:
        ctypes.string_at(0)


def seeds() -> list[bytes]:
    return [b"0123456789"]
