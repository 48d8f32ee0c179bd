"""Which masked rounds were spoilt, and who is to be in the next one: see `fl_chain.masking.recovery`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fl_chain.aggregation.sums import PartialSums
from fl_chain.errors import SpoiltRound, StoreError, VerificationError
from fl_chain.ledger.history import History
from fl_chain.masking.recovery import Suspicion, group
from fl_chain.masking.unmasking import SeedKind, committed_kind, is_of_round_key
from fl_chain.records import ZERO_DIGEST, Address, Digest, RoundStatus, VoidReason
from fl_chain.run.masked_rounds import (
    masking_context,
    published_seeds,
    unmasking_vectors,
    verify_sum,
    wrong_seeds,
)
from fl_chain.store import Store

_WITH_MODEL = (RoundStatus.POSTED, RoundStatus.FINAL)


@dataclass(frozen=True)
class Recovery:
    """Derives from ledger and store alone who may have spoilt rounds, so that everyone comes to the same."""

    store: Store
    _known: dict[tuple[int, Digest], bool] = field(default_factory=dict)

    def suspicion(self, history: History) -> Suspicion:
        """Return who is suspected and who is named after every round so far."""
        found = Suspicion()
        for round_id, current in history.rounds.items():
            masks, submissions = history.round_masks(round_id), history.submissions[round_id]
            if masks.exclusions is None:
                continue
            if current.status in _WITH_MODEL:
                found = found.after_posted(masks.stayed(submissions))
            elif history.voids.get(round_id) is VoidReason.NOT_POSTED:
                spoiler = key_spoiler(history, round_id)
                if spoiler is not None:
                    found = replace(found, named=found.named | {spoiler})
                elif self._is_noise(history, round_id):
                    found = found.after_spoilt(masks.stayed(submissions))
        return found

    def members(self, history: History, round_id: int) -> frozenset[Address]:
        """Return who is to set up keys for a round that is open."""
        current, quorum = history.rounds[round_id], history.policy.quorum
        registered = [
            who for who, one in history.participants.items() if one.registered and round_id < one.barred_from
        ]
        seed = history.seeds.get(current.last_closed, ZERO_DIGEST)
        return group(self.suspicion(history), registered, quorum, seed)

    def _is_noise(self, history: History, round_id: int) -> bool:
        """Return whether a round's sum is noise by right seeds; False where a blob is missing."""
        key = round_id, history.rounds[round_id].digest
        if key not in self._known:
            try:
                self._known[key] = is_noise(history, self.store, round_id)
            except (StoreError, VerificationError):
                return False  # it may be there later
        return self._known[key]


def is_noise(history: History, store: Store, round_id: int) -> bool:
    """Return whether a masked round's sum is noise although its seeds are right.

    Raises:
        StoreError, VerificationError: if an update cannot be read.
    """
    masks, definition = history.round_masks(round_id), history.definition
    poster = next((who for who in masks.seeds if not wrong_seeds(history, round_id, who)), None)
    if poster is None:
        return False
    excluded = {one.index for one in masks.exclusions or ()}
    staying = [one for one in history.submissions[round_id] if one.index not in excluded]
    sums = PartialSums(definition.dimension, lambda completed: None)
    for one in staying:
        update = store.read_update(
            one.participant, one.sealed_root, definition.dimension, run=history.run, round=round_id
        )
        sums.add(update.lanes[: definition.dimension])
    for term in unmasking_vectors(history, round_id, published_seeds(history, round_id, poster)):
        sums.add(term)
    sums.finish()
    try:
        verify_sum(sums.total, sum(one.weight for one in staying), history.policy.quantisation)
    except SpoiltRound:
        return True
    return False


def key_spoiler(history: History, round_id: int) -> Address | None:
    """Return who published a round key that is not of its seed, where the ledger alone shows it."""
    masks, context = history.round_masks(round_id), masking_context(history, round_id)
    for poster in masks.seeds:
        for owner, seed in published_seeds(history, round_id, poster).items():
            keys = masks.by_member[owner]
            is_key = committed_kind(keys, seed) is SeedKind.KEY
            if is_key and not is_of_round_key(keys, seed, context):
                return owner
    return None
