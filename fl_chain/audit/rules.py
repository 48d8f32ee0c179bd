"""What a run's aggregation rule adds to the audit: its choice, its result, and what it carries on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from fl_chain.aggregation.round import FEDAVG, Aggregate, aggregate_result, aggregate_round
from fl_chain.aggregation.rules.rule import ResultRule, Rule, StateRule, SumRule
from fl_chain.audit.documents import read_copies
from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.commitment.chunks import Lanes
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
from fl_chain.run.rounds import RoundReader
from fl_chain.run.rule import is_selecting, left_out_by_rule, read_rule, usable_submissions
from fl_chain.run.spool import spooled
from fl_chain.store import Store


class RuleAudit:
    """Holds a run to its rule, and carries what the rule does from each round to those built on it.

    Args:
        history: of the run.
        store: where its blobs are.
        report: takes the findings.
    """

    def __init__(self, history: History, store: Store, report: AuditReport) -> None:
        self._history, self._store, self._report = history, store, report
        self._carried: dict[int, Lanes] = {}
        self.rule: Rule | None = None  # None where the policy document does not say
        with suppress(StoreError, VerificationError, ConfigError):  # the audit of the documents says it
            self.rule = read_rule(history, store)
        if self.rule is not None:
            self._carried[0] = self.rule.initial(history.definition.dimension)
            report.run["rule"] = self.rule.name
            report.run["proof_level"] = self.rule.proof_level.value

    @property
    def chooses(self) -> bool:
        """Whether the rule leaves out updates that could be used."""
        return self.rule is not None and is_selecting(self.rule)

    def derive(
        self, current: Round, base: Lanes, updates: Iterable[Lanes | None], included_weight: int
    ) -> Aggregate | None:
        """Return what a round's posting has to be; None where the rule or what it carries on is not known.

        Args:
            current: the round.
            base: the model that it started from.
            updates: see `aggregate_round`.
            included_weight: the sum of the included submissions' weights.

        Raises:
            Exception: whatever reading an update raises.
        """
        quantisation = self._history.policy.quantisation
        if self._history.policy.aggregation is AggregationKind.SUMS:
            return aggregate_round(base, updates, included_weight, quantisation, rule=FEDAVG)
        rule, carried = self.rule, self._carried.get(current.base_round)
        if rule is None or carried is None:
            return None
        if isinstance(rule, ResultRule):
            lanes = (one for one in updates if one is not None)
            with spooled(lanes, current.submissions, base.size) as matrix:
                return aggregate_result(base, matrix, quantisation, rule=rule, carried=carried)
        assert isinstance(rule, SumRule | StateRule)  # noqa: S101 - the three forms of a rule
        return aggregate_round(base, updates, included_weight, quantisation, rule=rule, carried=carried)

    def audit_carried(self, current: Round, posting: Posting, aggregate: Aggregate | None) -> None:
        """Compare result and state with the posting, and keep what later rounds start from."""
        if aggregate is not None:
            result, state = aggregate.result_root, aggregate.state_root
            self._compare(Kind.RESULT_DIFFERS, "the result", current, result, posting.result_root)
            self._compare(Kind.RULE_STATE_DIFFERS, "the rule's state", current, state, posting.state_root)
        size = 0 if self.rule is None else self.rule.carried_lanes(self._history.definition.dimension)
        if size == 0:
            return self._carry_nothing(current)
        root = posting.state_root if posting.state_root != ZERO_DIGEST else posting.result_root
        posted = read_copies(
            self._report,
            lambda: self._store.read_state(root, size),
            lambda: self._store.state_copies(root, size),
            kinds=(Kind.RULE_STATE_BLOB_MISSING, Kind.RULE_STATE_BLOB_ALTERED),
            what=f"what the rule carries on from round {current.id}",
            held_by="the aggregator",
            round=current.id,
        )
        if posted is not None:
            self._report.blobs.bytes += posted.nbytes
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

    def audit_selection(self, current: Round, posting: Posting) -> None:
        """Compare what a posting leaves out by rule with what the rule leaves out."""
        if self.rule is None or not self.chooses:
            return
        history = self._history
        self._report.count("selections derived again")
        submissions = history.submissions[current.id]
        by_rule = {one.index for one in posting.exclusions if one.reason is ExclusionReason.BY_RULE}
        reader = RoundReader(history, self._store, self.rule)
        quantisation, dimension = history.policy.quantisation, history.definition.dimension
        usable = usable_submissions(submissions, posting.exclusions)
        try:
            expected = left_out_by_rule(self.rule, usable, reader.update, quantisation, dimension)
        except UpdateOutOfRange as error:
            self._report.add(
                Kind.SELECTION_DIFFERS,
                f"an update that the rule chose from is out of range, and had to be left out before: {error}",
                round=current.id,
            )
            return
        except (StoreError, VerificationError) as error:
            self._report.add(
                Kind.SELECTION_UNDERIVABLE,
                f"an update that the rule chose from cannot be read, so its choice is unknown: {error}",
                round=current.id,
            )
            return
        for index in sorted(expected ^ by_rule):
            was, has = ("left out", "keeps") if index in by_rule else ("kept", "leaves out")
            self._report.add(
                Kind.SELECTION_DIFFERS,
                f"{posting.poster} {was} an update that {self.rule.name} {has}: object to the posting while "
                "it can fall",
                round=current.id,
                participant=submissions[index].participant,
                expected=has,
                actual=was,
            )

    def _carry_nothing(self, current: Round) -> None:
        if 0 in self._carried:
            self._carried[current.id] = self._carried[0]

    def _compare(self, kind: Kind, what: str, current: Round, expected: Digest, actual: Digest) -> None:
        if expected == actual == ZERO_DIGEST:
            return
        self._report.count("posted roots against derived ones")
        if expected != actual:
            self._report.add(
                kind,
                f"{what} that {self._history.postings[current.id].poster} posted is not what the round's "
                "updates give: do not use this model, and object to the posting while it can fall",
                round=current.id,
                expected="0x" + expected.hex(),
                actual="0x" + actual.hex(),
            )
