"""Masked rounds of more participants than may share masks with everybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from consortium import PUBLICATION_S, policy
from masked_consortium import MaskedConsortium

from fl_chain.aggregation.round import aggregate_round
from fl_chain.audit.findings import AuditReport
from fl_chain.audit.kinds import Kind
from fl_chain.audit.ledger_state import audit_blocks
from fl_chain.audit.steps import audit_events
from fl_chain.config import MaskingSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import GapInGraph, MalformedResponse
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import absentees, least_survivors
from fl_chain.masking.graph import least_holders, reach
from fl_chain.records import Exclusion, ExclusionReason, FallReason, RoundStatus, VoidReason
from fl_chain.run.masked_rounds import release_blob, round_terms, verify_whole
from fl_chain.run.unmasking import joined_seeds

COUNT = 67
PEOPLE = tuple(f"{OWNERS[number % 5]}#{number}" for number in range(COUNT))
STAYING = PEOPLE[:-3]  # the others leave once their keys are set up

pytestmark = pytest.mark.long


class LargeConsortium(MaskedConsortium):
    """A consortium of 67, of which one may post a lie."""

    def tear(self, round_id: int) -> None:
        """Fix survivors of a round that leave a gap, and not one fewer than the contract wants."""
        history, ledger = self.history, self.run.ledger
        masks, submissions = history.round_masks(round_id), history.submissions[round_id]
        assert masks.graph is not None
        vertices = history.vertices
        row = masks.graph.neighbours(vertices[submissions[0].participant])[: masks.graph.reach]
        spare = len(submissions) - least_survivors(masks, history.policy.quorum)
        left_out = [one for one in submissions if vertices[one.participant] in row][:spare]
        assert len(left_out) == spare
        poster = self.account("second")
        ledger.deposit_bond(poster, self.policy.bond_wei)
        ledger.fix_survivors(
            poster,
            round=round_id,
            digest=history.rounds[round_id].digest,
            exclusions=[(Exclusion(one.index, ExclusionReason.UNREADABLE), one) for one in left_out],
            absentees=absentees(masks, submissions),
            graph=masks.graph,
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LargeConsortium]:
    """One round: three leave it, its first posting lies about the mask of one of them with a neighbour."""
    folder: Path = tmp_path_factory.mktemp("large")
    run = LargeConsortium(
        folder,
        policy=policy(rounds=2, max_total_weight=70_000),
        privacy=MaskingSettings(kind="secagg"),
        owners=PEOPLE,
    )
    run.work_until(lambda history: len(history.round_masks(1).keys) == COUNT, PEOPLE)
    run.work_until(lambda history: history.rounds[1].status is RoundStatus.CLOSED, STAYING)
    run.work_until(lambda history: history.round_masks(1).exclusions is not None, STAYING)
    while run.work(STAYING, with_aggregator=False):
        pass
    seeds = joined_seeds(run.history, run.store, 1)
    run.post(1, run.aggregator_account, seeds, wrong_term=-1)
    run.work_until(lambda history: bool(history.fallen), STAYING, with_aggregator=False)
    run.aggregator = run.new_aggregator(run.account("second"))
    run.work_until(lambda history: history.rounds[1].status is RoundStatus.POSTED, STAYING)
    # The last round (another one fell with the lie): an aggregator singles out what is beside a gap.
    last = run.history.state.latest
    run.work_until(
        lambda history: history.rounds[last].status is RoundStatus.CLOSED, STAYING, with_aggregator=False
    )
    run.pass_time(PUBLICATION_S + 1.0)
    run.tear(last)
    run.work_until(lambda history: history.rounds[last].status is RoundStatus.VOID, STAYING, pause_s=20.0)
    yield run
    run.chain.close()


def test_everybody_shares_masks_with_neighbours_alone(run: LargeConsortium) -> None:
    history = run.history
    masks, vertices = history.round_masks(1), history.vertices
    assert masks.graph is not None
    assert (masks.graph.vertices, masks.graph.reach) == (COUNT, reach(COUNT, COUNT))
    for keys in masks.keys:
        sealed = run.store.read_shares(keys.participant, keys.shares_hash)
        around = masks.graph.neighbours(vertices[keys.participant])
        assert {vertices[who] for who in sealed} == set(around)
        assert len(sealed) >= least_holders(COUNT)
    pairs = [term for term in round_terms(history, 1) if term.peer is not None]
    assert len(masks.departed(history.submissions[1])) == COUNT - len(STAYING)
    assert len(pairs) < (COUNT - len(STAYING)) * len(STAYING)


def test_the_model_is_that_of_the_plain_updates(run: LargeConsortium) -> None:
    history = run.history
    owner_of = {run.address(owner): owner for owner in PEOPLE}
    submissions = history.submissions[1]
    assert {owner_of[one.participant] for one in submissions} == set(STAYING)
    plain = [run.plain_update(1, owner_of[one.participant]) for one in submissions]
    base = run.store.read_model(history.base_model_roots[1], history.definition.dimension)
    weight = sum(one.weight for one in submissions)
    made = aggregate_round(base, plain, weight, history.policy.quantisation)
    assert made.model_root == history.postings[1].model_root


def test_the_lie_fell_and_the_audit_passes(run: LargeConsortium) -> None:
    assert [one.reason for one in run.history.fallen] == [FallReason.MASK]
    report = run.audit()
    assert report.verdict == "pass", report.findings
    assert report.proofs["state"]["whole_storage"]
    (item,) = [one for one in report.rounds if one.round == 1]
    assert item.verified
    assert [one.founded for one in item.fallen] == [True]


def test_nobody_releases_a_share_for_survivors_with_a_gap(run: LargeConsortium) -> None:
    history = run.history
    (torn,) = [number for number, why in history.voids.items() if why is VoidReason.NOT_POSTED]
    for who in history.identity_keys:
        assert not run.store.has_release(who, release_blob(history, torn, who).occasion)
    with pytest.raises(GapInGraph):
        verify_whole(history, torn)
    (warning,) = [one for one in run.audit().warnings if one.kind is Kind.MASKS_LEFT_ON]
    assert warning.round == torn
    assert "so few could let the sum be taken apart" in warning.detail


def test_a_node_that_lies_about_the_graph_is_found(run: LargeConsortium) -> None:
    run.run.ledger.sync()
    events = run.run.ledger.all_events()
    at = next(at for at, event in enumerate(events) if isinstance(event, e.GraphDrawn))
    drawn = events[at]
    assert isinstance(drawn, e.GraphDrawn)
    for lie in (
        replace(drawn, vertices=COUNT - 1),
        replace(drawn, reach=drawn.reach - 1),
        replace(drawn, seed=bytes(15)),
    ):
        with pytest.raises(MalformedResponse, match="does not follow"):
            History(run.history.run).extend([*events[:at], lie, *events[at + 1 :]])
    with pytest.raises(MalformedResponse, match="does not follow"):
        History(run.history.run).extend([*events[:at], *events[at + 1 :]])
    report = AuditReport(chain={}, run={})
    late = replace(drawn, place=replace(drawn.place, timestamp=drawn.place.timestamp + 50))
    audit_events(run.history.run, [*events[:at], late], report)
    assert {finding.kind for finding in report.findings} == {Kind.OUT_OF_ORDER}
    for seed, kinds in ((drawn.seed, set()), (bytes(16), {Kind.SEED_DIFFERS})):
        report = AuditReport(chain={}, run={})
        audit_blocks(run.node, [replace(drawn, seed=seed)], report, masks=run.run.ledger.verifier)
        assert report.checks["seeds"] == 1
        assert {finding.kind for finding in report.findings} == kinds


def test_masked_updates_are_noise(run: LargeConsortium) -> None:
    history = run.history
    for one in history.submissions[1][:5]:
        lanes = run.store.read_update(
            one.participant, one.sealed_root, history.definition.dimension, run=history.run, round=1
        ).lanes
        assert np.median(np.abs(lanes.astype(np.uint32).view(np.int32).astype(np.int64))) > 2**26
