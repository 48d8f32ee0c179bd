"""The chain of global models, each derived from the one before and from its round's updates."""

from __future__ import annotations

from collections.abc import Collection

from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.pool import HashingPool
from fl_chain.errors import StoreError, UnverifiedPosting, VerificationError
from fl_chain.records import Posting, RoundStatus
from fl_chain.run.claims import StoredBlobs, posting_claim
from fl_chain.run.prover import examine, wrongful_exclusions
from fl_chain.run.rounds import RoundReader
from fl_chain.run.striped import StripedRounds, available_cores
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
        self._right: set[Posting] = set()
        self._proven: dict[Posting, Proven] = {}

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
        history, store = self._reader.history, self._reader.store
        posting = history.postings[round_id]
        if posting in self._proven:
            return self._proven[posting]
        blobs = StoredBlobs(history, store, lambda: self._base(round_id))
        try:
            claim = posting_claim(history, round_id, outsiders=self._reader.outsiders(round_id))
        except (StoreError, VerificationError) as error:
            return Unprovable((Doubt(Hidden.POLICY, None, f"the policy document: {error}"),))
        outcome: Outcome | None = None
        if self._striped.is_worthwhile(claim):
            outcome = self._striped.right(claim, store)
        if outcome is None or wrongful_exclusions(claim, blobs, seen_in_time):
            outcome = examine(claim, blobs, seen_in_time=seen_in_time, pool=self._pool)
        if isinstance(outcome, Proven):
            self._proven[posting] = outcome
        elif isinstance(outcome, Right):
            self._right.add(posting)
            self._remember(posting, outcome.model)
        return outcome

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
        outcome = self.outcome(round_id)
        if isinstance(outcome, Right):
            return outcome.model
        if isinstance(outcome, Proven):
            raise UnverifiedPosting(f"the posting of round {round_id} is wrong: {outcome}")
        raise UnverifiedPosting(f"the posting of round {round_id} cannot be derived: {outcome}")

    def _remember(self, posting: Posting, model: Lanes) -> None:
        self._models[posting] = model
        while len(self._models) > self._keep:
            del self._models[next(iter(self._models))]
