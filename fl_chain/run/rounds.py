"""A round derived again from ledger and store: what aggregator, worker and audit all call.

Updates on this machine's disk are added up in stripes (`fl_chain.run.striped`). Others are read one at a time
and added up as they come, so memory holds a few vectors whatever the cohort; where all of them together are
small, they are held, and added up in one pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fl_chain.aggregation.quantise import verify_masked_update, verify_update
from fl_chain.aggregation.round import FEDAVG, Aggregate, aggregate_result, aggregate_round
from fl_chain.aggregation.rules.fedavg import EncryptedFedAvg
from fl_chain.aggregation.rules.grouped import Grouped
from fl_chain.aggregation.rules.rule import ResultRule, Rule, StateRule, SumRule
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.errors import StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import left_out_with_group
from fl_chain.policy import RunPolicy
from fl_chain.records import Address, AggregationKind, Exclusion, ExclusionReason, Submission
from fl_chain.run.claims import closed_claim
from fl_chain.run.cohorts import outsiders
from fl_chain.run.documents import read_policy
from fl_chain.run.encrypted_examination import Opener
from fl_chain.run.encrypted_rounds import EncryptedRounds
from fl_chain.run.group_sums import grouped_round
from fl_chain.run.masked_rounds import unmasking_vectors, verify_sum
from fl_chain.run.rule import left_out_by_rule, read_rule, usable_submissions
from fl_chain.run.spool import spooled
from fl_chain.run.striped import StripedRounds
from fl_chain.store import Store

log = logging.getLogger(__name__)

HELD_BYTES = 128 << 20  # of updates; more are not held together


@dataclass(frozen=True)
class RoundReader:
    """What it takes to read and check a round's updates."""

    history: History
    store: Store
    known_rule: Rule | None = None  # where the caller has the policy document already
    opener: Opener | None = None  # opens sums of an encrypted run, for who holds its key

    @cached_property
    def rule(self) -> Rule:
        """The run's aggregation rule.

        Raises:
            StoreError: if the policy document cannot be read.
            VerificationError: if it is not what the ledger fixed.
            ConfigError: if its constants are out of bounds.
        """
        return self.known_rule or read_rule(self.history, self.store)

    @cached_property
    def policy(self) -> RunPolicy:
        """The run's policy document.

        Raises:
            StoreError: if no copy of it can be read.
            VerificationError: if it is another one.
        """
        return read_policy(self.history.definition, self.history.policy, self.store)

    @property
    def is_encrypted(self) -> bool:
        """Whether updates are ciphertexts.

        Raises:
            As `rule`.
        """
        is_result = self.history.policy.aggregation is AggregationKind.RESULT
        return is_result and isinstance(self.rule, EncryptedFedAvg)

    @property
    def encrypted(self) -> EncryptedRounds:
        """The rounds of an encrypted run.

        Raises:
            As `policy`.
        """
        cohort = self.policy.key_cohort
        assert cohort is not None  # noqa: S101 - asked for in an encrypted run only
        return EncryptedRounds(self.history, self.store, cohort)

    def outsiders(self, round_id: int, unusable: Sequence[Exclusion] | None = None) -> frozenset[int]:
        """Return the submissions, by index, that are left out by rule, whatever their updates are.

        Their participants are not in the round's cohort, or too few of their group are there.

        Args:
            round_id: the round.
            unusable: what nobody can use; None: as its survivors were fixed.

        Raises:
            As `policy`.
        """
        history = self.history
        if history.is_grouped:
            masks, submissions = history.round_masks(round_id), history.submissions[round_id]
            known = (masks.exclusions or ()) if unusable is None else unusable
            return left_out_with_group(masks, history.vertices, submissions, known)
        if not self.history.policy.close_at:  # a cohort has its size there
            return frozenset()
        return outsiders(self.history, self.policy, round_id)

    def update(self, submission: Submission) -> Lanes:
        """Return a submission's update, checked against its commitment and its bounds.

        Returns:
            Big-endian lanes, shape (dimension,).

        Raises:
            StoreError: if no copy can be read.
            VerificationError: if what is there is not what was committed to, or is out of range.
        """
        history = self.history
        dimension = history.definition.dimension
        update = self.store.read_update(
            submission.participant,
            submission.sealed_root,
            dimension,
            run=history.run,
            round=submission.round,
        )
        if history.is_masked:
            verify_masked_update(update.lanes, dimension)
        else:
            verify_update(update.lanes, submission.weight, history.policy.quantisation, dimension)
        return update.lanes[:dimension]

    def problem(self, submission: Submission) -> ExclusionReason | None:
        """Return why a submission cannot be included; None where it can."""
        try:
            self.update(submission)
        except UpdateOutOfRange as error:
            log.warning("round %d, %s: %s", submission.round, submission.participant, error)
            # Under masks no lane is out of range; what is set past the dimension is no update at all.
            masked = self.history.is_masked
            return ExclusionReason.UNREADABLE if masked else ExclusionReason.OUT_OF_RANGE
        except (StoreError, VerificationError) as error:
            log.warning("round %d, %s: %s", submission.round, submission.participant, error)
            return ExclusionReason.UNREADABLE
        return None

    def excluded_by_rule(self, round_id: int, unusable: Sequence[Exclusion]) -> list[Exclusion]:
        """Return all exclusions of a round, ascending, once it is known what nobody can use.

        By rule are left out whoever is not in the round's cohort, and of the others what the aggregation rule
        does not choose.

        Raises:
            StoreError: if a usable update cannot be read any more, or the policy document.
            VerificationError: if one of them is not what was committed to.
            ConfigError: if the rule's constants are out of bounds.
        """
        history, outside = self.history, self.outsiders(round_id, unusable)
        usable = usable_submissions(history.submissions[round_id], unusable, outside)
        dimension = history.definition.dimension
        left_out = left_out_by_rule(self.rule, usable, self.update, history.policy.quantisation, dimension)
        known = {one.index for one in unusable}
        by_rule = [Exclusion(one, ExclusionReason.BY_RULE) for one in (left_out | outside) - known]
        return sorted([*unusable, *by_rule], key=lambda one: one.index)

    def aggregate(
        self,
        round_id: int,
        base: Lanes,
        exclusions: Iterable[Exclusion],
        carried: Lanes | None = None,
        *,
        pool: HashingPool | None = None,
        seeds: Mapping[Address, bytes] | None = None,
    ) -> Aggregate:
        """Return what a round's aggregate has to be.

        Args:
            round_id: a round that has closed.
            base: lanes of the model that the round started from.
            exclusions: the submissions that are left out.
            carried: what the base's round left besides its model, where the rule carries something.
            pool: threads to share reading and hashing with; memory then holds an update for each, or all.
            seeds: what takes the masks off a masked round, by whose they are.

        Raises:
            StoreError: if an included update cannot be read.
            VerificationError: if one is not what was committed to.
            SpoiltRound: if a masked round's sum is noise, or of too many groups.
        """
        exclusions = tuple(exclusions)
        excluded = {exclusion.index for exclusion in exclusions}
        submissions = self.history.submissions[round_id]
        quantisation = self.history.policy.quantisation
        # What a rule of this kind selects is in the exclusions already, and its sum is applied as any other.
        rule = FEDAVG if self.history.policy.aggregation is AggregationKind.SUMS else self.rule
        if isinstance(rule, Grouped):
            included = [s for s in submissions if s.index not in excluded]
            updates = ((one.participant, self.update(one)) for one in included)
            sums = grouped_round(self.history, round_id, seeds or {}).sums(updates)
            sums.verify_majority(rule.groups)
            before = rule.initial(base.size)
            return aggregate_result(base, sums.means, quantisation, rule=rule, carried=before, pool=pool)
        if isinstance(rule, ResultRule):
            included = [s for s in submissions if s.index not in excluded]
            before = rule.initial(base.size) if carried is None else carried
            with spooled(map(self.update, included), len(included), base.size) as matrix:
                return aggregate_result(base, matrix, quantisation, rule=rule, carried=before)
        assert isinstance(rule, SumRule | StateRule)  # noqa: S101 - the three forms of a rule
        if rule is FEDAVG and pool is not None and not self.history.is_masked:
            striped, claim = StripedRounds(pool), closed_claim(self.history, round_id, exclusions)
            made = striped.aggregate(claim, self.store) if striped.is_worthwhile(claim) else None
            if made is not None:  # else the pass over each vector says what is wrong
                return made
        included_weight = sum(s.weight for s in submissions if s.index not in excluded)
        updates_in_order: Iterable[Lanes | None] = self._included(submissions, excluded, pool)
        terms: Iterable[Lanes] = ()
        summands = len(submissions)
        if self.history.is_masked:
            terms = unmasking_vectors(self.history, round_id, seeds or {})
            summands += self.history.round_masks(round_id).terms
        if base.nbytes * summands <= HELD_BYTES:
            updates_in_order, terms = list(updates_in_order), list(terms)
        made = aggregate_round(
            base,
            updates_in_order,
            included_weight,
            quantisation,
            pool=pool,
            rule=rule,
            carried=carried,
            terms=terms,
        )
        if self.history.is_masked:
            verify_sum(made.total, included_weight, quantisation)
        return made

    def _included(
        self, submissions: Sequence[Submission], excluded: set[int], pool: HashingPool | None
    ) -> Iterator[Lanes | None]:
        def included(submission: Submission) -> Lanes | None:
            return None if submission.index in excluded else self.update(submission)

        if pool is None:
            return map(included, submissions)
        size_bytes = len(submissions) * LANE.itemsize * self.history.definition.dimension
        return pool.ahead(included, submissions, size_bytes=size_bytes)
