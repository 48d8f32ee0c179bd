"""Canonical JSON: what is accepted is the one spelling of its value."""

from __future__ import annotations

from fl_chain.commitment.canonical import canonical_json, document_hash, parse_canonical_json
from fl_chain.errors import MalformedBlob

COVERS = ("fl_chain.commitment.canonical",)


def fuzz(data: bytes) -> None:
    try:
        value = parse_canonical_json(data)
    except MalformedBlob:
        return
    assert canonical_json(value) == data
    assert document_hash(value) == document_hash(data)


def seeds() -> list[bytes]:
    return [
        b'{"a":[1,-2,"x"],"b":{}}',
        b"[]",
        b"0",
        b'"\\\\"',
        b"[" * 70,
        b'{"a":1,"a":2}',
        b"1.5",
        b"[true,null]",
    ]
