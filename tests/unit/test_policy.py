import hashlib
import json
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fl_chain.aggregation.rules.grouped import Grouped
from fl_chain.aggregation.rules.order import Median
from fl_chain.config import (
    CategoricalColumn,
    ClientPrivacySettings,
    CohortSettings,
    EncryptionSettings,
    FedAvgSettings,
    MaskingSettings,
    MedianSettings,
    MultiKrumSettings,
    NormBoundSettings,
    NumericColumn,
    PolicySettings,
    RowPrivacySettings,
    RunSettings,
    TableTaskSettings,
    TrainingSettings,
    TrimmedMeanSettings,
    parse_settings,
)
from fl_chain.demo import demo_settings
from fl_chain.encryption.scheme import MAX_SUMMANDS
from fl_chain.errors import ConfigError, DigestMismatch, MalformedBlob
from fl_chain.hiding import MASKED_SUM_BITS
from fl_chain.policy import (
    finest_scale_bits,
    parse_policy_document,
    policy_document,
    run_policy,
    with_cohort_size,
    with_members,
)
from fl_chain.records import Address, AggregationKind, Digest

TASK = TableTaskSettings(
    label="bought",
    positive="yes",
    owner_column="shop",
    numeric=(NumericColumn(name="price", mean=1.1, std=0.3), NumericColumn(name="visits")),
    categorical=(CategoricalColumn(name="device", categories=("phone", "computer"), other=True),),
)


def digest_of(document: bytes) -> Digest:
    return Digest(hashlib.sha256(document).digest())


@given(rate=st.floats(1e-300, 1e300), clip=st.floats(2**-20, 2**10), seed=st.integers(0, 2**63 - 1))
def test_a_document_reads_back_as_the_policy_it_was_made_of(rate: float, clip: float, seed: int) -> None:
    settings = RunSettings(
        seed=seed, task=TASK, training=TrainingSettings(learning_rate=rate), policy=PolicySettings(clip=clip)
    )
    policy = run_policy(settings)

    document = policy_document(policy)

    assert parse_policy_document(document, digest_of(document)) == policy
    assert document.isascii()
    assert b" " not in document.replace(b"provable on chain", b"")


def test_another_document_is_refused() -> None:
    document = policy_document(run_policy(RunSettings(task=TASK)))
    with pytest.raises(DigestMismatch):
        parse_policy_document(document.replace(b'"seed":0', b'"seed":1'), digest_of(document))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"version":3', b'"version":2'),
        (b'"version":3', b'"version":4'),
        (b'"aggregation":0', b'"aggregation":2'),
        (b'"aggregation":0', b'"aggregation":9'),
        (b'"provable on chain"', b'"re-executable"'),
        (b'"rule":"fedavg"', b'"rule":"median"'),
        (b'"quorum":3,', b""),
        (b'"reward_split":0', b'"reward_split":7'),
        (b'"seed":0', b'"seed":"zero"'),
    ],
)
def test_a_document_of_another_form_is_refused(before: bytes, after: bytes) -> None:
    document = policy_document(run_policy(RunSettings(task=TASK)))
    assert before in document
    altered = document.replace(before, after)
    with pytest.raises(MalformedBlob):
        parse_policy_document(altered, digest_of(altered))


def test_a_document_out_of_bounds_is_refused() -> None:
    document = policy_document(run_policy(RunSettings(task=TASK)))
    altered = document.replace(b'"fraction_bits":22', b'"fraction_bits":30')
    with pytest.raises(ConfigError, match="fraction_bits"):
        parse_policy_document(altered, digest_of(altered))


@given(clip=st.floats(2**-30, 2**14), total=st.integers(1, 2**16))
def test_the_derived_scale_is_the_finest_that_fits(clip: float, total: int) -> None:
    def fits(bits: int) -> bool:
        return round(clip * 2**bits) * total < 2**31 and total * 2**bits < 2**61

    bits = finest_scale_bits(clip, total)

    assert round(clip * 2**bits) >= 1
    assert fits(bits)
    assert bits == 40 or not fits(bits + 1)


