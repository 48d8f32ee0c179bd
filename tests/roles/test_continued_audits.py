"""Audits that are interrupted, begin at a round, or follow a run: each says what a whole one says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from consortium import Consortium
from test_falls import has_fallen, lie_about_the_model

from fl_chain.audit import AuditMemory, AuditReport, Kind, Progress, audit_run, follow_run
from fl_chain.audit.attestation import statement
from fl_chain.audit.findings import RoundSummary
from fl_chain.errors import ConfigError, InputDataError
from fl_chain.ledger.history import History
from fl_chain.records import Address, Digest, RunId
from fl_chain.report import parse_report, render_page
from fl_chain.store import Store, Update


class Interrupted(Exception):
    """The audit was killed."""


class CountingStore(Store):
    """A store that counts the updates that were read."""

    def __init__(self, consortium: Consortium) -> None:
        super().__init__([str(consortium.folder / "store")])
        self.updates = 0

    def read_update(
        self,
        participant: Address,
        sealed_root: Digest,
        dimension: int,
        *,
        run: RunId,
        round: int,  # noqa: A002
    ) -> Update:
        self.updates += 1
        return super().read_update(participant, sealed_root, dimension, run=run, round=round)


def has_ended(history: History) -> bool:
    return history.state.settled == history.policy.max_rounds


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """A run of three rounds, all final."""
    built = Consortium(tmp_path_factory.mktemp("ended"))
    built.work_until(has_ended)
    yield built
    built.chain.close()


def interrupted_after(updates: int) -> Callable[[Progress], None]:
    seen: list[Progress] = []

    def note(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) > updates:
            raise Interrupted

    return note


def interrupt(consortium: Consortium, path: Path, *, after: int = 13) -> None:
    with pytest.raises(Interrupted):
        audit_run(
            consortium.ledger(),
            consortium.store,
            memory=AuditMemory.opened(path),
            progress=interrupted_after(after),
        )


def resumed(consortium: Consortium, path: Path) -> tuple[AuditReport, int]:
    """Return the report of an audit that goes on, and how many updates it read."""
    store = CountingStore(consortium)
    report = audit_run(consortium.ledger(), store, memory=AuditMemory.opened(path))
    return report, store.updates


@pytest.mark.parametrize("after", [2, 7, 13])
def test_a_resumed_audit_says_the_same(ended: Consortium, tmp_path: Path, after: int) -> None:
    path = tmp_path / "audit.state"
    interrupt(ended, path, after=after)
    whole = ended.audit().to_json()

    report, updates = resumed(ended, path)
    assert report.to_json() == whole
    assert updates == {2: 15, 7: 15, 13: 10}[after]  # those of the last whole round once more

    again, updates = resumed(ended, path)
    assert again.to_json() == whole
    assert updates == 5  # of the newest round, which the next one would be compared with


def test_an_interruption_in_the_middle_of_a_line_costs_one_round(ended: Consortium, tmp_path: Path) -> None:
    path = tmp_path / "audit.state"
    interrupt(ended, path)
    path.write_bytes(path.read_bytes()[:-9])
    assert len(AuditMemory.opened(path).rounds) == 1

    report, _ = resumed(ended, path)

    assert report.to_json() == ended.audit().to_json()
    assert len(AuditMemory.opened(path).rounds) == 3


@pytest.mark.parametrize("place", [0.01, 0.2, 0.5, 0.8, 0.99])
def test_a_damaged_file_is_refused(ended: Consortium, tmp_path: Path, place: float) -> None:
    path = tmp_path / "audit.state"
    interrupt(ended, path)
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputDataError, match="Remove it to begin anew"):
        AuditMemory.opened(path)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.state"
    for content in (b"hello\n", b"\n", b"{}\n" * 3, bytes(200) + b"\n"):
        path.write_bytes(content)
        with pytest.raises(InputDataError):
            AuditMemory.opened(path)
    with pytest.raises(InputDataError, match="cannot read"):
        AuditMemory.opened(tmp_path)


def test_a_file_of_another_audit_is_refused(ended: Consortium, tmp_path: Path) -> None:
    path = tmp_path / "audit.state"
    interrupt(ended, path)
    elsewhere = Store([str(ended.folder / "store"), str(tmp_path / "other")])
    with pytest.raises(InputDataError, match="another stores"):
        audit_run(ended.ledger(), elsewhere, memory=AuditMemory.opened(path))
    with pytest.raises(InputDataError, match="another from round"):
        audit_run(ended.ledger(), ended.store, from_round=2, memory=AuditMemory.opened(path))
    memory = AuditMemory.opened(path)
    assert memory.header is not None
    memory.header["ledger"] = "0x" + "11" * 20
    with pytest.raises(InputDataError, match="another ledger"):
        audit_run(ended.ledger(), ended.store, memory=memory)


def test_another_branch_is_audited_anew_from_where_it_differs(
    ended: Consortium, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.state"
    resumed(ended, path)
    memory = AuditMemory.opened(path)
    kept = [memory.rounds[0], *memory.rounds[1:]]
    memory.keep_first(0)
    for number, one in enumerate(kept):
        memory.add(Digest(bytes(32)) if number else one.fingerprint, one.result)

    report, updates = resumed(ended, path)

    assert report.to_json() == ended.audit().to_json()
    assert updates == 15  # the first round's for their sketches, and both others
    assert "since round 2" in caplog.text


def test_a_model_that_has_gone_meanwhile_is_derived_again(ended: Consortium, tmp_path: Path) -> None:
    path = tmp_path / "audit.state"
    interrupt(ended, path, after=7)
    root = "0x" + ended.history.postings[1].model_root.hex()
    blob = ended.folder / "store" / "models" / root
    content = blob.read_bytes()
    blob.unlink()
    try:
        report, _ = resumed(ended, path)
        assert report.to_json() == ended.audit().to_json()
        assert [finding.kind for finding in report.findings] == [Kind.MODEL_BLOB_MISSING]
        assert report.rounds[1].verified
    finally:
        blob.write_bytes(content)


# ---------------------------------------------------------------------- from a round on


def test_earlier_rounds_are_taken_from_the_ledgers_word(ended: Consortium) -> None:
    store = CountingStore(ended)
    report = audit_run(ended.ledger(), store, from_round=2)

    assert report.verdict == "pass from round 2"
    assert [item.audited for item in report.rounds] == [False, True, True]
    assert [item.verified for item in report.rounds] == [False, True, True]
    assert store.updates == 10
    source = report.to_json().encode()
    assert "verdict: pass from round 2" in statement(source)
    page = render_page(parse_report(source), source=source)
    assert "PASS FROM ROUND 2" in page
    assert "taken from the ledger's word" in page


def test_what_is_wrong_before_the_first_round_is_not_seen_and_what_it_rests_on_is(ended: Consortium) -> None:
    first = ended.history.submissions[1][0]
    folder = ended.folder / "store"
    update = folder / "updates" / first.participant / ("0x" + first.sealed_root.hex())
    model = folder / "models" / ("0x" + ended.history.postings[1].model_root.hex())
    for blob, kinds in (
        (update, []),
        (model, [Kind.MODEL_BLOB_ALTERED, Kind.MODEL_UNDERIVABLE]),
    ):
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        try:
            report = audit_run(ended.ledger(), ended.store, from_round=2)
            assert [finding.kind for finding in report.findings] == kinds
            assert ended.audit().verdict == "fail"
        finally:
            blob.write_bytes(content)
    (_, underivable) = report.findings
    assert underivable.advice is not None
    assert "an audit from an earlier round derives it" in underivable.advice


def test_a_round_that_is_not_there_cannot_be_the_first(ended: Consortium) -> None:
    with pytest.raises(ConfigError, match="no round 4 yet: the newest is 3"):
        audit_run(ended.ledger(), ended.store, from_round=4)
    assert audit_run(ended.ledger(), ended.store, from_round=3).verdict == "pass from round 3"


# ---------------------------------------------------------------------- a run that goes on


def test_a_run_is_followed_to_its_end(consortium: Consortium) -> None:
    told: list[tuple[int, str]] = []
    store = CountingStore(consortium)

    def note(item: RoundSummary, report: AuditReport) -> None:
        told.append((item.round, item.status))
        assert report.verdict == "pass"

    def wait() -> None:
        if not consortium.work():
            consortium.pass_time(5)

    report = follow_run(consortium.ledger(), store, tell=note, wait=wait)

    assert report is not None
    assert report.run["ended"]
    assert report.to_json() == consortium.audit().to_json()
    assert {(number, status) for number in (1, 2, 3) for status in ("posted", "final")} == set(told)
    assert len(told) == 6
    assert store.updates == 15  # each once


def test_following_ends_with_what_is_known(consortium: Consortium) -> None:
    def wait() -> None:
        if 1 in consortium.history.postings:
            raise KeyboardInterrupt
        if not consortium.work():
            consortium.pass_time(5)

    def stop() -> None:
        raise KeyboardInterrupt

    report = follow_run(consortium.ledger(), consortium.store, tell=lambda item, report: None, wait=wait)
    assert report is not None
    assert not report.run["ended"]
    deep = consortium.ledger()
    deep._confirmations = 10_000
    assert follow_run(deep, consortium.store, tell=lambda item, report: None, wait=stop) is None


def test_a_posting_that_fell_is_not_remembered(consortium: Consortium, tmp_path: Path) -> None:
    memory = AuditMemory.opened(tmp_path / "audit.state")
    lie_about_the_model(consortium)
    before = audit_run(consortium.ledger(), consortium.store, memory=memory)
    assert [finding.kind for finding in before.findings] == [Kind.MODEL_DIFFERS]

    consortium.work_until(has_fallen, with_aggregator=False)

    for remembered in (memory, AuditMemory.opened(tmp_path / "audit.state")):
        after = audit_run(consortium.ledger(), consortium.store, memory=remembered)
        assert after.verdict == "pass"
        assert after.to_json() == consortium.audit().to_json()
