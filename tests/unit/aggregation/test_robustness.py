"""Sign-flipping participants: the mean goes where they want, the robust rules where the honest ones go."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.round import FEDAVG, aggregate_result, aggregate_round
from fl_chain.aggregation.rules.centred_clipping import CentredClipping
from fl_chain.aggregation.rules.multi_krum import MultiKrum
from fl_chain.aggregation.rules.norm_bound import NormBound
from fl_chain.aggregation.rules.order import Median, TrimmedMean
from fl_chain.aggregation.rules.rule import ResultRule, Rule, SumRule
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.records import Quantisation

CONSTANTS = Quantisation(fraction_bits=22, scale_bits=24, clip_lanes=1 << 25, max_total_weight=20)
PARTICIPANTS, FLIPPING, ROUNDS, CLASSES, FEATURES = 15, 4, 12, 4, 16
Floats = npt.NDArray[np.float64]


def drawn_data(seed: int) -> tuple[list[tuple[Floats, npt.NDArray[np.int64]]], Floats, npt.NDArray[np.int64]]:
    """Draw four clouds of points, shared out among the participants, and held-out points."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (CLASSES, FEATURES))

    def points(count: int) -> tuple[Floats, npt.NDArray[np.int64]]:
        labels = rng.integers(0, CLASSES, count)
        return centres[labels] + rng.normal(0, 1, (count, FEATURES)), labels

    return [points(60) for _ in range(PARTICIPANTS)], *points(1000)


def trained(values: Floats, features: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Return softmax regression after some steps of gradient descent."""
    weights = values.reshape(FEATURES, CLASSES).copy()
    targets = np.eye(CLASSES)[labels]
    for _ in range(5):
        scores = np.exp(features @ weights)
        weights -= 0.1 * features.T @ (scores / scores.sum(axis=1, keepdims=True) - targets) / labels.size
    return weights.reshape(-1)


def after_round(rule: Rule, model: Lanes, updates: list[Lanes], carried: Lanes) -> tuple[Lanes, Lanes]:
    if isinstance(rule, ResultRule):
        made = aggregate_result(model, np.stack(updates).astype(LANE), CONSTANTS, rule=rule, carried=carried)
        return made.model, carried if made.carried is None else made.carried
    assert isinstance(rule, SumRule)
    kept = rule.kept(np.stack(updates).astype(LANE), [1] * len(updates), CONSTANTS)
    chosen = [update if row in kept else None for row, update in enumerate(updates)]
    return aggregate_round(model, chosen, len(kept), CONSTANTS).model, carried


def accuracy(rule: Rule, flipping: int) -> float:
    shards, features, labels = drawn_data(7)
    model = model_lanes(np.zeros(FEATURES * CLASSES, dtype=np.float32), CONSTANTS.fraction_bits)
    carried = rule.initial(model.size)
    for _ in range(ROUNDS):
        base = model_values(model, CONSTANTS.fraction_bits)
        updates = []
        for number, shard in enumerate(shards):
            local = trained(base.astype(np.float64), *shard)
            if number < flipping:
                local = base - 6 * (local - base)
            updates.append(quantise_update(local.astype(np.float32), base, 1, CONSTANTS))
        model, carried = after_round(rule, model, updates, carried)
    scores = features @ model_values(model, CONSTANTS.fraction_bits).reshape(FEATURES, CLASSES)
    return float((scores.argmax(axis=1) == labels).mean())


@pytest.fixture(scope="module")
def clean() -> float:
    return accuracy(FEDAVG, 0)


def test_the_mean_does_not_stand_it(clean: float) -> None:
    assert clean > 0.9
    assert accuracy(FEDAVG, FLIPPING) < 0.5 * clean


@pytest.mark.parametrize(
    "rule",
    [
        Median(),
        TrimmedMean(Fraction(3, 10)),
        MultiKrum(FLIPPING, 0),
        CentredClipping(0.2, 3),
        NormBound(1.0),
    ],
    ids=lambda rule: str(rule.name),
)
def test_robust_rules_keep_nine_tenths_of_the_clean_accuracy(rule: Rule, clean: float) -> None:
    assert accuracy(rule, FLIPPING) >= 0.9 * clean
