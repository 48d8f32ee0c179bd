"""What a participant releases of its peers once the survivors of a round are fixed: shares, of one kind.

In its folder it remembers for which set of survivors it released shares of a round, so that it never releases
the other kind for another set. It is on the disk before anything leaves, and stays there for ever: secrets
are derived, so an old round could be asked for again.

    masks/released-<context>    the occasion, 32 bytes
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from fl_chain.errors import StoreError, VerificationError
from fl_chain.ledger.account import Account
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import least_survivors
from fl_chain.masking.releases import Release
from fl_chain.masking.setup import KeySetUp, own_shares, received_shares, round_secrets
from fl_chain.masking.unmasking import seed_to_release
from fl_chain.records import Address, Digest, PublishedKeys, RoundStatus
from fl_chain.run.durable import make_folder, read_if_there, write_durably
from fl_chain.run.graphs import possible_owners
from fl_chain.run.masked_rounds import masking_context, release_blob, round_occasion, verify_whole
from fl_chain.store import ReleaseBlob, SignedRelease, Store

log = logging.getLogger(__name__)

RETRY_S = 2.0  # after a store has failed, or a peer's shares were not there
REPUBLICATION_S = 30.0  # between two looks whether a release is still there


class ShareReleaser:
    """Releases shares of masked rounds for one participant.

    Args:
        account: signs what is released.
        store: takes it.
        secret: the worker's, 32 bytes.
        identity_key: the participant's private one, which shares are sealed to.
        folder: for masks alone.
    """

    def __init__(
        self, account: Account, store: Store, *, secret: bytes, identity_key: bytes, folder: Path
    ) -> None:
        self._account, self._store = account, store
        self._secret, self._identity_key = secret, identity_key
        self._folder = folder
        self._due_at: dict[Digest, float] = {}  # monotonic seconds
        self._said = ""

    def step(self, history: History, identity: Address) -> bool:
        """Release the shares of the first round that calls for them; return whether anything was written.

        Args:
            history: of the run.
            identity: the participant.

        Raises:
            StateUnwritable: if the folder does not take what has to be durable.
        """
        if identity not in history.identity_keys:  # nobody has sealed anything to it
            return False
        for round_id in range(history.state.settled + 1, history.state.latest + 1):
            masks = history.round_masks(round_id)
            if history.rounds[round_id].status is not RoundStatus.CLOSED or masks.exclusions is None:
                continue
            when = round_occasion(history, round_id)
            if time.monotonic() < self._due_at.get(when, 0.0):
                continue
            self._due_at[when] = time.monotonic() + RETRY_S
            try:
                if self._released(history, round_id, identity, when):
                    return True
            except (StoreError, VerificationError) as error:
                self._say(f"round {round_id}: no shares are released yet: {error}")
        return False

    def _released(self, history: History, round_id: int, identity: Address, when: Digest) -> bool:
        """Release what the survivors of a round call for; return whether anything was written."""
        masks = history.round_masks(round_id)
        survivors = frozenset(masks.stayed(history.submissions[round_id]))
        if not self._are_enough(history, round_id, len(survivors)):
            return False
        verify_whole(history, round_id)
        if not self._is_remembered(history, round_id, when):
            return False
        shares, missing = {}, []
        for keys in possible_owners(history, round_id, identity):
            try:
                both = self._shares_of(history, round_id, identity, keys)
            except (StoreError, VerificationError) as error:
                missing.append(f"{keys.participant}: {error}")
                continue
            if both is not None:
                shares[keys.participant] = both[seed_to_release(keys.participant, survivors)]
        if missing:
            self._say(f"round {round_id}: shares of some peers are not there or do not open: {missing}")
        else:
            self._due_at[when] = time.monotonic() + REPUBLICATION_S
        blob, release = release_blob(history, round_id, identity), Release(shares)
        if not shares or _is_there(self._store, blob, release):
            return False
        signature = self._account.sign_for(history.run.ledger, release.signed_content(when))
        self._store.write_release(blob, SignedRelease(release, signature))
        log.info("round %d: released shares of %d peers", round_id, len(shares))
        return not missing

    def _are_enough(self, history: History, round_id: int, survivors: int) -> bool:
        """Return whether a sum of so many hides each; the contract fixes no fewer, but nodes may lie."""
        needed = least_survivors(history.round_masks(round_id), history.policy.quorum)
        if survivors < needed:
            self._say(
                f"round {round_id}: {survivors} survivors are said to be fixed, and it takes {needed}: no "
                "shares are released; ask another node"
            )
        return survivors >= needed

    def _is_remembered(self, history: History, round_id: int, when: Digest) -> bool:
        """Remember for which survivors shares of a round are released; return whether it is still these."""
        path = note_path(self._folder, "released", history, round_id)
        before = read_if_there(path)
        if before is None:
            make_folder(self._folder)
            write_durably(path, when)
        if before in (None, when):
            return True
        self._say(
            f"round {round_id}: shares were released for other survivors before, so none are released for "
            "these: somebody shows participants different chains, or the chain was reorganised"
        )
        return False

    def _shares_of(
        self, history: History, round_id: int, identity: Address, keys: PublishedKeys
    ) -> tuple[bytes, bytes] | None:
        """Return the shares of both seeds that a member gave this participant; None where it gave it none."""
        context, owner = masking_context(history, round_id), keys.participant
        sealed = self._store.read_shares(owner, keys.shares_hash)
        if owner == identity:
            own = round_secrets(self._secret, context, identity)
            return own_shares(own, context, identity, sealed)
        if identity not in sealed:
            return None
        set_up = KeySetUp(owner, keys.round_key, keys.key_commitment, keys.mask_commitment, sealed)
        return received_shares(set_up, self._identity_key, history.identity_keys[owner], context, identity)

    def _say(self, message: str) -> None:
        if message != self._said:
            self._said = message
            log.warning("%s", message)


def note_path(folder: Path, what: str, history: History, round_id: int) -> Path:
    """Return the file of what is remembered of a masked round.

    Args:
        folder: for masks alone.
        what: is remembered.
        history: of the run.
        round_id: the round.
    """
    return folder / f"{what}-{masking_context(history, round_id).digest().hex()}"


def _is_there(store: Store, blob: ReleaseBlob, release: Release) -> bool:
    """Return whether the store has these very shares; what others wrote in their place does not count."""
    try:
        return store.read_release(blob).release == release
    except (StoreError, VerificationError):
        return False
