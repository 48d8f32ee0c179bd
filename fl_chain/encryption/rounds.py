"""A round in which updates are ciphertexts: sealed, added in the ledger's order, added again, and opened.

Nothing but `open_sum` and `spoilt_updates` needs a key. What the ledger fixes is what it fixes in plain
rounds: a sealed root for each submission, here of a ciphertext, and the root of every partial sum, here of
ciphertexts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.encryption.ciphertexts import CiphertextSum, residues, sum_ciphertexts
from fl_chain.encryption.keys import SecretKey
from fl_chain.encryption.lanes import ExactSum, decrypt, wrapped
from fl_chain.errors import DigestMismatch, UnverifiedPosting, UpdateOutOfRange, VerificationError
from fl_chain.records import Address, Opening, Quantisation, RunId, Submission

LEAST_SUMMANDS = 3  # with two, each participant learns the other's update from the sum


@dataclass(frozen=True, slots=True)
class EncryptedUpdate:
    """What a participant publishes of its update."""

    opening: Opening  # of the sealed root that it submitted
    ciphertext: Lanes  # shape (ciphertext_lanes(dimension),)


@dataclass(frozen=True)
class EncryptedRound:
    """What the ledger says of a round, and what was published of it."""

    run: RunId
    id: int  # of the round
    submissions: tuple[Submission, ...]  # in the ledger's order
    updates: tuple[EncryptedUpdate | None, ...]  # of each submission; None where the posting excludes it
    dimension: int  # lanes of the model
    quantisation: Quantisation

    @property
    def included(self) -> frozenset[int]:
        """Indices of the submissions that are not excluded."""
        return frozenset(index for index, update in enumerate(self.updates) if update is not None)

    @property
    def included_weight(self) -> int:
        """The sum of the included submissions' weights: what the opened sum is divided by."""
        return sum(self.submissions[index].weight for index in self.included)

    @cached_property
    def added(self) -> CiphertextSum:
        """What the aggregator posts, and what everybody else finds: the sum of the round's ciphertexts.

        Raises:
            DigestMismatch: if an included update is not what was submitted.
            MalformedBlob: if one is no ciphertext of this dimension.
            ValueError: if none is included, too many are, or a submission has no place among the updates.
        """
        return sum_ciphertexts(_verified(self), self.dimension)


@dataclass(frozen=True, slots=True)
class SpoiltUpdate:
    """An included update that no honest participant made."""

    participant: Address
    reason: VerificationError


def verify_update(update: EncryptedUpdate, submission: Submission, run: RunId, dimension: int) -> None:
    """Check that what a participant published is what it submitted, and is a ciphertext.

    What is in it, nobody sees here: whether the update is in range, holders of the key find when they open
    the sum.

    Args:
        update: as published.
        submission: as the ledger has it.
        run: which chain and ledger.
        dimension: lanes of the model.

    Raises:
        DigestMismatch: if it is not what the submission's sealed root was made of.
        MalformedBlob: if it is no ciphertext of so many lanes.
        ValueError: if it is no vector of lanes.
    """
    residues(update.ciphertext, dimension)
    root = vector_root(update.ciphertext)
    if root != update.opening.vector_root:
        raise DigestMismatch(
            f"the ciphertext of {submission.participant}", expected=update.opening.vector_root, actual=root
        )
    sealed = sealed_root(root, update.opening.salt, run, submission.round, submission.participant)
    if sealed != submission.sealed_root:
        raise DigestMismatch(
            f"the sealed ciphertext of {submission.participant}",
            expected=submission.sealed_root,
            actual=sealed,
        )


def open_sum(current: EncryptedRound, key: SecretKey, *, least_summands: int = LEAST_SUMMANDS) -> Lanes:
    """Return the plain sum of a round's updates: the same lanes that plain mode adds up to.

    A holder of the key decrypts nothing that it has not added up itself, or the aggregator could have a
    single ciphertext opened as a sum. That no two sums of a round are opened, whose difference could be a
    single update, whoever gives the sum away has to see to: `fl_chain.run.encrypted.OpenedSums` does.

    Args:
        current: the round.
        key: of the cohort.
        least_summands: the fewest updates of which a sum may be opened, 2 or more.

    Returns:
        Shape (dimension,), big-endian, modulo 2^32: what `apply_sum` takes.

    Raises:
        UnverifiedPosting: if too few are included.
        Undecryptable: if a participant spoilt the sum, see `spoilt_updates`.
        UpdateOutOfRange: likewise, if a sum is larger than ``clip_lanes`` times the included weight.
        DigestMismatch, MalformedBlob, ValueError: as `EncryptedRound.added`.
        ExtraMissing: if TenSEAL is not installed.
    """
    if least_summands < 2:
        raise ValueError(f"a sum of {least_summands} updates is an update: open sums of 2 or more")
    if len(current.included) < least_summands:
        raise UnverifiedPosting(
            f"the sum is of {len(current.included)} updates; with fewer than {least_summands} it gives away "
            "too much: let the round be void"
        )
    exact = decrypt(current.added.total, key, current.dimension, summands=current.added.summands)
    _verify_range(exact, current.included_weight, current.quantisation)
    return wrapped(exact)


def spoilt_updates(current: EncryptedRound, key: SecretKey) -> tuple[SpoiltUpdate, ...]:
    """Return who spoilt a sum that `open_sum` refuses, by decrypting the updates one by one.

    It is the one case in which holders of the key look at single updates; they could at any time. Without
    those that it names the others' sum would open, but in another round: opening a part of this one as well
    could give updates away.

    Args:
        current: the round.
        key: of the cohort.

    Raises:
        DigestMismatch, MalformedBlob, ValueError: as `EncryptedRound.added`.
        ExtraMissing: if TenSEAL is not installed.
    """
    found = []
    for submission, ciphertext in zip(current.submissions, _verified(current), strict=True):
        if ciphertext is None:
            continue
        try:
            exact = decrypt(ciphertext, key, current.dimension)
            _verify_range(exact, submission.weight, current.quantisation)
        except VerificationError as error:
            found.append(SpoiltUpdate(submission.participant, error))
    return tuple(found)


def _verified(current: EncryptedRound) -> Iterator[Lanes | None]:
    pairs: Iterable[tuple[Submission, EncryptedUpdate | None]]
    pairs = zip(current.submissions, current.updates, strict=True)
    for submission, update in pairs:
        if submission.round != current.id:
            raise ValueError(f"a submission of round {submission.round} stands in round {current.id}")
        if update is not None:
            verify_update(update, submission, current.run, current.dimension)
        yield None if update is None else update.ciphertext


def _verify_range(exact: ExactSum, weight: int, quantisation: Quantisation) -> None:
    bound = quantisation.clip_lanes * weight
    beyond = np.flatnonzero((exact > bound) | (exact < -bound))
    if beyond.size:
        lane = int(beyond[0])
        raise UpdateOutOfRange(lane=lane, value=int(exact[lane]), bound=bound)
