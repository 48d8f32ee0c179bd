"""What encryption adds to the audit of a round: ciphertexts and their sum, and what was opened of it.

Without the key of the cohort it cannot be told whether an opened sum is what the ciphertexts hold. Then it is
taken from the participants: what more than half of a round's submitters have published. With the key it is
opened again.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import numpy as np

from fl_chain.aggregation.round import Aggregate
from fl_chain.audit.checks import CheckId
from fl_chain.audit.copies import read_update_copies
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.results import standing_posting
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.encryption.ciphertexts import ciphertext_lanes, residues
from fl_chain.encryption.keys import SecretKey, parse_public_key
from fl_chain.encryption.rounds import EncryptedRound, open_sum, spoilt_updates
from fl_chain.errors import ConfigError, MalformedBlob, StoreError, VerificationError
from fl_chain.hiding import KeyCohort
from fl_chain.ledger.history import History
from fl_chain.records import AggregationKind, Digest, Posting, Submission, VoidReason
from fl_chain.run.documents import read_policy
from fl_chain.run.encrypted_blobs import (
    cohort_key_blob,
    endorsement_blob,
    identity_blob,
    sealed_key_blob,
)
from fl_chain.run.encrypted_rounds import EncryptedRounds, RoundOpenings
from fl_chain.store import SignedBlob, Store, Update
from fl_chain.store.blobs import OPENING_BYTES


class EncryptionAudit:
    """Audits the ciphertexts of one run, round by round.

    Args:
        history: of the run.
        store: where its blobs are.
        key: the cohort's; None: what participants opened is taken from them.
    """

    def __init__(self, history: History, store: Store, key: SecretKey | None = None) -> None:
        self._history, self._store, self._key = history, store, key
        self._cohort: KeyCohort | None = None
        if history.policy.aggregation is not AggregationKind.RESULT:
            return
        with suppress(StoreError, VerificationError, ConfigError):  # the audit of the documents says it
            self._cohort = read_policy(history.definition, history.policy, store).key_cohort

    @property
    def is_encrypted(self) -> bool:
        """Whether the run's updates are ciphertexts, as far as its policy can be read."""
        return self._cohort is not None

    def follow(self, history: History) -> None:
        """Go on with a history that has grown."""
        self._history = history

    def audit_keys(self, notes: Collection) -> None:
        """Check that what members published of their keys is signed by its authors."""
        if self._cohort is None:
            return
        history, maker, members = self._history, self._cohort.maker, self._cohort.members
        identities = {who: self._signed(identity_blob(history, who), notes) for who in members}
        content = self._signed(cohort_key_blob(history, maker), notes)
        if content is None:
            return
        try:
            public = parse_public_key(content).digest()
        except VerificationError as error:
            notes.add(Kind.SIGNED_BLOB_ALTERED, f"its cohort's key is none: {error}", participant=maker)
            return
        for who, identity_key in identities.items():
            if who != maker and identity_key is not None:
                self._signed(sealed_key_blob(history, maker, who, identity_key, public), notes)

    def _signed(self, blob: SignedBlob, notes: Collection, *, round_id: int | None = None) -> bytes | None:
        """Return what an author has signed; None where it is not there, or signed by somebody else."""
        notes.count(CheckId.BLOB_COPIES)
        try:
            return self._store.read_signed(blob)
        except StoreError:
            return None
        except VerificationError as error:
            detail = f"what the store has under {blob.folder.value} of it is not its own: {error}"
            notes.add(Kind.SIGNED_BLOB_ALTERED, detail, round=round_id, participant=blob.author)
            return None

    def audit(self, round_id: int, notes: Collection) -> None:
        """Audit what was published of a round that has no posting."""
        if self._cohort is None or standing_posting(self._history, round_id) is not None:
            return
        submissions = self._history.submissions[round_id]
        for submission in submissions:
            if self._store.has_update(submission.participant, submission.sealed_root):
                self._audit_secrecy(submission, self._found(submission, self._lanes), notes)
        if self._history.voids.get(round_id) is VoidReason.NOT_POSTED:
            notes.count(CheckId.OPENINGS)
            notes.add(
                Kind.SUM_LEFT_CLOSED,
                f"the round ended without a model: {self._unposted_reason(round_id)}",
                round=round_id,
            )

    def derive(
        self, posting: Posting, base: Lanes, notes: Collection, *, pool: HashingPool
    ) -> Aggregate | str:
        """Derive a posting again; return what it has to be, or why that cannot be told.

        Args:
            posting: one that stands.
            base: the model that its round started from.
            notes: takes the findings.
            pool: threads to share the hashing with.
        """
        rounds, round_id = self._rounds, posting.round
        excluded = self._audit_lists(posting, notes)
        are_there = True
        for submission in self._history.submissions[round_id]:
            if submission.index not in excluded:
                are_there &= self._audit_update(submission, posting, notes)
        if not are_there:
            return "an included update cannot be read"
        try:
            current = rounds.read(round_id)
            total = current.added.root
        except (StoreError, VerificationError) as error:  # one that was left out, too: all are summed
            return f"an update cannot be read: {error}"
        openings = rounds.openings(round_id, total)
        self._audit_openings(round_id, openings, notes)
        for submission in rounds.submissions(round_id):
            blob = endorsement_blob(self._history, round_id, submission.participant, total)
            self._signed(blob, notes, round_id=round_id)
        opened = openings.agreed_sum
        if self._key is not None:
            try:
                opened = open_sum(current, self._key)
            except VerificationError as error:
                notes.add(Kind.ROUND_SPOILT, f"the posted sum is spoilt: {error}", round=round_id)
                return "its sum does not open"
        if opened is None:
            return (
                f"{len(openings.found)} of {openings.submitters} submitters have published what they opened, "
                "and more than half of them do not say the same"
            )
        return rounds.derived(current, base, total, opened, pool=pool)

    @property
    def _rounds(self) -> EncryptedRounds:
        assert self._cohort is not None  # noqa: S101 - asked for in an encrypted run only
        return EncryptedRounds(self._history, self._store, self._cohort)

    def _audit_lists(self, posting: Posting, notes: Collection) -> frozenset[int]:
        """Check that a posting sums up everybody who holds the key; return whom it leaves out."""
        submissions, outsiders = (
            self._history.submissions[posting.round],
            self._rounds.outsiders(posting.round),
        )
        excluded = frozenset(exclusion.index for exclusion in posting.exclusions)
        for index in sorted(excluded - outsiders):
            notes.count(CheckId.EXCLUSIONS)
            notes.add(
                Kind.WRONGFUL_EXCLUSION,
                "the submission was left out, and of an encrypted round all updates are summed or none",
                round=posting.round,
                participant=submissions[index].participant,
            )
        for index in sorted(outsiders - excluded):
            notes.count(CheckId.COHORTS)
            notes.add(
                Kind.OUTSIDER_INCLUDED,
                "the participant does not hold the run's key, and was to be excluded by rule",
                round=posting.round,
                participant=submissions[index].participant,
                expected="excluded",
                actual="included",
            )
        return excluded

    def _audit_update(self, submission: Submission, posting: Posting, notes: Collection) -> bool:
        """Check every copy of an included update; return whether it is a ciphertext that can be read."""
        read = partial(self._read, submission, self._lanes)
        run, lanes = self._history.run, self._lanes
        update = read_update_copies(notes, self._store, submission, posting, run=run, lanes=lanes, read=read)
        is_ciphertext = self._audit_secrecy(submission, update, notes)
        if update is None or not is_ciphertext:
            return False
        notes.blobs.updates += 1
        notes.blobs.bytes += OPENING_BYTES + update.lanes.nbytes
        return True

    @property
    def _lanes(self) -> int:
        return ciphertext_lanes(self._history.definition.dimension)

    def _read(self, submission: Submission, lanes: int) -> Update:
        run, round_id = self._history.run, submission.round
        return self._store.read_update(
            submission.participant, submission.sealed_root, lanes, run=run, round=round_id
        )

    def _audit_secrecy(self, submission: Submission, found: Update | None, notes: Collection) -> bool:
        """Check that what is in the store under an update's name is no update that anybody can read.

        Args:
            submission: as the ledger has it.
            found: what was submitted, where it has a ciphertext's size and a copy of it is good.
            notes: takes the finding.
        """
        notes.count(CheckId.SECRECY)
        problem = self._size_problem(submission) if found is None else self._secrecy_problem(found.lanes)
        if problem is not None:
            notes.add(
                Kind.UPDATE_UNENCRYPTED, problem, round=submission.round, participant=submission.participant
            )
        return problem is None

    def _found(self, submission: Submission, lanes: int) -> Update | None:
        """Return what was submitted; None where no copy of that size is good."""
        try:
            return self._read(submission, lanes)
        except (StoreError, VerificationError):
            return None

    def _size_problem(self, submission: Submission) -> str | None:
        if self._found(submission, self._history.definition.dimension) is None:
            return None
        return "it is no ciphertext, and of the size of a plain update: whoever has read it has the update"

    def _secrecy_problem(self, ciphertext: Lanes) -> str | None:
        try:
            numbers = residues(ciphertext, self._history.definition.dimension)
        except MalformedBlob as error:
            return f"it is no ciphertext: {error}"
        is_open = ~np.any(numbers[:, 1], axis=1)
        if is_open.any():
            return f"{int(is_open.sum())} of its {is_open.size} blocks are readable without any key"
        return None

    def _audit_openings(self, round_id: int, openings: RoundOpenings, notes: Collection) -> None:
        """Compare what participants have opened with one another."""
        notes.count(CheckId.OPENINGS, len(openings.found) + len(openings.bad))
        for who, why in sorted(openings.bad.items()):
            notes.add(
                Kind.OPENING_DIFFERS,
                f"what the store has as its opened sum is not of it, or no sum: {why}",
                round=round_id,
                participant=who,
            )
        for who in openings.differing():
            notes.add(
                Kind.OPENING_DIFFERS,
                "it has published another opened sum than more than half of the round's submitters",
                round=round_id,
                participant=who,
            )

    def _unposted_reason(self, round_id: int) -> str:
        """Return why an encrypted round was not posted in time, as far as ledger and store tell."""
        try:
            current = self._rounds.read(round_id)
            total: Digest = current.added.root
        except (StoreError, VerificationError) as error:
            return f"an update cannot be read, and all are summed or none: {error}"
        openings = self._rounds.openings(round_id, total)
        spoilers = openings.accused or self._spoilers(current)
        if spoilers:
            return f"its sum was spoilt by {', '.join(spoilers)}: suspend it"
        if openings.agreed_sum is None:
            return (
                f"{len(openings.found)} of {openings.submitters} submitters have published what they opened, "
                "and more than half of them do not say the same"
            )
        return "its sum was opened, and nobody posted it"

    def _spoilers(self, current: EncryptedRound) -> tuple[str, ...]:
        if self._key is None:
            return ()
        return tuple(one.participant for one in spoilt_updates(current, self._key))
