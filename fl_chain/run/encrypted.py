"""Rounds of ciphertexts between ledger, store and the disk of a holder of the cohort's key.

Ciphertexts are vectors of lanes, so the store keeps them as updates, under the same names and checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_chain.commitment.canonical import canonical_json, parse_canonical_json
from fl_chain.commitment.chunks import Lanes
from fl_chain.encryption.ciphertexts import ciphertext_lanes
from fl_chain.encryption.keys import SecretKey
from fl_chain.encryption.rounds import (
    LEAST_SUMMANDS,
    EncryptedRound,
    EncryptedUpdate,
    open_sum,
)
from fl_chain.errors import MalformedBlob, UnverifiedPosting
from fl_chain.records import Digest, Quantisation, RunId, Submission, digest
from fl_chain.run.durable import read_if_there, write_durably
from fl_chain.store import Store


def read_round(
    store: Store,
    run: RunId,
    submissions: Sequence[Submission],
    *,
    dimension: int,
    quantisation: Quantisation,
    excluded: frozenset[int] = frozenset(),
) -> EncryptedRound:
    """Return a round's ciphertexts in the ledger's order, each checked against its commitment.

    Args:
        store: where participants publish.
        run: which chain and ledger.
        submissions: of one round, in the ledger's order.
        dimension: lanes of the model.
        quantisation: the run's constants.
        excluded: indices of the submissions that the posting leaves out; they are not read.

    Raises:
        BlobMissing: if one cannot be read.
        VerificationError: if no copy of it is what was submitted.
        ValueError: if there is no submission.
    """
    if not submissions:
        raise ValueError("a round that closes has at least one submission")
    updates: list[EncryptedUpdate | None] = []
    for submission in submissions:
        if submission.index in excluded:
            updates.append(None)
            continue
        found = store.read_update(
            submission.participant,
            submission.sealed_root,
            ciphertext_lanes(dimension),
            run=run,
            round=submission.round,
        )
        updates.append(EncryptedUpdate(found.opening, found.lanes))
    round_id = submissions[0].round
    return EncryptedRound(run, round_id, tuple(submissions), tuple(updates), dimension, quantisation)


@dataclass(frozen=True, slots=True)
class OpenedSums:
    """Which sum of each round a holder of the key opens: one, across crashes.

    Attributes:
        folder: the holder's own, which exists.
    """

    folder: Path

    def open(
        self,
        current: EncryptedRound,
        key: SecretKey,
        *,
        least_summands: int = LEAST_SUMMANDS,
    ) -> Lanes:
        """Return a round's plain sum, after writing down that it was opened.

        Args:
            current: the round.
            key: of the cohort.
            least_summands: the fewest updates of which a sum may be opened.

        Raises:
            StateUnwritable: if the disk does not take the record; nothing is given away then.
            UnverifiedPosting: as `open_sum`, or if another sum was chosen in a round of this number, as where
                the chain was reorganised since.
            MalformedBlob: if the record is damaged: then nothing more of the round may be opened.
            VerificationError, ValueError, ExtraMissing: as `open_sum`.
        """
        self.verify(current)
        total = open_sum(current, key, least_summands=least_summands)
        self.remember(current)
        return total

    def verify(self, current: EncryptedRound) -> Digest:
        """Check that no other sum of a round was chosen; return the root of this one.

        Raises:
            UnverifiedPosting: if one was.
            MalformedBlob, StateUnwritable: if the record is damaged, or cannot be read.
            VerificationError: as `EncryptedRound.added`.
        """
        before, root = self._record(current.id), current.added.root
        if before is not None and before != (current.included, root):
            what = "other ciphertexts" if before[0] == current.included else "other updates"
            raise UnverifiedPosting(
                f"the sum of {what} was opened before in round {current.id}, or endorsed, and the difference "
                "of the two may be a single update: let the round be void"
            )
        return root

    def remember(self, current: EncryptedRound) -> Digest:
        """Choose a sum as the one of its round that may be opened, for ever; return its root.

        Raises:
            StateUnwritable: if the disk does not take the record.
            As `verify`.
        """
        root = self.verify(current)
        if self._record(current.id) is None:
            record = {"included": sorted(current.included), "total": "0x" + root.hex()}
            write_durably(self._path(current.id), canonical_json(record))
        return root

    def _record(self, round_id: int) -> tuple[frozenset[int], Digest] | None:
        path = self._path(round_id)
        content = read_if_there(path)
        if content is None:
            return None
        record = parse_canonical_json(content)
        try:
            indices, total = record["included"], digest(record["total"])
            is_list = isinstance(indices, list) and bool(indices)
            if is_list and all(type(one) is int for one in indices):
                return frozenset(indices), total
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise MalformedBlob(f"{path} is no record of an opened sum: open no other sum of round {round_id}")

    def _path(self, round_id: int) -> Path:
        return self.folder / f"opened-{round_id}.json"