@pytest.mark.parametrize(("clip", "total"), [(2.0**31, 1), (1e-30, 1), (4.0, 2**30)])
def test_a_clip_that_cannot_fit_is_refused(clip: float, total: int) -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        finest_scale_bits(clip, total)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (PolicySettings(quorum=4, close_at=3), "close_at"),
        (PolicySettings(publication_s=10, posting_s=5, takeover_s=5), "publication_s"),
        (PolicySettings(bond_wei=100, challenge_reward_wei=11), "challenge_reward_wei"),
        (PolicySettings(clip=8.0, scale_bits=30), "clip_lanes"),
    ],
)
def test_choices_that_contradict_each_other_are_refused(settings: PolicySettings, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run_policy(RunSettings(task=TASK, policy=settings))


def test_settings_without_a_task_are_refused() -> None:
    with pytest.raises(ConfigError, match="task"):
        run_policy(RunSettings())


def test_the_ledger_constants_stand_in_the_document() -> None:
    policy = run_policy(RunSettings(task=TASK))
    ledger = json.loads(policy_document(policy))["ledger"]
    assert ledger["clip_lanes"] == policy.ledger.clip_lanes
    assert len(ledger) == 23


def with_cohort(cohort: CohortSettings, **policy: int) -> RunSettings:
    return RunSettings(task=TASK, cohort=cohort, policy=PolicySettings(**{"quorum": 2, **policy}))


@pytest.mark.parametrize(("n_participants", "size"), [(10, 3), (11, 3), (12, 3), (13, 4), (1, 1)])
def test_a_fraction_of_the_participants_is_rounded_up(n_participants: int, size: int) -> None:
    settings = with_cohort_size(with_cohort(CohortSettings(fraction=0.25)), n_participants)
    assert settings.cohort == CohortSettings(size=size)


def test_a_cohort_closes_the_round_and_stands_in_the_document() -> None:
    policy = run_policy(with_cohort(CohortSettings(size=5, randomness="seed")))
    document = policy_document(policy)
    assert policy.ledger.close_at == 5
    assert json.loads(document)["cohort"] == {"randomness": "seed", "size": 5}
    assert parse_policy_document(document, digest_of(document)) == policy
    assert b"cohort" not in policy_document(run_policy(RunSettings(task=TASK)))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (with_cohort(CohortSettings(fraction=0.5)), "fraction of nobody"),
        (with_cohort(CohortSettings(size=5), close_at=4), "close_at"),
        (with_cohort(CohortSettings(size=5), quorum=6), "quorum"),
    ],
)
def test_a_cohort_that_does_not_fit_is_refused(settings: RunSettings, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run_policy(settings)


def test_a_document_whose_cohort_does_not_close_its_rounds_is_refused() -> None:
    document = policy_document(run_policy(with_cohort(CohortSettings(size=5))))
    altered = document.replace(b'"close_at":5', b'"close_at":4')
    with pytest.raises(MalformedBlob, match="close_at"):
        parse_policy_document(altered, digest_of(altered))


SCAFFOLD = TrainingSettings(algorithm="scaffold")


@pytest.mark.parametrize(
    "aggregation",
    [
        {"rule": "fedavgm", "momentum": 0.5},
        {"rule": "fedadam", "learning_rate": 0.01},
        {"rule": "median"},
        {"rule": "centred_clipping", "radius": 1.0},
    ],
)
def test_scaffold_under_a_rule_that_does_not_average_is_refused(aggregation: dict[str, object]) -> None:
    chosen = RunSettings.model_validate({"task": TASK, "aggregation": aggregation})
    run_policy(chosen)
    with pytest.raises(ConfigError, match="SCAFFOLD"):
        run_policy(chosen.model_copy(update={"training": SCAFFOLD}))


@pytest.mark.parametrize(
    "aggregation", [{"rule": "norm_bound", "max_norm": 1.0}, {"rule": "multi_krum", "byzantine": 0}]
)
def test_scaffold_under_a_rule_that_averages_is_taken(aggregation: dict[str, object]) -> None:
    content = {"task": TASK, "aggregation": aggregation, "training": SCAFFOLD}
    policy = run_policy(RunSettings.model_validate(content))
    document = policy_document(policy)
    assert parse_policy_document(document, digest_of(document)) == policy


def test_every_algorithm_reads_back_from_the_document() -> None:
    training = TrainingSettings(
        algorithm="fedprox",
        proximal_mu=0.1,
        local=("a.*", "b"),
        deadline_share=0.3,
        staleness_factor=0.5,
        max_staleness=3,
    )
    policy = run_policy(RunSettings(task=TASK, training=training))
    document = policy_document(policy)
    assert parse_policy_document(document, digest_of(document)).training == training


# ---------------------------------------------------------------------- privacy

PUBLIC = TASK.model_copy(
    update={"numeric": (NumericColumn(name="price", mean=1.1, std=0.3),), "group_column": "customer"}
)


def private(task: TableTaskSettings = PUBLIC, **changes: object) -> RunSettings:
    privacy = RowPrivacySettings(**{"noise_multiplier": 2.0, "steps": 8, **changes})
    return RunSettings(task=task, privacy=privacy)


def test_a_privacy_budget_stands_on_the_ledger_and_in_the_document() -> None:
    policy = run_policy(private(rho_budget=2.5, unit="group"))
    document = policy_document(policy)
    assert (policy.ledger.rho_micro_per_round, policy.ledger.rho_micro_budget) == (1_000_000, 2_500_000)
    assert json.loads(document)["privacy"]["unit"] == "group"
    assert parse_policy_document(document, digest_of(document)) == policy
    assert not policy.ledger.is_budget_spent(1)
    assert policy.ledger.is_budget_spent(2)
    assert b"privacy" not in policy_document(run_policy(RunSettings(task=TASK)))


def test_without_a_budget_the_ledger_keeps_none() -> None:
    ledger = run_policy(private()).ledger
    assert (ledger.rho_micro_per_round, ledger.rho_micro_budget) == (0, 0)
    assert not ledger.is_budget_spent(10**9)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (private(rho_budget=0.999999), "one round costs"),
        (private(TASK), "'visits' would be standardised"),
        (private(PUBLIC.model_copy(update={"group_column": None}), unit="group"), "group_column"),
    ],
)
def test_privacy_that_would_not_hold_is_refused(settings: RunSettings, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run_policy(settings)


def hidden(clip: float = 1.0, **changes: object) -> RunSettings:
    """Return settings that hide whole participants: noise of deviation 0.08."""
    privacy = ClientPrivacySettings(**{"noise_multiplier": 2.0, "max_update_norm": 0.04, **changes})
    return RunSettings(task=TASK, privacy=privacy, policy=PolicySettings(clip=clip))


def test_privacy_of_whole_participants_is_a_part_of_the_policy() -> None:
    """Columns that each participant standardises by its own rows do no harm: the whole update is noisy."""
    policy = run_policy(hidden(rho_budget=0.5))
    document = policy_document(policy)
    assert (policy.ledger.rho_micro_per_round, policy.ledger.rho_micro_budget) == (125_000, 500_000)
    assert json.loads(document)["privacy"]["unit"] == "client"
    assert parse_policy_document(document, digest_of(document)) == policy


def test_noise_has_room_in_a_lane() -> None:
    assert run_policy(hidden(clip=0.481)).privacy is not None
    with pytest.raises(ConfigError, match=r"more than 0\.48;"):
        run_policy(hidden(clip=0.479))


def test_an_update_has_a_length() -> None:
    coarse = hidden(max_update_norm=0.0078125).model_copy(update={"policy": PolicySettings(scale_bits=7)})
    assert run_policy(coarse).privacy is not None
    finer = coarse.model_copy(update={"privacy": ClientPrivacySettings(max_update_norm=0.0078)})
    with pytest.raises(ConfigError, match="smallest step"):
        run_policy(finer)


@pytest.mark.parametrize("foreign", ["steps", "sampling_rate", "max_grad_norm"])
def test_a_unit_takes_its_own_settings_alone(foreign: str) -> None:
    given = {"task": TASK.model_dump(), "privacy": {"unit": "client", foreign: 1}}
    with pytest.raises(ValidationError, match=foreign):
        RunSettings.model_validate(given)


def test_a_round_may_cost_the_whole_budget() -> None:
    assert run_policy(private(rho_budget=1.0)).ledger.rho_micro_budget == 1_000_000


@pytest.mark.parametrize("before", [b'"rho_micro_per_round":1000000', b'"rho_micro_budget":2500000'])
def test_a_document_whose_budget_is_not_its_settings_is_refused(before: bytes) -> None:
    document = policy_document(run_policy(private(rho_budget=2.5)))
    altered = document.replace(before, before[:-1] + b"1")
    assert altered != document
    with pytest.raises(ConfigError, match="privacy budget"):
        parse_policy_document(altered, digest_of(altered))


# ---------------------------------------------------------------------- masked runs

SECAGG = MaskingSettings(kind="secagg")


def test_a_masked_policy_reads_back_and_leaves_room_for_noise_to_show() -> None:
    policy = run_policy(RunSettings(task=TASK, privacy=SECAGG))
    document = policy_document(policy)
    assert parse_policy_document(document, digest_of(document)) == policy
    assert policy.is_masked
    assert policy.ledger.aggregation is policy.rule.kind is AggregationKind.MASKED_SUMS
    assert policy.ledger.clip_lanes * policy.ledger.max_total_weight < 2**MASKED_SUM_BITS
    assert not run_policy(RunSettings(task=TASK)).is_masked


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"aggregation": MedianSettings(rule="median")}, "looks at single updates"),
        ({"aggregation": NormBoundSettings(rule="norm_bound", max_norm=1.0)}, "looks at single updates"),
        ({"training": TrainingSettings(staleness_factor=0.5)}, "late update"),
        ({"cohort": CohortSettings(size=5)}, "close_at|everyone trains in every round"),
        ({"policy": PolicySettings(quorum=2)}, "quorum is 2"),
        ({"policy": PolicySettings(close_at=5)}, "close_at"),
        ({"policy": PolicySettings(submission_s=3)}, "submission_s is 3"),
        ({"policy": PolicySettings(scale_bits=14)}, "a sum that was spoilt shows"),
    ],
)
def test_what_does_not_go_with_masks_is_refused(changes: dict[str, object], says: str) -> None:
    run_policy(RunSettings(task=TASK, **changes))  # without masks it goes
    with pytest.raises(ConfigError, match=says):
        run_policy(RunSettings(task=TASK, privacy=SECAGG, **changes))


