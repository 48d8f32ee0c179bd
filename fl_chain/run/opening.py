"""A member's side of opening: the sum of a round's ciphertexts, decrypted once, published under its name."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from fl_chain.commitment.chunks import Lanes
from fl_chain.encryption.keys import SecretKey
from fl_chain.encryption.rounds import EncryptedRound, encrypted_sum, spoilt_updates
from fl_chain.errors import (
    StoreError,
    Undecryptable,
    UpdateOutOfRange,
    VerificationError,
)
from fl_chain.ledger.account import Account
from fl_chain.ledger.history import History
from fl_chain.records import Address, RoundStatus
from fl_chain.run.encrypted import OpenedSums
from fl_chain.run.encrypted_blobs import (
    OpenedSum,
    OpeningContent,
    SpoiltSum,
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
    """

    def __init__(
        self, account: Account, store: Store, opened: OpenedSums, key: Callable[[], SecretKey | None]
    ) -> None:
        self._account, self._store, self._opened, self._key = account, store, opened, key
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
                is_published = self._published(rounds, round_id, identity)
            except (StoreError, VerificationError) as error:
                self._say(round_id, f"its sum is not opened: {error}")
                continue
            self._wait(round_id, now, REPUBLICATION_S)
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
        return None if key is None else self._opened.open(current, None, key)

    def _published(self, rounds: EncryptedRounds, round_id: int, identity: Address) -> bool:
        key = self._key()
        if key is None:
            return False
        history, current = rounds.history, rounds.read(round_id)
        blob = opening_blob(history, round_id, identity, encrypted_sum(current).root)
        if self._is_there(blob):
            return False
        content = opening_bytes(self._content(history, current, key))
        self._store.write_signed(blob, signed(self._account, history, blob, content))
        return True

    def _is_there(self, blob: SignedBlob) -> bool:
        try:
            self._store.read_signed(blob)
        except (StoreError, VerificationError):
            return False
        return True

    def _content(self, history: History, current: EncryptedRound, key: SecretKey) -> OpeningContent:
        try:
            lanes = self._opened.open(current, None, key)
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
