import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from made_reports import (
    account,
    encoded,
    made_report,
    made_round,
    made_summary,
    root,
    round_without_model,
)

from fl_chain.audit import findings as audit_findings
from fl_chain.audit.checks import CHECKS
from fl_chain.audit.findings import REPORT_VERSION
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import MissingBlob, Role
from fl_chain.errors import InputDataError
from fl_chain.records import ExclusionReason, RoundStatus, VoidReason
from fl_chain.report import parse_report, parse_summary
from fl_chain.report.schema import (
    MOST_TEXT,
    OLD_VERSIONS,
    VERSION,
    Check,
    Finding,
    Holder,
    Report,
    Round,
    Submitted,
)

Change = Callable[[dict[str, Any]], object]
TOO_LONG = "x" * (MOST_TEXT + 1)


def made_finding(**changes: Any) -> dict[str, Any]:
    return audit_findings.Finding(Kind.MODEL_DIFFERS, "x").to_json() | changes


def test_what_the_audit_writes_is_read() -> None:
    report = made_report()
    report.add(Kind.UPDATE_ALTERED, "replace it", round=2, participant=account(1), expected=root(1))
    parsed = parse_report(report.to_json().encode())
    assert json.loads(parsed.model_dump_json(exclude_defaults=True)) == json.loads(
        Report.model_validate_json(report.to_json()).model_dump_json(exclude_defaults=True)
    )
    assert parsed.findings[0].kind == "update_altered"
    assert len(parsed.rounds) == 3


def test_the_schema_knows_every_name_that_the_audit_uses() -> None:
    for kind in Kind:
        content = audit_findings.Finding(kind, "").to_json()
        assert Finding(**content).kind == kind.value
    for check in CHECKS:
        assert Check(id=check.id, title="", proves="", times=1, not_made_because=None).id == check.id
    assert set(get_args(Holder.model_fields["role"].annotation)) == {role.value for role in Role}
    assert VERSION == REPORT_VERSION
    assert not {*OLD_VERSIONS} & {VERSION}
    assert get_args(Report.model_fields["version"].annotation) == (REPORT_VERSION,)
    statuses = set(get_args(Round.model_fields["status"].annotation))
    assert statuses == {status.name.lower() for status in RoundStatus} - {"none"}
    voids = get_args(get_args(Round.model_fields["void_reason"].annotation)[0])
    assert set(voids) == {reason.name.lower() for reason in VoidReason}
    reasons = get_args(get_args(Submitted.model_fields["excluded"].annotation)[0])
    assert set(reasons) == {reason.name.lower() for reason in ExclusionReason}


def set_in(*path: Any, to: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        at: Any = content
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (set_in("version", to=5), "version"),
        (set_in("from_round", to=2), "from round 2"),
        (set_in("from_round", to=0), "from_round"),
        (set_in("verdict", to="pass from round 2"), "pass from round 2 with 0 findings from round 1"),
        (set_in("rounds", 1, "audited", to=False), "round 2 is not audited"),
        (set_in("verdict", to="perhaps"), "verdict"),
        (set_in("verdict", to="fail"), "fail with 0 findings"),
        (set_in("findings", to=[made_finding()]), "pass with 1 findings"),
        (set_in("findings", to=[made_finding(kind="<b>")]), "findings.0.kind"),
        (set_in("findings", to=[made_finding(severity="mild")]), "findings.0.severity"),
        (set_in("warnings", to=[made_finding()]), "a finding among the warnings is none"),
        (set_in("missing", to=[{"holder": account(1), "role": "friend", "blobs": []}]), "missing.0.role"),
        (set_in("checks", 0, "times", to=1), "was made 1 times"),
        (set_in("checks", 0, "id", to="no id"), "checks.0.id"),
        (set_in("chain", "ledger", to="0x12"), "chain.ledger"),
        (set_in("chain", "block_hash", to="0x" + "G" * 64), "chain.block_hash"),
        (set_in("chain", "block_number", to=-1), "chain.block_number"),
        (set_in("chain", "block_number", to=2**63), "chain.block_number"),
        (set_in("chain", "block_number", to=True), "chain.block_number"),
        (set_in("chain", "block_number", to="7"), "chain.block_number"),
        (set_in("chain", "more", to=1), "chain.more"),
        (set_in("participants", 0, "claimed_wei", to=2**256), "participants.0.claimed_wei"),
        (set_in("participants", 1, "participant", to=account(1)), "listed twice"),
        (set_in("rounds", 1, "round", to=3), "round 3 stands where round 2"),
        (set_in("rounds", 1, "base_round", to=2), "round 2 is built on round 2"),
        (set_in("rounds", 1, "status", to="lost"), "rounds.1.status"),
        (set_in("rounds", 1, "submissions", to=4), "counts 4 submissions and lists 3"),
        (set_in("rounds", 1, "partial_sum_roots", to=[root(1), root(2)]), "lists 2 partial sums"),
        (set_in("rounds", 1, "model_root", to=None), "no model"),
        (set_in("rounds", 1, "participants", 0, "participant", to=account(50)), "is no participant"),
        (set_in("rounds", 1, "participants", 0, "excluded", to="disliked"), "excluded"),
        (set_in("warnings", to=[made_finding(severity="warning", detail=TOO_LONG)]), "warnings.0.detail"),
        (set_in("gas", "rounds", to={"01": {}}), "gas.rounds"),
        (set_in("blobs", to=None), "blobs"),
    ],
)
def test_what_no_audit_writes_is_refused_by_name(change: Change, named: str) -> None:
    content = json.loads(made_report().to_json())
    change(content)
    with pytest.raises(InputDataError, match="no audit report") as refused:
        parse_report(json.dumps(content).encode())
    assert named in str(refused.value)


