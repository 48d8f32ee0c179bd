"""One run in which nobody sees a single update: all there, one away, liars, and too few to unmask."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consortium import policy
from masked_consortium import MaskedConsortium

from fl_chain.aggregation.quantise import verify_update
from fl_chain.aggregation.round import aggregate_round
from fl_chain.audit import audit_run
from fl_chain.audit.findings import AuditReport
from fl_chain.audit.kinds import Kind
from fl_chain.audit.ledger_state import comparisons
from fl_chain.audit.masks import MaskAudit, audit_secrecy, audit_seeds
from fl_chain.audit.rounds import RoundAudit
from fl_chain.audit.steps import audit_events
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.tree import vector_tree
from fl_chain.config import MaskingSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import MalformedResponse, UpdateOutOfRange
from fl_chain.ledger import events as e
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.masking.masks import Mask, add_masks, native_lanes, self_mask_key, wire_lanes
from fl_chain.masking.setup import round_secrets
from fl_chain.records import Digest, FallReason, RoundStatus, VoidReason
from fl_chain.run.masked_rounds import masking_context, published_seeds, unmasking_vectors
from fl_chain.run.protection import NONE, protection
from fl_chain.run.recovery import Recovery
from fl_chain.run.unmasking import joined_seeds
from fl_chain.store import Store

LATE = OWNERS[4]
SUBMITTING = {1: OWNERS, 2: OWNERS[:4]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MaskedConsortium]:
    folder: Path = tmp_path_factory.mktemp("masked")
    run = MaskedConsortium(folder, policy=policy(rounds=3), privacy=MaskingSettings(kind="secagg"))
    run.work_until(lambda history: 2 in history.rounds)
    # Round 2: one is away after its keys are set up; then two postings lie before one is right.
    run.work_until(lambda history: len(history.round_masks(2).keys) == 5)
    run.work_until(lambda history: history.rounds[2].status is RoundStatus.CLOSED, SUBMITTING[2])
    run.workers = {owner: run.workers[owner] for owner in SUBMITTING[2]}
    run.workers[LATE] = run.worker(LATE)
    people = SUBMITTING[2]
    run.work_until(lambda history: history.round_masks(2).exclusions is not None, people)
    while run.work(people, with_aggregator=False):
        pass
    seeds = joined_seeds(run.history, run.store, 2)
    run.post(2, run.aggregator_account, [*seeds[:-1], bytes(16)])
    run.work_until(lambda history: len(history.fallen) == 1, people, with_aggregator=False)
    run.post(2, run.account("second"), seeds, wrong_term=-1)
    run.work_until(lambda history: len(history.fallen) == 2, people, with_aggregator=False)
    run.post(2, run.account("third"), seeds)
    # The last round: two are away, and three cannot put the seed of one of them together.
    run.work_until(
        lambda history: history.rounds[history.state.latest].status is RoundStatus.OPEN, people[:1]
    )
    last = run.history.state.latest
    run.work_until(lambda history: len(history.round_masks(last).keys) == 1, (LATE,), with_aggregator=False)
    run.work_until(lambda history: len(history.round_masks(last).keys) == 5, people, with_aggregator=False)
    run.work_until(lambda history: history.rounds[last].status is RoundStatus.VOID, people[:3], pause_s=20.0)
    yield run
    run.chain.close()


@pytest.fixture(scope="module")
def report(run: MaskedConsortium) -> Iterator[AuditReport]:
    """The run's audit. Rounds of this size would be read in one pass each, were they plain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fl_chain.run.striped.WORTHWHILE_BYTES", 0)
        yield run.audit()


@pytest.mark.parametrize("round_id", [1, 2])
def test_the_model_is_that_of_the_plain_updates(run: MaskedConsortium, round_id: int) -> None:
    history = run.history
    owner_of = {run.address(owner): owner for owner in OWNERS}
    submissions = history.submissions[round_id]
    assert {owner_of[one.participant] for one in submissions} == set(SUBMITTING[round_id])
    plain = [run.plain_update(round_id, owner_of[one.participant]) for one in submissions]
    base = run.store.read_model(history.base_model_roots[round_id], history.definition.dimension)
    weight = sum(one.weight for one in submissions)
    made = aggregate_round(base, plain, weight, history.policy.quantisation)
    assert made.model_root == history.postings[round_id].model_root


def test_the_audit_passes_and_names_what_ran(run: MaskedConsortium, report: AuditReport) -> None:
    assert report.verdict == "pass", report.findings
    assert report.run["protection"] == protection(run.history) != NONE
    assert report.checks["masks"] > 0
    assert report.checks["secrecy"] > 0
    assert report.proofs["state"]["whole_storage"]
    assert [item.round for item in report.rounds if item.verified] == [1, 2]


