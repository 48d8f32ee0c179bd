"""Every fact on the ledger has a check, and a lie about any of them is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from enum import IntEnum
from typing import Any

import pytest
from deployed_runs import Run, deployed_run
from eventful import play_everything

from fl_chain.audit.checks import CHECKS, CheckId
from fl_chain.audit.conservation import audit_conservation
from fl_chain.audit.coverage import (
    BLOBS,
    ENCRYPTION_BLOBS,
    EVENTS,
    MASK_BLOBS,
    MASK_EVENTS,
    MASK_VIEWS,
    VIEWS,
)
from fl_chain.audit.findings import AuditReport
from fl_chain.audit.kinds import Kind
from fl_chain.audit.ledger_state import audit_blocks, audit_contract_state, comparisons
from fl_chain.audit.money import audit_lost_bonds, audit_rewards
from fl_chain.audit.step_rules import problems
from fl_chain.audit.steps import audit_events
from fl_chain.audit.submissions import audit_submissions
from fl_chain.errors import MalformedResponse
from fl_chain.ledger import events as e
from fl_chain.ledger.artifact import Artifact, secure_aggregation, training_ledger
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.records import Exclusion


@pytest.fixture(scope="module")
def played() -> Iterator[Run]:
    with deployed_run(participants=7, max_unfinal_rounds=16) as run:
        run.start(5)
        play_everything(run)
        yield run


def audited(ledger: Ledger, events: list[e.Event]) -> AuditReport | None:
    """Audit what the ledger says; None where the events contradict one another so much that it is refused."""
    report = AuditReport(chain={}, run={})
    history = History(ledger.run)
    try:
        history.extend(events)
    except MalformedResponse:
        return None
    audit_events(ledger.run, events, report)
    audit_submissions(history, report)
    audit_blocks(ledger.node, events, report)
    audit_rewards(history, report)
    audit_lost_bonds(history, report)
    if report.findings:
        return report
    if any(expected != actual for *_, expected, actual in comparisons(ledger, history, is_proven=False)):
        report.add(Kind.STATE_DIFFERS, "")  # without asking for the rest: there are many lies to tell
        return report
    audit_contract_state(ledger, history, report, is_proven=False)
    audit_conservation(ledger, history, events, report, is_proven=False)
    return report


def events_of(run: Run) -> list[e.Event]:
    run.ledger.sync()
    return run.ledger.all_events()


def test_an_honest_ledger_has_no_finding_and_everything_happens_in_it(played: Run) -> None:
    events = events_of(played)
    assert {type(event) for event in events} == set(e.EVENT_TYPES)
    report = audited(played.ledger, events)
    assert report is not None
    assert report.findings == []
    assert report.warnings == []
    made = {CheckId.EVENT_ORDER, CheckId.EVENT_FIELDS, CheckId.SEEDS, CheckId.CONTRACT_STATE, CheckId.BLOCKS}
    made |= {CheckId.SUBMISSIONS, CheckId.ROUND_DIGESTS, CheckId.CLAIMS, CheckId.CONSERVATION}
    assert made <= set(report.checks)


# ---------------------------------------------------------------------- the map is whole


def contract_facts(artifact: Artifact) -> tuple[dict[str, set[str]], set[str]]:
    """Return the fields of every event and the names of every view, from the contract's description."""
    abi = artifact.abi
    events = {
        one["name"]: {field["name"] for field in one["inputs"]} for one in abi if one["type"] == "event"
    }
    views = {one["name"] for one in abi if one.get("stateMutability") in ("view", "pure")}
    return events, views


def test_every_event_field_and_view_has_a_check() -> None:
    events, views = contract_facts(training_ledger())
    assert {name: set(own) for name, own in EVENTS.items()} == events
    assert set(VIEWS) == views
    events, views = contract_facts(secure_aggregation())
    assert {name: set(own) for name, own in MASK_EVENTS.items()} == events
    assert set(MASK_VIEWS) == {one for one in views if not one.startswith(("challenge", "before"))}
    assert all(checks for own in (EVENTS | MASK_EVENTS).values() for checks in own.values())
    assert all((VIEWS | MASK_VIEWS).values())


def test_every_blob_has_a_check() -> None:
    from fl_chain.store import blobs, mask_blobs, signed_blobs

    pairs = ((blobs, BLOBS), (mask_blobs, MASK_BLOBS), (signed_blobs, ENCRYPTION_BLOBS))
    for module, covered in pairs:
        lines = [line for line in module.__doc__.splitlines() if line.count("``") > 1]
        assert set(covered) == {line.split("``")[1].split("/")[0] for line in lines}
        assert all(covered.values())


