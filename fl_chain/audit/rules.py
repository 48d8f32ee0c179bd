"""What a run's aggregation rule adds to the audit: its choice, its result, and what it carries on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from fl_chain.aggregation.round import FEDAVG, Aggregate, Derived, aggregate_result, aggregate_round
from fl_chain.aggregation.rules.grouped import Grouped
from fl_chain.aggregation.rules.rule import ResultRule, Rule, StateRule, SumRule
from fl_chain.audit.checks import CheckId
from fl_chain.audit.copies import Sought, read_copies
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import Role
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.errors import ConfigError, StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger.history import History
from fl_chain.records import (
    ZERO_DIGEST,
    AggregationKind,
    Digest,
    ExclusionReason,
    Posting,
    Round,
)
from fl_chain.run.group_sums import grouped_round
from fl_chain.run.masked_rounds import published_seeds, unmasking_vectors
from fl_chain.run.rounds import RoundReader
from fl_chain.run.rule import is_selecting, left_out_by_rule, read_rule, usable_submissions
from fl_chain.run.spool import spooled
from fl_chain.store import Store


class RuleAudit:
    """Holds a run to its rule, and carries what the rule does from each round to those built on it.

    Args:
        history: of the run.
        store: where its blobs are.
    """

    def __init__(self, history: History, store: Store) -> None:
        self._history, self._store = history, store
        self._carried: dict[int, Lanes] = {}
        self.rule: Rule | None = None  # None where the policy document does not say
        with suppress(StoreError, VerificationError, ConfigError):  # the audit of the documents says it
            self.rule = read_rule(history, store)
        if self.rule is not None:
            self._carried[0] = self.rule.initial(history.definition.dimension)

    def follow(self, history: History) -> None:
        """Go on with a history that has grown."""
        self._history = history

    def fetch(self, round_id: int) -> bool:
        """Take what the rule carries on from a round that was audited before; return whether it is there."""
        if round_id in self._carried or self.rule is None:
            return self.rule is not None
        size = self.rule.carried_lanes(self._history.definition.dimension)
        if size == 0:
            self._carry_nothing(round_id)
            return True
        try:
            self._carried[round_id] = self._store.read_state(_root(self._history.postings[round_id]), size)
        except (StoreError, VerificationError):
            return False
        return True

    @property
    def chooses(self) -> bool:
        """Whether the rule leaves out updates that could be used."""
        return self.rule is not None and is_selecting(self.rule)

    def derive(
        self,
        current: Round,
        base: Lanes,
        updates: Iterable[Lanes | None],
        included_weight: int,
        *,
        pool: HashingPool,
        notes: Collection,
    ) -> Aggregate | None:
        """Return what a round's posting has to be; None where the rule or what it carries on is not known.

        Args:
            current: the round.
            base: the model that it started from.
            updates: see `aggregate_round`.
            included_weight: the sum of the included submissions' weights.
            pool: threads to share the hashing with.
            notes: takes what is found of groups.

        Raises:
            SpoiltRound: if too few groups have a sum.
            Exception: whatever reading an update raises.
        """
        quantisation = self._history.policy.quantisation
        if self._history.policy.aggregation is AggregationKind.SUMS:
            return aggregate_round(base, updates, included_weight, quantisation, rule=FEDAVG, pool=pool)
        if self._history.is_masked:
            return self._derive_masked(current, base, updates, included_weight, notes, pool)
        rule, carried = self.rule, self._carried.get(current.base_round)
        if rule is None or carried is None:
            return None
        if isinstance(rule, ResultRule):
            lanes = (one for one in updates if one is not None)
            with spooled(lanes, current.submissions, base.size) as matrix:
                return aggregate_result(base, matrix, quantisation, rule=rule, carried=carried, pool=pool)
        assert isinstance(rule, SumRule | StateRule)  # noqa: S101 - the three forms of a rule
        return aggregate_round(
            base, updates, included_weight, quantisation, rule=rule, carried=carried, pool=pool
        )

    def _derive_masked(  # noqa: PLR0917 - as `derive` has them
        self,
        current: Round,
        base: Lanes,
        updates: Iterable[Lanes | None],
        included_weight: int,
        notes: Collection,
        pool: HashingPool,
    ) -> Aggregate | None:
        history, quantisation = self._history, self._history.policy.quantisation
        seeds = published_seeds(history, current.id, history.postings[current.id].poster)
        if not history.is_grouped:
            terms = unmasking_vectors(history, current.id, seeds)
            return aggregate_round(base, updates, included_weight, quantisation, pool=pool, terms=terms)
        if not isinstance(self.rule, Grouped):
            return None
        submissions = history.submissions[current.id]
        read = (
            (one.participant, lanes)
            for one, lanes in zip(submissions, updates, strict=True)
            if lanes is not None
        )
        sums = grouped_round(history, current.id, seeds).sums(read)
        for one in sums.spoilt:
            notes.add(Kind.GROUP_SPOILT, one.why, round=current.id)
        notes.count(CheckId.MASKS)
        sums.verify_majority(self.rule.groups)
        carried = self.rule.initial(base.size)
        return aggregate_result(base, sums.means, quantisation, rule=self.rule, carried=carried, pool=pool)

    def audit_carried(
        self, current: Round, posting: Posting, aggregate: Derived | None, notes: Collection
    ) -> None:
        """Compare result and state with the posting, and keep what later rounds start from."""
        if aggregate is not None:
            result, state = aggregate.result_root, aggregate.state_root
            _compare(Kind.RESULT_DIFFERS, "the result", posting, (result, posting.result_root), notes)
            _compare(Kind.RULE_STATE_DIFFERS, "the rule's state", posting, (state, posting.state_root), notes)
        size = 0 if self.rule is None else self.rule.carried_lanes(self._history.definition.dimension)
        if size == 0:
            return self._carry_nothing(current.id)
        root = _root(posting)
        posted = read_copies(
            notes,
            lambda: self._store.read_state(root, size),
            lambda: self._store.state_copies(root, size),
            Sought(
                f"what the rule carries on from round {current.id}",
                Kind.RULE_STATE_BLOB_MISSING,
                Kind.RULE_STATE_BLOB_ALTERED,
                ((Role.AGGREGATOR, posting.poster),),
                round=current.id,
            ),
            stores=len(self._store.urls),
        )
        if posted is not None:
            notes.blobs.states += 1
            notes.blobs.bytes += posted.nbytes
        derived = None if aggregate is None or aggregate.carried_root != root else aggregate.carried
        # Later rounds are built on what was posted, right or wrong, as the participants did.
        kept = derived if derived is not None else posted
        if kept is not None:
            self._carried[current.id] = kept
        return None

    def forget_unused(self, round_id: int) -> None:
        """Keep only what a later round starts from."""
        needed = {r.base_round for r in self._history.rounds.values() if r.id > round_id}
        self._carried = {kept: lanes for kept, lanes in self._carried.items() if kept in needed}

    def audit_selection(
        self, current: Round, posting: Posting, outsiders: frozenset[int], notes: Collection
    ) -> None:
        """Compare what a posting leaves out by rule with what the rule leaves out.

        Args:
            current: the round.
            posting: of the round.
            outsiders: the submissions, by index, from outside the round's cohort, which the rule never sees.
            notes: takes the findings.
        """
        if self.rule is None or not self.chooses:
            return
        history = self._history
        notes.count(CheckId.SELECTIONS)
        submissions = history.submissions[current.id]
        by_rule = {one.index for one in posting.exclusions if one.reason is ExclusionReason.BY_RULE}
        by_rule -= outsiders
        reader = RoundReader(history, self._store, self.rule)
        quantisation, dimension = history.policy.quantisation, history.definition.dimension
        usable = usable_submissions(submissions, posting.exclusions, outsiders)
        try:
            expected = left_out_by_rule(self.rule, usable, reader.update, quantisation, dimension)
        except UpdateOutOfRange as error:
            notes.add(
                Kind.SELECTION_DIFFERS,
                f"an update that the rule chose from is out of range, and had to be left out before: {error}",
                round=current.id,
            )
            return
        except (StoreError, VerificationError) as error:
            notes.add(
                Kind.SELECTION_UNDERIVABLE,
                f"an update that the rule chose from cannot be read, so its choice is unknown: {error}",
                round=current.id,
            )
            return
        for index in sorted(expected ^ by_rule):
            was, has = ("left out", "keeps") if index in by_rule else ("kept", "leaves out")
            notes.add(
                Kind.SELECTION_DIFFERS,
                f"{posting.poster} {was} an update that {self.rule.name} {has}: object to posting while "
                "it can fall",
                round=current.id,
                participant=submissions[index].participant,
                expected=has,
                actual=was,
            )

    def _carry_nothing(self, round_id: int) -> None:
        if 0 in self._carried:
            self._carried[round_id] = self._carried[0]


def _root(posting: Posting) -> Digest:
    """Return the root of what a posting's rule carries on."""
    return posting.state_root if posting.state_root != ZERO_DIGEST else posting.result_root


def _compare(
    kind: Kind, what: str, posting: Posting, roots: tuple[Digest, Digest], notes: Collection
) -> None:
    expected, actual = roots
    if expected == actual == ZERO_DIGEST:
        return
    notes.count(CheckId.RESULTS)
    if expected != actual:
        notes.add(
            kind,
            f"{what} that {posting.poster} posted is not what the round's updates give",
            round=posting.round,
            expected="0x" + expected.hex(),
            actual="0x" + actual.hex(),
        )