def test_wrong_seeds_and_terms_were_challenged_rightly(run: MaskedConsortium, report: AuditReport) -> None:
    assert [one.reason for one in run.history.fallen] == [FallReason.SEED, FallReason.MASK]
    (second,) = [item for item in report.rounds if item.round == 2]
    assert [one.founded for one in second.fallen] == [True, True]


def test_a_round_that_too_few_can_unmask_is_void_and_says_why(
    run: MaskedConsortium, report: AuditReport
) -> None:
    (void,) = [number for number, why in run.history.voids.items() if why is VoidReason.NOT_POSTED]
    (warning,) = [one for one in report.warnings if one.kind is Kind.MASKS_LEFT_ON]
    assert warning.round == void
    assert "takes 4 shares, and 3 are released" in warning.detail


def test_nothing_about_an_update_follows_from_ledger_and_store(run: MaskedConsortium) -> None:
    """Whatever is public is taken off an update: what is left is as random as before."""
    history = run.history
    for round_id in history.rounds:
        context, masks = masking_context(history, round_id), history.round_masks(round_id)
        for one in history.submissions[round_id]:
            if not run.store.has_update(one.participant, one.sealed_root):
                continue
            lanes = native_lanes(run.masked_update(round_id, one.index))
            for poster in masks.seeds:
                seed = published_seeds(history, round_id, poster)[one.participant]
                opened = lanes.copy()
                add_masks(opened, [Mask(self_mask_key(seed, context, one.participant), is_negative=True)])
                assert is_noise(wire_lanes(opened), one.weight, history)
            assert is_noise(wire_lanes(lanes), one.weight, history)


def is_noise(lanes: Lanes, weight: int, history: History) -> bool:
    try:
        verify_update(lanes, weight, history.policy.quantisation, history.definition.dimension)
    except UpdateOutOfRange:
        return len(np.unique(lanes)) == lanes.size
    return False


def test_every_term_is_in_the_store(run: MaskedConsortium) -> None:
    history = run.history
    poster = history.postings[1].poster
    listed = history.postings[1].partial_sum_roots[: history.round_masks(1).terms]
    derived = unmasking_vectors(history, 1, published_seeds(history, 1, poster))
    for root, lanes in zip(listed, derived, strict=True):
        assert run.store.read_sum(root, history.definition.dimension) == vector_tree(lanes).chunk_hashes


# ---------------------------------------------------------------------- a participant that spoils rounds


def test_a_spoiler_is_noticed_and_the_next_round_is_of_some(tmp_path: Path) -> None:
    """One store's worker masks with something else than it said; `test_recovery` plays it to the end."""
    run = MaskedConsortium(tmp_path, policy=policy(rounds=3), privacy=MaskingSettings(kind="secagg"))
    spoiler, everyone = run.workers[LATE]._ring, set(map(run.address, OWNERS))
    honestly = spoiler.masked

    def spoilt(*arguments: Any) -> Lanes:
        return honestly(*arguments)[::-1].copy()

    spoiler.masked = spoilt  # type: ignore[method-assign]
    run.work_until(lambda history: 1 in history.voids, pause_s=40.0)
    (warning,) = [one for one in run.audit().warnings if one.kind is Kind.MASKS_LEFT_ON]
    assert "its sum is noise" in warning.detail
    recovery = Recovery(run.store)
    assert recovery.suspicion(run.history).suspects == everyone
    run.work_until(lambda history: bool(history.submissions.get(2)), pause_s=10.0)
    members = set(run.history.round_masks(2).members)
    assert members == recovery.members(run.history, 2)
    assert len(members) == run.policy.quorum
    run.chain.close()


# ---------------------------------------------------------------------- lies about masks


def lies_about(event: e.Event) -> Iterator[tuple[str, e.Event]]:
    """Yield a mask event with another value in each field."""
    for field in fields(event):
        value = getattr(event, field.name)
        match value:
            case int():
                yield field.name, replace(event, **{field.name: value + 1})
            case str():
                yield field.name, replace(event, **{field.name: "0x" + "5a" * 20})
            case bytes():
                yield field.name, replace(event, **{field.name: bytes([value[0] ^ 1]) + value[1:]})
            case tuple() if value:
                yield field.name, replace(event, **{field.name: value[:-1]})


