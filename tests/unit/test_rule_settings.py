"""The rule of a run: from its settings through the policy document to the ledger's kind."""

import hashlib
from fractions import Fraction
from typing import Any

import pytest
from pydantic import TypeAdapter

from fl_chain.aggregation.rules.adaptive import FedAdam
from fl_chain.aggregation.rules.fedavgm import FedAvgM
from fl_chain.aggregation.rules.order import TrimmedMean
from fl_chain.config import (
    AggregationSettings,
    PolicySettings,
    RunSettings,
    TableTaskSettings,
    parse_settings,
)
from fl_chain.errors import ConfigError, MalformedBlob
from fl_chain.policy import parse_policy_document, policy_document, run_policy
from fl_chain.records import AggregationKind, Digest
from fl_chain.rules import rule_of

TASK = TableTaskSettings(label="bought", positive="yes")
SETTINGS: TypeAdapter[AggregationSettings] = TypeAdapter(AggregationSettings)
RULES: dict[str, tuple[dict[str, Any], AggregationKind]] = {
    "fedavg": ({}, AggregationKind.SUMS),
    "multi_krum": ({"byzantine": 1}, AggregationKind.SUMS),
    "norm_bound": ({"max_norm": 0.3}, AggregationKind.SUMS),
    "fedavgm": ({}, AggregationKind.SUMS_WITH_STATE),
    "fedadagrad": ({}, AggregationKind.SUMS_WITH_STATE),
    "fedadam": ({"beta2": 0.999}, AggregationKind.SUMS_WITH_STATE),
    "fedyogi": ({}, AggregationKind.SUMS_WITH_STATE),
    "median": ({}, AggregationKind.RESULT),
    "trimmed_mean": ({"trim": 0.1}, AggregationKind.RESULT),
    "centred_clipping": ({"radius": 0.1, "iterations": 3}, AggregationKind.RESULT),
}


def settings(rule: str, **changes: Any) -> RunSettings:
    chosen = SETTINGS.validate_python({"rule": rule, **RULES[rule][0], **changes})
    return RunSettings(task=TASK, aggregation=chosen, policy=PolicySettings(quorum=5))


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_reads_back_from_its_document(rule: str) -> None:
    policy = run_policy(settings(rule))
    document = policy_document(policy)
    parsed = parse_policy_document(document, Digest(hashlib.sha256(document).digest()))
    assert parsed == policy
    assert parsed.rule == rule_of(policy.aggregation)
    assert (parsed.rule.name, parsed.rule.kind) == (rule, RULES[rule][1])
    assert parsed.ledger.aggregation is RULES[rule][1]
    assert parsed.rule.proof_level.value.encode() in document


def test_parameters_arrive_as_they_were_written() -> None:
    assert rule_of(settings("trimmed_mean").aggregation) == TrimmedMean(Fraction(1, 10))
    assert rule_of(settings("fedavgm", momentum=0.5, learning_rate=0.25).aggregation) == FedAvgM(2**15, 2**14)
    assert rule_of(settings("fedadam", tau=0.01).aggregation) == FedAdam(0.1, 0.9, 0.01, 0.999)


@pytest.mark.parametrize("rule", RULES)
def test_a_document_of_another_kind_than_its_rule_is_refused(rule: str) -> None:
    document = policy_document(run_policy(settings(rule)))
    kind = RULES[rule][1]
    for other in set(AggregationKind) - {kind}:
        altered = document.replace(f'"aggregation":{kind:d}'.encode(), f'"aggregation":{other:d}'.encode())
        with pytest.raises(MalformedBlob, match="kind"):
            parse_policy_document(altered, Digest(hashlib.sha256(altered).digest()))


@pytest.mark.parametrize(
    ("rule", "changes", "named"),
    [
        ("multi_krum", {"byzantine": 2}, "quorum"),
        ("multi_krum", {"keep": 6}, "keep"),
        ("norm_bound", {"max_norm": 2**-41}, "max_norm"),
        ("centred_clipping", {"radius": 2**-41}, "radius"),
    ],
)
def test_what_a_rule_needs_is_refused_with_its_name(rule: str, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        run_policy(settings(rule, **changes))


def test_krum_at_its_bounds_is_taken() -> None:
    assert run_policy(settings("multi_krum", byzantine=1, keep=5)).aggregation.rule == "multi_krum"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('rule = "mode"', "mode"),
        ('rule = "trimmed_mean"\ntrim = 0.5', "trim"),
        ('rule = "median"\ntrim = 0.1', "trim"),
        ('rule = "multi_krum"', "byzantine"),
        ('rule = "fedavgm"\nmomentum = 1.0', "momentum"),
        ('rule = "fedavgm"\nlearning_rate = 1.5', "learning_rate"),
        ('rule = "fedadam"\ntau = 0.0', "tau"),
        ('rule = "fedyogi"\nbeta2 = 1.0', "beta2"),
        ('rule = "centred_clipping"\nradius = 1.0\niterations = 0', "iterations"),
        ('rule = "norm_bound"\nmax_norm = 0.0', "max_norm"),
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(line: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_settings(f"[run.aggregation]\n{line}\n", origin="test")


def test_settings_at_their_bounds_are_taken() -> None:
    for line in ("trim = 0.0", "trim = 0.49"):
        parse_settings(f'[run.aggregation]\nrule = "trimmed_mean"\n{line}\n', origin="test")
    taken = parse_settings('[run.aggregation]\nrule = "fedavgm"\nmomentum = 0.0\n', origin="test")
    assert rule_of(taken.run.aggregation) == FedAvgM(0, 2**16)
