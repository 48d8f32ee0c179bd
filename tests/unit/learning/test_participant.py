"""Participants on the embedded data, rounds aggregated by the project's own arithmetic."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.round import aggregate_round
from fl_chain.config import ModelSettings, TableTaskSettings, TrainingSettings
from fl_chain.data.orange_juice import OWNERS, ROUNDS, TASK, logistic_regression, mlp
from fl_chain.errors import InputDataError, NonFiniteValue, UnsupportedModel
from fl_chain.learning import Comparison, LocalLearner, ModelDefinition, build_task
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import train_sgd
from fl_chain.records import Quantisation

QUANTISATION = Quantisation(fraction_bits=22, scale_bits=14, clip_lanes=2**14, max_total_weight=65536)
Recipe = tuple[TableTaskSettings, ModelSettings, TrainingSettings]


def learner(recipe: Recipe, owner: str, seed: int = 0) -> LocalLearner:
    task, model, training = recipe
    return LocalLearner(build_task(task, model), training, owner=owner, seed=seed)


def federated(recipe: Recipe, seed: int) -> npt.NDArray[np.float32]:
    learners = [learner(recipe, owner, seed) for owner in OWNERS]
    lanes = model_lanes(learners[0].genesis_values(), QUANTISATION.fraction_bits)
    for round_id in range(1, ROUNDS + 1):
        base = model_values(lanes, QUANTISATION.fraction_bits)
        updates, total_weight = [], 0
        for participant in learners:
            update = participant.train(base, round_id=round_id)
            updates.append(quantise_update(update.values, base, update.n_examples, QUANTISATION))
            total_weight += update.n_examples
        lanes = aggregate_round(lanes, updates, total_weight, QUANTISATION).model
    return model_values(lanes, QUANTISATION.fraction_bits)


@pytest.mark.parametrize("recipe", [logistic_regression(), mlp()], ids=["logistic", "mlp"])
@pytest.mark.parametrize("seed", [0, 1])
def test_federation_beats_the_mean_of_the_stores_alone(recipe: Recipe, seed: int) -> None:
    task, model, training = recipe
    split = task.model_copy(update={"split_seed": seed})
    comparison = Comparison(build_task(split, model), training, owners=OWNERS, seed=seed)
    together = comparison.evaluate(federated((split, model, training), seed))["auroc"]
    alone = [comparison.evaluate(comparison.train_alone([o], rounds=ROUNDS))["auroc"] for o in OWNERS]
    pooled = comparison.evaluate(comparison.train_alone(OWNERS, rounds=ROUNDS))["auroc"]
    assert together > np.mean(alone) + 0.005
    assert abs(together - pooled) < 0.02


def test_training_repeats_bit_for_bit_in_another_process() -> None:
    script = """