def test_the_bounds_of_a_masked_policy() -> None:
    for changes in ({"quorum": 3}, {"submission_s": 4}, {"scale_bits": 12}):
        run_policy(RunSettings(task=TASK, privacy=SECAGG, policy=PolicySettings(**changes)))


GROUPED = MaskingSettings(kind="secagg", groups=5)
MEDIAN = MedianSettings(rule="median")
TWELVE = PolicySettings(quorum=9)


def test_a_policy_with_groups_reads_back_and_has_its_rule_across_them() -> None:
    policy = run_policy(RunSettings(task=TASK, privacy=GROUPED, aggregation=MEDIAN, policy=TWELVE))
    document = policy_document(policy)
    assert parse_policy_document(document, digest_of(document)) == policy
    assert policy.is_masked
    assert policy.groups == 5
    assert policy.rule == Grouped(Median(), 5)
    assert policy.ledger.aggregation is AggregationKind.MASKED_RESULT
    assert policy.ledger.aggregation.is_masked
    assert policy.ledger.aggregation.has_result
    assert policy.ledger.clip_lanes * policy.ledger.max_total_weight < 2**MASKED_SUM_BITS
    assert policy.ledger.highest_weight_cap > 1
    without = run_policy(RunSettings(task=TASK, privacy=SECAGG))
    assert without.groups == 0
    assert b"groups" not in policy_document(without)


