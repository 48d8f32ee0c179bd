"""A whole round: from its submissions to everything that a posting says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.rules.fedavg import FedAvg
from fl_chain.aggregation.rules.rule import LaneMatrix, ResultRule, StateRule, Step, SumRule
from fl_chain.aggregation.sums import PartialSum, PartialSums
from fl_chain.aggregation.whole_round import whole_round
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.commitment.tree import VectorTree, root_of_chunk_hashes, vector_root, vector_tree
from fl_chain.records import ZERO_DIGEST, Digest, Quantisation

FEDAVG = FedAvg()
_NOTHING: Lanes = np.empty(0, dtype=LANE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What follows from a round's included updates and its base model, as a posting has to say it."""

    partial_sum_roots: tuple[Digest, ...]  # as a posting lists them: level 1 first, the total last
    model: Lanes  # shape (dimension,)
    model_root: Digest
    clamped: int  # lanes of the model that did not fit 32 bits
    result_root: Digest = ZERO_DIGEST  # of the total, where that is a rule's result
    state_root: Digest = ZERO_DIGEST  # of `carried`, where that is a rule's state
    carried: Lanes | None = None  # what the next round carries on from besides the model

    @property
    def carried_root(self) -> Digest:
        """Of what is carried on: the state's root or the result's."""
        return self.state_root if self.state_root != ZERO_DIGEST else self.result_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate(Derived):
    """The same, with what whoever posts it publishes besides."""

    chunk_hashes: tuple[bytes, ...]  # of the partial sums, 32 bytes for each chunk that holds lanes
    total: Lanes  # shape (dimension,)


def aggregate_round(
    base: Lanes,
    updates: Iterable[Lanes | None],
    included_weight: int,
    quantisation: Quantisation,
    *,
    pool: HashingPool | None = None,
    rule: SumRule | StateRule = FEDAVG,
    carried: Lanes | None = None,
    terms: Iterable[Lanes] = (),
) -> Aggregate:
    """Return what a round's posting has to say under a rule that sums.

    Args:
        base: the model that the round started from, shape (dimension,), big-endian.
        updates: in the ledger's order, None for a submission that is excluded. Each is read once; of an
            iterator one is looked at after the other, and memory holds one sum a level whatever their number;
            all of a sequence are added up together, which is faster.
        included_weight: the sum of the included submissions' weights.
        quantisation: the run's constants.
        pool: threads to share the hashing with.
        rule: the run's; which updates it keeps is decided before.
        carried: the state that the base's round left, where the rule has one.
        terms: vectors that are summands after the updates, and that the posting lists before its partial
            sums: what takes the masks off a masked round's updates. Held or iterated, as the updates are.

    Raises:
        ValueError: if there is no submission, a vector is of another form, or the weight is out of range.
    """
    if (
        isinstance(updates, Sequence)
        and isinstance(terms, Sequence)
        and updates
        and not isinstance(rule, StateRule)
    ):
        aggregate = _aggregated_whole(base, updates, included_weight, quantisation, pool, terms)
        if aggregate is not None:
            return aggregate
    levels: list[list[VectorTree]] = []

    def keep_tree(completed: PartialSum) -> None:
        if completed.level > len(levels):
            levels.append([])
        levels[completed.level - 1].append(vector_tree(completed.lanes, pool=pool))

    sums = PartialSums(base.size, keep_tree)
    for update in updates:
        sums.add(update)
    listed: list[VectorTree] = []
    for term in terms:
        listed.append(vector_tree(term, pool=pool))
        sums.add(term)
    sums.finish()
    stepped = model_step(rule, base, sums.total, included_weight, carried, quantisation)
    trees = listed + [tree for level in levels for tree in level]
    return Aggregate(
        partial_sum_roots=tuple(tree.root for tree in trees),
        chunk_hashes=tuple(tree.chunk_hashes for tree in trees),
        total=sums.total,
        model=stepped.model,
        model_root=vector_root(stepped.model, pool=pool),
        clamped=stepped.clamped,
        state_root=vector_root(stepped.state, pool=pool) if stepped.state.size else ZERO_DIGEST,
        carried=stepped.state if stepped.state.size else None,
    )


def _aggregated_whole(  # noqa: PLR0917 - as `aggregate_round` has them
    base: Lanes,
    updates: Sequence[Lanes | None],
    included_weight: int,
    quantisation: Quantisation,
    pool: HashingPool | None,
    terms: Sequence[Lanes],
) -> Aggregate | None:
    """Return a round's aggregate where one pass over its summands makes it."""
    made = whole_round(base, (*updates, *terms), included_weight, quantisation, pool=pool)
    if made is None:
        return None
    listed = tuple(vector_tree(term, pool=pool).chunk_hashes for term in terms) + made.sum_hashes
    return Aggregate(
        partial_sum_roots=tuple(root_of_chunk_hashes(hashes, base.size) for hashes in listed),
        chunk_hashes=listed,
        total=made.total,
        model=made.model,
        model_root=root_of_chunk_hashes(made.model_hashes, base.size),
        clamped=made.clamped,
    )


def model_step(  # noqa: PLR0917 - as `StateRule.step` has them, and which rule
    rule: SumRule | StateRule,
    base: Lanes,
    total: Lanes,
    included_weight: int,
    carried: Lanes | None,
    quantisation: Quantisation,
) -> Step:
    """Return model and state after a round's total; the state is empty where the rule has none.

    Raises:
        ValueError: as `aggregate_round`, or if the rule's state is missing.
    """
    if isinstance(rule, StateRule):
        if carried is None:
            raise ValueError(f"{rule.name} goes on from a state, and none was given")
        return rule.step(base, total, included_weight, carried, quantisation)
    model, clamped = apply_sum(base, total, included_weight, quantisation)
    return Step(model, _NOTHING, clamped)


def aggregate_result(
    base: Lanes,
    updates: LaneMatrix,
    quantisation: Quantisation,
    *,
    rule: ResultRule,
    carried: Lanes,
    pool: HashingPool | None = None,
) -> Aggregate:
    """Return what a round's posting has to say under a rule that takes all updates at once.

    Args:
        base: the model that the round started from, shape (dimension,), big-endian.
        updates: the included ones, shape (n_included, dimension), in the ledger's order.
        quantisation: the run's constants.
        rule: the run's.
        carried: the result that the base's round left, where the rule carries one on; else empty.
        pool: threads to share the hashing with.

    Raises:
        ValueError: if there is no update, or a vector is of another form.
    """
    if updates.shape[0] == 0:
        raise ValueError("nothing is included; a posting includes at least one submission")
    result = rule.result(updates, carried, quantisation)
    model, clamped = apply_sum(base, result.lanes, result.weight, quantisation)
    return Aggregate(
        partial_sum_roots=(),
        chunk_hashes=(),
        total=result.lanes,
        model=model,
        model_root=vector_root(model, pool=pool),
        clamped=clamped,
        result_root=vector_root(result.lanes, pool=pool),
        carried=result.lanes if rule.carried_lanes(base.size) else None,
    )
