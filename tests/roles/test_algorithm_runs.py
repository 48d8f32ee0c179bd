"""The algorithms through the real pipeline: contract, workers, aggregator, store and audit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from consortium import SUBMISSION_S, Consortium, policy

import fl_chain.learning.table_task
from fl_chain.aggregation.cohort import draw_cohort
from fl_chain.aggregation.quantise import SIGNED_LANE, model_values
from fl_chain.audit.checks import CheckId
from fl_chain.config import CohortSettings, ModelSettings, TrainingSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import ConfigError, LedgerReverted
from fl_chain.learning import LocalLearner, build_task
from fl_chain.learning.work import RoundWork, Values
from fl_chain.ledger.history import History
from fl_chain.records import Address, Digest, Exclusion, ExclusionReason, RoundStatus
from fl_chain.run.cohorts import cohort
from fl_chain.run.documents import read_manifest
from fl_chain.run.kept import KeptState
from fl_chain.run.models import ModelChain
from fl_chain.run.outbox import Outbox
from fl_chain.run.personal import Personalised, personalise
from fl_chain.run.rounds import RoundReader

OTHERS = OWNERS[1:]
MLP = ModelSettings(kind="mlp", hidden=(4,))


def is_over(history: History) -> bool:
    state = history.state
    return state.tip > 0 and history.rounds[state.tip].step == 3 and state.settled == state.latest


def posted(round_id: int) -> Callable[[History], bool]:
    return lambda history: round_id in history.postings


def model_of(built: Consortium, round_id: int) -> Values:
    history = built.history
    lanes = built.store.read_model(history.model_root(round_id), history.definition.dimension)
    return model_values(lanes, history.policy.fraction_bits)


def learner_of(built: Consortium, owner: str) -> LocalLearner:
    return LocalLearner(
        build_task(built.run.policy.task, built.run.policy.model),
        built.run.policy.training,
        owner=owner,
        seed=built.run.policy.seed,
    )


# ---------------------------------------------------------------------- FedProx and SCAFFOLD


def test_scaffold_keeps_control_variates_across_restarts_and_is_the_plain_computation(tmp_path: Path) -> None:
    built = Consortium(tmp_path, training={"algorithm": "scaffold"}, policy=policy(examples_per_weight=10**6))
    for _ in range(400):  # every worker starts anew before every step
        if is_over(built.history):
            break
        for owner in OWNERS:
            built.workers[owner] = built.worker(owner)
        if not built.work():
            built.pass_time(5)

    assert built.audit().verdict == "pass"
    names = [tensor.name for tensor in read_manifest(built.run.definition, built.store).tensors]
    assert names == ["control/output.bias", "control/output.weight", "output.bias", "output.weight"]
    learners = {owner: learner_of(built, owner) for owner in OWNERS}
    values, kept = learners[OWNERS[0]].genesis_values(), dict.fromkeys(OWNERS)
    quantum = 2.0**-built.run.policy.ledger.scale_bits + 2.0**-built.run.policy.ledger.fraction_bits
    for round_id in (1, 2, 3):
        updates = {
            owner: learners[owner].train(values, round_id=round_id, work=RoundWork(kept=kept[owner]))
            for owner in OWNERS
        }
        kept = {owner: update.kept for owner, update in updates.items()}
        mean = np.mean([u.values.astype(np.float64) - values for u in updates.values()], axis=0)
        np.testing.assert_allclose(model_of(built, round_id), values + mean, atol=2 * quantum + 1e-6)
        values = model_of(built, round_id)  # from the rounded model on, as the participants do
    built.chain.close()


def test_a_control_variate_goes_back_with_the_round_that_fell(tmp_path: Path) -> None:
    built = Consortium(tmp_path, training={"algorithm": "scaffold"})
    history = built.work_until(posted(2))
    owner = OWNERS[0]
    who, kept = built.address(owner), KeptState(tmp_path / f"worker-{owner}")
    first, second = (kept.load(r, history.base_model_roots[r]) for r in (1, 2))
    newest = kept.before(2, history, who)
    below = kept.before(1, history, who)

    assert first is not None
    assert second is not None
    assert newest is not None
    assert below is not None
    assert newest.tobytes() == second.tobytes() != first.tobytes()
    assert below.tobytes() == first.tobytes()
    assert kept.before(0, history, who) is None
    excluded = history.postings[2]
    index = next(s.index for s in history.submissions[2] if s.participant == who)
    left_out = Exclusion(index, ExclusionReason.UNREADABLE)
    object.__setattr__(excluded, "exclusions", (left_out,))  # as if this posting left the update out
    passed_over = kept.before(2, history, who)
    assert passed_over is not None
    assert passed_over.tobytes() == first.tobytes()
    built.chain.close()


@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_what_was_kept_and_is_not_whole_is_not_used(tmp_path: Path, damage: str) -> None:
    kept = KeptState(tmp_path)
    root = Digest(b"r" * 32)
    kept.save(3, root, np.arange(4, dtype=np.float32))
    saved = kept.load(3, root)
    assert saved is not None
    assert saved.tolist() == [0, 1, 2, 3]
    path = next((tmp_path / "kept").iterdir())
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert kept.load(3, root) is None
    assert kept.load(3, Digest(b"s" * 32)) is None


def test_only_what_a_round_can_start_from_is_kept(tmp_path: Path) -> None:
    built = Consortium(tmp_path, training={"algorithm": "scaffold"})
    built.work_until(is_over)
    for worker in built.workers.values():
        worker.step()
    left = {path.name.partition("-")[0] for path in (tmp_path / f"worker-{OWNERS[0]}" / "kept").iterdir()}
    assert left == {"3"}
    built.chain.close()


def test_fedprox_goes_into_the_policy_and_stays_nearer_to_the_base(tmp_path: Path) -> None:
    prox = Consortium(tmp_path / "prox", training={"algorithm": "fedprox", "proximal_mu": 2.0})
    plain = Consortium(tmp_path / "plain")
    moved = []
    for built in (prox, plain):
        built.work_until(is_over)
        assert built.audit().verdict == "pass"
        moved.append(float(np.linalg.norm(model_of(built, 1) - model_of(built, 0))))
        built.chain.close()
    assert 0 < moved[0] < moved[1]


# ---------------------------------------------------------------------- cohorts


@pytest.fixture
def sampled(tmp_path: Path) -> Iterator[Consortium]:
    built = Consortium(tmp_path, policy=policy(quorum=2), cohort=CohortSettings(fraction=0.6))
    for owner in OWNERS:
        built.workers[owner].step()  # registers, before the first round opens
    yield built
    built.chain.close()


def members(built: Consortium, round_id: int) -> frozenset[Address]:
    drawn = cohort(built.history, built.run.policy, round_id)
    assert drawn is not None
    return drawn


def test_a_cohort_trains_and_closes_the_round_and_everybody_verifies(sampled: Consortium) -> None:
    history = sampled.work_until(is_over)

    assert sampled.run.policy.ledger.close_at == 3
    for round_id in (1, 2, 3):
        assert {s.participant for s in history.submissions[round_id]} == members(sampled, round_id)
        assert history.rounds[round_id].submissions == 3
    closed = [history.rounds[r].last_closed for r in (1, 2, 3)]
    seeds = {history.seeds.get(one, history.definition.manifest_hash) for one in closed}
    assert len(seeds) == 3  # each round is drawn anew; that three draws come out alike is chance
    admitted = history.registered_at[1]
    assert len({draw_cohort(admitted, 3, seed=one, round_id=r) for one in seeds for r in range(50)}) > 1
    times = [history.rounds[r].since - history.deployed_at for r in (1, 2, 3)]
    assert max(times) < SUBMISSION_S  # no deadline was waited for
    report = sampled.audit()
    assert report.verdict == "pass"
    assert report.checks[CheckId.COHORTS] == 9


def test_a_member_of_the_cohort_that_does_not_come_costs_one_deadline(sampled: Consortium) -> None:
    sampled.work_until(lambda history: history.state.latest == 1, ())
    away = min(members(sampled, 1))
    there = tuple(owner for owner in OWNERS if sampled.address(owner) != away)
    history = sampled.work_until(posted(1), there)
    assert history.rounds[1].submissions == 2
    assert {s.participant for s in history.submissions[1]} == members(sampled, 1) - {away}
    assert history.postings[1].finalizable_at - history.deployed_at > SUBMISSION_S
    sampled.work_until(is_over)
    assert sampled.audit().verdict == "pass"


def intrude(built: Consortium) -> Address:
    """Let somebody submit to round 1 who was not drawn; return who."""
    built.work_until(lambda history: history.state.latest == 1, ())
    owner = next(owner for owner in OWNERS if built.address(owner) not in members(built, 1))
    worker = built.workers[owner]
    history = built.history
    prepared = worker._updates.prepared(history.rounds[1], history, built.address(owner))
    built.run.ledger.submit(
        built.accounts[owner],
        round=1,
        base_model_root=prepared.base_model_root,
        sealed_root=prepared.sealed_root,
        weight=prepared.weight,
    )
    return built.address(owner)


def test_a_submission_from_outside_the_cohort_is_excluded_by_rule(sampled: Consortium) -> None:
    outsider = intrude(sampled)
    history = sampled.work_until(is_over)

    index = next(s.index for s in history.submissions[1] if s.participant == outsider)
    assert history.postings[1].exclusions == (Exclusion(index, ExclusionReason.BY_RULE),)
    assert not history.fallen
    assert sampled.audit().verdict == "pass"


@pytest.mark.parametrize("lie", ["outsider included", "member excluded by rule"])
def test_a_posting_against_the_cohort_is_objected_to_and_found(sampled: Consortium, lie: str) -> None:
    outsider = intrude(sampled)
    history = sampled.work_until(
        lambda history: history.rounds[1].status is RoundStatus.CLOSED, with_aggregator=False
    )
    while any(worker.step() for worker in sampled.workers.values()):
        pass  # they publish
    sampled.pass_time(25)  # publication is over, the named aggregator's time is not
    index = next(s.index for s in history.submissions[1] if s.participant == outsider)
    wrong = index if lie == "outsider included" else next(i for i in range(3) if i != index)
    exclusions = (
        ()
        if lie == "outsider included"
        else tuple(Exclusion(i, ExclusionReason.BY_RULE) for i in sorted({index, wrong}))
    )
    reader = RoundReader(sampled.history, sampled.store)
    made = reader.aggregate(1, ModelChain(reader).model(0), exclusions)
    account = sampled.aggregator_account
    for root, hashes in zip(made.partial_sum_roots, made.chunk_hashes, strict=True):
        sampled.store.write_sum(root, hashes)
    sampled.store.write_model(made.model_root, made.model)
    ledger = sampled.run.ledger
    ledger.deposit_bond(account, history.policy.bond_wei)
    submissions = sampled.history.submissions[1]
    ledger.post(
        account,
        round=1,
        digest=sampled.history.rounds[1].digest,
        exclusions=[(one, submissions[one.index]) for one in exclusions],
        partial_sum_roots=made.partial_sum_roots,
        model_root=made.model_root,
    )

    kind = "outsider_included" if lie == "outsider included" else "wrongful_exclusion"
    findings = sampled.audit().findings
    assert [(f.kind.value, f.participant) for f in findings] == [(kind, submissions[wrong].participant)]
    history = sampled.work_until(lambda history: len(history.fallen) == 1, with_aggregator=False, pause_s=3)
    assert history.rounds[1].status is RoundStatus.CLOSED


def test_the_seed_of_the_policy_fixes_all_cohorts_in_advance(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        built = Consortium(
            tmp_path / name, policy=policy(quorum=2), cohort=CohortSettings(size=3, randomness="seed")
        )
        for owner in OWNERS:
            built.workers[owner].step()
        built.work_until(is_over)
        drawn.append([members(built, round_id) for round_id in (1, 2, 3)])
        assert built.audit().verdict == "pass"
        built.chain.close()
    assert drawn[0] == drawn[1]


# ---------------------------------------------------------------------- deadlines


@contextmanager
def slow_batches(built: Consortium, monkeypatch: pytest.MonkeyPatch, batch_s: float) -> Iterator[None]:
    """Let every batch take chain time."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits

    def slow_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        built.clock.now += batch_s
        return loss(outputs, targets)

    def train(model: torch.nn.Module, examples: object, settings: TrainingSettings, seed: int) -> float:
        return plain(model, examples, slow_loss, settings, seed=seed)

    plain = fl_chain.learning.table_task.train_sgd
    with monkeypatch.context() as patched:
        patched.setattr(
            fl_chain.learning.table_task.TableTask,
            "train",
            lambda self, model, examples, settings, seed: train(model, examples, settings, seed),
        )
        yield


