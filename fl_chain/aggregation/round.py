"""A whole round: from its submissions to everything that a posting says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import VectorTree, vector_root, vector_tree
from fl_chain.records import Digest, Quantisation


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What follows from a round's included updates and its base model."""

    partial_sum_roots: tuple[Digest, ...]  # as a posting lists them: level 1 first, the total last
    chunk_hashes: tuple[bytes, ...]  # of the same partial sums, 32 bytes for each chunk that holds lanes
    total: Lanes  # shape (dimension,)
    model: Lanes  # shape (dimension,)
    model_root: Digest
    clamped: int  # lanes of the model that did not fit 32 bits


def aggregate_round(
    base: Lanes,
    updates: Iterable[Lanes | None],
    included_weight: int,
    quantisation: Quantisation,
    *,
    pool: HashingPool | None = None,
) -> Aggregate:
    """Return what a round's posting has to say.

    Args:
        base: the model that the round started from, shape (dimension,), big-endian.
        updates: in the ledger's order, None for a submission that is excluded; each is read once, and
            memory holds one sum a level whatever their number.
        included_weight: the sum of the included submissions' weights.
        quantisation: the run's constants.
        pool: threads to share the hashing with.

    Raises:
        ValueError: if there is no submission, a vector is of another form, or the weight is out of range.
    """
    levels: list[list[VectorTree]] = []

    def keep_tree(completed: PartialSum) -> None:
        if completed.level > len(levels):
            levels.append([])
        levels[completed.level - 1].append(vector_tree(completed.lanes, pool=pool))

    sums = PartialSums(base.size, keep_tree)
    for update in updates:
        sums.add(update)
    sums.finish()
    model, clamped = apply_sum(base, sums.total, included_weight, quantisation)
    trees = [tree for level in levels for tree in level]
    return Aggregate(
        partial_sum_roots=tuple(tree.root for tree in trees),
        chunk_hashes=tuple(tree.chunk_hashes for tree in trees),
        total=sums.total,
        model=model,
        model_root=vector_root(model, pool=pool),
        clamped=clamped,
    )