@pytest.mark.parametrize(
    ("groups", "changes", "says"),
    [
        (5, {"aggregation": FedAvgSettings()}, "'fedavg' is none across groups"),
        (5, {"aggregation": NormBoundSettings(rule="norm_bound", max_norm=1.0)}, "is none across groups"),
        (5, {"policy": PolicySettings(quorum=8)}, "quorum is 8: of 5 groups"),
        (4, {"aggregation": TrimmedMeanSettings(rule="trimmed_mean", trim=0.2)}, "would leave out none"),
        (8, {"aggregation": MultiKrumSettings(rule="multi_krum", byzantine=2)}, "5 of 8 groups may be left"),
        (9, {"aggregation": MultiKrumSettings(rule="multi_krum", byzantine=1, keep=6)}, "the 5 groups that"),
        (5, {"training": TrainingSettings(staleness_factor=0.5)}, "late update"),
        (5, {"policy": PolicySettings(quorum=9, close_at=9)}, "close_at"),
    ],
)
def test_what_does_not_go_with_groups_is_refused(groups: int, changes: dict[str, object], says: str) -> None:
    privacy = MaskingSettings(kind="secagg", groups=groups)
    chosen = {"aggregation": MEDIAN, "policy": PolicySettings(quorum=15), **changes}
    with pytest.raises(ConfigError, match=says):
        run_policy(RunSettings(task=TASK, privacy=privacy, **chosen))


def test_the_bounds_of_a_policy_with_groups() -> None:
    for groups, changes in (
        (3, {"policy": PolicySettings(quorum=6)}),
        (5, {"policy": TWELVE}),
        (5, {"aggregation": TrimmedMeanSettings(rule="trimmed_mean", trim=0.2)}),
        (8, {"aggregation": MultiKrumSettings(rule="multi_krum", byzantine=1, keep=5)}),
    ):
        privacy = MaskingSettings(kind="secagg", groups=groups)
        chosen = {"aggregation": MEDIAN, "policy": PolicySettings(quorum=15), **changes}
        run_policy(RunSettings(task=TASK, privacy=privacy, **chosen))
    for groups in (2, 1001):
        with pytest.raises(ConfigError):
            parse_settings(f'[run.privacy]\nkind = "secagg"\ngroups = {groups}\n', origin="x")