def opened(built: Consortium) -> None:
    for owner in OWNERS:
        built.workers[owner].step()
    built.work_until(lambda history: history.state.latest == 1, ())


def test_a_slow_worker_does_what_fits_and_says_so_by_its_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = Consortium(tmp_path, training={"deadline_share": 0.5, "batch_size": 16})
    opened(built)
    slow = OWNERS[0]
    began = built.clock.now
    with slow_batches(built, monkeypatch, batch_s=12.0):
        assert built.workers[slow].step()
    assert built.clock.now - began <= SUBMISSION_S / 2
    submission = built.history.submissions[1][0]
    assert submission.participant == built.address(slow)
    assert submission.weight == 4 * 16  # four batches of twelve seconds in fifty
    for owner in OWNERS[1:]:
        assert built.workers[owner].step()
    full = {s.participant: s.weight for s in built.history.submissions[1]}
    assert full[built.address(OWNERS[1])] == learner_of(built, OWNERS[1]).n_examples
    built.work_until(is_over)
    assert built.audit().verdict == "pass"
    built.chain.close()


def test_one_batch_is_trained_on_however_late_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Consortium(tmp_path, training={"deadline_share": 0.5, "batch_size": 16})
    opened(built)
    built.pass_time(SUBMISSION_S - 20)
    with slow_batches(built, monkeypatch, batch_s=12.0):
        assert built.workers[OWNERS[0]].step()  # and the deadline is met
    assert [s.weight for s in built.history.submissions[1]] == [16]
    built.chain.close()


