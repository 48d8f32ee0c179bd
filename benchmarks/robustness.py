"""Aggregation rules against four attackers among twenty participants: what is left of a rule's own accuracy.

MNIST at half its resolution, softmax regression, 300 rows for each participant in a mixture of classes of its
own, drawn from a Dirichlet distribution of concentration 0.5 for each class. Every update goes through the
project's own quantisation and every round through its own rules. The attackers know every honest update of
the round:

- sign flip: the opposite of what the attacker learned, six times as far, and just as far;
- label flip: training as everybody's, on rows whose class c is called 9 - c (Fang et al. 2020);
- IPM: the opposite of the honest mean, half as far (Xie, Koyejo, Gupta 2020, *Fall of Empires*);
- ALIE: the honest mean, off by some standard deviations in every coordinate (Baruch, Baruch, Goldberg 2019,
  *A Little Is Enough*): 0.157, which is their z_max for 4 of 20, and 1.5.

Ours is the accuracy of Multi-Krum under six-fold sign flipping, the peer the same rule with nobody attacking;
the file holds all the others too. The data set is one of the catalogue's; without it nothing is measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Result, machine
from fl_chain.aggregation.quantise import model_lanes, model_values, quantise_update
from fl_chain.aggregation.round import FEDAVG, aggregate_result, aggregate_round
from fl_chain.aggregation.rules.centred_clipping import CentredClipping
from fl_chain.aggregation.rules.multi_krum import MultiKrum
from fl_chain.aggregation.rules.norm_bound import NormBound
from fl_chain.aggregation.rules.order import Median, TrimmedMean
from fl_chain.aggregation.rules.rule import LaneMatrix, ResultRule, Rule, SumRule
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.config import data_places
from fl_chain.data.partition import dirichlet_mixtures
from fl_chain.data.reading import Images, read_images
from fl_chain.errors import ConfigError, FlChainError
from fl_chain.records import Quantisation

Floats = npt.NDArray[np.float32]

PARTICIPANTS, ATTACKERS, CLASSES = 20, 4, 10
ROWS_EACH = 300
ROUNDS = 50
LOCAL_STEPS, LEARNING_RATE = 5, 0.5
CONCENTRATION = 0.5  # for each class
SEEDS = (1, 2, 3, 4, 5)
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=24, clip_lanes=2**26, max_total_weight=PARTICIPANTS)
RULES: dict[str, Rule] = {
    "fedavg": FEDAVG,
    "median": Median(),
    "trimmed_mean, trim 0.2": TrimmedMean(Fraction(ATTACKERS, PARTICIPANTS)),
    "multi_krum, byzantine 4": MultiKrum(ATTACKERS, 0),
    "norm_bound, 2": NormBound(2.0),
    "centred_clipping, radius 1, 3 iterations": CentredClipping(1.0, 3),
}
MEASURED = "multi_krum, byzantine 4"


@dataclass(frozen=True, slots=True)
class Learned:
    """What the participants learned in a round: changes of the model."""

    honest: Floats  # shape (honest participants, dimension)
    attackers: Floats  # what the attackers learned, from honest labels, shape (attackers, dimension)
    misled: Floats  # and from flipped ones


Attack = Callable[[Learned], Floats]
"""From what was learned to what each attacker sends, shape (attackers, dimension)."""


def sign_flip(learned: Learned, *, factor: float) -> Floats:
    """Return the opposite of what each attacker learned."""
    return np.float32(-factor) * learned.attackers


def label_flip(learned: Learned) -> Floats:
    """Return what each attacker learned from flipped labels."""
    return learned.misled


def inner_product(learned: Learned, *, epsilon: float) -> Floats:
    """Return the opposite of the honest mean."""
    return _by_all(np.float32(-epsilon) * learned.honest.mean(axis=0))


def little_is_enough(learned: Learned, *, deviations: float) -> Floats:
    """Return the honest mean, off by some standard deviations."""
    mean, spread = learned.honest.mean(axis=0), learned.honest.std(axis=0)
    return _by_all(mean - np.float32(deviations) * spread)


def most_deviations(participants: int, attackers: int) -> float:
    """Return z_max of Baruch et al. 2019, algorithm 3."""
    supporters = participants // 2 + 1 - attackers
    honest = participants - attackers
    return statistics.NormalDist().inv_cdf((honest - supporters) / honest)


ATTACKS: dict[str, Attack] = {
    "sign flip, 6": partial(sign_flip, factor=6.0),
    "sign flip, 1": partial(sign_flip, factor=1.0),
    "label flip": label_flip,
    "IPM, 0.5": partial(inner_product, epsilon=0.5),
    "ALIE, 0.157": partial(little_is_enough, deviations=most_deviations(PARTICIPANTS, ATTACKERS)),
    "ALIE, 1.5": partial(little_is_enough, deviations=1.5),
}


RULE_NAMES, ATTACK_NAMES = tuple(RULES), tuple(ATTACKS)  # what is measured


@dataclass(frozen=True, slots=True)
class Cell:
    """A rule under one attack, over the seeds."""

    rule: str
    attack: str | None  # None: nobody attacks
    accuracy: float
    deviation: float  # of the accuracy, over the seeds
    of_clean: float  # the accuracy over that of the same rule with nobody attacking


@dataclass(frozen=True, slots=True)
class TableResult(Result):
    """Multi-Krum under sign flipping, and every other cell."""

    participants: int
    attackers: int
    rounds: int
    seeds: int
    cells: tuple[Cell, ...]


def results() -> list[Result]:
    """Return `robustness`."""
    try:
        images = read_images("mnist", data_places())
    except FlChainError as error:
        raise ConfigError(str(error)) from error
    worlds = [World(images, seed) for seed in SEEDS]
    cells = []
    for name in RULE_NAMES:
        rule = RULES[name]
        clean = [world.accuracy(rule, None) for world in worlds]
        cells.append(_cell(name, None, clean, clean))
        for attack in ATTACK_NAMES:
            attacked = [world.accuracy(rule, ATTACKS[attack]) for world in worlds]
            cells.append(_cell(name, attack, attacked, clean))
    found = {(cell.rule, cell.attack): cell for cell in cells}
    flipped, alone = found[MEASURED, ATTACK_NAMES[0]], found[MEASURED, None]
    return [
        TableResult(
            name="robustness",
            ratio=flipped.of_clean,
            peer="Multi-Krum with nobody attacking; ours with 4 of 20 that flip signs",
            ours=round(100 * flipped.accuracy, 2),
            theirs=round(100 * alone.accuracy, 2),
            unit="% accuracy on MNIST's test set",
            machine=machine(),
            participants=PARTICIPANTS,
            attackers=ATTACKERS,
            rounds=ROUNDS,
            seeds=len(SEEDS),
            cells=tuple(cells),
        )
    ]


def _cell(rule: str, attack: str | None, accuracies: list[float], clean: list[float]) -> Cell:
    mean = statistics.fmean(accuracies)
    return Cell(
        rule,
        attack,
        round(mean, 4),
        round(statistics.pstdev(accuracies), 4),
        round(mean / statistics.fmean(clean), 4),
    )


class World:
    """The participants with their rows, for one seed."""

    def __init__(self, images: Images, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(images.train_labels))[: PARTICIPANTS * ROWS_EACH]
        labels = images.train_labels[rows]
        parts = dirichlet_mixtures(labels, PARTICIPANTS, CONCENTRATION * CLASSES, rng)
        self._features = np.stack([_features(images.train_images[rows[part]]) for part in parts])
        own = np.stack([labels[part] for part in parts])
        flipped = CLASSES - 1 - own[:ATTACKERS]
        self._targets: Floats = np.eye(CLASSES, dtype=np.float32)[np.concatenate([own, flipped])]
        self._features = np.concatenate([self._features, self._features[:ATTACKERS]])
        self._test, self._test_labels = _features(images.test_images), images.test_labels

    def accuracy(self, rule: Rule, attack: Attack | None) -> float:
        """Return the accuracy of the last round's model on the test set."""
        dimension = self.dimension
        model = model_lanes(np.zeros(dimension, dtype=np.float32), QUANTISATION.fraction_bits)
        carried = rule.initial(dimension)
        for _ in range(ROUNDS):
            base = model_values(model, QUANTISATION.fraction_bits)
            learned = self.learned(base)
            sent = learned.attackers if attack is None else attack(learned)
            changes = np.concatenate([sent, learned.honest])
            updates = np.empty(changes.shape, dtype=LANE)
            for row, change in enumerate(changes):
                updates[row] = quantise_update(base + change, base, 1, QUANTISATION)
            model, carried = after_round(rule, model, updates, carried)
        return self.accuracy_of(model)

    def accuracy_of(self, model: Lanes) -> float:
        """Return a model's accuracy on the test set."""
        weights = model_values(model, QUANTISATION.fraction_bits).reshape(-1, CLASSES)
        return float(((self._test @ weights).argmax(axis=1) == self._test_labels).mean())

    @property
    def dimension(self) -> int:
        """Lanes of a model."""
        return int(self._test.shape[1]) * CLASSES

    def learned(self, base: Floats) -> Learned:
        """Train everybody at once: gradient descent on all of a participant's own rows."""
        weights: Floats = np.broadcast_to(
            base.reshape(-1, CLASSES), (len(self._features), base.size // CLASSES, CLASSES)
        )
        transposed = self._features.transpose(0, 2, 1)
        for _ in range(LOCAL_STEPS):
            scores = self._features @ weights
            scores -= scores.max(axis=2, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=2, keepdims=True)
            scores -= self._targets
            step = np.float32(LEARNING_RATE / ROWS_EACH) * (transposed @ scores)
            weights = np.subtract(weights, step, dtype=np.float32)
        changes = weights.reshape(len(weights), -1) - base
        return Learned(changes[ATTACKERS:PARTICIPANTS], changes[:ATTACKERS], changes[PARTICIPANTS:])


def after_round(rule: Rule, model: Lanes, updates: LaneMatrix, carried: Lanes) -> tuple[Lanes, Lanes]:
    """Return the next model and what is carried on; a round that keeps nothing leaves both."""
    if isinstance(rule, ResultRule):
        made = aggregate_result(model, updates, QUANTISATION, rule=rule, carried=carried)
        return made.model, carried if made.carried is None else made.carried
    if not isinstance(rule, SumRule):
        raise TypeError(f"{rule.name} carries a server optimiser's state, and is no robust rule")
    kept = rule.kept(updates, [1] * len(updates), QUANTISATION)
    if not kept:
        return model, carried
    chosen = [update if row in kept else None for row, update in enumerate(updates)]
    return aggregate_round(model, chosen, len(kept), QUANTISATION).model, carried


def _by_all(change: Floats) -> Floats:
    return np.broadcast_to(change, (ATTACKERS, change.size))


def _features(images: npt.NDArray[np.uint8]) -> Floats:
    """Return the means of squares of four pixels, and a constant 1."""
    halved = images.reshape(len(images), 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    return np.concatenate(
        [halved.reshape(len(images), -1), np.ones((len(images), 1), dtype=np.float32)], axis=1
    )
