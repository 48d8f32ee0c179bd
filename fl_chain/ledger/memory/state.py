"""Everything that an in-memory ledger knows, and who is expected in a round."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from fl_chain.ledger.events import Event, Place
from fl_chain.ledger.memory.coin import Coin
from fl_chain.ledger.memory.journal import Journal
from fl_chain.ledger.memory.records import Member, Message, StandingPosting, refused
from fl_chain.ledger.views import NEVER, NO_END_TIME, AccountBalance, RunState
from fl_chain.records import (
    ZERO_DIGEST,
    Address,
    Digest,
    LedgerPolicy,
    Round,
    RoundStatus,
    RunDefinition,
    RunId,
)


class LedgerState:
    """The tables of one run; changed through the journal only.

    Attributes:
        run: which chain and ledger.
        definition: what is trained.
        policy: the rules.
        operator: who deployed.
        coin: what amounts are in.
        journal: of the call in progress.
        events: of every call that succeeded, in their order.
        standing: where the run stands.
        members: by identity.
        identities: participant by the key that signs for it now.
        accounts: bonds and credits by address.
        rounds: by id; 0 is genesis, whose ``returning`` is what the first round expects.
        leaves: by round and index.
        postings: the one that stands, by round.
        excluded: indices that a posting leaves out, by round and posting number.
        objected: indices whose submitters objected, by round and posting number.
        barred: rounds and accounts of which a posting fell there.
        bonuses: what fallen bonds have added to a round's reward, in wei.
        claimed: round and index of each reward that was paid.
        awaited: participants that the open round still waits for.
        returning: participants that the round after the newest will wait for.
        submitted: participants that submitted to the newest round.
    """

    def __init__(
        self, run: RunId, definition: RunDefinition, policy: LedgerPolicy, operator: Address, coin: Coin
    ) -> None:
        self.run, self.definition, self.policy = run, definition, policy
        self.operator, self.coin = operator, coin
        self.journal = Journal()
        self.events: list[Event] = []
        self.standing = RunState(0, 0, 0, 0, 0, NEVER, NO_END_TIME, 0, operator, 0)
        self.members: dict[Address, Member] = {}
        self.identities: dict[Address, Address] = {}
        self.accounts: dict[Address, AccountBalance] = {}
        self.rounds = {0: Round(0, RoundStatus.NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, ZERO_DIGEST)}
        self.leaves: dict[tuple[int, int], Digest] = {}
        self.postings: dict[int, StandingPosting] = {}
        self.excluded: dict[tuple[int, int], frozenset[int]] = {}
        self.objected: dict[tuple[int, int], frozenset[int]] = {}
        self.barred: set[tuple[int, Address]] = set()
        self.bonuses: dict[int, int] = {}
        self.claimed: set[tuple[int, int]] = set()
        self.awaited: set[Address] = set()
        self.returning: set[Address] = set()
        self.submitted: set[Address] = set()
        self._block_number = 0
        self._block_hash = b""
        self._first_event = 0

    # ------------------------------------------------------------------ a call

    def begin(self) -> None:
        """Start a call: a block of its own."""
        self._block_number += 1
        self._block_hash = hashlib.sha256(b"block" + self._block_number.to_bytes(8, "big")).digest()
        self._first_event = len(self.events)

    def commit(self) -> tuple[Event, ...]:
        """Let the call's changes stand, and return its events."""
        self.journal.commit()
        return tuple(self.events[self._first_event :])

    def roll_back(self) -> None:
        """Undo the call's changes and forget its events."""
        self.journal.roll_back()
        del self.events[self._first_event :]
        self._block_number -= 1

    def emit(self, message: Message, event_type: type[Event], *fields: Any) -> None:
        """Record an event; its fields in the order of ITrainingLedger.sol."""
        log_index = len(self.events) - self._first_event
        place = Place(self._block_number, self._block_hash, message.now, self._block_hash, log_index)
        self.events.append(event_type(place, *fields))

    def verify_operator(self, message: Message) -> None:
        """Check that the operator calls.

        Raises:
            LedgerReverted: ``NotOperator``.
        """
        if message.caller != self.operator:
            raise refused("NotOperator", caller=message.caller)

    # ------------------------------------------------------------------ changing records

    def update_standing(self, **changes: Any) -> None:
        """Replace fields of where the run stands."""
        self.journal.assign(self, "standing", replace(self.standing, **changes))

    def update_member(self, participant: Address, **changes: Any) -> None:
        """Replace fields of a participant."""
        self.journal.put(self.members, participant, replace(self.members[participant], **changes))

    def update_round(self, round_id: int, **changes: Any) -> None:
        """Replace fields of a round."""
        self.journal.put(self.rounds, round_id, replace(self.rounds[round_id], **changes))

    def account(self, holder: Address) -> AccountBalance:
        """Return an account's bonds and credits; all zero where it has none."""
        return self.accounts.get(holder, AccountBalance())

    def update_account(self, holder: Address, **changes: Any) -> None:
        """Replace fields of an account."""
        self.journal.put(self.accounts, holder, replace(self.account(holder), **changes))

    # ------------------------------------------------------------------ reading

    @property
    def latest(self) -> Round:
        """The newest round; genesis before the first."""
        return self.rounds[self.standing.latest]

    def model_root(self, round_id: int) -> Digest:
        """Return the root of the model that a round made; 0 stands for genesis, a zero digest for none."""
        if round_id == 0:
            return self.definition.genesis_model_root
        posting = self.postings.get(round_id)
        return ZERO_DIGEST if posting is None else posting.model_root

    def excluded_from(self, current: Round) -> frozenset[int]:
        """Return the indices that are left out under a round's posting number."""
        return self.excluded.get((current.id, current.posting_number), frozenset())

    def objectors_to(self, current: Round) -> frozenset[int]:
        """Return the indices whose submitters objected under a round's posting number."""
        return self.objected.get((current.id, current.posting_number), frozenset())

    def is_over(self, now: int) -> bool:
        """Return whether no round opens any more, whatever happens."""
        standing = self.standing
        return (
            standing.latest >= standing.ends_after
            or now >= standing.ends_at
            or self.rounds[standing.tip].step >= self.policy.max_rounds
            or self.policy.is_budget_spent(standing.latest)
        )

    def is_complete(self) -> bool:
        """Return whether the open round need not wait for anybody."""
        submissions = len(self.submitted)
        if self.policy.close_at and submissions >= self.policy.close_at:
            return True
        return not self.awaited and submissions >= self.policy.quorum

    # ------------------------------------------------------------------ who is expected

    def is_expected(self, participant: Address) -> bool:
        """Return whether the open round or the next one waits for a participant."""
        return participant in self.awaited or participant in self.returning

    def expect(self, participant: Address) -> None:
        """Wait for a participant in the open round, or in the next one where it need not submit there."""
        is_open = self.latest.status is RoundStatus.OPEN
        if is_open and participant not in self.submitted:
            self.journal.add(self.awaited, participant)
        else:
            self.journal.add(self.returning, participant)
        self.count_expected()
        last_seen = max(self.members[participant].last_seen, self.standing.last_closed)
        self.update_member(participant, last_seen=last_seen)

    def expect_no_longer(self, participant: Address) -> bool:
        """Forget a participant; return whether the open round was waiting for it."""
        was_awaited = participant in self.awaited
        if was_awaited:
            self.journal.remove(self.awaited, participant)
        if participant in self.returning:
            self.journal.remove(self.returning, participant)
        self.count_expected()
        return was_awaited

    def count_expected(self) -> None:
        """Write into the newest round how many are expected."""
        counts = {"returning": len(self.returning)}
        if self.latest.status is RoundStatus.OPEN:
            counts["remaining"] = len(self.awaited)
        self.update_round(self.standing.latest, **counts)
