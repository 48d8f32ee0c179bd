"""Differential privacy through the real pipeline: contract, workers, aggregator, store and audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from consortium import SUBMISSION_S, Consortium, policy

from fl_chain.aggregation.quantise import SIGNED_LANE
from fl_chain.audit.checks import CheckId
from fl_chain.cli.inspection import privacy_line
from fl_chain.config import ClientPrivacySettings, RowPrivacySettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import LedgerReverted
from fl_chain.learning.work import PrivateWork
from fl_chain.ledger.history import History
from fl_chain.policy import parse_policy_document, policy_document
from fl_chain.privacy.clients import WEIGHT, longest_lanes, noise_lanes, squared_length
from fl_chain.privacy.discrete import discrete_gaussian
from fl_chain.privacy.noise import SecretStream
from fl_chain.records import Digest, RoundStatus, RunId, VoidReason
from fl_chain.report.schema import parse_report
from fl_chain.run.keeper import has_ended
from fl_chain.run.outbox import Outbox
from fl_chain.run.rounds import RoundReader
from fl_chain.run.updates import noise_key, private_work
from fl_chain.store import Store

# A round costs 5 / (2 * 4^2) = 0.15625; there is room for two rounds, and three models are wanted.
PRIVACY = RowPrivacySettings(noise_multiplier=4.0, sampling_rate=0.5, steps=5, delta=1e-4, rho_budget=0.4)


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Consortium]:
    built = Consortium(tmp_path, policy=policy(), privacy=PRIVACY, training={"learning_rate": 1.0})
    yield built
    built.chain.close()


def test_a_run_ends_where_its_budget_does(private: Consortium) -> None:
    def ended(history: History) -> bool:
        return has_ended(history, private.chain.head.timestamp)

    history = private.work_until(ended)

    assert [history.rounds[number].status for number in (1, 2)] == [RoundStatus.FINAL] * 2
    assert history.state.latest == 2 < history.policy.max_rounds
    with pytest.raises(LedgerReverted) as refusal:
        private.run.ledger.open_round(private.operator)
    assert refusal.value.name == "PrivacyBudgetSpent"
    assert refusal.value.arguments == {"neededRhoMicro": 468_750, "budgetRhoMicro": 400_000}
    private.work_until(lambda _: all(worker.is_done() for worker in private.workers.values()))

    report = private.audit()
    assert report.verdict == "pass"
    assert report.checks[CheckId.POLICY_DOCUMENT] == 1
    stated = parse_report(report.to_json().encode()).run.privacy
    assert stated is not None
    assert (stated.rho_micro_spent, stated.rounds) == (312_500, 2)
    assert stated.ledger_epsilon_millionths is not None
    assert stated.ledger_epsilon_millionths > stated.epsilon_millionths > 10**6
    line = privacy_line(history, private.store)
    assert "0.3125 of 0.4 zCDP" in line
    assert "declared, not proven" in line


def test_a_void_round_counts(private: Consortium) -> None:
    """Its updates may have been published before it became void."""
    for owner in OWNERS:
        private.workers[owner].step()
    private.work_until(lambda history: len(history.submissions.get(1, [])) == 2, OWNERS[:2])
    private.pass_time(SUBMISSION_S)
    history = private.work_until(lambda history: 2 in history.postings)
    assert history.voids == {1: VoidReason.BELOW_QUORUM}
    assert history.policy.is_budget_spent(history.state.latest)
    assert private.audit().verdict == "pass"


def test_whoever_knows_the_run_cannot_draw_the_noise(private: Consortium) -> None:
    """All that is public, and the update again: it takes the worker's secret."""
    history = private.work_until(lambda history: 1 in history.postings)
    owner = OWNERS[0]
    submission = next(s for s in history.submissions[1] if s.participant == private.address(owner))
    published = RoundReader(history, private.store).update(submission)
    source = private.worker(owner)._updates

    def lanes_under(secret: bytes) -> np.ndarray:
        folder = Outbox(private.folder / secret.hex(), secret=secret)
        trained = replace(source, outbox=folder).prepared(history.rounds[1], history, submission.participant)
        return trained.lanes

    own = (private.folder / f"worker-{owner}" / "secret").read_bytes()
    assert np.array_equal(lanes_under(own), published)
    assert not np.array_equal(lanes_under(bytes(32)), published)


def test_noise_is_of_one_round_base_ledger_and_participant(private: Consortium) -> None:
    run, root = private.history.run, Digest(bytes(32))

    def key(secret: bytes = bytes(32), run: RunId = run, round_id: int = 1, base: Digest = root) -> bytes:
        derived = noise_key(private.run.policy, secret, run, round_id, base)
        assert derived is not None
        assert private_work(private.run.policy, derived) == PrivateWork(PRIVACY, derived)
        return derived

    others = {
        key(),
        key(secret=b"\x01" * 32),
        key(run=RunId(run.chain_id + 1, run.ledger)),
        key(round_id=2),
        key(base=Digest(b"\x01" * 32)),
    }
    assert len(others) == 5
    assert key() == key()


def test_a_document_with_less_noise_is_another_policy(private: Consortium, tmp_path: Path) -> None:
    document = policy_document(private.run.policy)
    assert json.loads(document)["privacy"]["noise_multiplier"] == "4.0"
    assert parse_policy_document(document, private.history.definition.policy_hash).privacy == PRIVACY
    empty = Store([str(tmp_path / "empty")])
    assert privacy_line(private.history, empty).startswith("not known")


def test_whole_participants_are_hidden_by_noise_on_their_updates(tmp_path: Path) -> None:
    """Everybody weighs the same, and without a worker's secret lanes are noise more than anything else."""
    hidden = ClientPrivacySettings(noise_multiplier=2.0, max_update_norm=0.05, delta=1e-4, rho_budget=0.2)
    built = Consortium(tmp_path, policy=policy(), privacy=hidden)
    history = built.work_until(lambda history: 1 in history.postings)

    assert [one.weight for one in history.submissions[1]] == [WEIGHT] * len(OWNERS)
    quantisation = history.policy.quantisation
    sigma, longest = noise_lanes(hidden, quantisation), longest_lanes(hidden, quantisation)
    for submission in history.submissions[1]:
        owner = next(one for one in OWNERS if built.address(one) == submission.participant)
        lanes = RoundReader(history, built.store).update(submission).view(SIGNED_LANE).astype(np.int64)
        secret = (tmp_path / f"worker-{owner}" / "secret").read_bytes()
        key = noise_key(built.run.policy, secret, history.run, 1, history.model_root(0))
        assert key is not None
        learnt = lanes - discrete_gaussian(SecretStream(key), sigma, lanes.size)
        # Training moves the model further than it may show: the length is the bound's, and the noise's more.
        assert 0.99 * longest**2 < squared_length(learnt) <= longest**2 < squared_length(lanes)
    assert history.policy.rho_micro_per_round == 125_000
    assert history.state.latest == 1  # the second round would cost more than is left
    report = built.audit()
    assert report.verdict == "pass"
    assert "discrete Gaussian noise hides every client" in privacy_line(history, built.store)
    stated = parse_report(report.to_json().encode()).run.privacy
    assert stated is not None
    assert (stated.unit, stated.rho_micro_spent) == ("client", 125_000)
    built.chain.close()
