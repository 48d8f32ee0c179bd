"""The global models that rounds are derived from, kept while a later round starts from them."""

from __future__ import annotations

from functools import partial

from fl_chain.audit.copies import Sought, read_copies
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import Role
from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import FlChainError
from fl_chain.ledger.history import History
from fl_chain.records import Digest, Posting
from fl_chain.store import Store


class ModelShelf:
    """Models by the round that made them; 0 is genesis."""

    def __init__(self, history: History, store: Store) -> None:
        self._history = history
        self._store = store
        self._models: dict[int, Lanes] = {}

    def follow(self, history: History) -> None:
        """Go on with a history that has grown."""
        self._history = history

    def model(self, round_id: int) -> Lanes | None:
        """Return a model that was put here; None where it is not available."""
        return self._models.get(round_id)

    def put(self, round_id: int, model: Lanes) -> None:
        """Keep a model."""
        self._models[round_id] = model

    def fetch(self, round_id: int) -> bool:
        """Take a model that was audited before from the store; return whether it is there."""
        root = self._history.model_root(round_id)
        try:
            self._models[round_id] = self._store.read_model(root, self._history.definition.dimension)
        except FlChainError:
            return False
        return True

    def forget_unused(self, after: int) -> None:
        """Keep only models that a round after this one starts from."""
        needed = {current.base_round for current in self._history.rounds.values() if current.id > after}
        # The next round, which has not opened yet, starts from the newest that stands.
        needed.add(self._history.state.tip)
        for kept in list(self._models):
            if kept not in needed:
                del self._models[kept]

    def read_genesis(self, notes: Collection) -> None:
        """Read the genesis model, every copy checked."""
        root = self._history.definition.genesis_model_root
        holders = ((Role.OPERATOR, self._history.operator),)
        sought = Sought("the genesis model", Kind.GENESIS_MISSING, Kind.GENESIS_ALTERED, holders)
        model = self._read(notes, root, sought)
        if model is not None:
            self.put(0, model)

    def read_posted(self, notes: Collection, posting: Posting) -> Lanes | None:
        """Return a posted model, every copy checked; None where none is good."""
        sought = Sought(
            f"the model of round {posting.round}",
            Kind.MODEL_BLOB_MISSING,
            Kind.MODEL_BLOB_ALTERED,
            ((Role.AGGREGATOR, posting.poster),),
            round=posting.round,
        )
        return self._read(notes, posting.model_root, sought)

    def read_sums(self, notes: Collection, posting: Posting) -> None:
        """Read the chunk hashes of every posted sum, every copy checked."""
        dimension = self._history.definition.dimension
        for position, root in enumerate(posting.partial_sum_roots):
            hashes = read_copies(
                notes,
                partial(self._store.read_sum, root, dimension),
                partial(self._store.sum_copies, root, dimension),
                Sought(
                    f"partial sum {position} of round {posting.round}",
                    Kind.SUM_BLOB_MISSING,
                    Kind.SUM_BLOB_ALTERED,
                    ((Role.AGGREGATOR, posting.poster),),
                    round=posting.round,
                ),
                stores=len(self._store.urls),
            )
            if hashes is not None:
                notes.blobs.sums += 1
                notes.blobs.bytes += len(hashes)

    def _read(self, notes: Collection, root: Digest, sought: Sought) -> Lanes | None:
        dimension = self._history.definition.dimension
        model = read_copies(
            notes,
            lambda: self._store.read_model(root, dimension),
            lambda: self._store.model_copies(root, dimension),
            sought,
            stores=len(self._store.urls),
        )
        if model is not None:
            notes.blobs.models += 1
            notes.blobs.bytes += model.nbytes
        return model
