"""Quantise, sum and apply against a weighted mean in float64.

The peer, FedAvg as it is usually written in NumPy, gives other bits in another order; what is paid here is
the price of the same bits on every machine. Hashing is not part of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Result, interleaved_medians, throughput
from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.commitment.chunks import Lanes
from fl_chain.records import Quantisation

DIMENSION = 1_000_000
PARTICIPANTS = 16
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=2**20, max_total_weight=1000)


def results() -> list[Result]:
    """Return the comparison."""
    rng = np.random.default_rng(0)
    base = model_lanes(rng.normal(size=DIMENSION), QUANTISATION.fraction_bits)
    base_values = model_values(base, QUANTISATION.fraction_bits)
    models = [
        base_values + rng.normal(scale=0.01, size=DIMENSION).astype(np.float32) for _ in range(PARTICIPANTS)
    ]
    weights = [int(weight) for weight in rng.integers(1, 50, PARTICIPANTS)]
    seconds = interleaved_medians(
        [lambda: _in_integers(base, base_values, models, weights), lambda: _in_float64(models, weights)]
    )
    million_coordinates = DIMENSION * PARTICIPANTS / 1e6
    peer = "FedAvg in float64 NumPy"
    return [throughput("aggregation", peer, million_coordinates, seconds, "million coordinates/s")]


def _in_integers(
    base: Lanes,
    base_values: npt.NDArray[np.float32],
    models: list[npt.NDArray[np.float32]],
    weights: list[int],
) -> npt.NDArray[np.float32]:
    sums = PartialSums(DIMENSION, _unhashed)
    for local, weight in zip(models, weights, strict=True):
        sums.add(quantise_update(local, base_values, weight, QUANTISATION))
    sums.finish()
    model, _ = apply_sum(base, sums.total, sum(weights), QUANTISATION)
    return model_values(model, QUANTISATION.fraction_bits)


def _unhashed(_: PartialSum) -> None:
    """Take a partial sum without hashing it."""


def _in_float64(models: list[npt.NDArray[np.float32]], weights: list[int]) -> npt.NDArray[np.float32]:
    total = np.zeros(DIMENSION)
    for local, weight in zip(models, weights, strict=True):
        total += local.astype(np.float64) * (weight / sum(weights))
    return total.astype(np.float32)
