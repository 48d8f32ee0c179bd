"""One round after the other, from its blobs: updates, partial sums, model.

Memory holds a few vectors whatever the run: the models that later rounds start from, one partial sum a level,
and the update that is being read.
"""

from __future__ import annotations

from collections.abc import Callable

from fl_chain.aggregation.round import Derived
from fl_chain.audit.checks import CheckId
from fl_chain.audit.cohorts import CohortAudit
from fl_chain.audit.encryption import EncryptionAudit
from fl_chain.audit.falls import audit_falls
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.masks import MaskAudit
from fl_chain.audit.models import ModelShelf
from fl_chain.audit.results import RoundResult, standing_posting
from fl_chain.audit.rules import RuleAudit
from fl_chain.audit.statistics import UpdateStatistics
from fl_chain.audit.updates import IncludedUpdates, Underivable, UpdateReader
from fl_chain.audit.whole_rounds import WholeRounds
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool, available_cores
from fl_chain.encryption.keys import SecretKey
from fl_chain.errors import FlChainError, SpoiltRound
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import left_out_with_group
from fl_chain.records import ZERO_DIGEST, Digest, Posting, Round
from fl_chain.store import Store

CLAMPED_SHARE = 10_000  # one lane in so many is where clamped lanes are worth a warning


class RoundAudit:
    """Audits rounds in order and carries the global model from each to those that are built on it."""

    def __init__(
        self,
        history: History,
        store: Store,
        *,
        has_read: Callable[[int], None] = lambda size: None,
        pool: HashingPool | None = None,
        key: SecretKey | None = None,
    ) -> None:
        """Prepare for the rounds of a run.

        Args:
            history: of the run.
            store: where the blobs are.
            has_read: told the bytes of each update that was read.
            pool: threads to share the hashing with; None: one a core.
            key: of the cohort of an encrypted run, for who holds it.
        """
        self._history = history
        self._store = store
        self.has_read = has_read
        self._pool = pool or HashingPool(available_cores())
        self.models = ModelShelf(history, store)
        self.rules = RuleAudit(history, store)
        self.cohorts = CohortAudit(history, store)
        self.masks = MaskAudit(history, store)
        self.encryption = EncryptionAudit(history, store, key)
        self._statistics = UpdateStatistics(history.definition.dimension, history.policy.quantisation)
        self._whole = WholeRounds(store, self._statistics, self._pool)

    def rest(self) -> None:
        """Give up what was begun ahead; the next round begins it anew."""
        self._whole.close()

    def audit(self, round_id: int) -> RoundResult:
        """Audit one round; those before it were audited, or resumed, before."""
        history, result = self._history, RoundResult(round=round_id)
        current, posting = history.rounds[round_id], standing_posting(history, round_id)
        self._statistics.open_round(history.seeds.get(round_id, ZERO_DIGEST))
        result.founded = audit_falls(history, self._store, result, round_id)
        self.masks.audit(round_id, result)
        self.encryption.audit(round_id, result)
        if posting is not None:
            self._audit_posting(current, posting, result)
            result.has_model = self.models.model(round_id) is not None
        figures = self._statistics.close_round()
        result.warnings += figures.warnings
        result.statistics = {index: own.to_json() for index, own in figures.updates.items()}
        self.models.forget_unused(round_id)
        self.rules.forget_unused(round_id)
        return result

    def resume(self, history: History, results: list[RoundResult]) -> bool:
        """Take up where an earlier audit stopped, before any round of this one.

        Args:
            history: of the run.
            results: of the first rounds, in their order, without a gap.

        Returns:
            Whether everything that the next rounds need is still there; if not, begin from the first round
            with another `RoundAudit`.
        """
        for result in results:
            for index, figures in result.statistics.items():
                root = Digest(bytes.fromhex(str(figures["vector_root"])[2:]))
                self._statistics.recall(root, history.submissions[result.round][index])
        return self.go_on(history, results) and self._recall_sketches(results)

    def go_on(self, history: History, results: list[RoundResult]) -> bool:
        """Go on with a history that has grown; the arguments and the result are those of `resume`."""
        self._history = history
        self.models.follow(history)
        self.rules.follow(history)
        self.cohorts.follow(history)
        self.masks.follow(history)
        self.encryption.follow(history)
        return not results or self._fetch_bases(results, after=results[-1].round)

    def _fetch_bases(self, results: list[RoundResult], *, after: int) -> bool:
        needed = {current.base_round for current in self._history.rounds.values() if current.id > after}
        available = {result.round for result in results if result.has_model}
        waiting = sorted(number for number in needed & available if self.models.model(number) is None)
        carried = needed & {result.round for result in results}
        return all(map(self.models.fetch, waiting)) and all(map(self.rules.fetch, sorted(carried)))

    def _recall_sketches(self, results: list[RoundResult]) -> bool:
        """Look again at the newest updates, which those of the next round are compared with."""
        newest = next((result for result in reversed(results) if result.statistics), None)
        if newest is None:
            return True
        reader = self._reader(RoundResult(round=newest.round))
        self._statistics.open_round(self._history.seeds.get(newest.round, ZERO_DIGEST))
        try:
            for index in sorted(newest.statistics):
                reader.look_again(self._history.submissions[newest.round][index])
        except FlChainError:
            return False
        self._statistics.close_round()
        return True

    def _reader(self, notes: Collection) -> UpdateReader:
        return UpdateReader(self._history, self._store, notes, self._statistics, self.has_read)

    # ------------------------------------------------------------------ what the aggregator posted

    def _audit_posting(self, current: Round, posting: Posting, result: RoundResult) -> None:
        if self.encryption.is_encrypted:
            posted = self.models.read_posted(result, posting)
            return self._conclude(current, posting, posted, self._derive_encrypted(posting, result), result)
        reader = self._reader(result)
        outsiders = self.cohorts.audit(posting, result) | self._left_with_groups(posting)
        # Where the policy document does not say, nobody is accused of having left out by rule.
        is_known = self.rules.rule is not None and self.cohorts.is_known
        rule_chooses = self.rules.chooses or not is_known
        reader.audit_exclusions(posting, rule_chooses=rule_chooses, outsiders=outsiders)
        self.rules.audit_selection(current, posting, outsiders, result)
        posted = self.models.read_posted(result, posting)
        self.models.read_sums(result, posting)
        return self._conclude(
            current, posting, posted, self._derive(current, posting, reader, result), result
        )

    def _left_with_groups(self, posting: Posting) -> frozenset[int]:
        """Return the submissions, by index, of groups of which too few were there: rightly left out."""
        history = self._history
        masks, submissions = history.round_masks(posting.round), history.submissions[posting.round]
        if not history.is_grouped:
            return frozenset()
        return left_out_with_group(masks, history.vertices, submissions, posting.exclusions)

    def _derive_encrypted(self, posting: Posting, result: RoundResult) -> Derived | None:
        result.count(CheckId.MODELS)
        current = self._history.rounds[posting.round]
        base = self.models.model(current.base_round)
        if base is None:
            found: Derived | str = _missing_base(current)
        else:
            found = self.encryption.derive(posting, base, result, pool=self._pool)
        if not isinstance(found, str):
            return found
        result.add(
            Kind.MODEL_UNDERIVABLE,
            f"{found}, so the model of this round cannot be derived again",
            round=current.id,
            advice=_next_step(current, is_base_missing=base is None),
        )
        return None

    def _conclude(
        self,
        current: Round,
        posting: Posting,
        posted: Lanes | None,
        aggregate: Derived | None,
        result: RoundResult,
    ) -> None:
        """Compare what was derived with what was posted, and keep what later rounds start from."""
        self.rules.audit_carried(current, posting, aggregate, result)
        is_same = aggregate is not None and aggregate.model_root == posting.model_root
        # Later rounds are built on what was posted, right or wrong, as the participants did.
        if aggregate is not None and is_same:
            self.models.put(current.id, aggregate.model)
        elif posted is not None:
            self.models.put(current.id, posted)
        if aggregate is not None:
            result.clamped_lanes = aggregate.clamped
            result.is_verified = (
                is_same
                and aggregate.partial_sum_roots == posting.partial_sum_roots
                and aggregate.result_root == posting.result_root
                and aggregate.state_root == posting.state_root
            )
            self._compare(posting, aggregate, result)
            self._audit_clamped(current, aggregate.clamped, result)

    def _derive(
        self, current: Round, posting: Posting, reader: UpdateReader, result: RoundResult
    ) -> Derived | None:
        result.count(CheckId.MODELS)
        submissions = self._history.submissions[current.id]
        base = self.models.model(current.base_round)
        whole = None if base is None else self._whole.derived(self._history, posting)
        if whole is not None:
            for seen in whole.updates:
                reader.note_whole(seen, posting)
            return whole.derived
        updates = IncludedUpdates(reader, submissions, posting, self._pool)
        excluded = {exclusion.index for exclusion in posting.exclusions}
        weight = sum(one.weight for one in submissions if one.index not in excluded)
        obstacle = "an included update cannot be read"
        is_unmasked = not self._history.is_masked or self.masks.are_seeds_right(posting, result)
        try:
            if base is not None and is_unmasked:
                derived = self.rules.derive(current, base, updates, weight, pool=self._pool, notes=result)
                if derived is not None:
                    if self._history.is_masked and not self._history.is_grouped:
                        self.masks.audit_sum(posting, derived.total, result)
                    return derived
            obstacle = (
                _missing_base(current)
                if base is None
                else "what takes the masks off is not right"
                if not is_unmasked
                else "the run's rule, or what it carries into this round, is not available"
            )
        except Underivable:
            pass
        except SpoiltRound as error:  # of groups: too few have a sum
            result.add(Kind.ROUND_SPOILT, f"the round was posted, and {error}", round=current.id)
            obstacle = "too few groups have a sum"
        except ValueError as error:  # a weight that the ledger cannot have taken: the node made it up
            obstacle = str(error)
        updates.go_on()
        for _ in updates:  # the rest of the round's updates are checked all the same
            pass
        result.add(
            Kind.MODEL_UNDERIVABLE,
            f"{obstacle}, so sums and model of this round cannot be derived again",
            round=current.id,
            advice=_next_step(current, is_base_missing=base is None),
        )
        return None

    def _compare(self, posting: Posting, aggregate: Derived, result: RoundResult) -> None:
        derived, posted = aggregate.partial_sum_roots, posting.partial_sum_roots
        if len(derived) != len(posted):
            result.count(CheckId.PARTIAL_SUMS)
            result.add(
                Kind.PARTIAL_SUM_DIFFERS,
                "the posting lists another number of partial sums than its submissions make",
                round=posting.round,
                expected=str(len(derived)),
                actual=str(len(posted)),
            )
        terms = self._history.round_masks(posting.round).terms
        for position, (expected, actual) in enumerate(zip(derived, posted, strict=False)):
            if position < terms:
                result.count(CheckId.MASKS)
                what, kind = f"term {position}", Kind.MASK_TERM_DIFFERS
            else:
                result.count(CheckId.PARTIAL_SUMS)
                what, kind = f"partial sum {position - terms}", Kind.PARTIAL_SUM_DIFFERS
            _compare_roots(kind, what, posting, (expected, actual), result)
        pair = (aggregate.model_root, posting.model_root)
        _compare_roots(Kind.MODEL_DIFFERS, "the model", posting, pair, result)

    def _audit_clamped(self, current: Round, clamped: int, result: RoundResult) -> None:
        result.count(CheckId.CLAMPED_LANES)
        dimension = self._history.definition.dimension
        if clamped * CLAMPED_SHARE >= dimension:
            result.add(
                Kind.LANES_CLAMPED,
                f"{clamped} of the model's {dimension} lanes were clamped to 32 bits",
                round=current.id,
                expected=f"fewer than one in {CLAMPED_SHARE}",
                actual=str(clamped),
            )


def _compare_roots(
    kind: Kind, what: str, posting: Posting, roots: tuple[Digest, Digest], result: RoundResult
) -> None:
    expected, actual = roots
    if expected != actual:
        result.add(
            kind,
            f"{what} that {posting.poster} posted is not what the round's updates give",
            round=posting.round,
            expected="0x" + expected.hex(),
            actual="0x" + actual.hex(),
        )


def _missing_base(current: Round) -> str:
    where = f"the model of round {current.base_round}" if current.base_round else "the genesis model"
    return f"{where}, which this round started from, is not available"


def _next_step(current: Round, *, is_base_missing: bool) -> str:
    if is_base_missing:
        whose = f"of round {current.base_round}" if current.base_round else "of genesis"
        return (
            f"Have the model {whose} published again, or the updates that it follows from; an audit from an "
            "earlier round derives it where those are there. Until then this model rests on its "
            "aggregator's word."
        )
    return (
        "Have the updates that are listed as missing or altered published again, by their participants or by "
        "the aggregator that included them; then audit again. Until then this model rests on its "
        "aggregator's word, and participants should not train on it."
    )