from fl_chain.data.orange_juice import mlp
from fl_chain.learning import LocalLearner, build_task
task, model, training = mlp()
learner = LocalLearner(build_task(task, model), training, owner="4", seed=11)
print(learner.train(learner.genesis_values(), round_id=2).values.tobytes().hex())
"""
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    own = learner(mlp(), "4", seed=11)
    assert own.train(own.genesis_values(), round_id=2).values.tobytes().hex() == other.stdout.strip()


def test_what_a_learner_trained_before_leaves_no_trace() -> None:
    fresh, used = learner(mlp(), "1"), learner(mlp(), "1")
    base = fresh.genesis_values()
    used.evaluate(used.train(base, round_id=1).values)
    assert used.train(base, round_id=2).values.tobytes() == fresh.train(base, round_id=2).values.tobytes()


def test_batches_differ_by_round_and_by_run_seed() -> None:
    base = learner(mlp(), "1").genesis_values()
    results = {
        learner(mlp(), "1", seed).train(base, round_id=round_id).values.tobytes()
        for seed in (0, 1)
        for round_id in (1, 2)
    }
    assert len(results) == 4


def test_an_update_tells_rows_and_loss() -> None:
    participant = learner(logistic_regression(), "7")
    update = participant.train(participant.genesis_values(), round_id=1)
    assert update.n_examples == participant.n_examples == 356 - round(0.3 * 356)
    assert 0 < update.loss < np.log(2)
    assert update.values.dtype == np.float32
    ranking = {"auroc", "average_precision", "recall_at_1pct_fpr", "recall_at_5pct_fpr"}
    assert set(participant.evaluate(update.values)) == ranking | {"accuracy", "loss"}


def test_the_common_held_out_set_is_the_union_of_the_owners() -> None:
    task = build_task(*logistic_regression()[:2])
    comparison = Comparison(task, TrainingSettings(), owners=OWNERS, seed=0)
    zero = comparison.definition.genesis_values()
    parts = [task.load(owner, None).test for owner in OWNERS]
    whole = torch.cat([part.targets for part in parts])
    assert comparison.evaluate(zero)["accuracy"] == pytest.approx((whole == 0).float().mean().item())
    assert len(whole) == sum(round(0.3 * rows) for rows in (157, 222, 196, 139, 356))


def test_pooled_training_of_one_owner_is_its_own_training() -> None:
    comparison = Comparison(build_task(*mlp()[:2]), TrainingSettings(), owners=OWNERS, seed=0)
    first = comparison.train_alone(["1"], rounds=1)
    assert np.array_equal(first, comparison.train_alone(["1"], rounds=1))
    assert not np.array_equal(first, comparison.train_alone(["2"], rounds=1))


def test_the_model_needs_no_data() -> None:
    settings = TASK.model_copy(update={"source": None})
    definition = ModelDefinition(build_task(settings, ModelSettings()), seed=0)
    assert definition.manifest.dimension == definition.genesis_values().size == 9
    participant = LocalLearner(build_task(settings, ModelSettings()), TrainingSettings(), owner="1", seed=0)
    with pytest.raises(InputDataError):
        participant.n_examples  # noqa: B018


def test_torch_is_made_to_repeat_itself() -> None:
    learner(logistic_regression(), "1")
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()


def test_divergence_is_reported_not_submitted() -> None:
    task, model, training = mlp()
    wild = LocalLearner(
        build_task(task, model), training.model_copy(update={"learning_rate": 1e30}), owner="1", seed=0
    )
    with pytest.raises(NonFiniteValue):
        wild.train(wild.genesis_values(), round_id=1)


class OwnTask:
    """A user's task with torch's own initialiser, dropout, and whatever layer is under test."""

    def __init__(self, *layers: nn.Module, rows: int = 30) -> None:
        self.layers = layers
        self.rows = rows

    def model(self, seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), *self.layers, nn.Linear(4, 1))

    def load(self, owner: str, source: str | None) -> OwnerData:
        inputs = torch.linspace(-1, 1, 2 * self.rows).reshape(self.rows, 2)
        examples = Examples(inputs, inputs.sum(1, keepdim=True))
        return OwnerData(examples, examples)

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        return train_sgd(model, examples, nn.functional.mse_loss, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        model.eval()
        return {"mse": nn.functional.mse_loss(model(examples.inputs), examples.targets).item()}


class Counting(nn.Module):
    """A layer whose float buffer moves in training, unlike any that is known by name."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return inputs


def own(task: OwnTask, seed: int = 0) -> LocalLearner:
    return LocalLearner(task, TrainingSettings(local_epochs=1), owner="a", seed=seed)


def test_a_users_initialiser_and_dropout_follow_the_seed_and_leave_torchs_generator_alone() -> None:
    torch.manual_seed(1)
    first = own(OwnTask())
    values = first.train(first.genesis_values(), round_id=1).values
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = own(OwnTask())
    assert np.array_equal(second.train(second.genesis_values(), round_id=1).values, values)
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.array_equal(own(OwnTask(), seed=3).genesis_values(), first.genesis_values())


def test_batch_norm_is_refused_at_once() -> None:
    with pytest.raises(UnsupportedModel, match="GroupNorm"):
        own(OwnTask(nn.BatchNorm1d(4)))


def test_a_buffer_that_training_moves_is_refused_after_it() -> None:
    participant = own(OwnTask(Counting()))
    with pytest.raises(UnsupportedModel, match="calls"):
        participant.train(participant.genesis_values(), round_id=1)


def test_no_rows_to_train_on() -> None:
    participant = own(OwnTask(rows=0))
    with pytest.raises(InputDataError, match="no rows"):
        participant.train(participant.genesis_values(), round_id=1)


def test_a_base_that_is_not_finite_is_refused() -> None:
    participant = own(OwnTask())
    base = participant.genesis_values()
    base[0] = np.nan
    with pytest.raises(NonFiniteValue):
        participant.train(base, round_id=1)
