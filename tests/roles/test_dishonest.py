"""Somebody is not honest, or breaks: what stops it, and what the audit says."""

from collections.abc import Sequence

import numpy as np
import pytest
from consortium import PUBLICATION_S, SUBMISSION_S, Consortium

from fl_chain.aggregation.round import Aggregate
from fl_chain.audit.kinds import Kind
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import LedgerReverted, UnverifiedPosting
from fl_chain.ledger.history import History
from fl_chain.records import Digest, Exclusion, ExclusionReason, Opening, RoundStatus
from fl_chain.run.models import ModelChain
from fl_chain.run.rounds import RoundReader

HONEST, ODD = OWNERS[:4], OWNERS[4]


def is_open(history: History) -> bool:
    latest = history.rounds.get(history.state.latest)
    return latest is not None and latest.status is RoundStatus.OPEN


def is_closed(history: History) -> bool:
    return history.state.latest > 0 and history.rounds[history.state.latest].status is RoundStatus.CLOSED


def submit_lanes(consortium: Consortium, owner: str, lanes: Lanes, weight: int, *, publish: bool) -> None:
    """Submit whatever a test likes in somebody's name, well formed for the ledger."""
    history, ledger = consortium.history, consortium.run.ledger
    round_id = history.state.latest
    opening = Opening(vector_root(lanes), b"s" * 32)
    who = consortium.address(owner)
    root = sealed_root(opening.vector_root, opening.salt, history.run, round_id, who)
    base = history.model_root(history.rounds[round_id].base_round)
    ledger.submit(
        consortium.accounts[owner],
        round=round_id,
        base_model_root=base,
        sealed_root=root,
        weight=weight,
    )
    if publish:
        consortium.store.write_update(who, root, opening, lanes, run=history.run, round=round_id)


def zeros(consortium: Consortium) -> Lanes:
    return np.zeros(consortium.run.definition.dimension, dtype=LANE)


def post(
    consortium: Consortium,
    aggregate: Aggregate,
    exclusions: Sequence[Exclusion] = (),
    *,
    sums: Sequence[Digest] | None = None,
    model: Digest | None = None,
) -> None:
    """Post for the named aggregator, honestly or not."""
    history, ledger = consortium.history, consortium.run.ledger
    round_id = history.state.latest
    account = consortium.aggregator_account
    ledger.deposit_bond(account, history.policy.bond_wei)
    ledger.post(
        account,
        round=round_id,
        digest=history.rounds[round_id].digest,
        exclusions=[(one, history.submissions[round_id][one.index]) for one in exclusions],
        partial_sum_roots=aggregate.partial_sum_roots if sums is None else sums,
        model_root=aggregate.model_root if model is None else model,
    )


def closed_and_published(consortium: Consortium) -> Aggregate:
    """Bring round 1 to the point at which the aggregator would post, and return what it would."""
    consortium.work_until(is_closed, with_aggregator=False)
    for worker in consortium.workers.values():
        worker.step()
    reader = RoundReader(consortium.history, consortium.store)
    return reader.aggregate(1, ModelChain(reader).model(0), ())


def test_an_update_that_nobody_can_read_is_excluded_in_time(consortium: Consortium) -> None:
    consortium.workers[ODD].step()
    consortium.work_until(is_open, HONEST)
    submit_lanes(consortium, ODD, zeros(consortium), 100, publish=False)

    history = consortium.work_until(lambda history: 1 in history.postings, HONEST)

    assert [e.reason for e in history.postings[1].exclusions] == [ExclusionReason.UNREADABLE]
    closed_for = history.postings[1].finalizable_at - history.policy.challenge_s - history.deployed_at
    assert closed_for >= PUBLICATION_S
    report = consortium.audit()
    assert report.verdict == "pass"
    assert report.rounds[0].included == 4


