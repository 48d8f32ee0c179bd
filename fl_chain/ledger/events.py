"""The ledger's events, one record each; fields in the order and with the names of ITrainingLedger.sol."""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.records import (
    Address,
    Digest,
    Exclusion,
    FallReason,
    LedgerPolicy,
    RunDefinition,
    VoidReason,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event stands in the chain."""

    block_number: int
    block_hash: bytes
    timestamp: int  # the block's, chain time in seconds
    transaction_hash: bytes
    log_index: int  # within the block


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the ledger."""

    place: Place


@dataclass(frozen=True, slots=True)
class RunDeployed(Event):
    """The first event of every ledger."""

    operator: Address
    aggregator: Address
    token: Address  # zero: the native coin
    definition: RunDefinition
    policy: LedgerPolicy


@dataclass(frozen=True, slots=True)
class PoolFunded(Event):
    """Money came in for rewards."""

    from_: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class EndAnnounced(Event):
    """One more round may open."""

    ends_after: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class PoolWithdrawn(Event):
    """The operator took out what was left."""

    to: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class AggregatorNamed(Event):
    """Somebody else may post first from now on."""

    aggregator: Address


@dataclass(frozen=True, slots=True)
class ParticipantAdmitted(Event):
    """The operator admitted or reinstated a participant."""

    participant: Address
    weight_cap: int


@dataclass(frozen=True, slots=True)
class ParticipantRegistered(Event):
    """A participant joined."""

    participant: Address
    payout: Address
    deposit_wei: int


@dataclass(frozen=True, slots=True)
class ParticipantSuspended(Event):
    """The operator bars a participant."""

    participant: Address
    from_round: int


@dataclass(frozen=True, slots=True)
class ParticipantLeft(Event):
    """A participant left; its deposit is unbonding."""

    participant: Address
    deposit_wei: int


@dataclass(frozen=True, slots=True)
class PayoutChanged(Event):
    """Rewards go elsewhere."""

    participant: Address
    payout: Address


@dataclass(frozen=True, slots=True)
class SignerRotationRequested(Event):
    """Another signing key was asked for; the key in use cancels."""

    participant: Address
    signer: Address
    effective_at: int


@dataclass(frozen=True, slots=True)
class SignerRotated(Event):
    """Another key signs."""

    participant: Address
    previous_signer: Address
    signer: Address


@dataclass(frozen=True, slots=True)
class RoundOpened(Event):
    """A round takes submissions."""

    round: int
    base_round: int
    base_model_root: Digest
    step: int
    deadline: int
    expected: int


@dataclass(frozen=True, slots=True)
class UpdateSubmitted(Event):
    """A participant submitted."""

    round: int
    participant: Address
    index: int
    weight: int
    sealed_root: Digest


@dataclass(frozen=True, slots=True)
class RoundClosed(Event):
    """A round takes no more submissions."""

    round: int
    digest: Digest
    seed: Digest
    submissions: int
    total_weight: int
    returning: int


@dataclass(frozen=True, slots=True)
class RoundPosted(Event):
    """An aggregate was published."""

    round: int
    posting_number: int
    poster: Address
    model_root: Digest
    result_root: Digest
    state_root: Digest
    included: int
    included_weight: int
    finalizable_at: int
    exclusions: tuple[Exclusion, ...]
    partial_sum_roots: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class PostingFell(Event):
    """A posting fell: its round waits for another, and every later round is voided right after."""

    round: int
    posting_number: int
    poster: Address
    challenger: Address  # zero where the submitters rejected it
    reason: FallReason
    challenge_reward_wei: int  # from the bond to the challenger
    bonus_wei: int  # from the bond to the round's reward


@dataclass(frozen=True, slots=True)
class PostingObjected(Event):
    """A submitter objects to a posting."""

    round: int
    posting_number: int
    participant: Address
    objections: int  # with this one


@dataclass(frozen=True, slots=True)
class RoundVoided(Event):
    """A round counts for nothing."""

    round: int
    reason: VoidReason


@dataclass(frozen=True, slots=True)
class VoidRoundSettled(Event):
    """A void round was passed in the order of finality."""

    round: int


@dataclass(frozen=True, slots=True)
class RoundFinalized(Event):
    """A round stands for good."""

    round: int
    reward_wei: int
    aggregator_reward_wei: int
    dust_wei: int


@dataclass(frozen=True, slots=True)
class BondDeposited(Event):
    """An account may post."""

    account: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class BondRequested(Event):
    """Bond is asked back."""

    account: Address
    amount_wei: int
    releasable_at: int


@dataclass(frozen=True, slots=True)
class Withdrawn(Event):
    """An account was paid what was due."""

    account: Address
    to: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class RewardClaimed(Event):
    """A reward was paid."""

    round: int
    participant: Address
    to: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class IdentityKeySet(Event):
    """A participant of a masked run named the key that peers seal shares to."""

    participant: Address
    key: bytes  # X25519, 32 bytes


@dataclass(frozen=True, slots=True)
class GraphDrawn(Event):
    """Who shares masks with whom in a round of many participants was drawn, once."""

    round: int
    vertices: int  # participants in it, by the order of their identity keys
    reach: int  # neighbours on each side
    seed: bytes  # 16 bytes


@dataclass(frozen=True, slots=True)
class KeysSetUp(Event):
    """A participant of a masked run joined a round's masks."""

    round: int
    participant: Address
    index: int
    round_key: bytes  # X25519, 32 bytes
    key_commitment: Digest
    mask_commitment: Digest
    shares_hash: Digest


@dataclass(frozen=True, slots=True)
class SurvivorsFixed(Event):
    """Who stays in a masked round's sum was fixed, once for ever."""

    round: int
    by: Address
    survivors: int
    terms: int
    exclusions: tuple[Exclusion, ...]
    absentees: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class SeedsPublished(Event):
    """The seeds that a posting takes a masked round's masks off with."""

    round: int
    by: Address
    seeds: tuple[bytes, ...]  # 16 bytes each


EVENT_TYPES: tuple[type[Event], ...] = (
    RunDeployed,
    PoolFunded,
    EndAnnounced,
    PoolWithdrawn,
    AggregatorNamed,
    ParticipantAdmitted,
    ParticipantRegistered,
    ParticipantSuspended,
    ParticipantLeft,
    PayoutChanged,
    SignerRotationRequested,
    SignerRotated,
    RoundOpened,
    UpdateSubmitted,
    RoundClosed,
    RoundPosted,
    PostingFell,
    PostingObjected,
    RoundVoided,
    VoidRoundSettled,
    RoundFinalized,
    BondDeposited,
    BondRequested,
    Withdrawn,
    RewardClaimed,
)

MASK_EVENT_TYPES: tuple[type[Event], ...] = (
    IdentityKeySet,
    GraphDrawn,
    KeysSetUp,
    SurvivorsFixed,
    SeedsPublished,
)
"""Those of a masked run's second contract; field for field those of ISecureAggregation.sol."""