def test_every_check_covers_something() -> None:
    covering = {
        check for own in (EVENTS | MASK_EVENTS).values() for checks in own.values() for check in checks
    }
    blobs = (*BLOBS.values(), *ENCRYPTION_BLOBS.values())
    covering |= {check for checks in (*VIEWS.values(), *blobs) for check in checks}
    # These two look at what the others have found, or at which block an event is of.
    covering |= {CheckId.UNCHALLENGED, CheckId.BLOCKS, CheckId.ROUND_DIGESTS, CheckId.SELECTIONS}
    # These two cover every fact once more, where the node offers proofs.
    covering |= {CheckId.PROVEN_EVENTS, CheckId.PROVEN_STATE}
    assert covering == {check.id for check in CHECKS}


def test_every_event_has_a_rule() -> None:
    fallback = problems.dispatch(e.Event)
    assert all(problems.dispatch(kind) is not fallback for kind in (*e.EVENT_TYPES, *e.MASK_EVENT_TYPES))
    with pytest.raises(NotImplementedError):
        problems(e.Event(None), None)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- lies


def lies_about(value: Any) -> list[Any]:
    """Return other values of the same form."""
    found: list[Any] = []
    match value:
        case bool():
            found = [not value]
        case IntEnum():
            found = [one for one in type(value) if one is not value]
        case int():
            found = [value + 1, max(0, value - 1)] if value else [value + 1]
        case str():
            found = ["0x" + "5a" * 20]
        case bytes():
            found = [bytes([value[0] ^ 1]) + value[1:]]
        case tuple() if value and isinstance(value[0], Exclusion):
            found = [
                (),
                *((replace(value[0], **lie), *value[1:]) for lie in ({"index": 0}, {"leaf": bytes(32)})),
            ]
        case tuple() if value:
            found = [value[:-1], (bytes(32), *value[1:])]
    return found


def lies(event: e.Event) -> Iterator[tuple[str, e.Event]]:
    for field in fields(event):
        if field.name == "place":
            continue
        value = getattr(event, field.name)
        if field.name in ("definition", "policy"):
            for inner in fields(value):
                for other in lies_about(getattr(value, inner.name)):
                    changed = replace(value, **{inner.name: other})
                    yield f"{field.name}.{inner.name}", replace(event, **{field.name: changed})
            continue
        for other in lies_about(value):
            yield field.name, replace(event, **{field.name: other})


UNSEEN = {  # no rule and no view says anything about them: only another node can differ
    ("PoolFunded", "from_"),
    ("PoolWithdrawn", "to"),
    ("SignerRotationRequested", "signer"),
    # Nor where something else took their place before anything rested on them.
    ("ParticipantRegistered", "payout"),
    ("RoundPosted", "partial_sum_roots"),  # of a posting that fell
    ("PostingFell", "reason"),  # which proof it was: the blobs say that, and tests/roles/test_falls.py
}