@pytest.mark.parametrize("sign", [1, -1])
def test_an_update_out_of_range_is_excluded(consortium: Consortium, sign: int) -> None:
    consortium.workers[ODD].step()
    consortium.work_until(is_open, HONEST)
    lanes = zeros(consortium)
    bound = consortium.run.policy.ledger.clip_lanes * 100
    lanes[3] = (sign * (bound + 1)) % 2**32
    submit_lanes(consortium, ODD, lanes, 100, publish=True)

    history = consortium.work_until(lambda history: 1 in history.postings, HONEST)

    assert [e.reason for e in history.postings[1].exclusions] == [ExclusionReason.OUT_OF_RANGE]
    assert consortium.audit().verdict == "pass"


def test_an_update_at_the_bound_is_included(consortium: Consortium) -> None:
    consortium.workers[ODD].step()
    consortium.work_until(is_open, HONEST)
    lanes = zeros(consortium)
    lanes[3] = consortium.run.policy.ledger.clip_lanes * 100
    submit_lanes(consortium, ODD, lanes, 100, publish=True)

    history = consortium.work_until(lambda history: 1 in history.postings, HONEST)

    assert history.postings[1].exclusions == ()


def test_a_wrong_model_is_not_trained_on_and_is_found(consortium: Consortium) -> None:
    aggregate = closed_and_published(consortium)
    lie = aggregate.model.copy()
    lie[0] += 1
    consortium.store.write_model(vector_root(lie), lie)
    for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
        consortium.store.write_sum(root, hashes)
    post(consortium, aggregate, model=vector_root(lie))

    for _ in range(10):
        consortium.work(with_aggregator=False)

    assert consortium.history.submissions.get(2, []) == []
    report = consortium.audit()
    assert [finding.kind.value for finding in report.findings] == ["model_differs"]
    assert report.findings[0].expected == "0x" + aggregate.model_root.hex()
    assert report.findings[0].round == 1


def test_a_wrong_sum_is_found(consortium: Consortium) -> None:
    aggregate = closed_and_published(consortium)
    lie = aggregate.total.copy()
    lie[-1] += 1
    consortium.store.write_model(aggregate.model_root, aggregate.model)
    post(consortium, aggregate, sums=[vector_root(lie)])

    kinds = {finding.kind.value for finding in consortium.audit().findings}

    assert kinds == {"partial_sum_differs", "sum_blob_missing"}


