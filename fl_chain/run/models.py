"""The chain of global models, each derived from the one before and from its round's updates."""

from __future__ import annotations

from collections.abc import Collection

from fl_chain.aggregation.round import FEDAVG, Aggregate
from fl_chain.aggregation.rules.fedavg import EncryptedFedAvg
from fl_chain.aggregation.rules.rule import Rule
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool, available_cores
from fl_chain.errors import ConfigError, FlChainError, StoreError, UnverifiedPosting, VerificationError
from fl_chain.records import AggregationKind, Exclusion, Posting, RoundStatus
from fl_chain.run.claims import StoredBlobs, posting_claim
from fl_chain.run.encrypted_examination import examine_encrypted
from fl_chain.run.exclusions import exclusion_doubts
from fl_chain.run.prover import examine
from fl_chain.run.rounds import RoundReader
from fl_chain.run.striped import StripedRounds
from fl_chain.run.verdicts import Doubt, Hidden, Outcome, Proven, Right, Unprovable


class ModelChain:
    """Global models that were verified here, not merely downloaded.

    A model of a round that is final is taken from the store by its root; one that can still fall is derived
    from the updates and compared with the posting. Only the newest models are kept in memory. What was found
    about a posting is kept under the posting itself: the next one of the same round is another.
    """

    def __init__(self, reader: RoundReader, *, keep: int = 2, pool: HashingPool | None = None) -> None:
        self._reader = reader
        self._keep = keep
        self._pool = pool or HashingPool(available_cores())
        self._striped = StripedRounds(self._pool)
        self._models: dict[Posting, Lanes] = {}
        self._carried: dict[Posting, Lanes] = {}  # of the same postings
        self._right: set[Posting] = set()
        self._proven: dict[Posting, Proven] = {}
        self._derived_here: tuple[int, tuple[Exclusion, ...], Aggregate] | None = None

    def model(self, round_id: int) -> Lanes:
        """Return the model that a round made; 0 stands for genesis.

        Returns:
            Big-endian lanes, shape (dimension,).

        Raises:
            StoreError: if a blob that it takes cannot be read.
            UnverifiedPosting: if the posting, or one that it is built on, is not what its inputs give, or
                cannot be derived; nobody should train on it.
        """
        history, store = self._reader.history, self._reader.store
        if round_id == 0:
            return store.read_model(history.definition.genesis_model_root, history.definition.dimension)
        posting = history.postings[round_id]
        if posting not in self._models:
            self._remember(posting, self._obtained(round_id, posting))
        return self._models[posting]

    @property
    def pool(self) -> HashingPool:
        """The threads that share the hashing."""
        return self._pool

    def note_derived(self, round_id: int, exclusions: tuple[Exclusion, ...], aggregate: Aggregate) -> None:
        """Take over what was derived here from a round's verified updates, in order to post it.

        If the posting that stands says the same, it is right, and nothing is derived a second time. Only the
        newest is kept.
        """
        self._derived_here = round_id, exclusions, aggregate

    def is_right(self, round_id: int) -> bool:
        """Return whether a round's standing posting was found to be what its inputs give."""
        return self._reader.history.postings.get(round_id) in self._right

    def outcome(self, round_id: int, *, seen_in_time: Collection[int] = ()) -> Outcome:
        """Return what comes of examining a round's standing posting, whatever it is built on.

        A proof is remembered; what is missing may yet come, so anything else is looked at anew.

        Args:
            round_id: a round that is posted.
            seen_in_time: see `fl_chain.run.prover.examine`.

        Raises:
            ProofRejected: see `fl_chain.run.prover.examine`.
        """
        posting = self._reader.history.postings[round_id]
        if posting in self._proven:
            return self._proven[posting]
        try:
            rule, outsiders = self._reader.rule, self._reader.outsiders(round_id)
        except (StoreError, VerificationError, ConfigError) as error:
            outcome = self._examined_without_policy(round_id, error)
        else:
            outcome = self._noted(posting) or self._examined(round_id, rule, outsiders, seen_in_time)
        if isinstance(outcome, Proven):
            self._proven[posting] = outcome
        elif isinstance(outcome, Right):
            self._right.add(posting)
            self._remember(posting, outcome.model, outcome.carried)
        return outcome

    def _noted(self, posting: Posting) -> Right | None:
        if self._derived_here is None:
            return None
        round_id, exclusions, made = self._derived_here
        said = (posting.round, posting.exclusions, posting.partial_sum_roots, posting.model_root)
        if said != (round_id, exclusions, made.partial_sum_roots, made.model_root):
            return None
        if (posting.result_root, posting.state_root) != (made.result_root, made.state_root):
            return None
        self._derived_here = None
        return Right(made.model, made.clamped, made.carried)

    def _examined_without_policy(self, round_id: int, error: FlChainError) -> Outcome:
        """Return a proof where there is one: sums that add up wrongly show whatever rule and cohort are."""
        if self._reader.history.policy.aggregation is AggregationKind.SUMS:
            outcome = self._examined(round_id, FEDAVG, frozenset(), ())
            if isinstance(outcome, Proven):
                return outcome
        return Unprovable((Doubt(Hidden.POLICY, None, f"the policy document: {error}"),))

    def _examined(
        self, round_id: int, rule: Rule, outsiders: frozenset[int], seen_in_time: Collection[int]
    ) -> Outcome:
        history, store = self._reader.history, self._reader.store
        if isinstance(rule, EncryptedFedAvg):
            return examine_encrypted(
                self._reader.encrypted,
                history.postings[round_id],
                lambda: self._base(round_id),
                opener=self._reader.opener,
                pool=self._pool,
            )
        blobs = StoredBlobs(history, store, lambda: self._base(round_id), lambda: self.carried_into(round_id))
        claim = posting_claim(history, round_id, outsiders=outsiders)
        outcome: Outcome | None = None
        if rule.kind is AggregationKind.SUMS and self._striped.is_worthwhile(claim):
            outcome = self._striped.right(claim, store)
        if outcome is None or exclusion_doubts(claim, blobs, seen_in_time, rule):
            outcome = examine(claim, blobs, seen_in_time=seen_in_time, pool=self._pool, rule=rule)
        return outcome

    def carried_into(self, round_id: int) -> Lanes:
        """Return what the rule carries into a round besides its base model; empty where it carries nothing.

        Raises:
            StoreError: if a blob that it takes cannot be read.
            UnverifiedPosting: if the base's round left something else than its posting says.
        """
        history, store, rule = self._reader.history, self._reader.store, self._reader.rule
        dimension = history.definition.dimension
        size, base_round = rule.carried_lanes(dimension), history.rounds[round_id].base_round
        if size == 0 or base_round == 0:
            return rule.initial(dimension)
        posting = history.postings[base_round]
        if posting in self._carried:
            return self._carried[posting]
        root = posting.state_root if rule.kind is AggregationKind.SUMS_WITH_STATE else posting.result_root
        try:
            return store.read_state(root, size)
        except (StoreError, VerificationError):
            outcome = self._derivation(base_round)  # a cache: the updates give it as well
        if outcome.carried is None:
            raise UnverifiedPosting(f"round {base_round} carries nothing on")
        return outcome.carried

    def _base(self, round_id: int) -> Lanes:
        """Return the model that a round started from, whether or not it was right to make it."""
        history, store = self._reader.history, self._reader.store
        base_round = history.rounds[round_id].base_round
        below = history.postings.get(base_round)
        if below is not None and below in self._models:
            return self._models[below]
        try:
            return store.read_model(history.model_root(base_round), history.definition.dimension)
        except (StoreError, VerificationError):
            return self.model(base_round)

    def _obtained(self, round_id: int, posting: Posting) -> Lanes:
        history, store = self._reader.history, self._reader.store
        is_final = history.rounds[round_id].status is RoundStatus.FINAL
        if not is_final:
            self._verify_base(round_id)
        if is_final or posting in self._right:
            try:
                return store.read_model(posting.model_root, history.definition.dimension)
            except (StoreError, VerificationError):
                pass  # a cache: the updates give it as well
        return self._derived(round_id)

    def _verify_base(self, round_id: int) -> None:
        history = self._reader.history
        base_round = history.rounds[round_id].base_round
        if base_round == 0 or history.rounds[base_round].status is RoundStatus.FINAL:
            return
        self._verify_base(base_round)
        if not self.is_right(base_round):
            self._derived(base_round)

    def _derived(self, round_id: int) -> Lanes:
        return self._derivation(round_id).model

    def _derivation(self, round_id: int) -> Right:
        outcome = self.outcome(round_id)
        if isinstance(outcome, Right):
            return outcome
        if isinstance(outcome, Proven):
            raise UnverifiedPosting(f"the posting of round {round_id} is wrong: {outcome}")
        raise UnverifiedPosting(f"the posting of round {round_id} cannot be derived: {outcome}")

    def _remember(self, posting: Posting, model: Lanes, carried: Lanes | None = None) -> None:
        self._models[posting] = model
        if carried is not None:
            self._carried[posting] = carried
        while len(self._models) > self._keep:
            oldest = next(iter(self._models))
            del self._models[oldest]
            self._carried.pop(oldest, None)
