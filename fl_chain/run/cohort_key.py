"""A member's side of the cohort's key: made by one of them, sealed through the store to the others.

Every member signs, with the key of the account that the policy names, the X25519 key that others may seal to.
A key that was rotated in since does not count: nodes say which it is, and may lie. The one whom the policy
names makes the cohort's key, signs the public part, and seals the secret part to each member whose identity
key it has. What a member has taken once, it keeps: no other key is taken after it.

    encryption/cohort-key   secret key, then public key, as `fl_chain.encryption.keys` has them
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from fl_chain.encryption.delivery import opened_secret_key, sealed_secret_key
from fl_chain.encryption.keys import SecretKey, new_secret_key, parse_public_key, parse_secret_key
from fl_chain.encryption.scheme import DEGREE
from fl_chain.encryption.seal import verify_installed
from fl_chain.errors import BlobMissing, StoreError, VerificationError
from fl_chain.hiding import KeyCohort
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.masking.keys import identity_private_key, public_key
from fl_chain.records import Address
from fl_chain.run.durable import make_folder, read_if_there, write_durably
from fl_chain.run.encrypted_blobs import cohort_key_blob, identity_blob, sealed_key_blob, signed
from fl_chain.store import SignedBlob, Store, WriteState

log = logging.getLogger(__name__)

RETRY_S = 2.0  # by the clock or by chain time, while something is not there yet
REPUBLICATION_S = 30.0  # between two looks whether everything is still there
KEY_FILE = "cohort-key"
_SECRET_KEY_BYTES = 28 + 2 * 8 * DEGREE


@dataclass(frozen=True, slots=True)
class KeyringParts:
    """What a member's keyring is made of."""

    ledger: Ledger
    account: Account
    store: Store
    secret: bytes  # the worker's, 32 bytes
    folder: Path  # the worker's
    cohort: KeyCohort


class Keyring:
    """Makes or takes the cohort's key, for one participant."""

    def __init__(self, parts: KeyringParts) -> None:
        """Prepare for a run whose policy was read.

        Raises:
            ExtraMissing: if what encrypts is not installed.
            VerificationError: if the key on the disk is damaged.
            StateUnwritable: if it cannot be read, or the folder cannot be made.
        """
        verify_installed()
        self._parts = parts
        self._identity_key = identity_private_key(parts.secret, parts.ledger.run)
        self._path = parts.folder / "encryption" / KEY_FILE
        make_folder(self._path.parent)
        self._key = read_cohort_key(self._path)
        self._looked_at: tuple[float, int] | None = None
        self._pause_s = RETRY_S
        self._said = ""

    @property
    def key(self) -> SecretKey | None:
        """The cohort's key; None until it is there."""
        return self._key

    @property
    def folder(self) -> Path:
        """Where what is remembered of opened sums belongs."""
        return self._path.parent

    def step(self, history: History, identity: Address) -> bool:
        """Do what is due next of all this; return whether anything was done.

        Raises:
            LedgerError: if the ledger cannot be reached.
            StateUnwritable: if the folder does not take the key.
        """
        if identity not in history.participants or self._is_too_soon():
            return False
        if identity not in self._parts.cohort.members:
            self._say(f"{identity} is not among those who hold the run's key, and cannot take part")
            return False
        if self._parts.account.address != identity:  # what it signed before stays where it is
            if self._key is None:
                self._say(f"the cohort's key is taken and handed out with the key of {identity} alone")
            return False
        try:
            moved = self._is_written(
                history, identity_blob(history, identity), public_key(self._identity_key)
            )
            if identity == self._parts.cohort.maker:
                return self._hand_out(history, identity) or moved
            return self._take(history, identity) or moved
        except (StoreError, VerificationError) as error:
            self._say(f"the cohort's key: {error}")
            return False

    def _hand_out(self, history: History, identity: Address) -> bool:
        """Make the key where there is none, and publish it to whoever is there."""
        store = self._parts.store
        if self._key is None:
            self._keep(new_secret_key())
            log.info("made the cohort's key 0x%s", self._made.public.digest().hex())
        key, waiting = self._made, []
        moved = self._is_written(history, cohort_key_blob(history, identity), key.public.content)
        for receiver in self._parts.cohort.members:
            if receiver == identity:
                continue
            try:
                peer_key = store.read_signed(identity_blob(history, receiver))
            except (StoreError, VerificationError):
                waiting.append(receiver)
                continue
            blob = sealed_key_blob(history, identity, receiver, peer_key, key.public.digest())
            if store.has_signed(blob):
                continue
            route = (identity, receiver)
            content = sealed_secret_key(key, self._identity_key, peer_key, history.run, route)
            store.write_signed(blob, signed(self._parts.account, history, blob, content))
            log.info("sealed the cohort's key to %s", receiver)
            moved = True
        self._pause_s = RETRY_S if waiting else REPUBLICATION_S
        return moved

    def _take(self, history: History, identity: Address) -> bool:
        """Take the key that the maker has sealed; return whether it was there."""
        if self._key is not None:
            self._pause_s = REPUBLICATION_S
            return False
        store, maker = self._parts.store, self._parts.cohort.maker
        try:
            public = parse_public_key(store.read_signed(cohort_key_blob(history, maker)))
            peer_key = store.read_signed(identity_blob(history, maker))
            own_key = public_key(self._identity_key)
            blob = sealed_key_blob(history, maker, identity, own_key, public.digest())
            sealed = store.read_signed(blob)
        except BlobMissing:
            self._say(f"waiting for {maker}, who makes the cohort's key")
            return False
        route = (maker, identity)
        key = opened_secret_key(sealed, self._identity_key, peer_key, history.run, route, public=public)
        self._keep(key)
        log.info("took the cohort's key 0x%s from %s", public.digest().hex(), maker)
        return True

    @property
    def _made(self) -> SecretKey:
        assert self._key is not None  # noqa: S101 - whoever made it has kept it
        return self._key

    def _keep(self, key: SecretKey) -> None:
        write_durably(self._path, key.content, key.public.content)
        self._key = key

    def _is_written(self, history: History, blob: SignedBlob, content: bytes) -> bool:
        """Publish what is this participant's own, where it is not there; return whether it was written.

        Raises:
            StoreError: if the store does not take it.
        """
        store = self._parts.store
        try:
            if store.read_signed(blob) == content:
                return False
        except (StoreError, VerificationError):
            pass
        outcomes = store.write_signed(blob, signed(self._parts.account, history, blob, content))
        return any(one.state is WriteState.WRITTEN for one in outcomes)

    def _is_too_soon(self) -> bool:
        now, chain_now = time.monotonic(), self._parts.ledger.head().timestamp
        if self._looked_at is not None:
            since, chain_since = self._looked_at
            if now < since + self._pause_s and chain_now < chain_since + self._pause_s:
                return True
        self._looked_at = now, chain_now
        return False

    def _say(self, message: str) -> None:
        if message != self._said:
            self._said = message
            log.warning("%s", message)


def read_cohort_key(path: Path) -> SecretKey | None:
    """Return the key that a member has kept; None where there is none.

    Args:
        path: of the file `KEY_FILE` in the folder ``encryption`` of its worker.

    Raises:
        VerificationError: if the file is damaged.
        StateUnwritable: if it cannot be read.
        ExtraMissing: if TenSEAL is not installed.
    """
    content = read_if_there(path)
    if content is None:
        return None
    public = parse_public_key(content[_SECRET_KEY_BYTES:])
    return parse_secret_key(content[:_SECRET_KEY_BYTES], public)
