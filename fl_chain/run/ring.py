"""A participant's side of masks: its identity key, its keys of each round, its updates under masks.

In its folder it remembers for each round to whom it sealed shares, so that it never seals those of another
polynomial. It is on the disk before anything leaves, and stays there for ever. What it releases of its peers
is in `fl_chain.run.releasing`.

    masks/receivers-<context>   addresses, 20 bytes each
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import LedgerReverted, StoreError
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import KEYS_SHARE, RoundMasks
from fl_chain.masking.groups import Groups
from fl_chain.masking.keys import identity_private_key, public_key
from fl_chain.masking.setup import (
    RoundSecrets,
    key_set_up,
    round_secrets,
)
from fl_chain.masking.unmasking import masked
from fl_chain.records import Address, Digest, PublishedKeys, Round, RoundStatus, address
from fl_chain.run.durable import make_folder, write_durably
from fl_chain.run.graphs import draws_at, is_graph_due, may_draw, receivers_among
from fl_chain.run.keeper import active_round
from fl_chain.run.masked_rounds import (
    masking_context,
    masking_peers,
    set_up_blob,
    set_up_content,
)
from fl_chain.run.recovery import Recovery
from fl_chain.run.releasing import ShareReleaser, note_path
from fl_chain.run.transactions import TransactionOutbox
from fl_chain.store import SignedSetUp, Store, WriteState

log = logging.getLogger(__name__)

_OVERTAKEN = (
    "NoGraphDue",
    "KeysClosed",
    "WrongStatus",
    "KeysAlreadySetUp",
    "IdentityKeyFixed",
    "ParticipantSuspendedFrom",
)


@dataclass(frozen=True, slots=True)
class RingParts:
    """What a member of rings is made of."""

    ledger: Ledger
    account: Account
    store: Store
    transactions: TransactionOutbox
    secret: bytes  # the worker's, 32 bytes
    folder: Path  # the worker's
    groups: int = 0  # of a round, by the policy document; 0 for one sum of all


class RingMember:
    """Sets up keys, masks updates and releases shares, for one participant."""

    def __init__(self, parts: RingParts) -> None:
        self._parts = parts
        self._identity_key = identity_private_key(parts.secret, parts.ledger.run)
        self._folder = parts.folder / "masks"
        self._releaser = ShareReleaser(
            parts.account,
            parts.store,
            secret=parts.secret,
            identity_key=self._identity_key,
            folder=self._folder,
        )
        self._recovery = Recovery(parts.store)
        self._refused: set[Digest] = set()
        self._said = ""

    def step(self, history: History, identity: Address) -> bool:
        """Do what is due next of all this; return whether anything was done.

        Raises:
            LedgerError: if the ledger cannot be reached, or an earlier transaction is still on its way.
            StateUnwritable: if the folder does not take what has to be durable.
        """
        if not history.is_masked:
            return False
        return (
            self._releaser.step(history, identity)
            or self._set_identity_key(history, identity)
            or self._set_up(history, identity)
        )

    def may_submit(self, history: History, round_id: int, identity: Address, now: int) -> bool:
        """Return whether a masked update of a participant can be made and submitted at a chain time."""
        masks = history.round_masks(round_id)
        is_large_enough = len(masks.keys) >= history.policy.quorum
        if identity not in masks.members or not is_large_enough or not masks.is_closed(now):
            return False
        # With the last of those who are expected the round closes: whoever comes back goes first.
        is_patient = now < history.rounds[round_id].since + history.policy.submission_s // 2
        return (
            not is_patient or identity in _returning(history, round_id) or not _is_awaiting(history, round_id)
        )

    def masked(self, history: History, round_id: int, identity: Address, lanes: Lanes) -> Lanes:
        """Return an update under its masks, for a ring that is closed."""
        peers = masking_peers(history, round_id, identity)
        context = masking_context(history, round_id)
        return masked(lanes, self._secrets(history, round_id, identity), context, identity, peers)

    # ------------------------------------------------------------------ keys

    def _set_identity_key(self, history: History, identity: Address) -> bool:
        participant = history.participants.get(identity)
        if participant is None or not participant.registered or identity in history.identity_keys:
            return False
        ledger, account = self._parts.ledger, self._parts.account
        return self._sent(
            "identity key",
            is_due=lambda: not any(ledger.identity_key(identity)),
            call=lambda: ledger.set_identity_key(account, public_key(self._identity_key)),
        )

    def _set_up(self, history: History, identity: Address) -> bool:
        current = active_round(history)
        if current is None or current.status is not RoundStatus.OPEN:
            return False
        now = self._parts.ledger.head().timestamp
        if not self._is_wanted(history, current, identity, now):
            return False
        if is_graph_due(history, current):
            return self._draw(history, current, identity, now)
        return self._joined(history, current, identity, now)

    def _joined(self, history: History, current: Round, identity: Address, now: int) -> bool:
        """Set keys up for a round; return whether anything was written or sent."""
        receivers = self._receivers(history, current, identity, now)
        if receivers is None:
            return False
        context = masking_context(history, current.id)
        secrets = self._secrets(history, current.id, identity)
        own = key_set_up(secrets, self._identity_key, context, identity, receivers)
        keys = own.published()
        try:
            self._parts.store.write_shares(identity, keys.shares_hash, own.sealed)
            if now < _own_way_at(history, current):
                return self._is_signed(history, current, keys)
        except StoreError as error:
            self._say(f"round {current.id}: keys are not stored yet: {error}")
            return False
        ledger, account = self._parts.ledger, self._parts.account
        is_sent = self._sent(
            f"keys of round {current.id}",
            is_due=lambda: _is_ring_open(ledger, current.id),
            call=lambda: ledger.set_up_keys(account, current.id, keys),
        )
        if is_sent:
            log.info("round %d: set up keys, shared among %d peers", current.id, len(receivers))
        else:
            self._refused.add(Digest(context.digest()))
        return is_sent

    def _draw(self, history: History, current: Round, identity: Address, now: int) -> bool:
        """Draw the round's graph, where the aggregator has not in time."""
        if not may_draw(history, current, now) or now < draws_at(history, current, identity):
            return False
        ledger, account = self._parts.ledger, self._parts.account
        return self._sent(
            f"graph of round {current.id}",
            is_due=lambda: ledger.key_ring(current.id)[4] == 0,
            call=lambda: ledger.draw_graph(account, current.id),
        )

    def _is_wanted(self, history: History, current: Round, identity: Address, now: int) -> bool:
        """Return whether this participant is to set up keys for a round that is open."""
        context = Digest(masking_context(history, current.id).digest())
        masks = history.round_masks(current.id)
        if context in self._refused or not _can_join(history, current, masks, identity, now):
            return False
        graph, agreed = masks.graph, self._parts.groups
        if isinstance(graph, Groups) and graph.count != agreed:
            self._say(
                f"round {current.id}: the contract draws {graph.count} groups, the policy document says "
                f"{agreed}: stays out of this run; ask the operator"
            )
            return False
        if identity in self._recovery.members(history, current.id):
            return True
        self._say(
            f"round {current.id}: stays out of it, to find out who spoils rounds: docs/secure-aggregation.md"
        )
        return False

    def _is_signed(self, history: History, current: Round, keys: PublishedKeys) -> bool:
        """Sign keys for the aggregator, which brings everybody's at once; return whether they were written.

        Raises:
            StoreError: if the store does not take them.
        """
        ledger, account = self._parts.ledger, self._parts.account
        signature = account.sign_for(ledger.verifier, set_up_content(history, current.id, keys))
        blob = set_up_blob(history, current.id, keys.participant, ledger.verifier)
        outcomes = self._parts.store.write_set_up(blob, SignedSetUp(keys, signature))
        return any(one.state is WriteState.WRITTEN for one in outcomes)

    def _receivers(
        self, history: History, current: Round, identity: Address, now: int
    ) -> Mapping[Address, bytes] | None:
        """Return the identity keys of whom to seal shares to; None while too few of them are known."""
        path = note_path(self._folder, "receivers", history, current.id)
        if path.exists():
            content = path.read_bytes()
            remembered = [address(content[at : at + 20]) for at in range(0, len(content), 20)]
            # Fewer would be shares of another polynomial.
            are_known = all(who in history.identity_keys for who in remembered)
            return {who: history.identity_keys[who] for who in remembered} if are_known else None
        expected = [who for who in expected_participants(history, current) if who != identity]
        known = {who: history.identity_keys[who] for who in expected if who in history.identity_keys}
        is_patient = now < current.since + history.policy.submission_s // (2 * KEYS_SHARE)
        if len(known) + 1 < history.policy.quorum or (len(known) < len(expected) and is_patient):
            return None
        chosen, needed = receivers_among(history, current, identity, known)
        if len(chosen) < needed:
            self._say(
                f"round {current.id}: only {len(chosen)} neighbours are expected, and seeds are shared among "
                f"{needed} at least: stays out of this round"
            )
            return None
        make_folder(self._folder)
        write_durably(path, b"".join(bytes.fromhex(who[2:]) for who in sorted(chosen)))
        return chosen

    def _secrets(self, history: History, round_id: int, identity: Address) -> RoundSecrets:
        return round_secrets(self._parts.secret, masking_context(history, round_id), identity)

    # ------------------------------------------------------------------ inside

    def _sent(self, what: str, *, is_due: Callable[[], bool], call: Callable[[], Receipt]) -> bool:
        try:
            return self._parts.transactions.send(what, is_due=is_due, call=call) is not None
        except LedgerReverted as error:
            if error.name not in _OVERTAKEN:
                raise
            log.warning("%s: not taken: %s", what, error)
            return False

    def _say(self, message: str) -> None:
        if message != self._said:
            self._said = message
            log.warning("%s", message)