# ---------------------------------------------------------------------- late updates


def late_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **training: object) -> tuple[Consortium, str]:
    """Let one worker train on round 1 for longer than the round lasts."""
    built = Consortium(tmp_path, training=training, policy=policy(rounds=4))
    opened(built)
    slow = OWNERS[0]
    for owner in OTHERS:
        assert built.workers[owner].step()
    with slow_batches(built, monkeypatch, batch_s=float(SUBMISSION_S)):
        built.workers[slow].step()
    assert all(s.participant != built.address(slow) for s in built.history.submissions[1])
    return built, slow


def test_a_late_change_goes_into_the_next_round_scaled_by_its_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, slow = late_run(tmp_path, monkeypatch, staleness_factor=0.5)
    outbox = Outbox(tmp_path / f"worker-{slow}")
    history = built.history
    late = outbox.load(1, history.model_root(0))
    assert late is not None
    built.work_until(posted(1), OTHERS)
    built.workers[slow] = built.worker(slow)  # from its folder alone
    history = built.work_until(posted(2))

    taken = outbox.load(2, history.model_root(1))
    assert taken is not None
    assert taken.sealed_root in [s.sealed_root for s in history.submissions[2]]
    before = late.lanes.view(SIGNED_LANE).astype(np.float64)
    assert taken.weight == late.weight
    np.testing.assert_allclose(taken.lanes.view(SIGNED_LANE), before / 2, atol=0.5)
    history = built.work_until(lambda history: 3 in history.postings)
    assert built.address(slow) in [s.participant for s in history.submissions[3]]
    fresh = outbox.load(3, history.model_root(2))
    assert fresh is not None
    assert fresh.lanes.tobytes() != taken.lanes.tobytes()  # trained anew
    assert built.audit().verdict == "pass"
    built.chain.close()


