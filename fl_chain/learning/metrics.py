"""How good a two-class model is on rows that it was not trained on."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import numpy.typing as npt

_LOG = logging.getLogger(__name__)


def recall_at_false_positive_rate(
    labels: npt.NDArray[Any], scores: npt.NDArray[np.floating[Any]], rate: float
) -> float:
    """Return the largest share of class 1 above a threshold that lets at most ``rate`` of class 0 through.

    Args:
        labels: shape (rows,), 0 or 1; both occur.
        scores: shape (rows,), larger for class 1; equal scores fall on one side of a threshold together.
        rate: in [0, 1].

    Raises:
        ValueError: if a class does not occur, or the rate is out of range.
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"the false-positive rate is {rate}; it lies between 0 and 1")
    classes = labels.astype(bool)
    negatives, positives = np.sort(scores[~classes]), scores[classes]
    if len(negatives) == 0 or len(positives) == 0:
        raise ValueError("recall at a false-positive rate needs rows of both classes")
    allowed = math.floor(rate * len(negatives) + 1e-9)
    if allowed >= len(negatives):
        return 1.0
    threshold = negatives[len(negatives) - 1 - allowed]  # the highest-scored row that must stay out
    return float(np.mean(positives > threshold))


def binary_metrics(labels: npt.NDArray[Any], logits: npt.NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return the metrics of one logit per row; those that are undefined are left out, and the log says why.

    ``auroc``, ``average_precision`` and the recalls at a false-positive rate of 1% and 5% need rows of both
    classes. ``accuracy`` cuts at probability 1/2. ``loss`` is the mean negative log-likelihood in nats.

    Args:
        labels: shape (rows,), 0 or 1.
        logits: shape (rows,), log-odds of class 1.

    Returns:
        Some of ``auroc``, ``average_precision``, ``recall_at_1pct_fpr``, ``recall_at_5pct_fpr``,
        ``accuracy``, ``loss``, by name.
    """
    from sklearn.metrics import accuracy_score, average_precision_score, log_loss, roc_auc_score

    if len(labels) == 0:
        _LOG.warning("no metrics: there are no held-out rows")
        return {}
    classes = labels.astype(np.int64)
    scores = logits.astype(np.float64)
    probabilities = np.exp(-np.logaddexp(0.0, -scores))
    metrics = {
        "accuracy": float(accuracy_score(classes, scores > 0)),
        "loss": float(log_loss(classes, probabilities, labels=[0, 1])),
    }
    if classes.min() == classes.max():
        _LOG.warning("auroc and average_precision are undefined: all %d rows are of one class", len(classes))
        return metrics
    metrics["auroc"] = float(roc_auc_score(classes, scores))
    metrics["average_precision"] = float(average_precision_score(classes, scores))
    metrics["recall_at_1pct_fpr"] = recall_at_false_positive_rate(classes, scores, 0.01)
    metrics["recall_at_5pct_fpr"] = recall_at_false_positive_rate(classes, scores, 0.05)
    return metrics
