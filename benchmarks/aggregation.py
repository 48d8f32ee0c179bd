"""Sum and apply against Flower's weighted mean of the same number of vectors, ten of the CNN.

Both start from what came from the participants and end with the next model; hashing is no part of it.
`aggregation_quantised` quantises every update as well, which in a round is the participants' own work, and
ends with values in floating point; `aggregation_numpy` compares that with FedAvg as it is usually written in
float64 NumPy. The peers give other bits in another order; ours are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.flower import interpreter, measured, peer_name
from benchmarks.harness import RUNS, Result, cores, interleaved_medians, throughput
from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.aggregation.whole_round import whole_round
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.native import kernels
from fl_chain.commitment.pool import HashingPool
from fl_chain.machine.memory import keep_freed_memory
from fl_chain.records import Quantisation

DIMENSION = 1_663_370  # of the CNN in `benchmarks.mnist_shaped`
PARTICIPANTS = 10
INSTALLS = True
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=20, clip_lanes=2**20, max_total_weight=1000)


def results() -> list[Result]:
    """Return the comparisons."""
    python = interpreter(installs=INSTALLS)
    summed_s, quantised_s, float64_s = our_seconds()
    sizes = {"--dimension": DIMENSION, "--participants": PARTICIPANTS, "--runs": RUNS}
    arguments = [str(part) for pair in sizes.items() for part in pair]
    flower_s = measured("flower_aggregate.py", arguments, python=python)
    flower, numpy = peer_name("FedAvg, same vectors"), "FedAvg in float64 NumPy"
    work, unit = DIMENSION * PARTICIPANTS / 1e6, "million coordinates/s"
    return [
        throughput("aggregation", flower, work, (summed_s, flower_s), unit),
        throughput("aggregation_quantised", flower, work, (quantised_s, flower_s), unit),
        throughput("aggregation_numpy", numpy, work, (quantised_s, float64_s), unit),
    ]


def our_seconds() -> tuple[float, float, float]:
    """Return the median seconds of summing, of quantising and summing, and of the mean in float64."""
    kernels()  # an aggregator has loaded them, and keeps its memory
    keep_freed_memory()
    rng = np.random.default_rng(0)
    base = model_lanes(rng.normal(size=DIMENSION), QUANTISATION.fraction_bits)
    base_values = model_values(base, QUANTISATION.fraction_bits)
    models = [
        base_values + rng.normal(scale=0.01, size=DIMENSION).astype(np.float32) for _ in range(PARTICIPANTS)
    ]
    weights = [int(weight) for weight in rng.integers(1, 50, PARTICIPANTS)]

    def updates() -> Iterator[Lanes]:
        for local, weight in zip(models, weights, strict=True):
            yield quantise_update(local, base_values, weight, QUANTISATION)

    made = list(updates())
    with HashingPool(cores()) as pool:

        def summed(vectors: Sequence[Lanes]) -> Lanes:
            return _summed(base, vectors, sum(weights), pool)

        (alone,) = interleaved_medians([lambda: summed(made)])  # as Flower's is measured
        quantised, in_float64 = interleaved_medians(
            [
                lambda: model_values(summed(list(updates())), QUANTISATION.fraction_bits),
                lambda: _in_float64(models, weights),
            ]
        )
    return alone, quantised, in_float64


def _summed(base: Lanes, updates: Sequence[Lanes], weight: int, pool: HashingPool) -> Lanes:
    together = whole_round(base, updates, weight, QUANTISATION, pool=pool, is_hashed=False, keeps_total=False)
    if together is not None:
        return together.model
    sums = PartialSums(DIMENSION, _unhashed)
    for update in updates:
        sums.add(update)
    sums.finish()
    model, _ = apply_sum(base, sums.total, weight, QUANTISATION)
    return model


def _unhashed(_: PartialSum) -> None:
    """Take a partial sum without hashing it."""


def _in_float64(models: list[npt.NDArray[np.float32]], weights: list[int]) -> npt.NDArray[np.float32]:
    total = np.zeros(DIMENSION)
    for local, weight in zip(models, weights, strict=True):
        total += local.astype(np.float64) * (weight / sum(weights))
    return total.astype(np.float32)
