"""Runs under each kind of rule on a real chain: an honest one passes the audit, a lie falls and is found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consortium import PUBLICATION_S, Consortium, policy
from pydantic import TypeAdapter
from test_dishonest import is_closed

from fl_chain.aggregation.round import Aggregate
from fl_chain.aggregation.rules.order import Median
from fl_chain.audit.explanation import explain_rewards
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.tree import vector_root, vector_tree
from fl_chain.config import AggregationSettings
from fl_chain.errors import ConfigError, LedgerReverted
from fl_chain.ledger.history import History
from fl_chain.records import ZERO_DIGEST, AggregationKind, Exclusion, ExclusionReason, FallReason, RoundStatus
from fl_chain.run.models import ModelChain
from fl_chain.run.rounds import RoundReader
from fl_chain.run.verdicts import Proven, Right, Unprovable

SETTINGS: TypeAdapter[AggregationSettings] = TypeAdapter(AggregationSettings)
BY_RULE = ExclusionReason.BY_RULE


def consortium_of(folder: Path, rule: str, rounds: int = 2, **parameters: Any) -> Consortium:
    chosen = SETTINGS.validate_python({"rule": rule, **parameters})
    return Consortium(folder, policy=policy(rounds=rounds, quorum=5), aggregation=chosen)


def posted(consortium: Consortium, round_id: int = 1) -> History:
    return consortium.work_until(lambda history: round_id in history.postings)


HONEST_RULES = {
    "fedavgm": {"momentum": 0.5},
    "fedyogi": {"learning_rate": 0.01},
    "trimmed_mean": {"trim": 0.2},
    "centred_clipping": {"radius": 0.05},
    "multi_krum": {"byzantine": 1},
}


@pytest.mark.parametrize("rule", HONEST_RULES)
def test_an_honest_run_passes_the_audit(tmp_path: Path, rule: str) -> None:
    consortium = consortium_of(tmp_path, rule, **HONEST_RULES[rule])

    history = posted(consortium, 2)

    kind = history.policy.aggregation
    for number in (1, 2):
        posting = history.postings[number]
        assert (posting.result_root != ZERO_DIGEST) == (kind is AggregationKind.RESULT)
        assert (posting.state_root != ZERO_DIGEST) == (kind is AggregationKind.SUMS_WITH_STATE)
        assert bool(posting.partial_sum_roots) == (kind is not AggregationKind.RESULT)
        assert [one.reason for one in posting.exclusions] == [BY_RULE] * (rule == "multi_krum")
    assert history.fallen == []
    report = consortium.audit()
    assert report.verdict == "pass"
    assert all(summary.verified for summary in report.rounds[:2])
    assert report.run["rule"] == rule


def test_state_and_result_are_derived_again_where_the_store_has_lost_them(tmp_path: Path) -> None:
    consortium = consortium_of(tmp_path, "fedadam", rounds=3, learning_rate=0.01)
    history = posted(consortium, 2)
    for blob in (tmp_path / "store" / "states").iterdir():
        blob.unlink()
    for blob in (tmp_path / "store" / "models").iterdir():
        if "0x" + history.definition.genesis_model_root.hex() != blob.name:
            blob.unlink()

    models = ModelChain(RoundReader(history, consortium.store))

    outcome = models.outcome(2)
    assert isinstance(outcome, Right)
    assert vector_root(outcome.model) == history.postings[2].model_root
    assert outcome.carried is not None
    assert vector_root(outcome.carried) == history.postings[2].state_root
    kinds = {finding.kind.value for finding in consortium.audit().findings}
    assert kinds == {"rule_state_blob_missing", "model_blob_missing"}


# ---------------------------------------------------------------------- lies

Lie = Callable[[Aggregate], Aggregate]
Choice = Callable[[list[Exclusion]], list[Exclusion]]


def bumped(lanes: Lanes) -> Lanes:
    changed = np.array(lanes)
    changed[1] += 1
    return changed


def another_model(honest: Aggregate) -> Aggregate:
    model = bumped(honest.model)
    return replace(honest, model=model, model_root=vector_root(model))


def another_state(honest: Aggregate) -> Aggregate:
    assert honest.carried is not None
    state = bumped(honest.carried)
    return replace(honest, carried=state, state_root=vector_root(state))


def another_result(honest: Aggregate) -> Aggregate:
    result = bumped(honest.total)
    carried = None if honest.carried is None else result
    return replace(honest, total=result, result_root=vector_root(result), carried=carried)


def another_sum(honest: Aggregate) -> Aggregate:
    total = bumped(honest.total)
    tree = vector_tree(total)
    return replace(honest, partial_sum_roots=(tree.root,), chunk_hashes=(tree.chunk_hashes,), total=total)


def lie_about_round_1(
    consortium: Consortium,
    lie: Lie,
    choose: Choice = lambda found: found,
) -> None:
    """Post for the named aggregator as it would, but for a lie or for what is left out."""
    consortium.work_until(is_closed, with_aggregator=False)
    for worker in consortium.workers.values():
        worker.step()
    history, store, account = consortium.history, consortium.store, consortium.aggregator_account
    reader = RoundReader(history, store)
    models = ModelChain(reader)
    exclusions = choose(reader.excluded_by_rule(1, []))
    if exclusions:
        consortium.pass_time(PUBLICATION_S)
    told = lie(reader.aggregate(1, models.model(0), exclusions, models.carried_into(1)))
    for root, hashes in zip(told.partial_sum_roots, told.chunk_hashes, strict=True):
        store.write_sum(root, hashes)
    if told.carried is not None:
        store.write_state(told.carried_root, told.carried)
    store.write_model(told.model_root, told.model)
    ledger = consortium.run.ledger
    ledger.deposit_bond(account, history.policy.bond_wei)
    ledger.post(
        account,
        round=1,
        digest=history.rounds[1].digest,
        exclusions=[(one, history.submissions[1][one.index]) for one in exclusions],
        partial_sum_roots=told.partial_sum_roots,
        model_root=told.model_root,
        result_root=told.result_root,
        state_root=told.state_root,
    )


def keep_everybody(found: list[Exclusion]) -> list[Exclusion]:
    assert found
    return []


def leave_out_another(found: list[Exclusion]) -> list[Exclusion]:
    return [Exclusion((found[0].index + 1) % 5, BY_RULE)]


LIES: dict[str, tuple[str, dict[str, Any], Lie, Choice, FallReason, set[str]]] = {
    "state rule, model": ("fedavgm", {}, another_model, list, FallReason.OBJECTIONS, {"model_differs"}),
    "state rule, state": ("fedyogi", {}, another_state, list, FallReason.OBJECTIONS, {"rule_state_differs"}),
    "state rule, sum": ("fedadagrad", {}, another_sum, list, FallReason.SUM, {"partial_sum_differs"}),
    "result rule, result": ("median", {}, another_result, list, FallReason.OBJECTIONS, {"result_differs"}),
    "result rule, model": ("trimmed_mean", {}, another_model, list, FallReason.OBJECTIONS, {"model_differs"}),
    "clipping, result": (
        "centred_clipping",
        {"radius": 0.05},
        another_result,
        list,
        FallReason.OBJECTIONS,
        {"result_differs"},
    ),
    "selection, kept": (
        *("multi_krum", {"byzantine": 1}, lambda honest: honest, keep_everybody),
        *(FallReason.OBJECTIONS, {"selection_differs"}),
    ),
    "selection, left out": (
        *("multi_krum", {"byzantine": 1}, lambda honest: honest, leave_out_another),
        *(FallReason.OBJECTIONS, {"selection_differs"}),
    ),
    "selection, sum": (
        *("multi_krum", {"byzantine": 1}, another_sum, list),
        *(FallReason.SUM, {"partial_sum_differs"}),
    ),
    "selection, model": (
        *("multi_krum", {"byzantine": 1}, another_model, list),
        *(FallReason.APPLY, {"model_differs"}),
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_a_lie_is_found_and_falls(tmp_path: Path, case: str) -> None:
    rule, parameters, lie, choose, reason, kinds = LIES[case]
    consortium = consortium_of(tmp_path, rule, rounds=1, **parameters)
    lie_about_round_1(consortium, lie, choose)

    found = {finding.kind.value for finding in consortium.audit().findings}

    assert found == kinds
    outcome = ModelChain(RoundReader(consortium.history, consortium.store)).outcome(1)
    assert isinstance(outcome, Unprovable) == (reason is FallReason.OBJECTIONS)
    history = consortium.work_until(lambda history: bool(history.fallen), with_aggregator=False, pause_s=1.0)
    assert [one.reason for one in history.fallen] == [reason]
    assert history.rounds[1].status is RoundStatus.CLOSED


# ---------------------------------------------------------------------- what cannot be posted or read


def test_nothing_is_posted_where_no_update_is_within_the_bound(tmp_path: Path) -> None:
    consortium = consortium_of(tmp_path, "norm_bound", rounds=1, max_norm=2e-5)
    history = consortium.work_until(lambda history: 1 in history.voids, pause_s=20.0)
    assert history.rounds[1].status is RoundStatus.VOID
    assert 1 not in history.postings


def test_norm_bounding_leaves_out_what_went_too_far(tmp_path: Path) -> None:
    free = consortium_of(tmp_path / "free", "norm_bound", rounds=1, max_norm=1e6)
    history = posted(free)
    assert history.postings[1].exclusions == ()
    reader = RoundReader(history, free.store)
    one = history.policy.scale_bits
    norms = [
        float(np.linalg.norm(reader.update(s).view(">i4").astype(float))) / 2**one / s.weight
        for s in history.submissions[1]
    ]
    bound = sorted(norms)[2] * 1.0001

    strict = consortium_of(tmp_path / "strict", "norm_bound", rounds=1, max_norm=bound)
    posting = posted(strict).postings[1]

    assert len(posting.exclusions) == 2
    assert {e.reason for e in posting.exclusions} == {BY_RULE}
    assert strict.audit().verdict == "pass"


def test_a_rule_of_equal_weights_takes_caps_of_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Consortium, "weight_cap", lambda self: 2)
    with pytest.raises(ConfigError, match="weighs all alike"):
        consortium_of(tmp_path, "median")


def test_the_ledger_refuses_the_weight_that_the_rule_has_no_use_for(tmp_path: Path) -> None:
    consortium = consortium_of(tmp_path, "median", rounds=1)
    stranger = consortium.account("stranger")
    with pytest.raises(LedgerReverted) as refused:
        consortium.run.ledger.admit(consortium.operator, stranger.address, 2)
    assert refused.value.name == "WeightCapOutOfBounds"


def test_without_the_policy_document_nobody_says_that_a_posting_is_right(tmp_path: Path) -> None:
    consortium = consortium_of(tmp_path, "median", rounds=1)
    history = posted(consortium)
    for blob in (tmp_path / "store" / "documents").iterdir():
        if blob.name == "0x" + history.definition.policy_hash.hex():
            blob.unlink()

    outcome = ModelChain(RoundReader(history, consortium.store)).outcome(1)

    assert isinstance(outcome, Unprovable)
    assert not outcome.is_certain
    known = ModelChain(RoundReader(history, consortium.store, Median())).outcome(1)
    assert isinstance(known, Right)
    kinds = {finding.kind.value for finding in consortium.audit().findings}
    assert kinds == {"policy_missing", "model_underivable"}


def test_an_explained_reward_says_what_the_rule_left_out(tmp_path: Path) -> None:
    consortium = consortium_of(tmp_path, "multi_krum", rounds=1, byzantine=1)
    history = posted(consortium)
    (left_out,) = history.postings[1].exclusions
    who = history.submissions[1][left_out.index].participant

    explained = explain_rewards(consortium.ledger(), consortium.store, who)

    (term,) = explained.terms
    assert "the aggregation rule left it out" in term.outcome
    assert term.problems == ()


def test_a_wrong_sum_is_proven_without_the_policy_document(tmp_path: Path) -> None:
    consortium = consortium_of(tmp_path, "fedavg", rounds=1)
    lie_about_round_1(consortium, another_sum, list)
    for blob in (tmp_path / "store" / "documents").iterdir():
        blob.unlink()

    outcome = ModelChain(RoundReader(consortium.history, consortium.store)).outcome(1)

    assert isinstance(outcome, Proven)
