import math

import numpy as np
import pytest

from fl_chain.learning.metrics import binary_metrics, recall_at_false_positive_rate


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


def test_recall_at_a_false_positive_rate_by_hand() -> None:
    labels = np.array([0] * 20 + [1] * 4)
    scores = np.concatenate([np.arange(20.0), [18.5, 18.0, 25.0, 3.0]])
    assert recall_at_false_positive_rate(labels, scores, 0.0) == 0.25  # only 25 lies above every 0
    assert recall_at_false_positive_rate(labels, scores, 0.05) == 0.5  # one 0 of 20 may pass: 19
    assert recall_at_false_positive_rate(labels, scores, 0.0499) == 0.25
    assert recall_at_false_positive_rate(labels, scores, 1.0) == 1.0


def test_recall_never_lets_more_through_than_the_rate() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 300), np.round(rng.standard_normal(300), 1)  # many ties
    for rate in (0.0, 0.01, 0.05, 0.3):
        recall = recall_at_false_positive_rate(labels, scores, rate)
        passing = [
            (scores[labels == 1] > cut).mean()
            for cut in np.append(scores, -9.0)
            if (scores[labels == 0] > cut).mean() <= rate
        ]
        assert recall == max(passing)


@pytest.mark.parametrize("rate", [-0.01, 1.01])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        recall_at_false_positive_rate(np.array([0, 1]), np.array([0.0, 1.0]), rate)
    with pytest.raises(ValueError, match="both classes"):
        recall_at_false_positive_rate(np.array([1, 1]), np.array([0.0, 1.0]), 0.5)
