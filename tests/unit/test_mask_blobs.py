"""What a masked run keeps in its stores reads back, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fl_chain.errors import BlobMissing, DigestMismatch, MalformedBlob, VerificationError
from fl_chain.ledger.messages import intended_digest, signer_for
from fl_chain.ledger.signing import Signer
from fl_chain.masking.releases import Release
from fl_chain.masking.setup import shares_hash
from fl_chain.records import Address, Digest, PublishedKeys
from fl_chain.store import ReleaseBlob, SetUpBlob, SignedRelease, SignedSetUp, Store
from fl_chain.store.mask_blobs import SharesBlob

WHO, PEER, LEDGER = (Address("0x" + digit * 40) for digit in "abc")
NAME = Digest(b"\x01" * 32)
SEALED = {WHO: bytes(range(50)), PEER: bytes(50)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store([str(tmp_path)])


def test_sealed_shares_read_back(store: Store) -> None:
    with pytest.raises(BlobMissing):
        store.read_shares(WHO, shares_hash(SEALED))
    store.write_shares(WHO, shares_hash(SEALED), SEALED)
    assert store.read_shares(WHO, shares_hash(SEALED)) == SEALED
    assert [one.state.value for one in store.shares_copies(WHO, shares_hash(SEALED))] == ["good"]


def test_other_shares_than_the_ledger_has_are_refused(store: Store) -> None:
    store.write_shares(WHO, NAME, SEALED)
    with pytest.raises(DigestMismatch, match="sealed shares"):
        store.read_shares(WHO, NAME)
    body = b"".join(SharesBlob(WHO, NAME).encode(SEALED))
    blob = SharesBlob(WHO, shares_hash(SEALED))
    with pytest.raises(MalformedBlob, match="whole sealed shares"):
        blob.decode(np.frombuffer(body[:-1], dtype=np.uint8), "x")
    with pytest.raises(DigestMismatch):  # the same ones twice
        blob.decode(np.frombuffer(body + body, dtype=np.uint8), "x")
    with pytest.raises(ValueError, match="50 bytes"):
        blob.encode({WHO: bytes(49)})


def test_a_release_reads_back_where_its_author_signed_it(store: Store) -> None:
    signer, release = Signer(b"\x07" * 32), Release({WHO: bytes(17), PEER: b"\xff" * 17})

    def verify(signed: SignedRelease) -> None:
        if signer_for(LEDGER, signed.release.signed_content(NAME), signed.signature) != signer.address:
            raise VerificationError("signed by another")

    blob = ReleaseBlob(WHO, NAME, verify)
    signature = signer.sign_digest(intended_digest(LEDGER, release.signed_content(NAME)))
    assert not store.has_release(WHO, NAME)
    store.write_release(blob, SignedRelease(release, signature))
    assert store.has_release(WHO, NAME)
    assert store.read_release(blob).release == release
    other = Signer(b"\x08" * 32).sign_digest(intended_digest(LEDGER, release.signed_content(NAME)))
    store.write_release(blob, SignedRelease(release, other))
    with pytest.raises(VerificationError, match="signed by another"):
        store.read_release(blob)
    with pytest.raises(ValueError, match="65 bytes"):
        blob.encode(SignedRelease(release, signature[:-1]))


def test_a_set_up_reads_back_where_its_author_signed_it(store: Store) -> None:
    keys = PublishedKeys(WHO, b"\x02" * 32, NAME, Digest(b"\x03" * 32), Digest(b"\x04" * 32))
    blob = SetUpBlob(WHO, NAME, lambda one: None)
    store.write_set_up(blob, SignedSetUp(keys, bytes(65)))
    assert store.read_set_up(blob) == SignedSetUp(keys, bytes(65))

    def refuse(signed: SignedSetUp) -> None:
        raise VerificationError("signed by another")

    with pytest.raises(VerificationError, match="signed by another"):
        store.read_set_up(SetUpBlob(WHO, NAME, refuse))
    with pytest.raises(ValueError, match="four words"):
        blob.encode(SignedSetUp(keys, bytes(64)))


def test_a_signature_is_for_one_contract_and_content() -> None:
    signer = Signer(b"\x07" * 32)
    signature = signer.sign_digest(intended_digest(LEDGER, b"content"))
    assert signer_for(LEDGER, b"content", signature) == signer.address
    assert signer_for(WHO, b"content", signature) != signer.address
    assert signer_for(LEDGER, b"contents", signature) != signer.address
    with pytest.raises(VerificationError, match="65 bytes"):
        signer_for(LEDGER, b"content", signature[:-1])
    with pytest.raises(VerificationError, match="not a signature"):
        signer_for(LEDGER, b"content", bytes(65))
