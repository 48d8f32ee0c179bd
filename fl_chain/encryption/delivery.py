"""A cohort's secret key on its way from the participant that made it to the others."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fl_chain.commitment.encoding import address_bytes
from fl_chain.encryption.keys import PublicKey, SecretKey, parse_secret_key
from fl_chain.errors import MalformedBlob
from fl_chain.masking.context import MaskingContext, derived
from fl_chain.masking.keys import agreed_secret
from fl_chain.records import ZERO_DIGEST, Address, RunId

_NONCE = bytes(12)  # every sealing has a key of its own: sender, receiver, run and cohort key are in it


def sealed_secret_key(
    secret: SecretKey, own_key: bytes, peer_key: bytes, run: RunId, route: tuple[Address, Address]
) -> bytes:
    """Return a cohort's secret key so that only one peer can read it: X25519, HKDF, ChaCha20-Poly1305.

    Args:
        secret: of the cohort.
        own_key: the sender's private identity key, 32 bytes.
        peer_key: the receiver's public identity key, 32 bytes.
        run: which chain and ledger.
        route: sender and receiver.

    Raises:
        MalformedBlob: if the peer's key is none.
        ValueError: if a length is wrong.
    """
    cipher = _cipher(own_key, peer_key, run, route, secret.public)
    return cipher.encrypt(_NONCE, secret.content, _route(route))


def opened_secret_key(
    sealed: bytes,
    own_key: bytes,
    peer_key: bytes,
    run: RunId,
    route: tuple[Address, Address],
    *,
    public: PublicKey,
) -> SecretKey:
    """Return the secret key that a peer sealed to this participant.

    Args:
        sealed: what `sealed_secret_key` gave.
        own_key: the receiver's private identity key.
        peer_key: the sender's public identity key.
        run: which chain and ledger.
        route: sender and receiver.
        public: the public key that the cohort encrypts with.

    Raises:
        MalformedBlob: if it was not the sender who sealed it, or not for this run, receiver and public key.
        Undecryptable: if what it sealed is another cohort's key.
        ExtraMissing: if TenSEAL is not installed.
        ValueError: if a length is wrong.
    """
    try:
        content = _cipher(own_key, peer_key, run, route, public).decrypt(_NONCE, sealed, _route(route))
    except InvalidTag as error:
        raise MalformedBlob(
            f"the cohort's key does not open: it is not what {route[0]} sealed. Ask another holder for it"
        ) from error
    return parse_secret_key(content, public)


def _cipher(
    own_key: bytes, peer_key: bytes, run: RunId, route: tuple[Address, Address], public: PublicKey
) -> ChaCha20Poly1305:
    secret = agreed_secret(own_key, peer_key)
    purpose = b"cohort key" + _route(route) + public.digest()
    return ChaCha20Poly1305(derived(secret, MaskingContext(run, 0, ZERO_DIGEST), purpose))


def _route(route: tuple[Address, Address]) -> bytes:
    sender, receiver = route
    return address_bytes(sender, "the sender") + address_bytes(receiver, "the receiver")