def _can_join(history: History, current: Round, masks: RoundMasks, identity: Address, now: int) -> bool:
    participant = history.participants.get(identity)
    return (
        participant is not None
        and participant.registered
        and current.id < participant.barred_from
        and identity in history.identity_keys
        and identity not in masks.members
        and (masks.graph is None or history.vertices[identity] < masks.graph.vertices)
        and not masks.is_complete
        and now < current.since + history.policy.submission_s // KEYS_SHARE
    )


def _returning(history: History, round_id: int) -> list[Address]:
    """Return the members of a round's ring whom the round does not expect."""
    members = history.round_masks(round_id).members
    return [who for who in members if not history.memberships[who].is_awaited]


def _is_awaiting(history: History, round_id: int) -> bool:
    """Return whether somebody has yet to submit who came back to a round's ring."""
    there = {one.participant for one in history.submissions[round_id]}
    return not there.issuperset(_returning(history, round_id))


def _own_way_at(history: History, current: Round) -> int:
    """Return the chain time from which on a participant brings its keys itself."""
    return current.since + history.policy.submission_s // KEYS_SHARE * 3 // 4


def expected_participants(history: History, current: Round) -> list[Address]:
    """Return the participants whom an open round expects."""
    return sorted(
        who
        for who, one in history.participants.items()
        if one.registered and current.id < one.barred_from and one.last_seen >= current.last_closed
    )


def _is_ring_open(ledger: Ledger, round_id: int) -> bool:
    _, _, is_complete, close_at, *_ = ledger.key_ring(round_id)
    is_over = close_at != 0 and ledger.head().timestamp >= close_at
    return ledger.round(round_id).status is RoundStatus.OPEN and not is_complete and not is_over
