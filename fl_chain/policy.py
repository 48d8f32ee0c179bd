"""The policy of a run: the ledger's integers derived from the operator's choices, and the policy document.

The document is canonical JSON, so it holds integers and strings only: a float stands as the shortest string
that reads back to the same float, a truth value as "true" or "false", and what is unset is left out.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fl_chain.aggregation.bounds import verify_quantisation
from fl_chain.aggregation.rules.fedavg import EncryptedFedAvg, MaskedFedAvg
from fl_chain.aggregation.rules.grouped import AcrossGroups, Grouped
from fl_chain.aggregation.rules.norm_bound import norm_lanes
from fl_chain.aggregation.rules.rule import Rule
from fl_chain.commitment.canonical import canonical_json, document_hash, parse_canonical_json
from fl_chain.config import (
    AggregationSettings,
    CentredClippingSettings,
    ClientPrivacySettings,
    CohortSettings,
    EncryptionSettings,
    MaskingSettings,
    ModelSettings,
    MultiKrumSettings,
    NormBoundSettings,
    PolicySettings,
    PrivacySettings,
    Protection,
    RowPrivacySettings,
    RunSettings,
    TaskSettings,
    TrainingSettings,
)
from fl_chain.errors import ConfigError, DigestMismatch, MalformedBlob
from fl_chain.hiding import MASKED_SUM_BITS, KeyCohort, groups_of, key_cohort, verify_hiding, with_members
from fl_chain.masking.groups import least_groups
from fl_chain.privacy.accounting import budget_rho_micro, round_rho_micro
from fl_chain.privacy.clients import DEVIATIONS_KEPT, longest_lanes, noise_lanes
from fl_chain.records import (
    AggregationKind,
    Digest,
    LedgerPolicy,
    Quantisation,
    RewardSplit,
)
from fl_chain.rules import rule_of

DOCUMENT_VERSION = 3

_SPLITS = {"equal": RewardSplit.EQUAL, "declared-weight": RewardSplit.DECLARED_WEIGHT}


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """Everything that is fixed before the first round."""

    ledger: LedgerPolicy
    aggregation: AggregationSettings
    examples_per_weight: int  # examples that make one unit of weight
    seed: int  # of the genesis model and of every participant's batches
    task: TaskSettings
    model: ModelSettings
    training: TrainingSettings
    cohort: CohortSettings | None = None  # who trains in a round, by size; None: everyone
    privacy: Protection | None = None  # how updates hide rows, or are hidden; None: not at all

    @property
    def rule(self) -> Rule:
        """The aggregation rule with its parameters."""
        return _rule(self.aggregation, self.privacy)

    @property
    def is_masked(self) -> bool:
        """Whether nobody sees a single update."""
        return isinstance(self.privacy, MaskingSettings)

    @property
    def groups(self) -> int:
        """Into how many groups a round's participants are drawn; 0 where they have one sum, or no masks."""
        return groups_of(self.privacy) or 0

    @property
    def key_cohort(self) -> KeyCohort | None:
        """Who holds the key that updates are encrypted with; None where they are not."""
        return key_cohort(self.privacy) if isinstance(self.privacy, EncryptionSettings) else None


def _rule(aggregation: AggregationSettings, privacy: Protection | None) -> Rule:
    match privacy:
        case MaskingSettings(groups=None):
            return MaskedFedAvg()
        case MaskingSettings(groups=int(groups)):
            return _grouped(aggregation, groups)
        case EncryptionSettings():
            return EncryptedFedAvg()
        case _:
            return rule_of(aggregation)


def _grouped(aggregation: AggregationSettings, groups: int) -> Grouped:
    across = rule_of(aggregation)
    if not isinstance(across, AcrossGroups):
        raise ConfigError(
            f"the rule {across.name!r} is none across groups, of which there are {groups}: take median, "
            "trimmed_mean or multi_krum, or leave out groups"
        )
    return Grouped(across, groups)


def noise_of(privacy: Protection | None) -> PrivacySettings | None:
    """Return the noise that a policy asks for; None where it asks for none."""
    return privacy if isinstance(privacy, RowPrivacySettings | ClientPrivacySettings) else None


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    aggregation: AggregationSettings
    proof_level: str
    ledger: dict[str, int]
    examples_per_weight: int
    seed: int
    task: TaskSettings
    model: ModelSettings
    training: TrainingSettings
    cohort: CohortSettings | None = None
    privacy: Protection | None = None


