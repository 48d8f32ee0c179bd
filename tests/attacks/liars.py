"""Aggregators that lie. Each keeps to everything that the contract can check; what it says is false."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fl_chain.aggregation.apply import apply_sum
from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.aggregator import Aggregator, AggregatorParts
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import StoreError
from fl_chain.ledger.history import History
from fl_chain.records import Digest, Exclusion, Quantisation, Round, Submission


@dataclass(frozen=True)
class Materials:
    """What an aggregator has at hand when it lies."""

    base: Lanes
    stale: Lanes  # an older model
    updates: Sequence[Lanes]  # all of them
    left_out: frozenset[int]  # by the posting's own words
    weight: int  # of the included
    quantisation: Quantisation

    def aggregate(self, updates: Sequence[Lanes | None] | None = None) -> Aggregate:
        """Return what follows from these updates; by default from those that are not left out."""
        honest = [None if index in self.left_out else lanes for index, lanes in enumerate(self.updates)]
        chosen = honest if updates is None else updates
        return aggregate_round(self.base, chosen, self.weight, self.quantisation)

    def with_update(self, index: int, lanes: Lanes | None) -> list[Lanes | None]:
        return [lanes if place == index else update for place, update in enumerate(self.updates)]


@dataclass(frozen=True)
class Posted:
    """A lie, and what of it is published."""

    aggregate: Aggregate
    withheld: frozenset[Digest] = frozenset()  # roots of sums and models that nobody gets to see


Tell = Callable[[Materials], Posted]


@dataclass(frozen=True)
class Lie:
    """One way to lie.

    Attributes:
        tell: makes the posting.
        exclusions: what it leaves out; by default what an honest aggregator would.
        private: updates by participant that only the liar has.
    """

    tell: Tell
    exclusions: tuple[Exclusion, ...] = ()
    private: dict[str, Lanes] = field(default_factory=dict)


def added(lanes: Lanes, lane: int, change: int) -> Lanes:
    """Return a vector in which one lane is another."""
    changed = lanes.copy()
    changed[lane] = (int(lanes[lane]) + change) % 2**32
    return changed


def random_root(name: str) -> Digest:
    return Digest(hashlib.sha256(name.encode()).digest())


# ---------------------------------------------------------------- what arithmetic can show


def one_lane_off_by_one(have: Materials) -> Posted:
    return Posted(have.aggregate(have.with_update(0, added(have.updates[0], 0, 1))))


def submission_dropped(have: Materials) -> Posted:
    return Posted(have.aggregate(have.with_update(1, None)))


def submission_counted_twice(have: Materials) -> Posted:
    doubled = (have.updates[1].astype(np.uint32) * np.uint32(2)).astype(LANE)
    return Posted(have.aggregate(have.with_update(1, doubled)))


def as_it_is(have: Materials) -> Posted:
    """Add up what is included, whatever it is; the lie is in what is included."""
    return Posted(have.aggregate())


def sum_of_another_set(have: Materials) -> Posted:
    """Reward and weight leave some out, the sum does not."""
    return Posted(have.aggregate(have.updates))


def rounded_down(have: Materials) -> Posted:
    """Apply the right total with a division that rounds towards minus infinity."""
    honest, q = have.aggregate(), have.quantisation
    change = honest.total.view(">i4").astype(np.int64) << q.fraction_bits
    change //= have.weight << q.scale_bits
    return Posted(_with_model(honest, (have.base.view(">i4").astype(np.int64) + change).astype(np.int32)))


def on_a_stale_base(have: Materials) -> Posted:
    honest = have.aggregate()
    model, _ = apply_sum(have.stale, honest.total, have.weight, have.quantisation)
    return Posted(_with_model(honest, model))


# ---------------------------------------------------------------- what it cannot


def random_sum_root(have: Materials) -> Posted:
    honest, root = have.aggregate(), random_root("sum")
    roots = (*honest.partial_sum_roots[:-1], root)
    return Posted(replace(honest, partial_sum_roots=roots), frozenset({root}))


def random_model_root(have: Materials) -> Posted:
    root = random_root("model")
    return Posted(replace(have.aggregate(), model_root=root), frozenset({root}))


def _with_model(honest: Aggregate, values: np.ndarray) -> Aggregate:
    model = values.view(np.uint32).astype(LANE) if values.dtype != LANE else values
    return replace(honest, model=model, model_root=vector_root(model))


class Liar(Aggregator):
    """An aggregator that lies in some rounds and is honest in all others."""

    def __init__(self, parts: AggregatorParts, lie: Lie, rounds: Collection[int]) -> None:
        super().__init__(parts)
        self._lie = lie
        self._rounds = rounds
        self._withheld: frozenset[Digest] = frozenset()

    def _exclusions(self, history: History, current: Round) -> tuple[Exclusion, ...] | None:
        if current.id not in self._rounds:
            return super()._exclusions(history, current)
        if any(self._read(history, submission) is None for submission in history.submissions[current.id]):
            return None
        now = self._parts.ledger.head().timestamp
        if self._lie.exclusions and now < current.since + history.policy.publication_s:
            return None
        return self._lie.exclusions

    def _aggregated(self, history: History, current: Round, exclusions: tuple[Exclusion, ...]) -> Aggregate:
        self._withheld = frozenset()
        if current.id not in self._rounds:
            return super()._aggregated(history, current, exclusions)
        left_out = {exclusion.index for exclusion in exclusions}
        submissions = history.submissions[current.id]
        updates = [self._read(history, submission) for submission in submissions]
        have = Materials(
            base=self._models.model(current.base_round),
            stale=self._models.model(0),
            updates=[lanes for lanes in updates if lanes is not None],
            left_out=frozenset(left_out),
            weight=sum(s.weight for s in submissions if s.index not in left_out),
            quantisation=history.policy.quantisation,
        )
        told = self._lie.tell(have)
        self._withheld = told.withheld
        return told.aggregate

    def _publish(self, aggregate: Aggregate) -> None:
        for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
            if root not in self._withheld:
                self._parts.store.write_sum(root, hashes)
        if aggregate.model_root not in self._withheld:
            self._parts.store.write_model(aggregate.model_root, aggregate.model)

    def _read(self, history: History, submission: Submission) -> Lanes | None:
        if submission.participant in self._lie.private:
            return self._lie.private[submission.participant]
        dimension = history.definition.dimension
        try:
            update = self._parts.store.read_update(
                submission.participant,
                submission.sealed_root,
                dimension,
                run=history.run,
                round=submission.round,
            )
        except StoreError:
            return None
        return update.lanes[:dimension]
