"""A decoder that makes room for whatever length it is told."""

from __future__ import annotations

COVERS = ()


def fuzz(data: bytes) -> None:
    bytearray(int.from_bytes(data[:8], "big"))


def seeds() -> list[bytes]:
    return [b"\0\0\0\1\0\0\0\0"]  # 4 GiB
