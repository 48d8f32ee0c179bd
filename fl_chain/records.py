"""What passes between the floors: ids, policy, and what the ledger says.

Digests are 32 ``bytes``. Addresses are lower-case ``0x`` strings of 42 characters. Amounts are integers in
wei (or in the token's smallest unit), times integers in seconds of chain time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NewType

Address = NewType("Address", str)
Digest = NewType("Digest", bytes)

ZERO_DIGEST = Digest(bytes(32))
ZERO_ADDRESS = Address("0x" + "00" * 20)


def address(value: str | bytes) -> Address:
    """Return an address in its canonical form, lower case with ``0x``.

    Raises:
        ValueError: if the value is not 20 bytes.
    """
    digits = value.hex() if isinstance(value, bytes) else value.removeprefix("0x").lower()
    if len(digits) != 40 or any(c not in "0123456789abcdef" for c in digits):
        raise ValueError(f"not an address: {value!r}; it has 0x and 40 hexadecimal digits")
    return Address("0x" + digits)


def digest(value: str | bytes) -> Digest:
    """Return a digest from its 32 bytes or their hexadecimal form.

    Raises:
        ValueError: if the value is not 32 bytes.
    """
    raw = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)
    if len(raw) != 32:
        raise ValueError(f"not a digest: {len(raw)} bytes instead of 32")
    return Digest(raw)


class RoundStatus(IntEnum):
    """Where a round stands; for one posting number it only grows."""

    NONE = 0
    OPEN = 1
    CLOSED = 2
    UNMASKING = 3  # kept for secure aggregation, not used
    POSTED = 4
    FINAL = 5
    VOID = 6


class VoidReason(IntEnum):
    """Why a round counts for nothing."""

    BELOW_QUORUM = 1
    NOT_POSTED = 2
    BASE_FELL = 3


class FallReason(IntEnum):
    """Why a posting fell."""

    SUM = 1
    RANGE = 2
    APPLY = 3
    OBJECTIONS = 4
    SEED = 5  # not the one that was committed to; masked runs alone
    MASK = 6  # a term is not what its seed gives; masked runs alone


class ExclusionReason(IntEnum):
    """Why a posting leaves a submission out."""

    UNREADABLE = 1
    OUT_OF_RANGE = 2
    BY_RULE = 3


class RewardSplit(IntEnum):
    """How a round's reward is divided among the included."""

    EQUAL = 0
    DECLARED_WEIGHT = 1


class AggregationKind(IntEnum):
    """What a posting says of how its model was made, and so which challenges exist."""

    SUMS = 0  # partial sums, from which alone the model follows: sum, range and apply
    SUMS_WITH_STATE = 1  # partial sums and what the rule carries from round to round: sum and range
    RESULT = 2  # what the rule made of all updates at once, every weight 1: range
    MASKED_SUMS = 3  # partial sums of masked updates and of what takes the masks off: sum, apply, seed, mask
    MASKED_RESULT = 4  # what the rule made of the sums of masked groups at once: seed

    @property
    def is_masked(self) -> bool:
        """Whether nobody sees a single update."""
        return self in {AggregationKind.MASKED_SUMS, AggregationKind.MASKED_RESULT}

    @property
    def has_result(self) -> bool:
        """Whether a posting says what the rule made of everything at once, instead of partial sums."""
        return self in {AggregationKind.RESULT, AggregationKind.MASKED_RESULT}


@dataclass(frozen=True, slots=True)
class RunId:
    """Which run: what every sealed root and digest is bound to."""

    chain_id: int
    ledger: Address


@dataclass(frozen=True, slots=True)
class Quantisation:
    """The integer constants of the arithmetic; see ``aggregation.bounds`` for their limits."""

    fraction_bits: int  # model lanes are value * 2**fraction_bits
    scale_bits: int  # update lanes are change * 2**scale_bits * weight
    clip_lanes: int  # |change| * 2**scale_bits is clipped to this
    max_total_weight: int  # a round's weights sum to at most this


