"""Posted rounds in memory, honest or with lies in them whose hashes are consistent all the way up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fl_chain.aggregation.apply import apply_sum
from fl_chain.commitment.chunks import CHUNK_LANES, LANE, Lanes, chunk_count
from fl_chain.commitment.partial_sums import FAN_IN, level_sizes, list_index, sums_hash
from fl_chain.commitment.proofs import PostedRound
from fl_chain.commitment.seals import leaf, sealed_root
from fl_chain.commitment.tree import VectorTree, vector_tree
from fl_chain.errors import BlobMissing
from fl_chain.records import (
    Address,
    Digest,
    Exclusion,
    ExclusionReason,
    Opening,
    Quantisation,
    RunId,
    Submission,
    address,
)
from fl_chain.run.prover import PostingClaim
from fl_chain.store import Update

RUN = RunId(31337, address("0x" + "ab" * 20))
ROUND = 7
Native = npt.NDArray[np.uint32]


def participant(index: int) -> Address:
    return address((0xC0FFEE00 + index).to_bytes(20, "big"))


@dataclass
class Published:
    """A round's blobs; what is taken out of the dictionaries is withheld."""

    updates: dict[int, Update]
    base: Lanes | None
    sums: dict[Digest, bytes]
    models: dict[Digest, bytes]

    def update(self, submission: Submission) -> Update:
        return _there(self.updates.get(submission.index), f"update {submission.index}")

    def base_model(self) -> Lanes:
        return _there(self.base, "base model")

    def sum_hashes(self, root: Digest) -> bytes:
        return _there(self.sums.get(root), f"sum {root.hex()}")

    def model_hashes(self, root: Digest) -> bytes:
        return _there(self.models.get(root), f"model {root.hex()}")


def _there(content, what):
    if content is None:
        raise BlobMissing(f"no copy of {what} can be read")
    return content


@dataclass(frozen=True)
class PostedRoundCase:
    """What the ledger and the store have of one posting."""

    claim: PostingClaim
    blobs: Published


@dataclass
class World:
    """A round's submissions and base, from which postings are made.

    Vectors are held as whole chunks: shape (submissions, chunks * 1024), native uint32, so that lanes past
    the dimension can be set as well.
    """

    dimension: int
    weights: list[int]
    updates: Native
    base: Native
    excluded: dict[int, ExclusionReason]
    quantisation: Quantisation
    run: RunId = RUN
    round: int = ROUND
    participants: list[Address] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.count = len(self.weights)
        self.participants = self.participants or [participant(index) for index in range(self.count)]
        self.opened = [self._opened(index) for index in range(self.count)]
        self.base_tree = _tree(self.base)
        self.included_weight = sum(w for i, w in enumerate(self.weights) if i not in self.excluded)
        self._trees: dict[bytes, VectorTree] = {}
        self._honest_sums = self.sums_of(self.updates)

    def _opened(self, index: int) -> tuple[Update, Submission]:
        lanes = self.updates[index].astype(LANE)
        opening = Opening(vector_tree(lanes).root, index.to_bytes(32, "big"))
        who = self.participants[index]
        sealed = sealed_root(opening.vector_root, opening.salt, self.run, self.round, who)
        weight = self.weights[index]
        submission = Submission(self.round, index, who, weight, sealed, leaf(sealed, weight, who))
        return Update(opening, lanes), submission

    def sums_of(self, updates: Native) -> list[Native]:
        """Return every level's sums, one array of shape (sums, lanes) a level."""
        included = updates.copy() if self.excluded else updates
        included[list(self.excluded)] = 0
        levels = [included]
        for _ in level_sizes(self.count):
            starts = np.arange(0, len(levels[-1]), FAN_IN)
            levels.append(np.add.reduceat(levels[-1], starts, axis=0, dtype=np.uint32))
        return levels[1:]

    def honest_sums(self) -> list[Native]:
        return [level.copy() for level in self._honest_sums]

    def sums_above(self, sums: list[Native], level: int, position: int) -> list[Native]:
        """Make every sum above an altered one what it would honestly be."""
        for above in range(level, len(sums)):
            position //= FAN_IN
            below = sums[above - 1][position * FAN_IN : (position + 1) * FAN_IN]
            sums[above][position] = below.sum(axis=0, dtype=np.uint32)
        return sums

    def model_of(self, total: Native) -> Native:
        base, summed = self.base.astype(LANE), total.astype(LANE)
        model, _ = apply_sum(base, summed, self.included_weight, self.quantisation)
        return model.astype(np.uint32)

    def posted(self, sums: list[Native] | None = None, model: Native | None = None) -> PostedRoundCase:
        """Return a posting that lists these sums and this model, with all hashes made from them."""
        levels = self._honest_sums if sums is None else sums
        made = self.model_of(levels[-1][0]) if model is None else model
        trees = [self._tree(lanes) for level in levels for lanes in level]
        model_tree = self._tree(made)
        roots = [tree.root for tree in trees]
        stored = PostedRound(
            run=self.run,
            round=self.round,
            dimension=self.dimension,
            quantisation=self.quantisation,
            leaves=[submission.leaf for _, submission in self.opened],
            excluded=frozenset(self.excluded),
            included_weight=self.included_weight,
            sums_hash=sums_hash(roots),
            base_model_root=self.base_tree.root,
            model_root=model_tree.root,
        )
        exclusions = [Exclusion(index, reason) for index, reason in sorted(self.excluded.items())]
        claim = PostingClaim(stored, roots, [submission for _, submission in self.opened], exclusions)
        blobs = Published(
            updates={index: update for index, (update, _) in enumerate(self.opened)},
            base=self.base[: self.dimension].astype(LANE),
            sums={tree.root: tree.chunk_hashes for tree in trees},
            models={model_tree.root: model_tree.chunk_hashes},
        )
        return PostedRoundCase(claim, blobs)

    def with_update(self, index: int, lane: int, value: int) -> World:
        """Return the world in which a participant has committed to another lane."""
        updates = self.updates.copy()
        updates[index, lane] = value % 2**32
        return replace(self, updates=updates)

    def place(self, level: int, position: int) -> int:
        return list_index(level, position, self.count)

    def _tree(self, lanes: Native) -> VectorTree:
        key = lanes.tobytes()
        if key not in self._trees:
            if len(self._trees) > 300:
                self._trees.clear()
            self._trees[key] = _tree(lanes)
        return self._trees[key]


