"""A posting of an encrypted run derived again: by anybody up to the sum, by holders of the key as a whole."""

from __future__ import annotations

from collections.abc import Callable

from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.encryption.rounds import EncryptedRound
from fl_chain.errors import (
    StateUnwritable,
    StoreError,
    Undecryptable,
    UpdateOutOfRange,
    VerificationError,
)
from fl_chain.records import Digest, Posting
from fl_chain.run.encrypted_rounds import EncryptedRounds
from fl_chain.run.verdicts import Doubt, Hidden, Outcome, Right, Unprovable

Opener = Callable[[EncryptedRound], Lanes | None]
"""Returns a round's plain sum; None where the key is not there."""


def examine_encrypted(
    rounds: EncryptedRounds,
    posting: Posting,
    base: Callable[[], Lanes],
    *,
    opener: Opener | None = None,
    pool: HashingPool | None = None,
) -> Outcome:
    """Derive a posting of an encrypted run again.

    Nothing of it can be proven on chain: what is wrong, submitters object to.

    Args:
        rounds: of the run.
        posting: one that stands.
        base: returns the model that its round started from, or raises StoreError or VerificationError.
        opener: opens sums; None: what more than half of the submitters have published is taken instead.
        pool: threads to share the hashing with.
    """
    doubts = list_doubts(rounds, posting)
    try:
        current = rounds.read(posting.round)
        total = current.added.root
    except (StoreError, VerificationError) as error:
        return Unprovable((*doubts, Doubt(Hidden.UPDATE, None, f"an update: {error}")))
    if total != posting.result_root:
        detail = f"the result is 0x{posting.result_root.hex()}, and the ciphertexts give 0x{total.hex()}"
        doubts.append(Doubt(Hidden.RULE, None, detail))
    opened = _opened(rounds, current, total, opener, doubts)
    try:
        base_model = base()
    except (StoreError, VerificationError) as error:
        doubts.append(Doubt(Hidden.BASE_MODEL, None, f"the base model: {error}"))
        return Unprovable(tuple(doubts))
    if opened is None:
        return Unprovable(tuple(doubts))
    made = rounds.derived(current, base_model, total, opened, pool=pool)
    if made.model_root != posting.model_root:
        detail = (
            f"the model is 0x{posting.model_root.hex()}, and the opened sum gives 0x{made.model_root.hex()}"
        )
        doubts.append(Doubt(Hidden.RULE, None, detail))
    return Unprovable(tuple(doubts)) if doubts else Right(made.model, made.clamped)


def list_doubts(rounds: EncryptedRounds, posting: Posting) -> list[Doubt]:
    """Return what is wrong with whom a posting leaves out or includes."""
    excluded = {exclusion.index for exclusion in posting.exclusions}
    outsiders = rounds.outsiders(posting.round)
    doubts = [
        Doubt(
            Hidden.EXCLUSION,
            index,
            f"submission {index} was left out, and of an encrypted round all updates are summed or none",
        )
        for index in sorted(excluded - outsiders)
    ]
    return doubts + [
        Doubt(Hidden.INCLUSION, index, f"submission {index} is included, and does not hold the run's key")
        for index in sorted(outsiders - excluded)
    ]


def _opened(
    rounds: EncryptedRounds,
    current: EncryptedRound,
    total: Digest,
    opener: Opener | None,
    doubts: list[Doubt],
) -> Lanes | None:
    """Return the opened sum; None, and a doubt, where there is none."""
    try:
        lanes = None if opener is None else opener(current)
    except (Undecryptable, UpdateOutOfRange) as error:
        doubts.append(Doubt(Hidden.SPOILT, None, f"the sum is spoilt, and no model follows from it: {error}"))
        return None
    except (StateUnwritable, VerificationError) as error:
        doubts.append(Doubt(Hidden.OPENED_SUM, None, f"the sum is not opened here: {error}"))
        return None
    if lanes is None:
        lanes = rounds.openings(current.id, total).agreed_sum
    if lanes is None:
        detail = "no opened sum is published by more than half of the round's submitters"
        doubts.append(Doubt(Hidden.OPENED_SUM, None, detail))
    return lanes
