"""Flip signs under masks; print a table of docs/secure-aggregation.md: one sum of all, and sums of groups.

python scripts/measure_groups.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.robustness import PARTICIPANTS, QUANTISATION, ROUNDS, World
from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.rules.grouped import Grouped, group_means
from fl_chain.aggregation.rules.order import Median, TrimmedMean
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.config import data_places
from fl_chain.data.reading import read_images
from fl_chain.masking.groups import Groups

FACTOR = 6  # how far the other way
LIARS = (0, 1, 2, 3)
RULES = {
    "`fedavg`, one sum of 20": None,
    "`median` across 5 groups": Grouped(Median(), 5),
    "`median` across 6 groups": Grouped(Median(), 6),
    "`trimmed_mean`, trim 0.2, across 5 groups": Grouped(TrimmedMean(Fraction(1, 5)), 5),
    "`trimmed_mean`, trim 0.4, across 6 groups": Grouped(TrimmedMean(Fraction(2, 5)), 6),
}


def accuracy(world: World, rule: Grouped | None, liars: int, seed: int) -> float:
    """Return the accuracy of the last round's model on the test set."""
    model = model_lanes(np.zeros(world.dimension, dtype=np.float32), QUANTISATION.fraction_bits)
    for number in range(ROUNDS):
        base = model_values(model, QUANTISATION.fraction_bits)
        found = world.learned(base)
        changes = np.concatenate([found.attackers, found.honest])
        changes[:liars] *= np.float32(-FACTOR)
        updates = [quantise_update(base + change, base, 1, QUANTISATION) for change in changes]
        model = after_round(model, updates, rule, np.random.default_rng((seed, number)))
    return world.accuracy_of(model)


def after_round(model: Lanes, updates: list[Lanes], rule: Grouped | None, rng: np.random.Generator) -> Lanes:
    """Return the next model. Masks change no sum, so there are none here."""
    count = 1 if rule is None else rule.groups
    groups = Groups(PARTICIPANTS, count, rng.bytes(16))
    sums, weights = np.zeros((count, model.size), dtype=np.uint32), [0] * count
    for vertex, update in enumerate(updates):
        sums[groups.group(vertex)] += update
        weights[groups.group(vertex)] += 1
    if rule is None:
        return apply_sum(model, sums[0].astype(LANE), PARTICIPANTS, QUANTISATION)[0]
    means = group_means(sums.astype(LANE), weights)
    result = rule.result(means, rule.initial(model.size), QUANTISATION)
    return apply_sum(model, result.lanes, result.weight, QUANTISATION)[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(1, parser.parse_args().seeds + 1)
    images = read_images("mnist", data_places())
    worlds = [World(images, seed) for seed in seeds]
    print(f"| rule | {' | '.join(f'{liars} of {PARTICIPANTS} flip signs' for liars in LIARS)} |")
    print("|---|" + "---|" * len(LIARS))
    for name, rule in RULES.items():
        cells = []
        for liars in LIARS:
            found = [accuracy(world, rule, liars, seed) for world, seed in zip(worlds, seeds, strict=True)]
            cells.append(f"{statistics.fmean(found):.3f} ± {statistics.pstdev(found):.3f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
