"""The bounds that a run's constants keep, checked at deployment."""

from __future__ import annotations

from fl_chain.hiding import LEAST_MASKED_QUORUM, LEAST_MASKED_SUBMISSION_S
from fl_chain.ledger.memory.records import refused
from fl_chain.records import ZERO_DIGEST, LedgerPolicy, RunDefinition

LARGEST_DIMENSION = 2**32
LONGEST_PERIOD_S = 365 * 24 * 3600
LARGEST_UNFINAL_ROUNDS = 64


def verify_definition(definition: RunDefinition) -> None:
    """Check that a definition names everything that is trained.

    Raises:
        LedgerReverted: ``PolicyOutOfBounds`` with the first field that does not.
    """
    _verify(definition.policy_hash != ZERO_DIGEST, "policyHash", 0)
    _verify(definition.manifest_hash != ZERO_DIGEST, "manifestHash", 0)
    _verify(definition.genesis_model_root != ZERO_DIGEST, "genesisModelRoot", 0)
    _verify(1 <= definition.dimension <= LARGEST_DIMENSION, "dimension", definition.dimension)


def verify_policy(policy: LedgerPolicy) -> None:
    """Check the bounds of a policy's constants.

    Raises:
        LedgerReverted: ``PolicyOutOfBounds`` with the first field that is outside.
    """
    _verify_arithmetic(policy)
    _verify_rounds(policy)
    _verify_periods(policy)
    challenge_reward_wei = policy.challenge_reward_wei
    _verify(challenge_reward_wei <= policy.bond_wei // 10, "challengeRewardWei", challenge_reward_wei)
    rho_micro = policy.rho_micro_per_round
    _verify(rho_micro <= policy.rho_micro_budget, "rhoMicroPerRound", rho_micro)


def verify_masked_policy(policy: LedgerPolicy) -> None:
    """Check what the constructor of a masked ledger checks besides.

    Raises:
        LedgerReverted: ``PolicyOutOfBounds``, as `verify_policy`.
    """
    if policy.aggregation.is_masked:
        _verify(policy.quorum >= LEAST_MASKED_QUORUM, "quorum", policy.quorum)
        _verify(policy.close_at == 0, "closeAt", policy.close_at)
        is_long_enough = policy.submission_s >= LEAST_MASKED_SUBMISSION_S
        _verify(is_long_enough, "submissionSeconds", policy.submission_s)


def _verify_arithmetic(policy: LedgerPolicy) -> None:
    weight, clip = policy.max_total_weight, policy.clip_lanes
    _verify(8 <= policy.fraction_bits <= 24, "fractionBits", policy.fraction_bits)
    _verify(policy.scale_bits <= 40, "scaleBits", policy.scale_bits)
    _verify(weight >= 1 and weight * 2**policy.scale_bits < 2**61, "maxTotalWeight", weight)
    _verify(clip >= 1 and clip * weight < 2**31, "clipLanes", clip)


def _verify_rounds(policy: LedgerPolicy) -> None:
    unfinal = policy.max_unfinal_rounds
    _verify(policy.quorum >= 1, "quorum", policy.quorum)
    _verify(policy.close_at == 0 or policy.close_at >= policy.quorum, "closeAt", policy.close_at)
    _verify(policy.max_rounds >= 1, "maxRounds", policy.max_rounds)
    _verify(1 <= unfinal <= LARGEST_UNFINAL_ROUNDS, "maxUnfinalRounds", unfinal)


def _verify_periods(policy: LedgerPolicy) -> None:
    periods_s = {
        "submissionSeconds": policy.submission_s,
        "publicationSeconds": policy.publication_s,
        "postingSeconds": policy.posting_s,
        "takeoverSeconds": policy.takeover_s,
        "challengeSeconds": policy.challenge_s,
        "unbondingSeconds": policy.unbonding_s,
    }
    for name, period_s in periods_s.items():
        _verify(1 <= period_s <= LONGEST_PERIOD_S, name, period_s)
    is_postable = policy.publication_s < policy.posting_s + policy.takeover_s
    _verify(is_postable, "publicationSeconds", policy.publication_s)


def _verify(is_within: bool, field: str, value: int) -> None:
    if not is_within:
        raise refused("PolicyOutOfBounds", field=field, value=value)
