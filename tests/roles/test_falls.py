"""A posting falls: who may post again, who is paid what, and what the audit says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from consortium import CHALLENGE_S, Consortium
from test_dishonest import closed_and_published, post

from fl_chain.aggregation.round import Aggregate
from fl_chain.aggregator import Aggregator
from fl_chain.audit import AuditReport, explain_rewards
from fl_chain.audit.falls import audit_falls
from fl_chain.audit.kinds import Kind
from fl_chain.audit.money import audit_lost_bonds
from fl_chain.cli.audit_screen import print_report
from fl_chain.cli.inspection import _status
from fl_chain.commitment.tree import vector_root
from fl_chain.data.orange_juice import OWNERS
from fl_chain.ledger.history import History
from fl_chain.ledger.views import FallenPosting
from fl_chain.records import ZERO_ADDRESS, Digest, FallReason, RoundStatus, VoidReason
from fl_chain.run.keeper import active_round, has_ended

RANDOM_ROOT = Digest(b"\x5a" * 32)


def publish(consortium: Consortium, aggregate: Aggregate) -> None:
    for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
        consortium.store.write_sum(root, hashes)


def lie_about_the_model(consortium: Consortium) -> Digest:
    """Post a model with one lane off by one, everything published."""
    aggregate = closed_and_published(consortium)
    publish(consortium, aggregate)
    lie = aggregate.model.copy()
    lie[-1] += 1
    consortium.store.write_model(vector_root(lie), lie)
    post(consortium, aggregate, model=vector_root(lie))
    return vector_root(lie)


def has_fallen(history: History) -> bool:
    return bool(history.fallen)


def run_to_the_end(consortium: Consortium, *aggregators: Aggregator) -> History:
    """Let everybody work until nothing is left to be done."""
    for _ in range(600):
        moved = [consortium.work(with_aggregator=False), *(one.step() for one in aggregators)]
        done = [worker.is_done() for worker in consortium.workers.values()]
        if all(done) and all(one.is_done() for one in aggregators):
            return consortium.history
        if not any(moved):
            consortium.clock.now += 5.0
            consortium.chain.catch_up()
    raise AssertionError(f"never ended; the run stands at {consortium.history.state}")


def verify_explained(consortium: Consortium, *accounts: str) -> None:
    """Check that everybody's money follows term by term."""
    for account in accounts:
        explained = explain_rewards(consortium.ledger(), consortium.store, account)  # type: ignore[arg-type]
        assert explained.is_right, explained


@pytest.mark.slow
def test_a_fallen_round_is_posted_by_another_and_the_run_ends_well(
    consortium: Consortium, capsys: pytest.CaptureFixture[str]
) -> None:
    lie = lie_about_the_model(consortium)
    assert consortium.history.model_root(1) == lie

    history = consortium.work_until(has_fallen, with_aggregator=False)

    (fallen,) = history.fallen
    assert fallen.reason is FallReason.APPLY
    assert active_round(history) == history.rounds[1]
    _status(consortium.ledger(), consortium.store, as_json=True)
    assert json.loads(capsys.readouterr().out)["active"] == 1
    _status(consortium.ledger(), consortium.store, as_json=False)
    shown = capsys.readouterr().out
    assert "round 1: posting 0 fell (apply); waits for posting 1; bonus" in shown
    assert "round 2: base fell" in shown

    consortium.work(OWNERS)
    assert consortium.history.rounds[1].status is RoundStatus.CLOSED  # the liar does not even try
    rival = consortium.new_aggregator(consortium.account("rival"))
    consortium.work_until(lambda history: rival.step() or history.rounds[1].status is not RoundStatus.CLOSED)
    history = run_to_the_end(consortium, rival, consortium.aggregator)

    assert history.postings[1].posting_number == 1
    policy = history.policy
    bonus_wei = policy.bond_wei - policy.challenge_reward_wei
    assert history.settlements[1].reward_wei == policy.reward_wei + bonus_wei
    assert history.rounds[history.state.tip].step == policy.max_rounds
    report = consortium.audit()
    assert report.verdict == "pass", report.findings
    (entry,) = report.rounds[0].fallen
    assert (entry.posting_number, entry.poster) == (0, consortium.aggregator_account.address)
    assert (entry.reason, entry.challenger, entry.founded) == ("apply", fallen.challenger, True)
    assert (entry.model_root, entry.bond_lost_wei) == ("0x" + lie.hex(), policy.bond_wei)
    assert report.rounds[1].void_reason == "base_fell"
    assert json.loads(report.to_json())["rounds"][0]["fallen"][0]["bonus_wei"] == bonus_wei
    verify_explained(consortium, *(account.address for account in consortium.accounts.values()))
    verify_explained(consortium, consortium.aggregator_account.address, consortium.account("rival").address)
    verify_explained(consortium, consortium.operator.address)
    explained = explain_rewards(consortium.ledger(), consortium.store, consortium.address(OWNERS[0]))
    assert explained.terms[0].bonus_wei == bonus_wei
    assert explained.terms[0].earned_wei == (policy.reward_wei + bonus_wei) // 5