@pytest.mark.parametrize(("max_staleness", "is_used"), [(2, True), (1, False)])
def test_a_change_older_than_the_bound_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_staleness: int, is_used: bool
) -> None:
    built, slow = late_run(tmp_path, monkeypatch, staleness_factor=0.5, max_staleness=max_staleness)
    outbox = Outbox(tmp_path / f"worker-{slow}")
    late = outbox.load(1, built.history.model_root(0))
    assert late is not None
    built.work_until(posted(2), OTHERS)
    history = built.work_until(posted(3))
    taken = outbox.load(3, history.model_root(2))
    assert taken is not None
    quarter = late.lanes.view(SIGNED_LANE).astype(np.float64) / 4
    is_quarter = bool(np.abs(taken.lanes.view(SIGNED_LANE) - quarter).max() <= 0.5)
    assert is_quarter == is_used
    built.chain.close()


def test_without_a_staleness_factor_a_late_change_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, slow = late_run(tmp_path, monkeypatch)
    late = Outbox(tmp_path / f"worker-{slow}").load(1, built.history.model_root(0))
    assert late is not None
    history = built.work_until(posted(2))
    taken = Outbox(tmp_path / f"worker-{slow}").load(2, history.model_root(1))
    assert taken is not None
    assert taken.lanes.tobytes() != late.lanes.tobytes()
    learner = learner_of(built, slow)
    trained = learner.train(model_of(built, 1), round_id=2)
    assert taken.weight == trained.n_examples
    built.chain.close()


