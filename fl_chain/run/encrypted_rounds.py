"""Rounds of an encrypted run: whose updates are summed, what was opened of them, and the model that follows.

Nodes may lie, and show each holder of the key other submissions. So a sum is opened once
`KeyCohort.least_endorsers` of those whose updates are in it have endorsed it with the key itself: each of
them one sum a round, in which its own update is. Two sums of a round cannot both have so many.

A sum is of everybody who holds the key and submitted, or it is not opened at all: of two sums of one round
the difference could be a single update. So nobody's update is left out as unreadable. Whoever holds no key
takes the opened sum from the participants: what more than half of a round's submitters have published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.round import Aggregate
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import vector_root
from fl_chain.encryption.keys import SecretKey
from fl_chain.encryption.rounds import EncryptedRound
from fl_chain.errors import BlobMissing, StoreError, VerificationError
from fl_chain.hiding import KeyCohort
from fl_chain.ledger.history import History
from fl_chain.records import Address, Digest, Exclusion, ExclusionReason, Submission
from fl_chain.run.encrypted import read_round
from fl_chain.run.encrypted_blobs import (
    OpenedSum,
    OpeningContent,
    SpoiltSum,
    endorsement_blob,
    endorsement_code,
    opening_blob,
    opening_bytes,
    parse_opening,
)
from fl_chain.store import Store


@dataclass(frozen=True, slots=True)
class RoundOpenings:
    """What the submitters of a round have published of its sum."""

    submitters: int  # who hold the key
    found: Mapping[Address, OpeningContent]
    bad: Mapping[Address, str]  # what the store has under somebody's name, and is not of it

    @property
    def agreed(self) -> OpeningContent | None:
        """What more than half of the submitters say; None while no so many say the same."""
        count = Counter(map(opening_bytes, self.found.values()))
        for content in self.found.values():
            if 2 * count[opening_bytes(content)] > self.submitters:
                return content
        return None

    @property
    def agreed_sum(self) -> Lanes | None:
        """The opened sum that more than half of the submitters have published; None where there is none."""
        agreed = self.agreed
        return agreed.lanes if isinstance(agreed, OpenedSum) else None

    @property
    def accused(self) -> tuple[Address, ...]:
        """Who spoilt the sum, as more than half of the submitters say."""
        count = Counter(
            who
            for content in self.found.values()
            if isinstance(content, SpoiltSum)
            for who in set(content.spoilers)
        )
        return tuple(sorted(who for who, times in count.items() if 2 * times > self.submitters))

    def differing(self) -> list[Address]:
        """Return who says something else than more than half of the submitters."""
        agreed = self.agreed
        if agreed is None:
            return []
        expected = opening_bytes(agreed)
        return sorted(who for who, content in self.found.items() if opening_bytes(content) != expected)


@dataclass(frozen=True, slots=True)
class EncryptedRounds:
    """What it takes to read the rounds of an encrypted run; no key.

    Attributes:
        history: of the run.
        store: where its blobs are.
        cohort: who holds the key.
    """

    history: History
    store: Store
    cohort: KeyCohort

    def submissions(self, round_id: int) -> list[Submission]:
        """Return the submissions of a round that are summed: of everybody who holds the key."""
        submissions = self.history.submissions[round_id]
        return [one for one in submissions if one.participant in self.cohort.members]

    def outsiders(self, round_id: int) -> frozenset[int]:
        """Return the submissions of a round, by index, of participants who do not hold the key."""
        submissions = self.history.submissions[round_id]
        return frozenset(one.index for one in submissions if one.participant not in self.cohort.members)

    def exclusions(self, round_id: int) -> tuple[Exclusion, ...]:
        """Return what a posting of a round leaves out, and nothing else."""
        return tuple(Exclusion(index, ExclusionReason.BY_RULE) for index in sorted(self.outsiders(round_id)))

    def read(self, round_id: int) -> EncryptedRound:
        """Return a round's ciphertexts.

        Raises:
            StoreError: if one cannot be read.
            VerificationError: if one is not what was submitted, or none of a ciphertext's form.
            ValueError: if the round has no submission.
        """
        definition = self.history.definition
        return read_round(
            self.store,
            self.history.run,
            self.history.submissions[round_id],
            dimension=definition.dimension,
            quantisation=self.history.policy.quantisation,
            excluded=self.outsiders(round_id),
        )

    def endorsers(self, round_id: int, total: Digest, key: SecretKey) -> frozenset[Address]:
        """Return whose updates are in a sum as they themselves say, and who open no other sum of the round.

        Args:
            round_id: the round.
            total: the root of the sum of its ciphertexts.
            key: of the cohort.
        """
        found = set()
        for submission in self.submissions(round_id):
            who = submission.participant
            try:
                code = self.store.read_signed(endorsement_blob(self.history, round_id, who, total))
            except (StoreError, VerificationError):
                continue
            if compare_digest(code, endorsement_code(key, self.history, round_id, who, total)):
                found.add(who)
        return frozenset(found)

    def openings(self, round_id: int, total: Digest) -> RoundOpenings:
        """Return what the submitters of a round say of the sum of its ciphertexts.

        Args:
            round_id: the round.
            total: the root of that sum.
        """
        found, bad = {}, {}
        submitters = [one.participant for one in self.submissions(round_id)]
        for who in submitters:
            blob = opening_blob(self.history, round_id, who, total)
            try:
                content = self.store.read_signed(blob)
                found[who] = parse_opening(content, self.history.definition.dimension)
            except BlobMissing:
                continue
            except StoreError:
                continue
            except VerificationError as error:
                bad[who] = str(error)
        return RoundOpenings(len(submitters), found, bad)

    def derived(
        self, current: EncryptedRound, base: Lanes, total: Digest, opened: Lanes, *, pool: HashingPool | None
    ) -> Aggregate:
        """Return what a round's posting has to say.

        Args:
            current: the round.
            base: the model that it started from, shape (dimension,).
            total: the root of the sum of its ciphertexts.
            opened: the sum of its updates, shape (dimension,).
            pool: threads to share the hashing with.
        """
        model, clamped = apply_sum(base, opened, current.included_weight, current.quantisation)
        return Aggregate(
            partial_sum_roots=(),
            chunk_hashes=(),
            total=opened,
            model=model,
            model_root=vector_root(model, pool=pool),
            clamped=clamped,
            result_root=total,
        )
