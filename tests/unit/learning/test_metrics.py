import math

import numpy as np
import pytest

from fl_chain.learning.metrics import binary_metrics


def test_against_a_count_of_pairs_with_ties() -> None:
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 2, 60), np.round(rng.standard_normal(60), 1)
    pairs = [(p > n) + 0.5 * (p == n) for p in logits[labels == 1] for n in logits[labels == 0]]
    assert binary_metrics(labels, logits)["auroc"] == pytest.approx(np.mean(pairs))


def test_accuracy_and_loss_by_hand() -> None:
    metrics = binary_metrics(np.array([1, 0, 1, 0]), np.array([0.0, 0.0, math.log(3), -math.log(3)]))
    assert metrics["accuracy"] == 0.75
    assert metrics["loss"] == pytest.approx((2 * math.log(2) - 2 * math.log(0.75)) / 4)


def test_a_perfect_ranking() -> None:
    metrics = binary_metrics(np.array([0, 0, 1]), np.array([-1.0, 0.0, 5.0]))
    assert (metrics["auroc"], metrics["average_precision"], metrics["accuracy"]) == (1, 1, 1)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_ranking_metrics_out_and_says_why(
    label: int, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = binary_metrics(np.full(3, label), np.array([1.0, 2.0, -1.0]))
    assert set(metrics) == {"accuracy", "loss"}
    assert "one class" in caplog.text


def test_no_rows_no_metrics(caplog: pytest.LogCaptureFixture) -> None:
    assert binary_metrics(np.array([]), np.array([])) == {}
    assert "no held-out rows" in caplog.text


def test_extreme_logits_stay_finite() -> None:
    metrics = binary_metrics(np.array([0, 1]), np.array([1e4, -1e4], np.float32))
    assert all(math.isfinite(value) for value in metrics.values())