@dataclass(frozen=True, slots=True)
class LedgerPolicy:
    """The rules of a run, fixed by the contract at deployment; field order as in Solidity's Policy."""

    fraction_bits: int
    scale_bits: int
    clip_lanes: int
    max_total_weight: int
    quorum: int  # submissions that a round needs
    close_at: int  # submissions that close a round at once; 0: only the complete expected set does
    max_rounds: int  # models that the run makes, void rounds not counted
    max_unfinal_rounds: int  # rounds that may wait for finality at once
    submission_s: int  # an open round's deadline
    publication_s: int  # from Closed until a posting may exclude
    posting_s: int  # from Closed: the named aggregator alone may post
    takeover_s: int  # after that: any bonded account may post; then the round is void
    challenge_s: int  # from Posted until it can become Final
    unbonding_s: int  # deposits and bonds wait this long after they are asked back
    reward_wei: int  # per final round, for the included participants
    aggregator_reward_wei: int  # per final round, for its poster
    bond_wei: int  # locked per posting that is not final
    challenge_reward_wei: int  # from a lost bond to the challenger
    deposit_wei: int  # against Sybils, returned on leaving
    reward_split: RewardSplit
    aggregation: AggregationKind = AggregationKind.SUMS
    rho_micro_per_round: int = 0  # millionths of zCDP's rho that a round adds at most; 0: no budget is kept
    rho_micro_budget: int = 0  # that all rounds together may add, void ones included

    def spent_rho_micro(self, rounds: int) -> int:
        """Return what so many rounds have spent of the privacy budget, void ones included."""
        return rounds * self.rho_micro_per_round

    def is_budget_spent(self, rounds: int) -> bool:
        """Return whether the privacy budget has no room for one more round after so many."""
        return self.spent_rho_micro(rounds + 1) > self.rho_micro_budget

    @property
    def highest_weight_cap(self) -> int:
        """The largest weight that a participant can be admitted with."""
        return 1 if self.aggregation is AggregationKind.RESULT else self.max_total_weight

    @property
    def quantisation(self) -> Quantisation:
        """The four constants of the arithmetic."""
        return Quantisation(self.fraction_bits, self.scale_bits, self.clip_lanes, self.max_total_weight)


@dataclass(frozen=True, slots=True)
class RunDefinition:
    """What is trained: fixed by the contract at deployment."""

    policy_hash: Digest
    manifest_hash: Digest
    genesis_model_root: Digest
    dimension: int  # lanes of the model


@dataclass(frozen=True, slots=True)
class Submission:
    """One accepted submission, in the ledger's order."""

    round: int
    index: int  # position in the round, from 0
    participant: Address  # the identity, not the signing key
    weight: int
    sealed_root: Digest
    leaf: Digest


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One submission that a posting leaves out."""

    index: int
    reason: ExclusionReason
    leaf: Digest | None = field(default=None, compare=False)  # that a posting opened; None where none did


@dataclass(frozen=True, slots=True)
class Posting:
    """What an aggregator published about a round."""

    round: int
    posting_number: int  # 0 for the first, one more after each that fell
    poster: Address
    digest: Digest
    exclusions: tuple[Exclusion, ...]
    partial_sum_roots: tuple[Digest, ...]
    result_root: Digest
    state_root: Digest
    model_root: Digest
    included: int
    included_weight: int
    finalizable_at: int  # chain time, seconds


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """What a participant puts on a masked run's ledger before a round's updates; Solidity's ``SetUp``."""

    participant: Address
    round_key: bytes  # X25519, public, 32 bytes
    key_commitment: Digest  # to the seed of the round key
    mask_commitment: Digest  # to the seed of the mask on the own update
    shares_hash: Digest  # of the shares of both seeds, sealed to peers; they are in the store


@dataclass(frozen=True, slots=True)
class Round:
    """A round as the ledger holds it."""

    id: int
    status: RoundStatus
    posting_number: int
    since: int  # chain time at which it entered the status
    submissions: int
    remaining: int  # expected participants that have not submitted yet
    returning: int  # participants that the next round will expect
    total_weight: int
    last_closed: int  # the newest round that had closed when this one opened
    base_round: int  # the round whose model it starts from; 0: genesis
    step: int  # models from genesis, this one included
    digest: Digest


@dataclass(frozen=True, slots=True)
class Opening:
    """What turns a sealed root back into a vector root."""

    vector_root: Digest
    salt: bytes  # 32 bytes