@pytest.mark.slow
def test_a_fallen_round_that_nobody_posts_again_pays_its_submitters(consortium: Consortium) -> None:
    lie_about_the_model(consortium)
    consortium.work_until(has_fallen, with_aggregator=False)
    consortium.work_until(lambda history: 1 in history.voids)
    history = run_to_the_end(consortium, consortium.aggregator)

    assert history.voids[1] is VoidReason.NOT_POSTED
    share_wei = history.bonus_wei(1) // 5
    assert share_wei > 0
    assert [claim.amount_wei for claim in history.claims if claim.round == 1] == 5 * [share_wei]
    report = consortium.audit()
    assert report.verdict == "pass", report.findings
    assert report.rounds[0].void_reason == "not_posted"
    verify_explained(consortium, *(account.address for account in consortium.accounts.values()))
    verify_explained(consortium, consortium.operator.address)
    explained = explain_rewards(consortium.ledger(), consortium.store, consortium.address(OWNERS[0]))
    assert (explained.terms[0].earned_wei, explained.terms[0].paid_wei) == (share_wei, share_wei)
    assert "share what a lost bond left it" in explained.terms[0].outcome


def test_a_rejected_posting_is_listed_and_costs_no_bond(
    consortium: Consortium, capsys: pytest.CaptureFixture[str]
) -> None:
    aggregate = closed_and_published(consortium)
    publish(consortium, aggregate)
    post(consortium, aggregate, model=RANDOM_ROOT)
    for owner in OWNERS[:3]:
        submissions = consortium.history.submissions[1]
        (own,) = [one for one in submissions if one.participant == consortium.address(owner)]
        consortium.run.ledger.object(consortium.accounts[owner], model_root=RANDOM_ROOT, submission=own)

    report = consortium.audit()

    assert report.verdict == "pass", report.findings
    (entry,) = report.rounds[0].fallen
    assert (entry.reason, entry.challenger, entry.objections) == ("objections", None, 3)
    assert (entry.bond_lost_wei, entry.founded) == (0, True)
    from rich.console import Console

    print_report(Console(width=200), report)
    assert "rejected by its submitters" in capsys.readouterr().out
    verify_explained(consortium, consortium.aggregator_account.address)


def test_a_wrong_posting_names_the_remedy_while_there_is_one(consortium: Consortium) -> None:
    lie_about_the_model(consortium)
    report = consortium.audit()
    (finding,) = report.findings
    assert [warning.kind for warning in report.warnings] == [Kind.CHALLENGE_POSSIBLE]
    assert finding.advice is not None
    assert "fl-chain challenge --round 1" in finding.advice
    consortium.clock.now += CHALLENGE_S
    consortium.chain.catch_up()
    consortium.run.ledger.finalize(consortium.operator)
    report = consortium.audit()
    assert [warning.kind for warning in report.warnings] == [Kind.CHALLENGE_MISSED]
    assert report.findings[0].advice is not None
    assert "Nobody challenged" in report.findings[0].advice


# ---------------------------------------------------------------------- a bond taken without reason


def audited(consortium: Consortium, reason: FallReason, **changes: object) -> AuditReport:
    """Audit as if the honest posting of round 1 had fallen."""
    ledger = consortium.ledger()
    history = ledger.sync()
    policy = history.policy
    fallen = FallenPosting(
        posting=history.postings[1],
        reason=reason,
        challenger=consortium.operator.address,
        challenge_reward_wei=policy.challenge_reward_wei,
        bonus_wei=policy.bond_wei - policy.challenge_reward_wei,
        place=ledger.all_events()[-1].place,
    )
    history.fallen.append(replace(fallen, **changes))  # type: ignore[arg-type]
    report = AuditReport(chain={}, run={"stores": 1})
    audit_falls(history, consortium.store, report, 1)
    audit_lost_bonds(history, report)
    return report


@pytest.fixture
def posted(consortium: Consortium) -> Consortium:
    consortium.work_until(lambda history: 1 in history.postings)
    return consortium


@pytest.mark.parametrize("reason", [FallReason.SUM, FallReason.RANGE, FallReason.APPLY])
def test_a_challenge_that_nothing_shows_is_a_finding(posted: Consortium, reason: FallReason) -> None:
    assert [finding.kind for finding in audited(posted, reason).findings] == [Kind.FALL_UNFOUNDED]


def test_objections_that_are_too_few_are_a_finding(posted: Consortium) -> None:
    report = audited(
        posted, FallReason.OBJECTIONS, challenger=ZERO_ADDRESS, challenge_reward_wei=0, bonus_wei=0
    )
    assert [finding.kind for finding in report.findings] == [Kind.FALL_UNFOUNDED]


def test_a_bond_that_is_divided_otherwise_is_a_finding(posted: Consortium) -> None:
    report = audited(posted, FallReason.OBJECTIONS)
    assert Kind.REWARD_DIFFERS in [finding.kind for finding in report.findings]


@pytest.mark.parametrize(
    ("reason", "alter"),
    [
        (FallReason.SUM, lambda posting: {"partial_sum_roots": (RANDOM_ROOT,)}),
        (FallReason.APPLY, lambda posting: {"model_root": RANDOM_ROOT}),
    ],
)
def test_a_challenge_that_the_blobs_show_is_none(
    posted: Consortium, reason: FallReason, alter: Callable[[object], dict[str, object]]
) -> None:
    posting = posted.history.postings[1]
    wrong = replace(posting, **alter(posting))  # type: ignore[arg-type]
    assert audited(posted, reason, posting=wrong).findings == []


def test_what_the_blobs_do_not_tell_is_a_warning(posted: Consortium) -> None:
    for path in (posted.folder / "store" / "updates").rglob("*"):
        if path.is_file():
            path.unlink()
            break
    report = audited(posted, FallReason.SUM)
    assert report.findings == []
    assert [warning.kind for warning in report.warnings] == [Kind.FALL_UNVERIFIABLE]


def test_a_run_that_has_not_fallen_lists_nothing(posted: Consortium) -> None:
    report = posted.audit()
    assert report.verdict == "pass"
    assert [item.fallen for item in report.rounds] == [[], []]
    assert not has_ended(posted.history, int(posted.clock.now))
