"""Cohorts under a rule that chooses: outsiders never reach it, and both are held to in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from consortium import Consortium, policy
from test_algorithm_runs import intrude, members, posted

from fl_chain.audit import AuditMemory, audit_run, explain_rewards
from fl_chain.audit.checks import CheckId
from fl_chain.audit.fingerprints import round_fingerprints
from fl_chain.config import CohortSettings, NormBoundSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.ledger.history import History
from fl_chain.records import Exclusion, ExclusionReason, RoundStatus
from fl_chain.run.models import ModelChain
from fl_chain.run.rounds import RoundReader
from fl_chain.run.verdicts import Hidden, Right, Unprovable

MAX_NORM = 0.65  # between the two members' norms in round 1, and above the outsider's


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Consortium]:
    built = Consortium(
        tmp_path,
        policy=policy(quorum=2),
        cohort=CohortSettings(size=3),
        aggregation=NormBoundSettings(rule="norm_bound", max_norm=MAX_NORM),
    )
    for owner in OWNERS:
        built.workers[owner].step()
    yield built
    built.chain.close()


def parts_of(history: History, built: Consortium, outsider: str) -> tuple[int, int, int]:
    """Return the indices of the outsider, of the member that is kept, and of the one that went too far."""
    drawn = members(built, 1)
    outside = next(s.index for s in history.submissions[1] if s.participant == outsider)
    kept, too_far = (s.index for s in history.submissions[1] if s.participant in drawn)
    return outside, kept, too_far


def test_the_rule_chooses_among_the_members_alone(bounded: Consortium) -> None:
    outsider = intrude(bounded)
    history = bounded.work_until(posted(1))

    outside, kept, too_far = parts_of(history, bounded, outsider)
    excluded = {one.index: one.reason for one in history.postings[1].exclusions}
    assert excluded == dict.fromkeys((outside, too_far), ExclusionReason.BY_RULE)
    assert isinstance(ModelChain(RoundReader(history, bounded.store)).outcome(1), Right)
    report = bounded.audit()
    assert report.verdict == "pass"
    assert report.checks[CheckId.COHORTS] == 1
    assert report.checks[CheckId.SELECTIONS] == 1
    for index in (outside, kept, too_far):
        who = history.submissions[1][index].participant
        (term, *_) = explain_rewards(bounded.ledger(), bounded.store, who).terms
        assert term.problems == ()
        assert (term.share > 0) == (index == kept)


def test_without_the_policy_document_nobody_is_accused_of_leaving_out_by_rule(bounded: Consortium) -> None:
    intrude(bounded)
    history = bounded.work_until(posted(1))
    policy_hash = "0x" + history.definition.policy_hash.hex()
    next((bounded.folder / "store" / "documents").glob(f"{policy_hash}*")).unlink()

    outcome = ModelChain(RoundReader(history, bounded.store)).outcome(1)
    assert isinstance(outcome, Unprovable)
    assert [doubt.hidden for doubt in outcome.doubts] == [Hidden.POLICY]
    assert not outcome.is_certain
    assert {one.kind.value for one in bounded.audit().findings} == {"policy_missing"}


def test_an_audit_is_resumed_only_where_cohorts_are_drawn_from_the_same_participants(
    bounded: Consortium,
) -> None:
    bounded.work_until(posted(1))
    memory = AuditMemory()
    first = audit_run(bounded.ledger(), bounded.store, memory=memory)
    assert audit_run(bounded.ledger(), bounded.store, memory=memory).to_json() == first.to_json()

    history, events = bounded.history, bounded.ledger().all_events()
    before = round_fingerprints(history, events)
    history.registered_at[1] = history.registered_at[1][1:]
    assert round_fingerprints(history, events)[0] != before[0]


LIES = {
    "outsider included": ({"too far"}, [(Hidden.INCLUSION, "outside")], [("outsider_included", "outside")]),
    "member left out": (
        {"outside", "kept"},
        [(Hidden.SELECTION, "kept"), (Hidden.SELECTION, "too far")],
        [("selection_differs", "kept"), ("selection_differs", "too far")],
    ),
    "too far included": ({"outside"}, [(Hidden.SELECTION, "too far")], [("selection_differs", "too far")]),
    "nobody left out": (
        set(),
        [(Hidden.INCLUSION, "outside"), (Hidden.SELECTION, "too far")],
        [("outsider_included", "outside"), ("selection_differs", "too far")],
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_whatever_a_posting_leaves_out_wrongly_is_doubted_and_found(bounded: Consortium, lie: str) -> None:
    left_out, doubts, findings = LIES[lie]
    outsider = intrude(bounded)
    history = bounded.work_until(
        lambda history: history.rounds[1].status is RoundStatus.CLOSED, with_aggregator=False
    )
    while any(worker.step() for worker in bounded.workers.values()):
        pass  # they publish
    bounded.pass_time(25)  # publication is over, the named aggregator's time is not
    index = dict(zip(("outside", "kept", "too far"), parts_of(history, bounded, outsider), strict=True))
    exclusions = tuple(
        Exclusion(one, ExclusionReason.BY_RULE) for one in sorted(index[name] for name in left_out)
    )
    post_with(bounded, exclusions)

    outcome = ModelChain(RoundReader(bounded.history, bounded.store)).outcome(1)
    assert isinstance(outcome, Unprovable)
    assert outcome.is_certain
    found = {(doubt.hidden, doubt.index) for doubt in outcome.doubts}
    assert found == {(hidden, index[name]) for hidden, name in doubts}
    submissions = bounded.history.submissions[1]
    assert {(one.kind.value, one.participant) for one in bounded.audit().findings} == {
        (kind, submissions[index[name]].participant) for kind, name in findings
    }


def post_with(built: Consortium, exclusions: tuple[Exclusion, ...]) -> None:
    """Post round 1 as the aggregator, with sums and model that fit what it leaves out."""
    reader = RoundReader(built.history, built.store)
    made = reader.aggregate(1, ModelChain(reader).model(0), exclusions)
    for root, hashes in zip(made.partial_sum_roots, made.chunk_hashes, strict=True):
        built.store.write_sum(root, hashes)
    built.store.write_model(made.model_root, made.model)
    built.run.ledger.deposit_bond(built.aggregator_account, built.history.policy.bond_wei)
    submissions = built.history.submissions[1]
    built.run.ledger.post(
        built.aggregator_account,
        round=1,
        digest=built.history.rounds[1].digest,
        exclusions=[(one, submissions[one.index]) for one in exclusions],
        partial_sum_roots=made.partial_sum_roots,
        model_root=made.model_root,
    )
