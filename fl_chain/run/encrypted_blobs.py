"""What participants of an encrypted run sign and publish beside their updates: which blob is for what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fl_chain.commitment.chunks import LANE, Lanes, lane_bytes, lanes_from_bytes
from fl_chain.commitment.encoding import address_bytes, u64
from fl_chain.encryption.keys import SecretKey
from fl_chain.encryption.scheme import DEGREE, MAX_SUMMANDS
from fl_chain.errors import MalformedBlob, VerificationError
from fl_chain.ledger.account import Account
from fl_chain.ledger.history import History
from fl_chain.ledger.messages import signer_for
from fl_chain.masking.context import MaskingContext, derived
from fl_chain.records import Address, Digest, address
from fl_chain.store import Signed, SignedBlob, SignedFolder
from fl_chain.store.signed_blobs import signed_content

_TAG = b"fl_chain/encrypted-run/1/"
_KEY_BYTES = 32
_PUBLIC_KEY_BYTES = 28 + 4 * 8 * DEGREE  # a tag of 28 bytes, and so are the secret key's
_SEALED_BYTES = 28 + 2 * 8 * DEGREE + 16
_ADDRESS_BYTES = 20
_CODE_BYTES = 32
_SUM, _SPOILT = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class OpenedSum:
    """The plain sum of a round's updates."""

    lanes: Lanes  # shape (dimension,)


@dataclass(frozen=True, slots=True)
class SpoiltSum:
    """The sum is none that honest updates have."""

    spoilers: tuple[Address, ...]  # whose updates are not in range, or no ciphertexts under the cohort's key


OpeningContent = OpenedSum | SpoiltSum


def opening_bytes(content: OpeningContent) -> bytes:
    """Return what a holder of the key publishes of a round."""
    if isinstance(content, OpenedSum):
        return _SUM + bytes(lane_bytes(content.lanes))
    return _SPOILT + b"".join(address_bytes(one, "a participant") for one in content.spoilers)


def parse_opening(content: bytes, dimension: int) -> OpeningContent:
    """Return what somebody has published of a round; the inverse of `opening_bytes`.

    Args:
        content: of the blob.
        dimension: lanes of the model.

    Raises:
        MalformedBlob: if it is of another form.
    """
    kind, body = content[:1], content[1:]
    if kind == _SUM:
        return OpenedSum(lanes_from_bytes(body, dimension))
    if kind != _SPOILT or len(body) % _ADDRESS_BYTES:
        raise MalformedBlob("an opening is neither a sum nor a list of participants")
    parts = [body[at : at + _ADDRESS_BYTES] for at in range(0, len(body), _ADDRESS_BYTES)]
    return SpoiltSum(tuple(map(address, parts)))


def identity_blob(history: History, participant: Address) -> SignedBlob:
    """Return which blob has the X25519 key that a participant lets others seal to."""
    return _blob(history, SignedFolder.IDENTITY, participant, b"", (_KEY_BYTES, _KEY_BYTES))


def cohort_key_blob(history: History, maker: Address) -> SignedBlob:
    """Return which blob has the public key that everybody encrypts with."""
    sizes = (_PUBLIC_KEY_BYTES, _PUBLIC_KEY_BYTES)
    return _blob(history, SignedFolder.COHORT_KEY, maker, b"", sizes)


def sealed_key_blob(
    history: History, maker: Address, receiver: Address, identity_key: bytes, public: Digest
) -> SignedBlob:
    """Return which blob has the cohort's secret key for one member.

    Args:
        history: of the run.
        maker: who made the key, and seals it.
        receiver: who is to open it.
        identity_key: the receiver's, for which it is sealed.
        public: digest of the public key that it belongs to.
    """
    occasion = address_bytes(receiver, "the receiver") + identity_key + public
    return _blob(history, SignedFolder.SEALED_KEY, maker, occasion, (_SEALED_BYTES, _SEALED_BYTES))


def endorsement_blob(history: History, round_id: int, participant: Address, total: Digest) -> SignedBlob:
    """Return which blob says that a participant opens this sum of a round, and no other.

    Args:
        history: of the run.
        round_id: the round.
        participant: whose update is in it.
        total: the root of the sum of ciphertexts.
    """
    occasion = _of_sum(history, round_id, total)
    return _blob(history, SignedFolder.ENDORSEMENT, participant, occasion, (_CODE_BYTES, _CODE_BYTES))


def endorsement_code(
    key: SecretKey, history: History, round_id: int, participant: Address, total: Digest
) -> bytes:
    """Return what an endorsement holds: it takes the key to make it, whatever a node says of signers.

    Args:
        key: of the cohort.
        history: of the run.
        round_id: the round.
        participant: who endorses.
        total: the root of the sum of ciphertexts.
    """
    context = MaskingContext(history.run, round_id, history.model_root(history.rounds[round_id].base_round))
    return derived(key.content, context, b"endorsement" + address_bytes(participant, "who endorses") + total)


def opening_blob(history: History, round_id: int, participant: Address, total: Digest) -> SignedBlob:
    """Return which blob has what a participant found in the sum of a round's ciphertexts.

    Args:
        history: of the run.
        round_id: the round.
        participant: who opened it.
        total: the root of that sum, as anybody derives it: of other ciphertexts it is another blob.
    """
    occasion = _of_sum(history, round_id, total)
    most = max(LANE.itemsize * history.definition.dimension, _ADDRESS_BYTES * MAX_SUMMANDS)
    return _blob(history, SignedFolder.OPENING, participant, occasion, (1, 1 + most))


def signed(account: Account, history: History, blob: SignedBlob, content: bytes) -> Signed:
    """Return a blob's content with its author's signature.

    Args:
        account: the author's.
        history: of the run.
        blob: which one it is.
        content: of it.
    """
    message = signed_content(blob.folder, history.run.chain_id, blob.occasion, content)
    return Signed(content, account.sign_for(history.run.ledger, message))


def _of_sum(history: History, round_id: int, total: Digest) -> bytes:
    base_root = history.model_root(history.rounds[round_id].base_round)
    return u64(round_id, "the round") + base_root + total


def _blob(
    history: History, folder: SignedFolder, author: Address, occasion: bytes, sizes: tuple[int, int]
) -> SignedBlob:
    run = history.run
    name = hashlib.sha256(
        _TAG
        + folder.value.encode()
        + b"\0"
        + u64(run.chain_id, "the chain id")
        + address_bytes(run.ledger, "the ledger")
        + occasion
    ).digest()
    signer: Address | None = author  # of keys: the account that the policy names, whatever a node says
    if folder in (SignedFolder.ENDORSEMENT, SignedFolder.OPENING):
        participant = history.participants.get(author)
        signer = None if participant is None else participant.signer

    def verify(found: Signed) -> None:
        message = signed_content(folder, run.chain_id, Digest(name), found.content)
        actual = signer_for(run.ledger, message, found.signature)
        if actual != signer:
            raise VerificationError(
                f"what is under {folder.value} of {author} is signed by {actual} instead of {signer}"
            )

    return SignedBlob(folder, author, Digest(name), sizes, verify)
