"""Flower's own weighted mean of its message records, timed; the peer of `benchmarks.aggregation`.

The replies hold their arrays as they come from clients, serialised.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords


def main() -> None:
    """Print the median seconds."""
    parser = argparse.ArgumentParser(description="Seconds that Flower's aggregation takes.")
    parser.add_argument("--dimension", type=int, required=True)
    parser.add_argument("--participants", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    replies = []
    for weight in rng.integers(1, 50, chosen.participants):
        values = rng.normal(size=chosen.dimension).astype(np.float32)
        arrays = ArrayRecord({"model": Array(values)})
        metrics = MetricRecord({"num-examples": int(weight)})
        replies.append(RecordDict({"arrays": arrays, "metrics": metrics}))
    aggregate_arrayrecords(replies, "num-examples")
    seconds = []
    for _ in range(chosen.runs):
        start = time.perf_counter()
        aggregate_arrayrecords(replies, "num-examples")
        seconds.append(time.perf_counter() - start)
    print(json.dumps(statistics.median(seconds)))


if __name__ == "__main__":
    main()
