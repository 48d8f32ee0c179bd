"""Policies that hide updates, by masks or by encryption: who holds a key, and what does not go with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from fl_chain.config import (
    AggregationSettings,
    CohortSettings,
    EncryptionSettings,
    FedAvgSettings,
    MaskingSettings,
    Protection,
    RunSettings,
    TrainingSettings,
    TrimmedMeanSettings,
)
from fl_chain.encryption.rounds import LEAST_SUMMANDS
from fl_chain.encryption.scheme import MAX_SUMMANDS
from fl_chain.errors import ConfigError
from fl_chain.masking.groups import least_quorum
from fl_chain.records import Address, LedgerPolicy, address

MASKED_SUM_BITS = 29
"""A masked run's sums stay below two to this power: a lane of noise is then out of their range three times of
four, and so a sum that a participant has spoilt is known by its lanes."""
LEAST_MASKED_QUORUM = 3
LEAST_MASKED_SUBMISSION_S = 4


@dataclass(frozen=True, slots=True)
class KeyCohort:
    """Who reads the updates of an encrypted run, and nobody else."""

    members: tuple[Address, ...]  # each has the secret key
    maker: Address  # who makes it and seals it to the others

    @property
    def least_endorsers(self) -> int:
        """How many of those whose updates are in a sum have to stand for it before it is opened.

        More than half of all members, so that no two sums of a round have so many; and as many as hide each
        other, so that no node can make the rest up.
        """
        return max(LEAST_SUMMANDS, len(self.members) // 2 + 1)


def key_cohort(privacy: EncryptionSettings) -> KeyCohort:
    """Return who holds a run's key.

    Raises:
        ConfigError: if they are too few or too many, or one is named twice or is no address.
    """
    try:
        members = tuple(map(address, privacy.members))
        maker = None if privacy.key_maker is None else address(privacy.key_maker)
    except ValueError as error:
        raise ConfigError(f"a member of the cohort that holds the key is no address: {error}") from error
    if not LEAST_SUMMANDS <= len(members) <= MAX_SUMMANDS:
        raise ConfigError(
            f"{len(members)} participants hold the key: a sum of fewer than {LEAST_SUMMANDS} gives its "
            f"summands away, one of more than {MAX_SUMMANDS} does not decrypt; secure aggregation takes more"
        )
    if len(set(members)) != len(members):
        raise ConfigError("a member of the cohort that holds the key is named twice: remove it")
    if maker is not None and maker not in members:
        raise ConfigError(f"the key maker {maker} is not among the members: name it there, or another one")
    return KeyCohort(members, maker or members[0])


def with_members(settings: RunSettings, admitted: Iterable[Address]) -> RunSettings:
    """Return settings of an encrypted run that say who holds its key: whoever is admitted, if they do not."""
    privacy = settings.privacy
    if not isinstance(privacy, EncryptionSettings):
        return settings
    members = privacy.members or tuple(admitted)
    first = members[0] if members else None
    maker = first if privacy.key_maker is None else privacy.key_maker
    named = privacy.model_copy(update={"members": members, "key_maker": maker})
    return settings.model_copy(update={"privacy": named})


def groups_of(privacy: Protection | None) -> int | None:
    """Return into how many groups a policy has a round's participants drawn; None where into none."""
    return privacy.groups if isinstance(privacy, MaskingSettings) else None


def _verify_groups(groups: int, aggregation: AggregationSettings, ledger: LedgerPolicy) -> None:
    if isinstance(aggregation, TrimmedMeanSettings) and Fraction(repr(aggregation.trim)) * groups < 1:
        raise ConfigError(
            f"trim is {aggregation.trim}: of {groups} groups it would leave out none; take "
            f"{1 / groups:.3g} at least, or more groups"
        )
    if ledger.quorum < least_quorum(groups):
        raise ConfigError(
            f"quorum is {ledger.quorum}: of {groups} groups more than half have to stay, each with 3 "
            f"participants, so it is {least_quorum(groups)} at least; raise it, or lower groups"
        )


def _verify_masking(groups: int | None, aggregation: AggregationSettings, ledger: LedgerPolicy) -> None:
    """Check that the rule needs to see no single update, and that every sum hides each and shows noise.

    Raises:
        ConfigError: if something does, or too few make a sum.
    """
    if groups is None and not isinstance(aggregation, FedAvgSettings):
        raise ConfigError(
            f"the rule {aggregation.rule!r} looks at single updates, and masks hide them: take fedavg, or "
            "median, trimmed_mean or multi_krum with groups in [run.privacy], or leave out [run.privacy]"
        )
    if groups is not None:
        _verify_groups(groups, aggregation, ledger)
    if ledger.submission_s < LEAST_MASKED_SUBMISSION_S:
        raise ConfigError(f"submission_s is {ledger.submission_s}: a quarter of it is for setting up keys")
    if ledger.close_at:
        raise ConfigError(
            "a round that closed early would have too few left to take the others' masks off: leave out "
            "close_at, or [run.privacy]"
        )
    if ledger.quorum < LEAST_MASKED_QUORUM:
        raise ConfigError(
            f"quorum is {ledger.quorum}: a sum of fewer than {LEAST_MASKED_QUORUM} gives its summands away"
        )
    if ledger.clip_lanes * ledger.max_total_weight >= 2**MASKED_SUM_BITS:
        raise ConfigError(
            f"clip_lanes times max_total_weight is {ledger.clip_lanes * ledger.max_total_weight}: below "
            f"2^{MASKED_SUM_BITS} a sum that was spoilt shows; lower scale_bits, or leave it out"
        )


def verify_hiding(
    privacy: Protection | None,
    aggregation: AggregationSettings,
    training: TrainingSettings,
    cohort: CohortSettings | None,
    ledger: LedgerPolicy,
) -> None:
    """Check that nothing in a policy needs what its protection hides.

    Raises:
        ConfigError: if something does.
    """
    if not isinstance(privacy, MaskingSettings | EncryptionSettings):
        return
    if training.staleness_factor is not None:
        raise ConfigError(
            "a late update would be hidden for a round that is over, whose sum is known: leave out "
            "staleness_factor, or [run.privacy]"
        )
    if cohort is not None:
        raise ConfigError(
            "where updates are hidden everyone trains in every round: leave out [run.cohort], or "
            "[run.privacy]"
        )
    if isinstance(privacy, MaskingSettings):
        _verify_masking(privacy.groups, aggregation, ledger)
    else:
        _verify_encryption(privacy, aggregation, ledger)


def _verify_encryption(
    privacy: EncryptionSettings, aggregation: AggregationSettings, ledger: LedgerPolicy
) -> None:
    """Check that the rule needs to see no single update, and that every sum decrypts.

    Raises:
        ConfigError: if something does, or too few or too many make a sum.
    """
    if not isinstance(aggregation, FedAvgSettings):
        raise ConfigError(
            f"the rule {aggregation.rule!r} looks at single updates, and encryption hides them: take fedavg, "
            "or leave out [run.privacy]"
        )
    holders = key_cohort(privacy)
    if not holders.least_endorsers <= ledger.quorum <= len(holders.members):
        raise ConfigError(
            f"quorum is {ledger.quorum}: with {len(holders.members)} who hold the key it is at least "
            f"{holders.least_endorsers}, or of sums that two nodes show the difference could be opened, and "
            "no more than there are"
        )
