"""A decoder with a defect behind conditions that bytes drawn at random do not meet."""

from __future__ import annotations

COVERS = ()


def fuzz(data: bytes) -> None:
    if len(data) < 5:
        return
    if data[0] == ord("u") and data[1] == ord("p") and data[2] == 0x1F and data[3] == data[4]:  # noqa: SIM102
        if data[4] > 200:
            raise KeyError("not one of the project's errors")


def seeds() -> list[bytes]:
    return [b"0123456789"]
