"""One round after the other: commitments, updates, partial sums, model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from fl_chain.aggregation.quantise import verify_update
from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.audit.documents import read_copies
from fl_chain.audit.falls import audit_falls
from fl_chain.audit.findings import AuditReport, Kind, RoundSummary
from fl_chain.audit.statistics import RoundFigures, UpdateStatistics
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.seals import round_digest
from fl_chain.errors import StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger.history import History
from fl_chain.policy import RunPolicy
from fl_chain.records import Digest, ExclusionReason, Posting, Round, RoundStatus, Submission
from fl_chain.run.cohorts import outsiders
from fl_chain.run.documents import read_policy
from fl_chain.store import Store

_PUBLISHED = (RoundStatus.POSTED, RoundStatus.FINAL)


class _Underivable(Exception):
    """An included update cannot be read."""


class RoundAudit:
    """Audits rounds in order and carries the global model from each to those that are built on it."""

    def __init__(self, history: History, store: Store, report: AuditReport) -> None:
        self._history = history
        self._store = store
        self._report = report
        self._models: dict[int, Lanes] = {}
        self._statistics = UpdateStatistics(
            history.definition.dimension,
            history.policy.quantisation,
            # The block's hash: two auditors of one block have it, and no participant had it in time.
            seed=str(report.chain["block_hash"]).encode(),
        )
        genesis = self._read_model(
            0, history.definition.genesis_model_root, (Kind.GENESIS_MISSING, Kind.GENESIS_ALTERED)
        )
        if genesis is not None:
            self._models[0] = genesis

    def audit(self, round_id: int) -> None:
        """Audit one round."""
        history, report = self._history, self._report
        current = history.rounds[round_id]
        self._audit_submissions(current)
        fallen = audit_falls(history, self._store, report, round_id)
        posting = history.postings.get(round_id) if current.status in _PUBLISHED else None
        aggregate = self._audit_posting(current, posting) if posting is not None else None
        if posting is not None:
            self._forget_unused(round_id)
        figures = self._statistics.close_round()
        report.warnings += figures.warnings
        is_same = (
            aggregate is not None
            and posting is not None
            and aggregate.partial_sum_roots == posting.partial_sum_roots
            and aggregate.model_root == posting.model_root
        )
        report.rounds.append(
            RoundSummary(
                round=round_id,
                status=current.status.name.lower(),
                void_reason=history.voids[round_id].name.lower() if round_id in history.voids else None,
                step=current.step,
                base_round=current.base_round,
                submissions=current.submissions,
                included=posting.included if posting else None,
                total_weight=current.total_weight,
                included_weight=posting.included_weight if posting else None,
                posting_number=current.posting_number,
                poster=posting.poster if posting else None,
                model_root="0x" + posting.model_root.hex() if posting else None,
                fallen=fallen,
                objections=len(history.objections_to(round_id)),
                bonus_wei=history.bonus_wei(round_id),
                clamped_lanes=aggregate.clamped if aggregate else None,
                verified=is_same,
                participants=self._participants(round_id, posting, figures),
                base_model_root="0x" + history.model_root(current.base_round).hex(),
                partial_sum_roots=["0x" + root.hex() for root in posting.partial_sum_roots]
                if posting
                else [],
            )
        )

    def _participants(
        self, round_id: int, posting: Posting | None, figures: RoundFigures
    ) -> list[dict[str, object]]:
        excluded = {e.index: e.reason.name.lower() for e in posting.exclusions} if posting else {}
        return [
            {
                "participant": s.participant,
                "weight": s.weight,
                "sealed_root": "0x" + s.sealed_root.hex(),
                "excluded": excluded.get(s.index),
                "statistics": figures.updates[s.index].to_json() if s.index in figures.updates else None,
            }
            for s in self._history.submissions[round_id]
        ]

    # ------------------------------------------------------------------ what the ledger accepted

    def _audit_submissions(self, current: Round) -> None:
        history, report = self._history, self._report
        submissions = history.submissions[current.id]
        for submission in submissions:
            report.count("submissions against the rules")
            cap = history.weight_cap_at(submission)
            if not 1 <= submission.weight <= cap:
                report.add(
                    Kind.WEIGHT_OVER_CAP,
                    "the ledger shows a weight that it should have refused: audit against another node",
                    round=current.id,
                    participant=submission.participant,
                    expected=f"1 to {cap}",
                    actual=str(submission.weight),
                )
        base = history.base_model_roots[current.id]
        expected = round_digest(history.run, current.id, base, [s.leaf for s in submissions])
        report.count("round digests")
        if expected != current.digest:
            report.add(
                Kind.DIGEST_DIFFERS,
                "the digest is not the fold of the submissions: audit against another node",
                round=current.id,
                expected="0x" + expected.hex(),
                actual="0x" + current.digest.hex(),
            )

    # ------------------------------------------------------------------ what the aggregator posted

    def _audit_posting(self, current: Round, posting: Posting) -> Aggregate | None:
        self._audit_exclusions(current, posting)
        self._audit_weight(current, posting)
        posted = self._read_model(
            current.id, posting.model_root, (Kind.MODEL_BLOB_MISSING, Kind.MODEL_BLOB_ALTERED)
        )
        self._audit_sum_blobs(current, posting)
        aggregate = self._derive(current, posting)
        if aggregate is None:
            if posted is not None:
                self._models[current.id] = posted
            return None
        self._compare(current, posting, aggregate)
        # Later rounds are built on what was posted, right or wrong, as the participants did.
        if aggregate.model_root == posting.model_root:
            self._models[current.id] = aggregate.model
        elif posted is not None:
            self._models[current.id] = posted
        return aggregate

    def _derive(self, current: Round, posting: Posting) -> Aggregate | None:
        report = self._report
        base = self._models.get(current.base_round)
        if base is None:
            report.add(
                Kind.MODEL_UNDERIVABLE,
                f"the model of round {current.base_round}, which this round started from, is not available",
                round=current.id,
            )
            return None
        excluded = {exclusion.index for exclusion in posting.exclusions}
        submissions = self._history.submissions[current.id]
        weight = sum(s.weight for s in submissions if s.index not in excluded)
        updates = self._included(submissions, excluded)
        try:
            aggregate = aggregate_round(base, updates, weight, self._history.policy.quantisation)
        except _Underivable:
            report.add(
                Kind.MODEL_UNDERIVABLE,
                "an included update cannot be read, so sums and model of this round cannot be derived again",
                round=current.id,
            )
            for _ in updates:  # the rest of the round's updates are checked all the same
                pass
            return None
        if aggregate.clamped:
            report.warnings.append(
                f"round {current.id}: {aggregate.clamped} lanes of the model were clamped to 32 bits"
            )
        return aggregate

    def _included(self, submissions: Sequence[Submission], excluded: set[int]) -> Iterator[Lanes | None]:
        return _Updates(self, submissions, excluded)

    def read_update(self, submission: Submission) -> Lanes | None:
        """Return an included update after checking all its copies; None where none is good."""
        history, store, report = self._history, self._store, self._report
        dimension = history.definition.dimension
        key = (submission.participant, submission.sealed_root, dimension)
        update = read_copies(
            report,
            lambda: store.read_update(*key, run=history.run, round=submission.round),
            lambda: store.update_copies(*key, run=history.run, round=submission.round),
            kinds=(Kind.UPDATE_MISSING, Kind.UPDATE_ALTERED),
            what=f"the update of {submission.participant} in round {submission.round}",
            held_by="that participant or the aggregator",
            round=submission.round,
            participant=submission.participant,
        )
        if update is None:
            return None
        report.blobs.updates += 1
        report.blobs.bytes += 64 + update.lanes.nbytes
        report.count("updates against their bounds")
        try:
            verify_update(update.lanes, submission.weight, history.policy.quantisation, dimension)
        except UpdateOutOfRange as error:
            report.add(
                Kind.UPDATE_OUT_OF_RANGE,
                f"an included update should have been excluded: {error}",
                round=submission.round,
                participant=submission.participant,
                expected=f"at most {error.bound}",
                actual=str(error.value),
            )
        report.count("figures of updates against those of others")
        lanes = update.lanes[:dimension]  # as the sums do
        self._statistics.add(submission, update.opening.vector_root, lanes)
        return lanes

    def _compare(self, current: Round, posting: Posting, aggregate: Aggregate) -> None:
        pairs = zip(aggregate.partial_sum_roots, posting.partial_sum_roots, strict=True)
        for position, (expected, actual) in enumerate(pairs):
            self._compare_roots(
                Kind.PARTIAL_SUM_DIFFERS, f"partial sum {position}", current, expected, actual
            )
        self._compare_roots(
            Kind.MODEL_DIFFERS, "the model", current, aggregate.model_root, posting.model_root
        )

    def _compare_roots(self, kind: Kind, what: str, current: Round, expected: Digest, actual: Digest) -> None:
        self._report.count("posted roots against derived ones")
        if expected != actual:
            self._report.add(
                kind,
                f"{what} that {self._history.postings[current.id].poster} posted is not what the round's "
                f"updates give: do not use this model{_remedy(current)}",
                round=current.id,
                expected="0x" + expected.hex(),
                actual="0x" + actual.hex(),
            )

    def _audit_cohort(self, current: Round, posting: Posting) -> frozenset[int]:
        """Check that nobody from outside the round's cohort is included; return who was outside it."""
        outside = frozenset[int]()
        if self._history.policy.close_at:  # a cohort has its size there
            try:
                outside = outsiders(self._history, self._policy(), current.id)
            except (StoreError, VerificationError):
                return outside  # the policy document is a finding of its own
        excluded = {exclusion.index for exclusion in posting.exclusions}
        self._report.count("included submissions against their round's cohort", posting.included)
        for index in sorted(outside - excluded):
            self._report.add(
                Kind.OUTSIDER_INCLUDED,
                "the update is of a participant who was not drawn for this round: it should have been "
                f"excluded by rule{_remedy(current)}",
                round=current.id,
                participant=self._history.submissions[current.id][index].participant,
            )
        return outside

    def _policy(self) -> RunPolicy:
        return read_policy(self._history.definition, self._history.policy, self._store)

    def _audit_exclusions(self, current: Round, posting: Posting) -> None:
        outside = self._audit_cohort(current, posting)
        for exclusion in posting.exclusions:
            submission = self._history.submissions[current.id][exclusion.index]
            self._report.count("exclusions")
            if exclusion.index in outside:
                continue
            try:
                lanes = self._excluded_lanes(submission)
            except UpdateOutOfRange:
                continue
            if lanes is None:
                continue
            if exclusion.reason is ExclusionReason.UNREADABLE:
                self._report.warnings.append(
                    f"round {current.id}: {submission.participant} was excluded as unreadable; its update is "
                    "there now, which may be because it came late"
                )
            else:
                self._report.add(
                    Kind.WRONGFUL_EXCLUSION,
                    f"a valid update was excluded as {exclusion.reason.name.lower().replace('_', ' ')}",
                    round=current.id,
                    participant=submission.participant,
                )

    def _excluded_lanes(self, submission: Submission) -> Lanes | None:
        history, store = self._history, self._store
        dimension = history.definition.dimension
        if not store.has_update(submission.participant, submission.sealed_root):
            return None
        copies = store.update_copies(
            submission.participant, submission.sealed_root, dimension, run=history.run, round=submission.round
        )
        if not any(copy.state.value == "good" for copy in copies):
            return None
        update = store.read_update(
            submission.participant, submission.sealed_root, dimension, run=history.run, round=submission.round
        )
        verify_update(update.lanes, submission.weight, history.policy.quantisation, dimension)
        return update.lanes

    def _audit_weight(self, current: Round, posting: Posting) -> None:
        excluded = {exclusion.index for exclusion in posting.exclusions}
        weight = sum(s.weight for s in self._history.submissions[current.id] if s.index not in excluded)
        self._report.count("included weights")
        if weight != posting.included_weight:
            self._report.add(
                Kind.TOTAL_WEIGHT_DIFFERS,
                "the posting's weight is not that of the included submissions: audit against another node",
                round=current.id,
                expected=str(weight),
                actual=str(posting.included_weight),
            )

    # ------------------------------------------------------------------ blobs

    def _read_model(self, round_id: int, root: Digest, kinds: tuple[Kind, Kind]) -> Lanes | None:
        dimension = self._history.definition.dimension
        model = read_copies(
            self._report,
            lambda: self._store.read_model(root, dimension),
            lambda: self._store.model_copies(root, dimension),
            kinds=kinds,
            what="the genesis model" if round_id == 0 else f"the model of round {round_id}",
            held_by="the operator" if round_id == 0 else "the aggregator",
            round=round_id or None,
        )
        if model is not None:
            self._report.blobs.models += 1
            self._report.blobs.bytes += model.nbytes
        return model

    def _audit_sum_blobs(self, current: Round, posting: Posting) -> None:
        dimension = self._history.definition.dimension
        for position, root in enumerate(posting.partial_sum_roots):
            hashes = read_copies(
                self._report,
                partial(self._store.read_sum, root, dimension),
                partial(self._store.sum_copies, root, dimension),
                kinds=(Kind.SUM_BLOB_MISSING, Kind.SUM_BLOB_ALTERED),
                what=f"partial sum {position} of round {current.id}",
                held_by="the aggregator",
                round=current.id,
            )
            if hashes is not None:
                self._report.blobs.sums += 1
                self._report.blobs.bytes += len(hashes)

    def _forget_unused(self, round_id: int) -> None:
        """Keep only models that a later round starts from."""
        needed = {r.base_round for r in self._history.rounds.values() if r.id > round_id}
        for kept in list(self._models):
            if kept not in needed:
                del self._models[kept]


def _remedy(current: Round) -> str:
    """Return what can be done about a wrong posting."""
    if current.status is RoundStatus.POSTED:
        return (
            f", and take the posting down before it becomes final: `fl-chain challenge --round {current.id}`"
        )
    return "; nobody challenged the posting in time"


class _Updates:
    """Yields a round's updates in order; raises at the first that cannot be read, and can go on after it."""

    def __init__(self, audit: RoundAudit, submissions: Sequence[Submission], excluded: set[int]) -> None:
        self._audit = audit
        self._waiting = iter(submissions)
        self._excluded = excluded
        self._broken = False

    def __iter__(self) -> _Updates:
        return self

    def __next__(self) -> Lanes | None:
        submission = next(self._waiting)
        if submission.index in self._excluded:
            return None
        lanes = self._audit.read_update(submission)
        if lanes is None and not self._broken:
            self._broken = True
            raise _Underivable
        return lanes