def run_policy(settings: RunSettings) -> RunPolicy:
    """Return the policy that an operator's settings describe.

    Raises:
        ConfigError: if a constant is outside the bounds of the arithmetic or of the contract.
    """
    settings = with_members(settings, ())  # names the key's maker where they do not
    if settings.task is None:
        raise ConfigError("the settings name no task: add a [run.task] table, or start from `fl-chain init`")
    policy = _with_cohort(settings.policy, settings.cohort)
    rule = _rule(settings.aggregation, settings.privacy)
    ledger = _ledger_policy(policy, rule.kind, noise_of(settings.privacy))
    verify_quantisation(ledger.quantisation)
    _verify_rule(settings.aggregation, ledger, groups_of(settings.privacy))
    _verify_algorithm(settings.training, rule)
    _verify_privacy(noise_of(settings.privacy), settings.task, ledger)
    verify_hiding(settings.privacy, settings.aggregation, settings.training, settings.cohort, ledger)
    return RunPolicy(
        ledger=ledger,
        aggregation=settings.aggregation,
        examples_per_weight=settings.policy.examples_per_weight,
        seed=settings.seed,
        task=settings.task,
        model=settings.model,
        training=settings.training,
        cohort=settings.cohort,
        privacy=settings.privacy,
    )


def with_cohort_size(settings: RunSettings, n_participants: int) -> RunSettings:
    """Return settings whose cohort is a number: a fraction is taken of who is admitted, rounded up."""
    cohort = settings.cohort
    if cohort is None or cohort.fraction is None:
        return settings
    size = max(1, math.ceil(cohort.fraction * n_participants))
    sized = CohortSettings(size=size, randomness=cohort.randomness)
    return settings.model_copy(update={"cohort": sized})


def _with_cohort(policy: PolicySettings, cohort: CohortSettings | None) -> PolicySettings:
    """Return the choices with ``close_at`` at the cohort's size, so that its last member closes the round."""
    if cohort is None:
        return policy
    if cohort.size is None:
        raise ConfigError("the cohort is a fraction of nobody yet: deploy with participants, or set its size")
    if policy.close_at not in (0, cohort.size):
        raise ConfigError(
            f"close_at is {policy.close_at}, the cohort has {cohort.size}: leave close_at out, or make it "
            "the same"
        )
    if policy.quorum > cohort.size:
        raise ConfigError(
            f"the quorum of {policy.quorum} is above the cohort of {cohort.size}: lower it, or no round "
            "would close"
        )
    return policy.model_copy(update={"close_at": cohort.size})


def finest_scale_bits(clip: float, max_total_weight: int, *, sum_bits: int = 31) -> int:
    """Return the largest ``scale_bits`` at which ``clip`` and ``max_total_weight`` fit 32-bit sums.

    Args:
        clip: largest change of a parameter in one round.
        max_total_weight: of a round.
        sum_bits: below two to which power a sum's magnitude stays.

    Raises:
        ConfigError: if none does.
    """
    for scale_bits in range(40, -1, -1):
        clip_lanes = round(clip * 2**scale_bits)
        if clip_lanes * max_total_weight < 2**sum_bits and max_total_weight * 2**scale_bits < 2**61:
            if clip_lanes >= 1:
                return scale_bits
            break
    raise ConfigError(
        f"a clip of {clip} and a total weight of {max_total_weight} do not fit 32-bit sums: "
        "lower `clip` or `max_total_weight`, or raise `examples_per_weight`"
    )


def _ledger_policy(
    chosen: PolicySettings, kind: AggregationKind, privacy: PrivacySettings | None
) -> LedgerPolicy:
    rho_micro_per_round, rho_micro_budget = _rho_micro(privacy)
    scale_bits = chosen.scale_bits
    if scale_bits is None:
        sum_bits = MASKED_SUM_BITS if kind.is_masked else 31
        scale_bits = finest_scale_bits(chosen.clip, chosen.max_total_weight, sum_bits=sum_bits)
    if chosen.close_at and chosen.close_at < chosen.quorum:
        raise ConfigError(f"close_at is {chosen.close_at}, below the quorum of {chosen.quorum}: raise it")
    if chosen.publication_s >= chosen.posting_s + chosen.takeover_s:
        raise ConfigError(
            "publication_s must be less than posting_s + takeover_s, or no posting could exclude"
        )
    if chosen.challenge_reward_wei > chosen.bond_wei // 10:
        raise ConfigError(
            "challenge_reward_wei is at most a tenth of bond_wei, or challenging oneself would pay"
        )
    return LedgerPolicy(
        fraction_bits=chosen.fraction_bits,
        scale_bits=scale_bits,
        clip_lanes=round(chosen.clip * 2**scale_bits),
        max_total_weight=chosen.max_total_weight,
        quorum=chosen.quorum,
        close_at=chosen.close_at,
        max_rounds=chosen.rounds,
        max_unfinal_rounds=chosen.max_unfinal_rounds,
        submission_s=chosen.submission_s,
        publication_s=chosen.publication_s,
        posting_s=chosen.posting_s,
        takeover_s=chosen.takeover_s,
        challenge_s=chosen.challenge_s,
        unbonding_s=chosen.unbonding_s,
        reward_wei=chosen.reward_wei,
        aggregator_reward_wei=chosen.aggregator_reward_wei,
        bond_wei=chosen.bond_wei,
        challenge_reward_wei=chosen.challenge_reward_wei,
        deposit_wei=chosen.deposit_wei,
        reward_split=_SPLITS[chosen.reward_split],
        aggregation=kind,
        rho_micro_per_round=rho_micro_per_round,
        rho_micro_budget=rho_micro_budget,
    )


