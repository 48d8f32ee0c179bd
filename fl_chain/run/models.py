"""The chain of global models, each derived from the one before and from its round's updates."""

from __future__ import annotations

from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import StoreError
from fl_chain.records import Posting, RoundStatus
from fl_chain.run.rounds import RoundReader, verify_posting


class ModelChain:
    """Global models that were verified here, not merely downloaded.

    A model of a round that is final is taken from the store by its root; one that can still fall is derived
    from the updates and compared with the posting. Only the newest models are kept in memory.
    """

    def __init__(self, reader: RoundReader, *, keep: int = 2) -> None:
        self._reader = reader
        self._keep = keep
        self._models: dict[Posting, Lanes] = {}

    def model(self, round_id: int) -> Lanes:
        """Return the model that a round made; 0 stands for genesis.

        Returns:
            Big-endian lanes, shape (dimension,).

        Raises:
            StoreError: if a blob that it takes cannot be read.
            DigestMismatch: if the posting is not what its inputs give; nobody should train on it.
        """
        history, store = self._reader.history, self._reader.store
        dimension = history.definition.dimension
        if round_id == 0:
            return store.read_model(history.definition.genesis_model_root, dimension)
        posting = history.postings[round_id]
        # The whole posting is the key: after a reorganisation the same round may have another one.
        if posting not in self._models:
            if history.rounds[round_id].status is RoundStatus.FINAL:
                self._remember(posting, self._final(round_id, posting))
            else:
                self._remember(posting, self._derived(round_id, posting))
        return self._models[posting]

    def _final(self, round_id: int, posting: Posting) -> Lanes:
        history, store = self._reader.history, self._reader.store
        try:
            return store.read_model(posting.model_root, history.definition.dimension)
        except StoreError:
            return self._derived(round_id, posting)

    def _derived(self, round_id: int, posting: Posting) -> Lanes:
        base = self.model(self._reader.history.rounds[round_id].base_round)
        aggregate = self._reader.aggregate(round_id, base, posting.exclusions)
        verify_posting(posting, aggregate)
        return aggregate.model

    def _remember(self, posting: Posting, model: Lanes) -> None:
        self._models[posting] = model
        while len(self._models) > self._keep:
            del self._models[next(iter(self._models))]
