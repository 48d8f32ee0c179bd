"""One run in random groups: a lie that is outvoted, groups of noise or too small, and too few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from consortium import Consortium, policy

from fl_chain.aggregation.quantise import SIGNED_LANE
from fl_chain.aggregation.round import aggregate_result
from fl_chain.aggregation.rules.grouped import group_means
from fl_chain.aggregation.rules.order import Median
from fl_chain.audit.findings import AuditReport
from fl_chain.audit.kinds import Kind
from fl_chain.audit.ledger_state import comparisons
from fl_chain.audit.steps import audit_events
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.config import MaskingSettings, MedianSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import MalformedResponse, TooFewInGroups
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import absentees, round_groups
from fl_chain.masking.groups import Groups, MaskedGroup
from fl_chain.records import AggregationKind, ExclusionReason, RoundStatus, VoidReason
from fl_chain.run.masked_rounds import published_seeds, round_occasion, verify_fixable
from fl_chain.run.protection import protection
from fl_chain.run.recovery import Recovery

COUNT, GROUPS = 9, 3
PEOPLE = tuple(f"{OWNERS[number % 5]}#{number}" for number in range(COUNT))
LIAR = PEOPLE[4]


class GroupedConsortium(Consortium):
    """Nine participants in three groups, of which one may lie under its masks."""

    def weight_cap(self) -> int:
        return 1000

    def owner_of(self, address: str) -> str:
        return next(owner for owner in PEOPLE if self.address(owner) == address)

    def lie(self, told: Callable[[Lanes], Lanes] | None, spoil: Callable[[Lanes], Lanes] | None) -> None:
        """Let the liar change its update before it is masked, or afterwards."""
        ring = self.workers[LIAR]._ring
        honestly = type(ring).masked

        def masked(history: History, round_id: int, identity: str, lanes: Lanes) -> Lanes:
            own = honestly(ring, history, round_id, identity, told(lanes) if told else lanes)
            return spoil(own) if spoil else own

        ring.masked = masked  # type: ignore[method-assign,assignment]

    def groups(self, round_id: int) -> list[MaskedGroup]:
        history = self.history
        return round_groups(history.round_masks(round_id), history.vertices, history.submissions[round_id])

    def plain_mean(self, round_id: int, group: MaskedGroup) -> Lanes:
        """Return the mean of a group's updates as they were trained, the liar's as it told it."""
        weights = {one.participant: one.weight for one in self.history.submissions[round_id]}
        total = np.zeros(self.history.definition.dimension, dtype=np.uint32)
        for who in group.survivors:
            owner = self.owner_of(who)
            update = self.plain_update(round_id, owner)
            total += largest(update) if owner == LIAR and round_id == 1 else update
        weight = sum(weights[who] for who in group.survivors)
        return group_means(total.astype(LANE)[np.newaxis], [weight])[0]


def largest(lanes: Lanes) -> Lanes:
    """Return the other direction in every lane, as far as its largest lane goes."""
    signed = lanes.view(SIGNED_LANE).astype(np.int64)
    return (-np.sign(signed) * np.abs(signed).max()).astype(np.int32).view(np.uint32).astype(LANE)


def is_void(history: History, round_id: int) -> bool:
    return round_id in history.rounds and history.rounds[round_id].status is RoundStatus.VOID


def started(folder: Path, *, rounds: int) -> GroupedConsortium:
    """Return a run after its first round, in which one lies within bounds."""
    run = GroupedConsortium(
        folder,
        policy=policy(rounds=rounds, quorum=6),
        privacy=MaskingSettings(kind="secagg", groups=GROUPS),
        aggregation=MedianSettings(rule="median"),
        owners=PEOPLE,
    )
    run.lie(largest, None)
    run.work_until(lambda history: bool(history.postings.get(1)), PEOPLE)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GroupedConsortium]:
    """Round 1 has a lie within bounds, round 2 a group of noise; of round 3 one leaves, of the next two."""
    run = started(tmp_path_factory.mktemp("grouped"), rounds=4)
    run.lie(None, lambda lanes: lanes[::-1].copy())
    run.work_until(lambda history: 3 in history.rounds, PEOPLE)
    run.lie(None, None)
    run.work_until(lambda history: len(history.round_masks(3).keys) == COUNT, PEOPLE)
    run.work_until(lambda history: 4 in history.rounds, PEOPLE[1:])
    run.work_until(lambda history: len(history.round_masks(4).keys) == COUNT, PEOPLE)
    vertices, graph = run.history.vertices, run.history.round_masks(4).graph
    assert isinstance(graph, Groups)
    leaving = {graph.group(vertices[run.address(owner)]): owner for owner in PEOPLE}
    there = tuple(owner for owner in PEOPLE if owner not in list(leaving.values())[:2])
    run.work_until(lambda history: is_void(history, 4), there, pause_s=20.0)
    yield run
    run.chain.close()


@pytest.fixture(scope="module")
def report(run: GroupedConsortium) -> AuditReport:
    return run.audit()


def verify_model(run: GroupedConsortium, round_id: int, spoilt: frozenset[str] = frozenset()) -> None:
    """Check that a model is what the rule makes of the plain means of the groups that have a sum."""
    history = run.history
    kept = [one for one in run.groups(round_id) if one.survivors and not spoilt & set(one.survivors)]
    assert len(kept) == (3 if round_id == 1 else 2)
    means = np.stack([run.plain_mean(round_id, one) for one in kept]).astype(LANE)
    base = run.store.read_model(history.base_model_roots[round_id], history.definition.dimension)
    nothing = np.empty(0, dtype=LANE)
    made = aggregate_result(base, means, history.policy.quantisation, rule=Median(), carried=nothing)
    posting = history.postings[round_id]
    assert (made.result_root, made.model_root) == (posting.result_root, posting.model_root)
    assert posting.partial_sum_roots == ()
    if round_id == 1:  # the lie is in one mean, and every lane is one that honest groups have between them
        (liars,) = [at for at, one in enumerate(kept) if run.address(LIAR) in one.survivors]
        honest = np.delete(means.view(SIGNED_LANE).astype(np.int64), liars, axis=0)
        result = made.total.view(SIGNED_LANE).astype(np.int64)
        assert ((honest.min(axis=0) <= result) & (result <= honest.max(axis=0))).all()
        averaged = means.view(SIGNED_LANE).astype(np.int64).mean(axis=0)
        assert ((averaged < honest.min(axis=0)) | (averaged > honest.max(axis=0))).any()


def test_a_lie_is_outvoted_and_the_audit_passes(tmp_path: Path) -> None:
    run = started(tmp_path, rounds=1)
    verify_model(run, 1)
    report = run.audit()
    assert report.verdict == "pass", report.findings
    assert [item.round for item in report.rounds if item.verified] == [1]
    run.chain.close()


@pytest.mark.long
@pytest.mark.parametrize("round_id", [1, 2, 3])
def test_the_model_is_the_median_of_the_plain_means_of_groups(run: GroupedConsortium, round_id: int) -> None:
    verify_model(run, round_id, frozenset({run.address(LIAR)} if round_id == 2 else ()))


@pytest.mark.long
def test_the_audit_passes_and_says_what_ran(run: GroupedConsortium, report: AuditReport) -> None:
    assert report.verdict == "pass", report.findings
    assert report.run["protection"] == protection(run.history)
    assert "3 random groups" in protection(run.history)
    assert run.history.policy.aggregation is AggregationKind.MASKED_RESULT
    assert [item.round for item in report.rounds if item.verified] == [1, 2, 3]
    assert report.proofs["state"]["whole_storage"]


@pytest.mark.long
def test_a_group_of_noise_is_left_out_and_its_members_are_under_suspicion(
    run: GroupedConsortium, report: AuditReport
) -> None:
    (warning,) = [one for one in report.warnings if one.kind is Kind.GROUP_SPOILT]
    assert warning.round == 2
    (group,) = [one for one in run.groups(2) if run.address(LIAR) in one.survivors]
    assert all(who in warning.detail for who in group.survivors)
    events = [one for one in run.run.ledger.all_events() if one.place.block_number <= until(run, 3)]
    history = History(run.run.ledger.run)
    history.extend(events)
    recovery = Recovery(run.store)
    assert recovery.suspicion(history).suspects == set(group.survivors)
    assert recovery.members(history, 3) == {run.address(owner) for owner in PEOPLE}
    # In round 3 all sums were right, whoever was in them.
    assert not recovery.suspicion(run.history).suspects & {
        who for one in run.groups(3) for who in one.survivors
    }


def until(run: GroupedConsortium, round_id: int) -> int:
    """Return the block in which a round opened."""
    (opened,) = [
        one for one in run.run.ledger.all_events() if isinstance(one, e.RoundOpened) and one.round == round_id
    ]
    return opened.place.block_number


@pytest.mark.long
def test_a_group_that_is_too_small_is_left_out_and_nothing_of_it_is_opened(run: GroupedConsortium) -> None:
    history = run.history
    masks, (gone,) = history.round_masks(3), [one for one in run.groups(3) if not one.survivors]
    assert run.address(PEOPLE[0]) in gone.members
    reasons = {one.reason for one in history.postings[3].exclusions}
    assert reasons == {ExclusionReason.BY_RULE}
    assert len(history.postings[3].exclusions) == 2
    seeds = published_seeds(history, 3, history.postings[3].poster)
    assert all(not any(seeds[who]) for who in gone.members)
    assert all(any(seeds[who]) for who in masks.members if who not in gone.members)
    when = round_occasion(history, 3)
    assert not any(run.store.has_release(who, when) for who in gone.members)
    assert all(run.store.has_release(who, when) for who in masks.members if who not in gone.members)


def when(run: GroupedConsortium) -> bytes:
    from fl_chain.run.masked_rounds import round_occasion

    return round_occasion(run.history, 3)


@pytest.mark.long
def test_without_a_majority_of_groups_the_round_is_void(run: GroupedConsortium, report: AuditReport) -> None:
    assert run.history.voids[4] is VoidReason.NOT_POSTED
    (warning,) = [one for one in report.warnings if one.kind is Kind.MASKS_LEFT_ON]
    assert warning.round == 4
    masks, submissions = run.history.round_masks(4), run.history.submissions[4]
    assert len(submissions) == COUNT - 2
    assert masks.exclusions is None
    with pytest.raises(TooFewInGroups):
        verify_fixable(masks, run.history.vertices, submissions, ())


def closed_fourth(run: GroupedConsortium) -> History:
    """Return the history as round 4 had closed, which nobody could fix survivors of."""
    history, events = History(run.run.ledger.run), run.run.ledger.all_events()
    over = next(at for at, one in enumerate(events) if isinstance(one, e.RoundVoided) and one.round == 4)
    history.extend(events[:over])
    return history


@pytest.mark.long
def test_nobody_releases_a_share_for_too_few_of_a_group_whatever_a_node_says(
    run: GroupedConsortium, caplog: pytest.LogCaptureFixture
) -> None:
    """A node says that the two who are left of a group were fixed as its survivors."""
    history = closed_fourth(run)
    masks, submissions = history.round_masks(4), history.submissions[4]
    gone = tuple(absentees(masks, submissions))
    last = run.run.ledger.all_events()[-1].place
    place = replace(last, block_number=last.block_number + 1)
    history.extend(
        [e.SurvivorsFixed(place, 4, run.aggregator_account.address, len(submissions), 0, (), gone)]
    )
    for owner in PEOPLE:
        run.workers[owner]._ring.step(history, run.address(owner))
        assert not run.store.has_release(run.address(owner), round_occasion(history, 4))
    assert "or nobody of it stays: no share of it is released" in caplog.text


@pytest.mark.long
def test_nobody_joins_a_round_of_other_groups_than_were_agreed_on(
    run: GroupedConsortium, caplog: pytest.LogCaptureFixture
) -> None:
    events = run.run.ledger.all_events()
    drawn = next(at for at, one in enumerate(events) if isinstance(one, e.GraphDrawn))
    history = History(run.run.ledger.run)
    history.extend(events[: drawn + 1])
    ring, who = run.workers[PEOPLE[1]]._ring, run.address(PEOPLE[1])
    current, now = history.rounds[1], history.rounds[1].since
    assert ring._is_wanted(history, current, who, now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "_parts", replace(ring._parts, groups=2))
        assert not ring._is_wanted(history, current, who, now)
    assert "the contract draws 3 groups, the policy document says 2" in caplog.text


@pytest.mark.long
@pytest.mark.parametrize("changes", [{"reach": 4}, {"vertices": COUNT - 1}, {"seed": bytes(16)}])
def test_a_lie_about_groups_is_found(run: GroupedConsortium, changes: dict[str, object]) -> None:
    ledger, events = run.ledger(), run.run.ledger.all_events()
    at = next(place for place, one in enumerate(events) if isinstance(one, e.GraphDrawn))
    events = [*events[:at], replace(events[at], **changes), *events[at + 1 :]]
    history, found = History(ledger.run), AuditReport(chain={}, run={})
    try:
        history.extend(events)
    except MalformedResponse:
        return
    audit_events(ledger.run, events, found)
    pairs = comparisons(ledger.pinned(), history, is_proven=False)
    assert found.findings or any(expected != actual for *_, expected, actual in pairs)
