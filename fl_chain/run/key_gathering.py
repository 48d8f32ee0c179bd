"""Gathering the keys that participants have signed for a masked round: one transaction for all of them."""

from __future__ import annotations

from fl_chain.errors import StoreError, VerificationError
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import KEYS_SHARE
from fl_chain.records import Address, Round
from fl_chain.run.graphs import is_graph_due
from fl_chain.run.masked_rounds import set_up_blob
from fl_chain.run.recovery import Recovery
from fl_chain.run.ring import expected_participants
from fl_chain.store import SignedSetUp, Store

MOST_TOGETHER = 100  # keys in one transaction
_OWN_WAY_SHARE = 2  # half of the time for keys is waited for the last of them; later they come by themselves


class KeyGathering:
    """Looks for keys that wait in the store; whoever brings none, or comes by itself, is not waited for."""

    def __init__(self, store: Store, masks: Address) -> None:
        self._store, self._masks = store, masks
        self._recovery = Recovery(store)

    def waiting(self, history: History, current: Round, now: int) -> list[SignedSetUp]:
        """Return what can be brought to an open round; nothing while more is worth waiting for.

        Args:
            history: of the run.
            current: the round.
            now: chain time.
        """
        masks, window_s = history.round_masks(current.id), history.policy.submission_s // KEYS_SHARE
        if masks.is_complete or now >= current.since + window_s or is_graph_due(history, current):
            return []
        members = self._recovery.members(history, current.id)
        if masks.graph is not None:  # with somebody who is not in it the transaction would fail
            members = members.intersection(list(history.identity_keys)[: masks.graph.vertices])
        expected = members.intersection(expected_participants(history, current))
        # With the last of those who are expected the ring is complete: whoever comes back goes first.
        order = sorted(members - set(masks.members), key=lambda who: (who in expected, who))
        found = [signed for who in order if (signed := self._read(history, current.id, who)) is not None]
        # To find out who spoils rounds, everyone is waited for who is to be in this one.
        wanted = members if self._recovery.suspicion(history).suspects else expected
        missing = wanted.difference(masks.members, (signed.keys.participant for signed in found))
        is_patient = now < current.since + window_s // _OWN_WAY_SHARE
        return [] if missing and is_patient else found[:MOST_TOGETHER]

    def _read(self, history: History, round_id: int, participant: Address) -> SignedSetUp | None:
        if participant not in history.identity_keys:
            return None
        try:
            return self._store.read_set_up(set_up_blob(history, round_id, participant, self._masks))
        except (StoreError, VerificationError):
            return None