@pytest.mark.parametrize("kind", e.EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_a_lie_about_any_field_of_an_event_is_found(played: Run, kind: type[e.Event]) -> None:
    events = events_of(played)
    places = [at for at, event in enumerate(events) if isinstance(event, kind)]
    tried = 0
    for at in {places[0], places[-1]}:
        for name, lie in lies(events[at]):
            tried += 1
            report = audited(played.ledger, [*events[:at], lie, *events[at + 1 :]])
            is_found = report is None or bool(report.findings)
            if not is_found:
                assert (kind.__name__, name) in UNSEEN, f"{name} of {events[at]}"
    assert tried


def test_a_lie_about_an_events_block_is_found(played: Run) -> None:
    events = events_of(played)
    for at in range(0, len(events), 7):
        place = events[at].place
        for other in (
            replace(place, timestamp=place.timestamp + 1),
            replace(place, block_hash=bytes(32)),
            replace(place, block_number=place.block_number + 10_000),
        ):
            report = audited(
                played.ledger, [*events[:at], replace(events[at], place=other), *events[at + 1 :]]
            )
            assert report is None or report.findings


def test_an_event_that_is_left_out_or_told_twice_is_found(played: Run) -> None:
    events = events_of(played)
    for at in range(len(events)):
        report = audited(played.ledger, [*events[:at], *events[at + 1 :]])
        is_replaced = isinstance(events[at], e.SignerRotationRequested)
        assert report is None or report.findings or is_replaced, f"without {events[at]}"
    for at in range(1, len(events), 2):
        later = [
            replace(one, place=replace(one.place, log_index=one.place.log_index + 1)) for one in events[at:]
        ]
        report = audited(played.ledger, [*events[: at + 1], *later])
        changes_nothing = isinstance(events[at], e.PayoutChanged | e.SignerRotationRequested)
        assert report is None or report.findings or changes_nothing, f"twice {events[at]}"


def test_a_made_up_seed_has_its_own_kind(played: Run) -> None:
    events = events_of(played)
    at = next(at for at, event in enumerate(events) if isinstance(event, e.RoundClosed))
    closed = events[at]
    assert isinstance(closed, e.RoundClosed)
    report = audited(played.ledger, [*events[:at], replace(closed, seed=bytes(32)), *events[at + 1 :]])
    assert report is not None
    assert [finding.kind for finding in report.findings] == [Kind.SEED_DIFFERS]


def test_a_late_submission_has_its_own_kind(played: Run) -> None:
    events = events_of(played)
    at = next(at for at, event in enumerate(events) if isinstance(event, e.UpdateSubmitted))
    late = replace(events[at].place, timestamp=events[at].place.timestamp + played.policy.submission_s)
    report = AuditReport(chain={}, run={})
    audit_events(played.ledger.run, [*events[:at], replace(events[at], place=late)], report)
    assert [finding.kind for finding in report.findings] == [Kind.LATE_SUBMISSION]


def test_a_step_out_of_order_and_a_field_that_does_not_follow_have_their_kinds(played: Run) -> None:
    events = events_of(played)
    at = next(at for at, event in enumerate(events) if isinstance(event, e.RoundPosted))
    posted = events[at]
    assert isinstance(posted, e.RoundPosted)
    for lie, kind in (
        (replace(posted, finalizable_at=posted.finalizable_at + 1), Kind.EVENT_DIFFERS),
        (replace(posted, poster=played.participants[0].address), Kind.OUT_OF_ORDER),
        (replace(posted, included=posted.included - 1), Kind.TOTAL_WEIGHT_DIFFERS),
    ):
        report = AuditReport(chain={}, run={})
        audit_events(played.ledger.run, [*events[:at], lie], report)
        assert kind in {finding.kind for finding in report.findings}
        assert report.findings[0].round == posted.round


@pytest.mark.parametrize("over", [0, 1, 2])
def test_every_round_beyond_the_privacy_budget_is_a_finding(played: Run, over: int) -> None:
    """Under a ledger that had promised fewer rounds than it opened."""
    deployed, *rest = events_of(played)
    assert isinstance(deployed, e.RunDeployed)
    opened = [event.round for event in rest if isinstance(event, e.RoundOpened)]
    assert opened == list(range(1, len(opened) + 1))
    policy = replace(
        deployed.policy, rho_micro_per_round=156_250, rho_micro_budget=156_250 * (len(opened) - over)
    )
    report = AuditReport(chain={}, run={})
    audit_events(played.ledger.run, [replace(deployed, policy=policy), *rest], report)
    assert [finding.kind for finding in report.findings] == [Kind.OUT_OF_ORDER] * over
    assert [finding.round for finding in report.findings] == opened[len(opened) - over :]
    assert all("the privacy budget was spent" in finding.detail for finding in report.findings)


@pytest.mark.parametrize("kind", [e.PoolFunded, e.BondDeposited, e.RewardClaimed])
def test_money_that_appears_or_vanishes_is_found(played: Run, kind: type[e.Event]) -> None:
    events = events_of(played)
    at = next(at for at, event in enumerate(events) if isinstance(event, kind))
    lie = replace(events[at], amount_wei=events[at].amount_wei + 1)  # type: ignore[attr-defined]
    told = [*events[:at], lie, *events[at + 1 :]]
    history = History(played.ledger.run)
    history.extend(told)
    report = AuditReport(chain={}, run={})
    audit_conservation(played.ledger, history, told, report, is_proven=False)
    kinds = {finding.kind for finding in (*report.findings, *report.warnings)}
    assert kinds & {Kind.MONEY_UNACCOUNTED, Kind.BALANCE_SHORT, Kind.BALANCE_EXCESS}
    if kind is not e.RewardClaimed:
        assert Kind.MONEY_UNACCOUNTED in kinds
