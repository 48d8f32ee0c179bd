"""Count how often the audit's statistics speak about honest updates, and about copies.

Participants train a small network by FedAvg on made-up classes, alike and unalike, many rows and few. The
figures stand in docs/report.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.quantise import quantise_update
from fl_chain.audit.kinds import Kind
from fl_chain.audit.statistics import UpdateStatistics
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.tree import vector_root
from fl_chain.records import Address, Digest, Quantisation, Submission

Floats = npt.NDArray[np.float64]

INPUTS, HIDDEN, CLASSES = 32, 32, 10
DIMENSION = INPUTS * HIDDEN + HIDDEN * CLASSES
ROUNDS, SEEDS, BATCH, RATE = 15, 3, 32, 0.1


def gradient(flat: Floats, rows: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Return the mean gradient of the cross entropy of a network with one hidden layer of ReLU."""
    first = flat[: INPUTS * HIDDEN].reshape(INPUTS, HIDDEN)
    second = flat[INPUTS * HIDDEN :].reshape(HIDDEN, CLASSES)
    hidden = np.maximum(rows @ first, 0)
    scores = hidden @ second
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    scores[np.arange(labels.size), labels] -= 1
    scores /= labels.size
    back = (scores @ second.T) * (hidden > 0)
    return np.concatenate([(rows.T @ back).ravel(), (hidden.T @ scores).ravel()])


def trained(base: Floats, rows: Floats, labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return a model after one epoch of SGD."""
    flat = base.copy()
    order = rng.permutation(labels.size)
    for start in range(0, min(labels.size, 50 * BATCH), BATCH):
        batch = order[start : start + BATCH]
        flat -= RATE * gradient(flat, rows[batch], labels[batch])
    return flat


def rounds(participants: int, n_rows: int, skew: float | None, seed: int) -> Iterator[list[Lanes]]:
    """Yield each round's updates, of weight 100."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((CLASSES, INPUTS)) * 0.7
    shares = rng.dirichlet([skew or 1.0] * CLASSES, participants) if skew else None
    data = []
    for number in range(participants):
        labels = rng.choice(CLASSES, n_rows, p=None if shares is None else shares[number])
        data.append((centres[labels] + rng.standard_normal((n_rows, INPUTS)), labels))
    model = rng.standard_normal(DIMENSION) * 0.1
    for _ in range(ROUNDS):
        locals_ = [trained(model, rows, labels, rng) for rows, labels in data]
        yield [quantise_update(one, model, 100, QUANTISATION) for one in locals_]
        model = np.mean(locals_, axis=0)


QUANTISATION = Quantisation(22, 20, 2**20, 2**10)


def submission(round_id: int, index: int) -> Submission:
    """Return a submission of weight 100."""
    nothing = Digest(bytes(32))
    return Submission(round_id, index, Address(f"0x{index:040x}"), 100, nothing, nothing)


def count(participants: int, n_rows: int, skew: float | None) -> tuple[int, Counter[str]]:
    """Return the number of updates and of warnings by kind."""
    found: Counter[str] = Counter()
    updates = 0
    for seed in range(SEEDS):
        statistics = UpdateStatistics(DIMENSION, QUANTISATION)
        for round_id, round_updates in enumerate(rounds(participants, n_rows, skew, seed), 1):
            statistics.open_round(bytes([seed, round_id]))
            for index, lanes in enumerate(round_updates):
                statistics.add(submission(round_id, index), vector_root(lanes), lanes)
                updates += 1
            found.update(warning.kind.value for warning in statistics.close_round().warnings)
    return updates, found


def copies_found(noise: float) -> float:
    """Return the share of rescaled copies with noise of a relative length that are named as copies."""
    found = total = 0
    rng = np.random.default_rng(7)
    for honest in rounds(5, 200, 0.5, 11):
        statistics = UpdateStatistics(DIMENSION, QUANTISATION)
        statistics.open_round(b"copies")
        victim = honest[0].view(">i4").astype(np.float64)
        added = rng.standard_normal(DIMENSION)
        added *= noise * np.linalg.norm(victim) / np.linalg.norm(added)
        copy = np.rint(0.5 * (victim + added)).astype(">i4").view(">u4")
        for index, lanes in enumerate([*honest, copy]):
            statistics.add(submission(1, index), vector_root(lanes), lanes)
        warnings = statistics.close_round().warnings
        found += any(warning.kind is Kind.UPDATE_NEARLY_COPIED for warning in warnings)
        total += 1
    return found / total


def main() -> None:
    """Print both tables."""
    print(f"{DIMENSION} lanes, {ROUNDS} rounds, {SEEDS} seeds; warnings about honest updates")
    for participants in (5, 10, 20):
        for n_rows in (100, 2000):
            for skew in (None, 0.5, 0.1):
                updates, found = count(participants, n_rows, skew)
                kind = "alike" if skew is None else f"Dirichlet {skew}"
                what = f"{participants:3} participants, {n_rows:5} rows, {kind:14}"
                print(f"{what}: {updates:4} updates, {dict(found)}")
    for noise in (0.0, 0.001, 0.003, 0.004, 0.005, 0.01):
        print(f"copies with noise of {noise:.1%} of their length: {copies_found(noise):.0%} named")


if __name__ == "__main__":
    main()
