"""A run rebuilt from its ledger's events alone.

`History` holds everything that the contract's views return, and what they forget: every submission, every
posting, every payment. `fl_chain.ledger.replay` holds the rules by which an event changes it.
"""

from __future__ import annotations

from collections.abc import Iterable

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.events import Event
from fl_chain.ledger.replay import apply_event
from fl_chain.ledger.tables import Tables
from fl_chain.ledger.views import ClaimedReward
from fl_chain.records import (
    ZERO_DIGEST,
    Address,
    Digest,
    RewardSplit,
    RoundStatus,
    RunId,
    Submission,
)


class History(Tables):
    """Replays events; read its tables, change nothing in them.

    Two histories of the same events are equal in every table. Before the first event there is no run yet, and
    reading ``definition`` or ``policy`` fails.
    """

    def __init__(self, run: RunId) -> None:
        super().__init__(run)
        self._last: tuple[int, int] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the run's deployment is among the events."""
        return hasattr(self, "policy")

    def extend(self, events: Iterable[Event]) -> None:
        """Apply further events, in the chain's order.

        Raises:
            MalformedResponse: they cannot have come from one ledger.
        """
        for event in events:
            place = (event.place.block_number, event.place.log_index)
            if self._last is not None and place <= self._last:
                raise MalformedResponse(f"events out of order at block {place[0]}: ask another node")
            try:
                apply_event(event, self)
            except (KeyError, ValueError, AttributeError) as error:
                raise MalformedResponse(
                    f"{type(event).__name__} in block {place[0]} does not follow from the events before it "
                    f"({error!r}): ask another node, and from the block of the deployment on"
                ) from error
            self._last = place

    def restart(self) -> None:
        """Forget every event."""
        fresh = vars(History(self.run))
        vars(self).clear()
        vars(self).update(fresh)

    def settle_void_rounds(self, settled: int) -> None:
        """Take over from the contract how many rounds are settled.

        Finality is an event, but the contract steps over void rounds without one.

        Raises:
            MalformedResponse: a round up to there is neither final nor void, or is settled already.
        """
        for round_id in range(self.state.settled + 1, settled + 1):
            current = self.rounds.get(round_id)
            if current is None or current.status is not RoundStatus.VOID:
                raise MalformedResponse(f"the node says that round {round_id} is settled, its events do not")
        if settled < self.state.settled:
            raise MalformedResponse(f"the node says that {settled} rounds are settled, its events say more")
        self.update_state(settled=settled)

    def identity_of(self, signer: Address) -> Address:
        """Return the participant that a key signs for; the key's own address where it signs for none."""
        return self.identities.get(signer, signer)

    def model_root(self, round_id: int) -> Digest:
        """Return the root of the model that a round made; genesis for 0, a zero digest where it made none."""
        if round_id == 0:
            return self.definition.genesis_model_root
        posting = self.postings.get(round_id)
        return ZERO_DIGEST if posting is None else posting.model_root

    def weight_cap_at(self, submission: Submission) -> int:
        """Return the participant's weight cap when it submitted."""
        return self.caps_at_submission[submission.round, submission.index]

    def reward_wei(self, submission: Submission) -> int:
        """Return what a submission earns when its round is final; 0 where it is not, or is left out."""
        current, posting = self.rounds[submission.round], self.postings.get(submission.round)
        if current.status is not RoundStatus.FINAL or posting is None:
            return 0
        if any(exclusion.index == submission.index for exclusion in posting.exclusions):
            return 0
        if self.policy.reward_split is RewardSplit.EQUAL:
            return self.policy.reward_wei // posting.included
        return self.policy.reward_wei // posting.included_weight * submission.weight

    def unclaimed_rewards(self, participant: Address) -> list[Submission]:
        """Return a participant's submissions that were rewarded and not claimed yet, oldest first."""
        return list(self.unclaimed.get(participant, {}).values())

    def claims_of(self, participant: Address) -> list[ClaimedReward]:
        """Return the rewards that a participant was paid, in their order."""
        return [claim for claim in self.claims if claim.participant == participant]

    def claimed_wei(self, participant: Address) -> int:
        """Return what a participant was paid in rewards."""
        return sum(claim.amount_wei for claim in self.claims_of(participant))

    @property
    def owed_wei(self) -> int:
        """What the contract holds for somebody: pool, reserves, bonds, credits, deposits and rewards."""
        per_round_wei = self.policy.reward_wei + self.policy.aggregator_reward_wei
        under_way = (RoundStatus.OPEN, RoundStatus.CLOSED, RoundStatus.POSTED)
        reserved_wei = sum(per_round_wei for current in self.rounds.values() if current.status in under_way)
        accounts_wei = sum(
            one.free_bond_wei + one.locked_bond_wei + one.credit_wei + one.unbonding_wei
            for one in self.accounts.values()
        )
        deposits_wei = sum(one.deposit_wei for one in self.participants.values())
        rewards_wei = sum(one.reward_wei - one.dust_wei for one in self.settlements.values())
        paid_wei = sum(claim.amount_wei for claim in self.claims)
        return self.state.pool_wei + reserved_wei + accounts_wei + deposits_wei + rewards_wei - paid_wei
