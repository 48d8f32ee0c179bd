"""Openings, seals and decoding of blob bodies that no store has measured."""

from __future__ import annotations

import numpy as np
from choices import Choices

from fl_chain.commitment.seals import initial_digest, leaf, round_digest, sealed_root
from fl_chain.errors import DigestMismatch, MalformedBlob
from fl_chain.records import Address, Digest, RunId, address, digest
from fl_chain.store.blobs import UpdateBlob, verify_size

COVERS = ("fl_chain.records", "fl_chain.commitment.seals", "fl_chain.commitment.encoding")


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    run = RunId(choices.integer(), Address(choices.text()))
    round_id, who = choices.integer(), Address(choices.text())
    root, salt = Digest(choices.take(choices.below(40))), choices.take(choices.below(40))
    try:  # ValueError is documented: the caller's own ids are wrong
        who, run = address(who), RunId(run.chain_id, address(run.ledger))
        sealed = sealed_root(root, salt, run, round_id, who)
        folded = round_digest(run, round_id, root, [leaf(sealed, choices.integer(), who)])
        assert len(folded) == len(initial_digest(run, round_id, root)) == 32
        assert digest("0x" + sealed.hex()) == digest(sealed) == sealed
    except ValueError:
        return
    lanes = choices.rest()
    body = np.frombuffer(root + salt + lanes, np.uint8)
    blob = UpdateBlob(who, sealed, run, round_id, max(1, len(lanes) // 4))
    try:
        verify_size(body.nbytes, blob, "here")
        content = blob.decode(body, "here")
    except (DigestMismatch, MalformedBlob):
        return
    assert content.opening.vector_root == root
    assert content.lanes.tobytes() == lanes


def seeds() -> list[bytes]:
    who = bytes([2, 20]) + b"\xab" * 20
    one = bytes([0, 1])
    return [one + who + one + who + bytes([32]) + bytes(32) + bytes([32]) + bytes(32) + one + bytes(8), b"\0"]
