"""A member's side of opening: the sum of a round's ciphertexts, decrypted once, published under its name."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fl_chain.commitment.chunks import Lanes
from fl_chain.encryption.keys import SecretKey
from fl_chain.encryption.rounds import EncryptedRound, spoilt_updates
from fl_chain.errors import (
    StoreError,
    Undecryptable,
    UnverifiedPosting,
    UpdateOutOfRange,
    VerificationError,
)
from fl_chain.ledger.account import Account
from fl_chain.ledger.history import History
from fl_chain.records import Address, Digest, RoundStatus
from fl_chain.run.encrypted import OpenedSums
from fl_chain.run.encrypted_blobs import (
    OpenedSum,
    OpeningContent,
    SpoiltSum,
    endorsement_blob,
    endorsement_code,
    opening_blob,
    opening_bytes,
    signed,
)
from fl_chain.run.encrypted_rounds import EncryptedRounds
from fl_chain.store import SignedBlob, Store

log = logging.getLogger(__name__)

RETRY_S = 2.0  # by the clock or by chain time, while an update is not there yet
REPUBLICATION_S = 30.0  # between two looks whether an opening is still there


class SumOpener:
    """Opens the sums of one run for one holder of its key.

    Args:
        account: signs what is published.
        store: takes it.
        opened: what was opened before.
        key: the cohort's, None until it is there.
        own_root: returns the sealed root that this participant has made for a round; None where it has none.
    """

    def __init__(
        self,
        account: Account,
        store: Store,
        opened: OpenedSums,
        *,
        key: Callable[[], SecretKey | None],
        own_root: Callable[[History, int], Digest | None],
    ) -> None:
        self._account, self._store, self._opened = account, store, opened
        self._key, self._own_root = key, own_root
        self._due_at: dict[int, tuple[float, float]] = {}  # of rounds: monotonic seconds, chain time
        self._said: dict[int, str] = {}

    def step(self, rounds: EncryptedRounds, identity: Address, now: int) -> bool:
        """Publish what is in the first sum that is due; return whether anything was published.

        Args:
            rounds: of the run.
            identity: the participant.
            now: chain time.

        Raises:
            StateUnwritable: if the folder does not take what has to be remembered.
        """
        history = rounds.history
        for round_id in range(history.state.settled + 1, history.state.latest + 1):
            if history.rounds[round_id].status not in (RoundStatus.CLOSED, RoundStatus.POSTED):
                continue
            if not any(one.participant == identity for one in rounds.submissions(round_id)):
                continue
            due_at = self._due_at.get(round_id)
            if due_at is not None and time.monotonic() < due_at[0] and now < due_at[1]:
                continue
            self._wait(round_id, now, RETRY_S)
            try:
                is_published = self._published(rounds, round_id, identity, now)
            except (StoreError, VerificationError) as error:
                self._say(round_id, f"its sum is not opened: {error}")
                continue
            if is_published:
                return True
        return False

    def opened(self, current: EncryptedRound) -> Lanes | None:
        """Return a round's plain sum; None while the key is not there.

        Raises:
            StateUnwritable: if the folder does not take what has to be remembered.
            VerificationError: if it is not opened, see `OpenedSums.open`.
        """
        key = self._key()
        return None if key is None else self._opened.open(current, key)

    def _published(self, rounds: EncryptedRounds, round_id: int, identity: Address, now: int) -> bool:
        """Endorse the sum of a round, then open it; return whether anything was published."""
        key = self._key()
        if key is None:
            return False
        history, current = rounds.history, rounds.read(round_id)
        self._verify_own(rounds, round_id, identity)
        total = self._opened.remember(current)
        endorsement = endorsement_blob(history, round_id, identity, total)
        if not self._is_there(endorsement):
            code = endorsement_code(key, history, round_id, identity, total)
            self._store.write_signed(endorsement, signed(self._account, history, endorsement, code))
            return True
        blob = opening_blob(history, round_id, identity, total)
        if self._is_there(blob):
            self._wait(round_id, now, REPUBLICATION_S)
            return False
        if not self._is_endorsed(rounds, round_id, total, key):
            return False
        content = opening_bytes(self._content(current, key))
        self._store.write_signed(blob, signed(self._account, history, blob, content))
        return True

    def _verify_own(self, rounds: EncryptedRounds, round_id: int, identity: Address) -> None:
        """Check that what stands for this participant in a sum is its own update.

        Raises:
            UnverifiedPosting: if it is another, which a node has made up, or one that the disk has lost.
        """
        own = self._own_root(rounds.history, round_id)
        if own not in [
            one.sealed_root for one in rounds.submissions(round_id) if one.participant == identity
        ]:
            raise UnverifiedPosting(
                "the submission that the ledger is said to have of this participant is none that it has made"
            )

    def _is_endorsed(self, rounds: EncryptedRounds, round_id: int, total: Digest, key: SecretKey) -> bool:
        """Return whether enough of those whose updates are in a sum stand for it."""
        endorsers, needed = rounds.endorsers(round_id, total, key), rounds.cohort.least_endorsers
        if len(endorsers) < needed:
            self._say(round_id, f"its sum is endorsed by {len(endorsers)} of the {needed} that it takes")
        return len(endorsers) >= needed

    def _is_there(self, blob: SignedBlob) -> bool:
        try:
            self._store.read_signed(blob)
        except (StoreError, VerificationError):
            return False
        return True

    def _content(self, current: EncryptedRound, key: SecretKey) -> OpeningContent:
        try:
            lanes = self._opened.open(current, key)
        except (Undecryptable, UpdateOutOfRange) as error:
            spoilt = spoilt_updates(current, key)
            whose = ", ".join(f"{one.participant} ({one.reason})" for one in spoilt)
            self._say(current.id, f"its sum is spoilt ({error}) by {whose}: the round ends without a model")
            return SpoiltSum(tuple(one.participant for one in spoilt))
        log.info("round %d: opened the sum of %d updates", current.id, len(current.included))
        return OpenedSum(lanes)

    def _wait(self, round_id: int, now: int, pause_s: float) -> None:
        self._due_at[round_id] = time.monotonic() + pause_s, now + pause_s

    def _say(self, round_id: int, message: str) -> None:
        if self._said.get(round_id) != message:
            self._said[round_id] = message
            log.warning("round %d: %s", round_id, message)