def _rho_micro(privacy: PrivacySettings | None) -> tuple[int, int]:
    """Return what the ledger keeps of a privacy budget: a round's cost and the whole; zeros for none."""
    if privacy is None or privacy.rho_budget == 0:
        return 0, 0
    return round_rho_micro(privacy), budget_rho_micro(privacy)


def _verify_privacy(privacy: PrivacySettings | None, task: TaskSettings, ledger: LedgerPolicy) -> None:
    """Check that the task gives nothing away beside the updates, and that the budget is what is declared.

    Raises:
        ConfigError: if it does, or a round does not fit the budget, or the ledger keeps another one.
    """
    if (ledger.rho_micro_per_round, ledger.rho_micro_budget) != _rho_micro(privacy):
        raise ConfigError(
            f"the ledger's privacy budget is {ledger.rho_micro_per_round} of {ledger.rho_micro_budget} "
            f"millionths of rho a round, the privacy settings give {_rho_micro(privacy)}"
        )
    if ledger.rho_micro_per_round > ledger.rho_micro_budget:
        raise ConfigError(
            f"one round costs {ledger.rho_micro_per_round} millionths of rho, above rho_budget: raise it, or "
            "noise_multiplier, or lower steps"
        )
    if isinstance(privacy, ClientPrivacySettings):
        _verify_client_noise(privacy, ledger.quantisation)
        return  # whatever a task does to its rows, its update is clipped and noisy
    if privacy is None or task.kind != "table":
        return
    own = [column.name for column in task.numeric if column.mean is None]
    if own:
        raise ConfigError(
            f"the column {own[0]!r} would be standardised by each participant's own rows, which noise does "
            "not hide: give it a public mean and std"
        )
    if privacy.unit == "group" and task.group_column is None:
        raise ConfigError('privacy of unit = "group" needs the task\'s group_column: name it')


def _verify_client_noise(privacy: ClientPrivacySettings, quantisation: Quantisation) -> None:
    if longest_lanes(privacy, quantisation) < 1:
        raise ConfigError(
            f"max_update_norm = {privacy.max_update_norm} is less than a lane's smallest step, "
            f"2**-{quantisation.scale_bits}: raise it, or scale_bits"
        )
    if quantisation.clip_lanes < DEVIATIONS_KEPT * noise_lanes(privacy, quantisation):
        least = DEVIATIONS_KEPT * privacy.noise_multiplier * privacy.max_update_norm
        raise ConfigError(
            f"noise of deviation noise_multiplier * max_update_norm leaves a lane's range too often: clip "
            f"has to be more than {least:g}; raise it, or lower one of the two"
        )


def _verify_rule(chosen: AggregationSettings, ledger: LedgerPolicy, groups: int | None = None) -> None:
    """Check what a rule asks of the constants.

    Args:
        chosen: the rule.
        ledger: the constants.
        groups: of which the rule has the means; None where it has updates.

    Raises:
        ConfigError: if they do not give it.
    """
    if isinstance(chosen, MultiKrumSettings):
        least = 2 * chosen.byzantine + 3
        there = ledger.quorum if groups is None else least_groups(groups)
        if there < least:
            what = f"quorum is {there}" if groups is None else f"{there} of {groups} groups may be left"
            raise ConfigError(
                f"{what}: Multi-Krum with byzantine = {chosen.byzantine} needs {least} "
                f"{'updates' if groups is None else 'of them'} in every round; raise "
                f"{'quorum' if groups is None else 'groups'}, or lower byzantine"
            )
        if chosen.keep > there:
            least_there = (
                f"the quorum of {there}" if groups is None else f"the {there} groups that may be left"
            )
            raise ConfigError(f"keep is {chosen.keep}, above {least_there}: a round may not have so many")
    length = {NormBoundSettings: "max_norm", CentredClippingSettings: "radius"}.get(type(chosen))
    if length is not None and norm_lanes(getattr(chosen, length), ledger.quantisation) < 1:
        raise ConfigError(f"{length} is below 2^-{ledger.scale_bits}, an update's resolution: raise it")


