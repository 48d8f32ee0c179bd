"""Real vectors behind what the oracle submits and posts: small ones, and aggregates that may lie."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from oracle_people import some_digest

from fl_chain.aggregation.apply import apply_sum
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, chunk_count
from fl_chain.commitment.partial_sums import FAN_IN
from fl_chain.commitment.proofs import SubmissionOpening
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import VectorTree, vector_tree
from fl_chain.records import Address, Digest, Quantisation, RunId, Submission

# An aggregator's: one lane of a listed sum, or of the model; a root that stands for nothing.
LIES = ("first sum", "total", "model", "random total", "random model")
# A participant's: a lane beyond its bound on either side, or one past the dimension.
EXCESSES = ("above", "below", "padding")


@dataclass(frozen=True)
class Aggregated:
    """What a posting lists."""

    partial_sum_roots: tuple[Digest, ...]
    model_root: Digest


class Vectors:
    """Every vector of a run by its root; each fills its last chunk."""

    def __init__(self, run: RunId, dimension: int, quantisation: Quantisation) -> None:
        self.run, self.dimension, self.quantisation = run, dimension, quantisation
        self.lanes = chunk_count(dimension) * CHUNK_LANES
        self.by_root: dict[Digest, Lanes] = {}
        self.openings: dict[Digest, SubmissionOpening] = {}  # by sealed root
        self.keep(genesis_lanes(dimension))

    def keep(self, lanes: Lanes) -> Digest:
        """Remember a vector and return its root."""
        root = vector_tree(lanes).root
        self.by_root[root] = lanes
        return root

    def tree(self, root: Digest) -> VectorTree:
        """Return a known vector's hashes."""
        return vector_tree(self.by_root[root])

    def sealed(
        self, round_id: int, participant: Address, weight: int, seed: int, excess: str | None
    ) -> Digest:
        """Make a participant's update for a round, and return its sealed root."""
        root = self.keep(self._update(weight, seed, excess))
        salt = some_digest("salt", seed)
        sealed = sealed_root(root, salt, self.run, round_id, participant)
        self.openings[sealed] = SubmissionOpening(root, salt, weight, participant)
        return sealed

    def _update(self, weight: int, seed: int, excess: str | None) -> Lanes:
        bound = self.quantisation.clip_lanes * weight
        rng = np.random.default_rng(seed)
        values = np.zeros(self.lanes, dtype=np.int64)
        values[: self.dimension] = rng.integers(-bound, bound + 1, self.dimension)
        values[0], values[self.dimension - 1] = bound, -bound
        at = {"padding": self.dimension % self.lanes, "above": self.dimension // 2}.get(excess or "", 0)
        values[at] = {"above": bound + 1, "below": -bound - 1, "padding": 1}.get(excess or "", values[at])
        return values.astype(np.uint32).astype(LANE)

    def aggregate(
        self,
        base_root: Digest,
        submissions: Sequence[Submission],
        excluded: Collection[int],
        lie: str | None,
    ) -> Aggregated:
        """Sum and apply what is included, with one lie; all that follows from it is consistent with it."""
        level = [self._summand(one, excluded) for one in submissions]
        roots: list[Digest] = []
        while not roots or len(level) > 1:
            groups = [level[start : start + FAN_IN] for start in range(0, len(level), FAN_IN)]
            level = [np.sum(group, axis=0, dtype=np.uint32).astype(LANE) for group in groups]
            if lie == "first sum" and not roots:
                level[0][self.dimension // 2] += 1
            if lie == "total" and len(level) == 1:
                level[0][self.dimension - 1] -= 1
            roots += [self.keep(lanes) for lanes in level]
        if lie == "random total":
            roots[-1] = some_digest("random total", len(self.by_root))
        weight = sum(one.weight for one in submissions if one.index not in excluded)
        return Aggregated(tuple(roots), self._model_root(base_root, level[0], weight, lie))

    def _summand(self, submission: Submission, excluded: Collection[int]) -> Lanes:
        if submission.index in excluded:
            return np.zeros(self.lanes, dtype=LANE)
        return self.by_root[self.openings[submission.sealed_root].vector_root]

    def _model_root(self, base_root: Digest, total: Lanes, weight: int, lie: str | None) -> Digest:
        base = self.by_root.get(base_root)
        if base is None or not weight or lie == "random model":
            return some_digest("random model", len(self.by_root))
        model, _ = apply_sum(base, total, weight, self.quantisation)
        if lie == "model":
            model[self.dimension // 2] += 1
        return self.keep(model)


def genesis_lanes(dimension: int) -> Lanes:
    """Return the model that a run starts from."""
    lanes = np.zeros(chunk_count(dimension) * CHUNK_LANES, dtype=LANE)
    lanes[:dimension] = np.random.default_rng(dimension).integers(0, 2**32, dimension, dtype=np.uint32)
    return lanes