def _tree(lanes: Native) -> VectorTree:
    return vector_tree(lanes.astype(LANE))


def random_world(
    rng: np.random.Generator, count: int, dimension: int, *, excluded: int = 0, is_extreme: bool = False
) -> World:
    """Return a round of valid updates.

    Args:
        rng: draws everything.
        count: submissions.
        dimension: lanes of the model.
        excluded: how many submissions are left out; fewer than ``count``.
        is_extreme: whether sums reach the end of the signed lanes, and models are clamped.
    """
    weights = [int(weight) for weight in rng.integers(1, 50, count)]
    most = (2**31 - 1) // sum(weights)
    clip = most if is_extreme else int(rng.integers(1, most + 1))
    quantisation = Quantisation(
        fraction_bits=int(rng.integers(8, 25)),
        scale_bits=int(rng.integers(0, 9 if is_extreme else 41)),
        clip_lanes=clip,
        max_total_weight=sum(weights),
    )
    lanes = chunk_count(dimension) * CHUNK_LANES
    updates = np.zeros((count, lanes), dtype=np.uint32)
    for index, weight in enumerate(weights):
        bound = clip * weight
        if is_extreme and rng.random() < 0.5:
            values = rng.choice([-bound, bound], dimension)
        else:
            values = rng.integers(-bound, bound + 1, dimension)
        updates[index, :dimension] = values.astype(np.int64).astype(np.uint32)
    base = np.zeros(lanes, dtype=np.uint32)
    reach = 2**31 if is_extreme else 2**24
    base[:dimension] = rng.integers(-reach, reach, dimension).astype(np.int64).astype(np.uint32)
    left_out = rng.choice(count, min(excluded, count - 1), replace=False)
    return World(
        dimension,
        weights,
        updates,
        base,
        {int(index): ExclusionReason.UNREADABLE for index in left_out},
        quantisation,
    )


DIMENSIONS = (1, 2, 7, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, 4097)


def drawn_world(rng: np.random.Generator) -> World:
    """Return a round of 1 to 600 submissions over dimensions that straddle chunk borders."""
    size = rng.random()
    most = 24 if size < 0.8 else 130 if size < 0.97 else 600
    count = int(rng.integers(1, most + 1))
    excluded = int(rng.integers(0, count)) if rng.random() < 0.4 else 0
    dimension = int(rng.choice(DIMENSIONS))
    return random_world(rng, count, dimension, excluded=excluded, is_extreme=rng.random() < 0.3)