# ---------------------------------------------------------------------- local tensors


def test_local_tensors_never_leave_and_survive_restarts(tmp_path: Path) -> None:
    built = Consortium(tmp_path, training={"local": ("output.*",)}, task_model=MLP)
    for _ in range(400):
        if is_over(built.history):
            break
        for owner in OWNERS:
            built.workers[owner] = built.worker(owner)
        if not built.work():
            built.pass_time(5)

    assert built.audit().verdict == "pass"
    manifest = read_manifest(built.run.definition, built.store)
    assert [tensor.name for tensor in manifest.tensors] == ["hidden1.bias", "hidden1.weight"]
    history, owner = built.history, OWNERS[0]
    learner, kept = learner_of(built, owner), None
    for round_id in (1, 2, 3):
        base = model_of(built, round_id - 1)
        kept = learner.train(base, round_id=round_id, work=RoundWork(kept=kept)).kept
    own = KeptState(tmp_path / f"worker-{owner}").before(3, history, built.address(owner))
    assert own is not None
    assert kept is not None
    assert own.tobytes() == kept.tobytes()
    others = KeptState(tmp_path / f"worker-{OWNERS[1]}").before(3, history, built.address(OWNERS[1]))
    assert others is not None
    assert others.tobytes() != own.tobytes()
    secret = np.ascontiguousarray(own, dtype=">f4").tobytes()
    blobs = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not any(secret in blob or own.tobytes() in blob for blob in blobs)
    assert learner.evaluate(model_of(built, 3), kept=own) != learner.evaluate(model_of(built, 3))
    built.chain.close()


def test_a_cohort_of_nobody_that_was_drawn_is_refused_by_nothing_but_the_rule(sampled: Consortium) -> None:
    """The contract knows no cohort: it takes an outsider's submission, once."""
    intrude(sampled)
    with pytest.raises(LedgerReverted, match="AlreadySubmitted"):
        intrude(sampled)


def test_a_participant_fine_tunes_the_final_model_for_itself(tmp_path: Path) -> None:
    built = Consortium(tmp_path, training={"local": ("output.*",)}, task_model=MLP)
    with pytest.raises(ConfigError, match="no round has made a model"):
        fine_tuned(built)
    built.work_until(is_over)
    root = built.history.model_root(3)

    made = fine_tuned(built)

    assert made.round == 3
    assert made.global_metrics.keys() == made.personal_metrics.keys()
    assert made.global_metrics != made.personal_metrics
    with np.load(made.path, allow_pickle=False) as tensors:
        assert sorted(tensors) == ["hidden1.bias", "hidden1.weight", "output.bias", "output.weight"]
    assert built.history.model_root(3) == root
    again = fine_tuned(built)
    assert again == made
    built.chain.close()


def fine_tuned(built: Consortium) -> Personalised:
    owner = OWNERS[0]
    return personalise(
        learner_of(built, owner),
        built.history,
        built.store,
        identity=built.address(owner),
        folder=built.folder / f"worker-{owner}",
        epochs=3,
    )