def _verify_algorithm(training: TrainingSettings, rule: Rule) -> None:
    """Check that a rule does to an algorithm's vectors what the algorithm needs.

    Raises:
        ConfigError: if it does something else.
    """
    is_averaged = rule.kind in (AggregationKind.SUMS, AggregationKind.MASKED_SUMS)
    is_averaged |= isinstance(rule, EncryptedFedAvg)
    if training.algorithm == "scaffold" and not is_averaged:
        raise ConfigError(
            f"SCAFFOLD's control variate is part of the vector and has to be averaged; {rule.name} makes "
            "something else of it: take fedavg, norm_bound or multi_krum, or another algorithm"
        )


def policy_document(policy: RunPolicy) -> bytes:
    """Return the canonical JSON that the ledger's policy hash stands for."""
    return canonical_json(
        {
            "version": DOCUMENT_VERSION,
            "aggregation": _plain(policy.aggregation.model_dump(mode="json", exclude_none=True)),
            "proof_level": policy.rule.proof_level.value,
            "ledger": {name: int(value) for name, value in asdict(policy.ledger).items()},
            "examples_per_weight": policy.examples_per_weight,
            "seed": policy.seed,
            "task": _plain(policy.task.model_dump(mode="json", exclude_none=True)),
            "model": _plain(policy.model.model_dump(mode="json", exclude_none=True)),
            "training": _plain(policy.training.model_dump(mode="json", exclude_none=True)),
        }
        | ({} if policy.cohort is None else {"cohort": policy.cohort.model_dump(exclude_none=True)})
        | ({} if policy.privacy is None else {"privacy": _protection(policy.privacy)})
    )


def _protection(privacy: Protection) -> Any:
    # Only masks have something that may be unset: their groups.
    return _plain(privacy.model_dump(mode="json", exclude_none=True))


def parse_policy_document(document: bytes, expected: Digest) -> RunPolicy:
    """Return the policy that a document holds, after checking it against the ledger's hash.

    Raises:
        DigestMismatch: if the document is another one.
        MalformedBlob: if it is not a policy document of this version.
        ConfigError: if its constants are out of bounds.
    """
    actual = document_hash(document)
    if actual != expected:
        raise DigestMismatch("the policy document", expected=expected, actual=actual)
    content = parse_canonical_json(document)
    version = content.get("version") if isinstance(content, dict) else None
    if version != DOCUMENT_VERSION:
        raise MalformedBlob(
            f"the policy document is version {version!r}, and this release reads version {DOCUMENT_VERSION}: "
            "take part with the release that the run was deployed with"
        )
    try:
        parsed = _Document.model_validate(content)
        constants: dict[str, Any] = dict(parsed.ledger)
        constants["reward_split"] = RewardSplit(constants["reward_split"])
        constants["aggregation"] = AggregationKind(constants["aggregation"])
        ledger = LedgerPolicy(**constants)
    except (ValidationError, TypeError, ValueError, KeyError) as error:
        raise MalformedBlob(
            f"the policy document is not of the form that this version reads: {error}"
        ) from error
    rule = _rule(parsed.aggregation, parsed.privacy)
    if (ledger.aggregation, parsed.proof_level) != (rule.kind, rule.proof_level.value):
        raise MalformedBlob(
            f"the policy document says rule {rule.name!r} with kind {ledger.aggregation.name} and proof "
            f"level {parsed.proof_level!r}; that rule has {rule.kind.name} and {rule.proof_level.value!r}"
        )
    if parsed.cohort is not None and parsed.cohort.size != ledger.close_at:
        raise MalformedBlob(f"the cohort is {parsed.cohort}, but close_at is {ledger.close_at}")
    verify_quantisation(ledger.quantisation)
    _verify_rule(parsed.aggregation, ledger, groups_of(parsed.privacy))
    _verify_algorithm(parsed.training, rule)
    _verify_privacy(noise_of(parsed.privacy), parsed.task, ledger)
    verify_hiding(parsed.privacy, parsed.aggregation, parsed.training, parsed.cohort, ledger)
    return RunPolicy(
        ledger=ledger,
        aggregation=parsed.aggregation,
        examples_per_weight=parsed.examples_per_weight,
        seed=parsed.seed,
        task=parsed.task,
        model=parsed.model,
        training=parsed.training,
        cohort=parsed.cohort,
        privacy=parsed.privacy,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, IntEnum):
        return int(value)
    return value