def test_the_demonstration_can_be_masked() -> None:
    masked, plain = (run_policy(demo_settings(seed=0, rounds=2, is_masked=one)) for one in (True, False))
    assert masked.is_masked
    assert not plain.is_masked


# ---------------------------------------------------------------------- encrypted runs

MEMBERS = tuple("0x" + f"{number:02x}" * 20 for number in range(1, 6))
HE = EncryptionSettings(kind="he", members=MEMBERS)


def test_an_encrypted_policy_reads_back_and_names_who_holds_the_key() -> None:
    named = with_members(RunSettings(task=TASK, privacy=EncryptionSettings(kind="he")), map(Address, MEMBERS))
    policy = run_policy(named)
    document = policy_document(policy)
    assert parse_policy_document(document, digest_of(document)) == policy
    assert policy.key_cohort is not None
    assert (policy.key_cohort.members, policy.key_cohort.maker) == (MEMBERS, MEMBERS[0])
    assert policy.ledger.aggregation is policy.rule.kind is AggregationKind.RESULT
    assert policy.ledger.highest_weight_cap == 1
    assert not policy.is_masked
    assert run_policy(RunSettings(task=TASK)).key_cohort is None
    chosen = EncryptionSettings(kind="he", members=MEMBERS[1:], key_maker=MEMBERS[3])
    kept = with_members(RunSettings(task=TASK, privacy=chosen), map(Address, MEMBERS))
    assert kept.privacy == chosen
    assert with_members(RunSettings(task=TASK), map(Address, MEMBERS)) == RunSettings(task=TASK)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"aggregation": MedianSettings(rule="median")}, "looks at single updates"),
        ({"aggregation": NormBoundSettings(rule="norm_bound", max_norm=1.0)}, "looks at single updates"),
        ({"training": TrainingSettings(staleness_factor=0.5)}, "late update"),
        ({"cohort": CohortSettings(size=5)}, "everyone trains in every round"),
        ({"policy": PolicySettings(quorum=2)}, "quorum is 2"),
        ({"policy": PolicySettings(quorum=6)}, "5 who hold the key"),
    ],
)
def test_what_does_not_go_with_encryption_is_refused(changes: dict[str, object], says: str) -> None:
    run_policy(RunSettings(task=TASK, **changes))  # without encryption it goes
    with pytest.raises(ConfigError, match=says):
        run_policy(RunSettings(task=TASK, privacy=HE, **changes))


@pytest.mark.parametrize(
    ("privacy", "says"),
    [
        ({}, "0 participants hold the key"),
        ({"members": MEMBERS[:2]}, "2 participants hold the key"),
        ({"members": tuple(f"0x{number:040x}" for number in range(MAX_SUMMANDS + 1))}, "does not decrypt"),
        ({"members": (*MEMBERS, MEMBERS[0])}, "named twice"),
        ({"members": (*MEMBERS, "shop 6")}, "is no address"),
        ({"members": MEMBERS, "key_maker": "0x" + "aa" * 20}, "not among the members"),
        ({"members": MEMBERS, "key_maker": ""}, "is no address"),
    ],
)
def test_a_cohort_that_cannot_hold_the_key_is_refused(privacy: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run_policy(RunSettings(task=TASK, privacy=EncryptionSettings(kind="he", **privacy)))


def test_the_bounds_of_an_encrypted_policy() -> None:
    most = tuple(f"0x{number:040x}" for number in range(MAX_SUMMANDS))
    for members, quorum in ((MEMBERS[:3], 3), (MEMBERS, 3), (most, 64)):  # more than half, and 3 at least
        privacy = EncryptionSettings(kind="he", members=members)
        for enough in (True, False):
            settings = RunSettings(
                task=TASK, privacy=privacy, policy=PolicySettings(quorum=quorum if enough else quorum - 1)
            )
            with nullcontext() if enough else pytest.raises(ConfigError, match=f"at least {quorum}"):
                run_policy(settings)
    for changes in ({"quorum": 3}, {"quorum": 5}):
        run_policy(RunSettings(task=TASK, privacy=HE, policy=PolicySettings(**changes)))


def test_one_protection_at_a_time() -> None:
    for privacy in ({"kind": "he", "unit": "row"}, {"kind": "he", "noise_multiplier": 1.0}):
        with pytest.raises(ConfigError):
            parse_settings(
                "[run.privacy]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in privacy.items()),
                origin="x",
            )
