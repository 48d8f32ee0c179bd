"""Blobs of every kind, read through the store from a folder that somebody else can write to."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from choices import Choices
from scratch import scratch

from fl_chain.commitment.chunks import LANE, chunk_count
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import root_of_chunk_hashes, vector_root
from fl_chain.errors import BlobMissing, DigestMismatch, MalformedBlob, StoreError
from fl_chain.records import Address, Digest, Opening, RunId
from fl_chain.store.blobs import Blob, DocumentBlob, ModelBlob, SumBlob, UpdateBlob
from fl_chain.store.replicas import CopyState, Replicas

COVERS = ("fl_chain.store.blobs", "fl_chain.store.places", "fl_chain.store.replicas")

WHO = Address("0x" + "ab" * 20)
RUN = RunId(1337, Address("0x" + "cd" * 20))
NOTHING = Digest(bytes(32))
DIMENSIONS = (1, 2, 3, 1023, 1024, 1025, 3000, 2**32, 2**63, 2**64 - 1)


@cache
def stores() -> tuple[Path, Replicas]:
    folder = scratch() / "blobs"
    return folder, Replicas([str(folder / "one"), str(folder / "two")])


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    kind, entry = choices.below(8), choices.below(8)
    dimension = choices.pick(DIMENSIONS)
    body = choices.rest()
    blob = _named(kind, dimension, body, is_sealed=kind < 4)
    folder, replicas = stores()
    path = folder / "one" / blob.path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _put(path, entry, body)
        _read(replicas, blob, body, entry)
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _named(kind: int, dimension: int, body: bytes, *, is_sealed: bool) -> Blob[object]:
    """Return a blob's name; where it is sealed, the one that these very bytes would have."""
    match kind % 4:
        case 0:
            return DocumentBlob(Digest(hashlib.sha256(body).digest()) if is_sealed else NOTHING)
        case 1:
            lanes = len(body) // 4
            is_sealed = is_sealed and lanes > 0 and len(body) % 4 == 0
            return (
                ModelBlob(vector_root(np.frombuffer(body, LANE)), lanes)
                if is_sealed
                else ModelBlob(NOTHING, dimension)
            )
        case 2:
            chunks = len(body) // 32
            if is_sealed and chunks and len(body) % 32 == 0:
                return SumBlob(root_of_chunk_hashes(body, chunks * 1024), chunks * 1024)
            return SumBlob(NOTHING, dimension)
        case _:
            return _update(dimension, body, is_sealed=is_sealed)


def _update(dimension: int, body: bytes, *, is_sealed: bool) -> UpdateBlob:
    blob = UpdateBlob(WHO, NOTHING, RUN, 3, dimension)
    if not is_sealed or len(body) < 68 or len(body) % 4:
        return blob
    root = Digest(body[:32])  # as it says, right or wrong: its own seal fits
    opened = sealed_root(root, body[32:64], RUN, 3, WHO)
    return replace(blob, sealed_root=opened, dimension=(len(body) - 64) // 4)


def _put(path: Path, entry: int, body: bytes) -> None:
    match entry:
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(path.name)
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            pass
        case _:
            path.write_bytes(body)


def _read(replicas: Replicas, blob: Blob[object], body: bytes, entry: int) -> None:
    first = replicas.copies(blob)[0].state
    try:
        content = replicas.read(blob)
    except (DigestMismatch, MalformedBlob):
        assert first in (CopyState.ALTERED, CopyState.MALFORMED)
        return
    except BlobMissing:
        assert first in (CopyState.MISSING, CopyState.UNREACHABLE)
        return
    except StoreError:
        raise AssertionError("a read says what is wrong with the copies") from None
    # It was accepted, so it is what was put there, bit for bit.
    assert entry > 4
    assert first is CopyState.GOOD
    assert b"".join(bytes(piece) for piece in blob.encode(content)) == body
    assert blob.sizes[0] <= len(body) <= blob.sizes[1]


def seeds() -> list[bytes]:
    lanes = np.arange(5, dtype=LANE)
    opening = Opening(vector_root(lanes), bytes(range(32)))
    update = opening.vector_root + opening.salt + lanes.tobytes()
    hashes = bytes(range(32)) * chunk_count(1025)
    plain = bytes([5, 0])
    return [
        bytes([0]) + plain + b'{"a":[1,"x"]}',
        bytes([1]) + plain + lanes.tobytes(),
        bytes([2]) + plain + hashes,
        bytes([3]) + plain + update,
        bytes([3]) + plain + update[:-1] + b"\1",
        *(bytes([kind, entry, 9]) + update for kind in (0, 7) for entry in range(5)),
        bytes([7, 5, 0]) + update,
    ]
