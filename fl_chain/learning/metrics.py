"""How good a two-class model is on rows that it was not trained on."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

_LOG = logging.getLogger(__name__)


def binary_metrics(labels: npt.NDArray[Any], logits: npt.NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return the metrics of one logit per row; those that are undefined are left out, and the log says why.

    ``auroc`` and ``average_precision`` need rows of both classes. ``accuracy`` cuts at probability 1/2.
    ``loss`` is the mean negative log-likelihood in nats.

    Args:
        labels: shape (rows,), 0 or 1.
        logits: shape (rows,), log-odds of class 1.

    Returns:
        Some of ``auroc``, ``average_precision``, ``accuracy``, ``loss``, by name.
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
    return metrics
