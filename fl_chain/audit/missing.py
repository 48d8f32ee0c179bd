"""Blobs that no store has, and whom to ask for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fl_chain.records import Address


class Role(StrEnum):
    """Why somebody should hold a blob."""

    PARTICIPANT = "participant"  # made the update
    AGGREGATOR = "aggregator"  # posted what the blob is part of
    OPERATOR = "operator"  # deployed the run


@dataclass(frozen=True, slots=True)
class MissingBlob:
    """A blob that no store has."""

    what: str  # in words
    path: str  # its name within a store
    round: int | None
    holders: tuple[tuple[Role, Address], ...]  # who should have it


def by_holder(missing: Sequence[MissingBlob]) -> list[dict[str, Any]]:
    """Return the missing blobs as the report has them: by who should hold them, so that each can be asked."""
    groups: dict[tuple[Role, Address], list[MissingBlob]] = {}
    for blob in missing:
        for holder in blob.holders:
            groups.setdefault(holder, []).append(blob)
    return [
        {
            "holder": holder,
            "role": role.value,
            "blobs": [{"what": one.what, "path": one.path, "round": one.round} for one in blobs],
        }
        for (role, holder), blobs in sorted(groups.items(), key=lambda group: (group[0][1], group[0][0]))
    ]
