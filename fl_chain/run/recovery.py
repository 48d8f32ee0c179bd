"""Which masked rounds were spoilt, and who is to be in the next one: see `fl_chain.masking.recovery`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fl_chain.aggregation.sums import PartialSums
from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import SpoiltRound, StoreError, VerificationError
from fl_chain.ledger.history import History
from fl_chain.masking.recovery import Suspicion, group
from fl_chain.masking.unmasking import SeedKind, committed_kind, is_of_round_key
from fl_chain.records import ZERO_DIGEST, Address, Digest, RoundStatus, Submission, VoidReason
from fl_chain.run.group_sums import GroupSums, grouped_round
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
    _groups: dict[tuple[int, Digest], tuple[frozenset[Address], list[frozenset[Address]]]] = field(
        default_factory=dict
    )

    def suspicion(self, history: History) -> Suspicion:
        """Return who is suspected and who is named after every round so far."""
        found = Suspicion()
        for round_id, current in history.rounds.items():
            masks, submissions = history.round_masks(round_id), history.submissions[round_id]
            if masks.exclusions is None:
                continue
            if history.is_grouped:
                found = self._after_groups(history, round_id, found)
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
        found = self.suspicion(history)
        if history.is_grouped:  # other groups every round tell who it is; who stayed out would take its along
            return frozenset(registered) - found.named
        return group(found, registered, quorum, seed)

    def _after_groups(self, history: History, round_id: int, found: Suspicion) -> Suspicion:
        current = history.rounds[round_id]
        is_over = current.status in _WITH_MODEL or history.voids.get(round_id) is VoidReason.NOT_POSTED
        if not is_over:
            return found
        spoiler = key_spoiler(history, round_id)
        if spoiler is not None:
            found = replace(found, named=found.named | {spoiler})
        sums = self._group_sums(history, round_id)
        if sums is None:
            return found
        clean, spoilt = sums
        # Whom its key seed names has spoilt its group by itself.
        return found.after_groups(clean, [one for one in spoilt if spoiler not in one])

    def _group_sums(
        self, history: History, round_id: int
    ) -> tuple[frozenset[Address], list[frozenset[Address]]] | None:
        """Return the survivors of the groups that have a sum, and of each that has none; None if unknown."""
        key = round_id, history.rounds[round_id].digest
        if key not in self._groups:
            try:
                sums = derived_groups(history, self.store, round_id)
            except (StoreError, VerificationError):
                return None  # it may be there later
            if sums is None:
                return None
            clean = frozenset(who for one in sums.kept for who in one.survivors)
            self._groups[key] = clean, [frozenset(one.group.members) for one in sums.spoilt]
        return self._groups[key]

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
    poster = _right_poster(history, round_id)
    if poster is None:
        return False
    staying = _staying(history, round_id)
    sums = PartialSums(history.definition.dimension, lambda completed: None)
    for _, lanes in _updates(history, store, staying):
        sums.add(lanes)
    for term in unmasking_vectors(history, round_id, published_seeds(history, round_id, poster)):
        sums.add(term)
    sums.finish()
    try:
        verify_sum(sums.total, sum(one.weight for one in staying), history.policy.quantisation)
    except SpoiltRound:
        return True
    return False


def derived_groups(history: History, store: Store, round_id: int) -> GroupSums | None:
    """Return the sums of a round's groups by right seeds; None where nobody has published these.

    Raises:
        StoreError, VerificationError: if an update cannot be read.
    """
    poster = _right_poster(history, round_id)
    if poster is None:
        return None
    whole = grouped_round(history, round_id, published_seeds(history, round_id, poster))
    return whole.sums(_updates(history, store, _staying(history, round_id)))


def _right_poster(history: History, round_id: int) -> Address | None:
    """Return somebody who has published the seeds that were committed to."""
    posters = history.round_masks(round_id).seeds
    return next((who for who in posters if not wrong_seeds(history, round_id, who)), None)


def _staying(history: History, round_id: int) -> list[Submission]:
    excluded = {one.index for one in history.round_masks(round_id).exclusions or ()}
    return [one for one in history.submissions[round_id] if one.index not in excluded]


def _updates(
    history: History, store: Store, staying: Sequence[Submission]
) -> Iterator[tuple[Address, Lanes]]:
    dimension = history.definition.dimension
    for one in staying:
        update = store.read_update(
            one.participant, one.sealed_root, dimension, run=history.run, round=one.round
        )
        yield one.participant, update.lanes[:dimension]


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