def test_every_lie_about_masks_is_found(run: MaskedConsortium) -> None:
    """Another field of any event of the masks, or one event less, is refused or found, without any proof.

    So few draw no graph: its event is in `tests/unit/ledger/test_graph_history.py`.
    """
    ledger, events = run.ledger(), run.run.ledger.all_events()
    tried = 0
    for kind in e.MASK_EVENT_TYPES:
        if kind is e.GraphDrawn:
            continue
        at = next(place for place, one in enumerate(events) if isinstance(one, kind))
        for name, lie in (*lies_about(events[at]), ("", None)):
            told = [*events[:at], *([] if lie is None else [lie]), *events[at + 1 :]]
            if name == "by" and kind is e.SurvivorsFixed:
                continue  # who fixed the same set matters to nothing but the next turn
            assert is_noticed(ledger, told), (kind.__name__, name)
            tried += 1
    assert tried >= 19


def is_noticed(ledger: Ledger, events: list[e.Event]) -> bool:
    history, report = History(ledger.run), AuditReport(chain={}, run={})
    try:
        history.extend(events)
    except MalformedResponse:
        return True
    audit_events(ledger.run, events, report)
    pairs = comparisons(ledger.pinned(), history, is_proven=False)
    return bool(report.findings) or any(expected != actual for *_, expected, actual in pairs)


# ---------------------------------------------------------------------- what the audit of masks finds


def copied(run: MaskedConsortium, folder: Path) -> Path:
    """Return a copy of the run's store."""
    return Path(shutil.copytree(run.folder / "store", folder / "store"))


def kinds(report: AuditReport) -> set[str]:
    return {one.kind.value for one in (*report.findings, *report.warnings)}


def test_altered_and_lost_keys_and_shares_are_found(run: MaskedConsortium, tmp_path: Path) -> None:
    store = copied(run, tmp_path)
    altered, lost = (
        store / "shares" / one.participant / f"0x{one.shares_hash.hex()}"
        for one in run.history.round_masks(1).keys[:2]
    )
    lost.unlink()
    release = sorted((store / "releases").glob("*/*"))[0]
    for path in (altered, release):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    report = audit_run(run.ledger(), Store([str(store)]))
    assert {"shares_altered", "shares_missing", "release_altered"} <= kinds(report)
    assert report.verdict == "fail"


def test_a_posting_by_other_terms_is_found(run: MaskedConsortium) -> None:
    history = History(run.run.ledger.run)
    history.extend(run.run.ledger.all_events())
    posting = history.postings[1]
    history.postings[1] = replace(
        posting, partial_sum_roots=(Digest(bytes(32)), *posting.partial_sum_roots[1:])
    )
    audit = RoundAudit(history, run.store)
    audit.models.read_genesis(AuditReport(chain={}, run={}))
    assert "mask_term_differs" in {one.kind.value for one in audit.audit(1).findings}


def test_a_posting_by_other_seeds_is_found(run: MaskedConsortium) -> None:
    history, report = History(run.run.ledger.run), AuditReport(chain={}, run={})
    history.extend(run.run.ledger.all_events())
    masks, posting = history.masks[1], history.postings[1]
    seeds = (bytes(16), *masks.seeds[posting.poster][1:])
    history.masks[1] = replace(masks, seeds={posting.poster: seeds})
    assert not MaskAudit(history, run.store).are_seeds_right(posting, report)
    assert kinds(report) == {"mask_seed_differs"}


def test_both_seeds_of_a_participant_are_found_wherever_they_were_published(run: MaskedConsortium) -> None:
    history, report = run.history, AuditReport(chain={}, run={})
    who = history.submissions[1][0].participant
    owner = next(owner for owner in OWNERS if run.address(owner) == who)
    secret = run.workers[owner]._parts.outbox.secret
    both = round_secrets(secret, masking_context(history, 1), who).shared
    events = run.run.ledger.all_events()
    audit_seeds(history, events, report)
    assert not report.findings
    audit_seeds(history, [*events, e.SeedsPublished(events[-1].place, 1, who, both)], report)
    assert [(one.kind.value, one.round, one.participant) for one in report.findings] == [
        ("update_open", 1, who)
    ]


def test_an_update_without_masks_and_a_sum_of_noise_are_found(run: MaskedConsortium) -> None:
    history, report = run.history, AuditReport(chain={}, run={})
    submission, quantisation = history.submissions[1][0], history.policy.quantisation
    masked = run.masked_update(1, 0)
    audit_secrecy(submission, masked, quantisation, report)
    assert not report.findings
    plain = np.zeros_like(masked)
    audit_secrecy(submission, plain, quantisation, report)
    MaskAudit(history, run.store).audit_sum(history.postings[1], masked, report)
    assert kinds(report) == {"update_unmasked", "round_spoilt"}
    # Of few lanes nothing is said: masks can look like that.
    few = AuditReport(chain={}, run={})
    audit_secrecy(submission, plain[:2], quantisation, few)
    assert not few.findings