def test_the_longest_text_is_taken() -> None:
    longest = made_finding(severity="warning", detail=TOO_LONG[1:])
    assert parse_report(encoded(made_report(), warnings=[longest])).warnings[0].detail == TOO_LONG[1:]


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_an_old_report_is_refused_with_a_way_out(version: int) -> None:
    with pytest.raises(InputDataError, match=f"version {version}.*audit the run again"):
        parse_report(encoded(made_report(), version=version, warnings=["as it was then"], checks={}))


def test_a_partial_audit_is_read() -> None:
    report = made_report()
    report.from_round = 2
    report.rounds[0] = made_round(1, 3, audited=False, verified=False, clamped_lanes=None)
    report.missing.append(MissingBlob("an update", "updates/x", None, ((Role.OPERATOR, account(98)),)))
    parsed = parse_report(report.to_json().encode())
    assert parsed.verdict == "pass from round 2"
    assert parsed.missing[0].blobs[0].path == "updates/x"
    with pytest.raises(InputDataError, match="no round 4"):
        parse_report(encoded(report, from_round=4, verdict="pass from round 4", rounds=[]))


def test_every_check_is_listed_with_its_reason_where_it_was_not_made() -> None:
    parsed = parse_report(made_report().to_json().encode())
    assert [check.id for check in parsed.checks] == [check.id.value for check in CHECKS]
    made = {check.id for check in parsed.checks if check.times}
    assert made == {"round_digests"}
    assert all(check.not_made_because for check in parsed.checks if check.id not in made)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"version": NaN}'])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(InputDataError):
        parse_report(content)
    with pytest.raises(InputDataError):
        parse_summary(content)


def test_a_round_that_nobody_joined_is_read() -> None:
    report = made_report()
    report.rounds.append(round_without_model(4, 0, status="void", void_reason="below_quorum"))
    assert parse_report(report.to_json().encode()).rounds[3].void_reason == "below_quorum"


def test_a_summary_is_read() -> None:
    summary = parse_summary(made_summary())
    assert summary.rounds["2"]["auroc"] == pytest.approx(0.82)


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": {"0": {"auroc": 0.5}}},
        {"rounds": {"1": {"auroc": 1e13}}},
        {"rounds": {"1": {"<b>": 0.5}}},
        {"model_root": "0x"},
        {"pooled": {f"metric_{i}": 0.5 for i in range(13)}},
        {"more": 1},
    ],
)
def test_a_summary_that_no_run_writes_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputDataError, match="no summary"):
        parse_summary(made_summary(**change))


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputDataError, match="no summary"):
        parse_summary(made_summary(1).replace(b"0.81", b"NaN"))