def test_a_valid_update_excluded_as_out_of_range_is_found(
    consortium: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_and_published(consortium)
    reader = RoundReader(consortium.history, consortium.store)
    exclusions = (Exclusion(2, ExclusionReason.OUT_OF_RANGE),)
    base = ModelChain(reader).model(0)
    aggregate = reader.aggregate(1, base, exclusions)
    for held_bytes in (base.nbytes * 5, base.nbytes * 5 - 1):  # all updates together, or one after the other
        monkeypatch.setattr("fl_chain.run.rounds.HELD_BYTES", held_bytes)
        again = reader.aggregate(1, base, exclusions)
        assert (again.model_root, again.chunk_hashes) == (aggregate.model_root, aggregate.chunk_hashes)
    for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
        consortium.store.write_sum(root, hashes)
    consortium.store.write_model(aggregate.model_root, aggregate.model)
    consortium.clock.now += PUBLICATION_S
    post(consortium, aggregate, exclusions)

    report = consortium.audit()

    assert [finding.kind.value for finding in report.findings] == ["wrongful_exclusion"]
    assert report.findings[0].participant == consortium.history.submissions[1][2].participant


def test_a_valid_update_excluded_as_unreadable_is_a_warning(consortium: Consortium) -> None:
    closed_and_published(consortium)
    reader = RoundReader(consortium.history, consortium.store)
    exclusions = (Exclusion(0, ExclusionReason.UNREADABLE),)
    aggregate = reader.aggregate(1, ModelChain(reader).model(0), exclusions)
    for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
        consortium.store.write_sum(root, hashes)
    consortium.store.write_model(aggregate.model_root, aggregate.model)
    consortium.clock.now += PUBLICATION_S
    post(consortium, aggregate, exclusions)

    report = consortium.audit()

    assert report.findings == []
    (warning,) = report.warnings
    assert warning.kind is Kind.EXCLUDED_BUT_READABLE
    assert warning.participant == consortium.history.submissions[1][0].participant


def test_an_included_update_out_of_range_is_found(consortium: Consortium) -> None:
    consortium.workers[ODD].step()
    consortium.work_until(is_open, HONEST)
    lanes = zeros(consortium)
    lanes[0] = consortium.run.policy.ledger.clip_lanes * 100 + 1
    submit_lanes(consortium, ODD, lanes, 100, publish=True)
    consortium.work_until(is_closed, HONEST, with_aggregator=False)
    for owner in HONEST:
        consortium.workers[owner].step()
    post(consortium, _unchecked_aggregate(consortium))

    kinds = [finding.kind.value for finding in consortium.audit().findings]

    assert "update_out_of_range" in kinds
    assert "partial_sum_differs" not in kinds


def _unchecked_aggregate(consortium: Consortium) -> Aggregate:
    from fl_chain.aggregation.round import aggregate_round

    history = consortium.history
    dimension = history.definition.dimension
    updates = [
        consortium.store.read_update(
            s.participant, s.sealed_root, dimension, run=history.run, round=s.round
        ).lanes
        for s in history.submissions[1]
    ]
    base = consortium.store.read_model(history.definition.genesis_model_root, dimension)
    weight = sum(s.weight for s in history.submissions[1])
    return aggregate_round(base, updates, weight, history.policy.quantisation)


def test_what_the_ledger_refuses_names_the_reason(consortium: Consortium) -> None:
    consortium.workers[ODD].step()
    consortium.work_until(is_open, HONEST)
    submit_lanes(consortium, ODD, zeros(consortium), 100, publish=False)
    with pytest.raises(LedgerReverted) as second:
        submit_lanes(consortium, ODD, zeros(consortium), 100, publish=False)
    assert second.value.name == "AlreadySubmitted"
    consortium.accounts["stranger"] = consortium.account("stranger")
    with pytest.raises(LedgerReverted) as unregistered:
        submit_lanes(consortium, "stranger", zeros(consortium), 100, publish=False)
    assert unregistered.value.name == "NotRegistered"
    consortium.clock.now += SUBMISSION_S
    with pytest.raises(LedgerReverted) as late:
        submit_lanes(consortium, HONEST[0], zeros(consortium), 100, publish=False)
    assert late.value.name in ("DeadlinePassed", "AlreadySubmitted")


def test_a_late_submission_is_refused_and_its_update_stays_with_the_worker(consortium: Consortium) -> None:
    for worker in consortium.workers.values():
        worker.step()
    consortium.work_until(is_open, HONEST)
    consortium.clock.now += SUBMISSION_S
    with pytest.raises(LedgerReverted) as late:
        submit_lanes(consortium, ODD, zeros(consortium), 100, publish=False)
    assert late.value.name == "DeadlinePassed"
    assert "deadline" in str(late.value).lower()


@pytest.mark.parametrize("is_told_truly", [True, False])
def test_a_posting_is_right_unread_only_if_it_says_what_was_derived_here(
    consortium: Consortium, is_told_truly: bool
) -> None:
    aggregate = closed_and_published(consortium)
    post(consortium, aggregate, model=None if is_told_truly else Digest(b"\7" * 32))
    models = ModelChain(RoundReader(consortium.history, consortium.store))
    models.note_derived(1, (), aggregate)

    if is_told_truly:
        assert np.array_equal(models.model(1), aggregate.model)
        assert models.is_right(1)
    else:
        with pytest.raises(UnverifiedPosting):
            models.model(1)
