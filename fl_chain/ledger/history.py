"""A run rebuilt from its ledger's events alone.

`History` holds everything that the contract's views return, and what they forget: every submission, every
posting, every payment. `fl_chain.ledger.replay` holds the rules by which an event changes it.
"""

from __future__ import annotations

from collections.abc import Iterable

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.events import Event, RunDeployed
from fl_chain.ledger.replay import apply_event
from fl_chain.ledger.tables import Tables
from fl_chain.ledger.views import ClaimedReward
from fl_chain.records import (
    Address,
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
            if not self.has_begun and not isinstance(event, RunDeployed):
                raise MalformedResponse(
                    f"{type(event).__name__} in block {place[0]} comes before the run's deployment: "
                    "ask another node, and from the block of the deployment on"
                )
            try:
                apply_event(event, self)
            except (LookupError, ValueError, AttributeError, ArithmeticError) as error:
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

    def identity_of(self, signer: Address) -> Address:
        """Return the participant that a key signs for; the key's own address where it signs for none."""
        return self.identities.get(signer, signer)

    def weight_cap_at(self, submission: Submission) -> int:
        """Return the participant's weight cap when it submitted."""
        return self.caps_at_submission[submission.round, submission.index]

    def bonus_wei(self, round_id: int) -> int:
        """Return what fallen bonds have added to a round's reward."""
        return self.bonuses.get(round_id, 0)

    def is_barred(self, round_id: int, poster: Address) -> bool:
        """Return whether a posting of an account fell in a round, so that it may not post it again."""
        return poster in self.barred.get(round_id, ())

    def objections_to(self, round_id: int) -> list[Address]:
        """Return who objected to a round under its posting number, in their order."""
        return self.objections.get((round_id, self.rounds[round_id].posting_number), [])

    def reward_wei(self, submission: Submission) -> int:
        """Return what a submission earns by now, in wei.

        In a final round that is a share of reward and bonus; 0 where it is left out. In a void round the
        submitters share the bonus equally. Elsewhere it is 0.
        """
        current, posting = self.rounds[submission.round], self.postings.get(submission.round)
        bonus_wei = self.bonus_wei(submission.round)
        if current.status is RoundStatus.VOID:
            return bonus_wei // current.submissions if bonus_wei else 0
        if current.status is not RoundStatus.FINAL or posting is None:
            return 0
        if any(exclusion.index == submission.index for exclusion in posting.exclusions):
            return 0
        whole_wei = self.policy.reward_wei + bonus_wei
        if self.policy.reward_split is RewardSplit.EQUAL:
            return whole_wei // posting.included
        return whole_wei // posting.included_weight * submission.weight

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
        reserved_wei += sum(self._unsettled_bonus_wei(round_id) for round_id in self.bonuses)
        accounts_wei = sum(
            one.free_bond_wei + one.locked_bond_wei + one.credit_wei + one.unbonding_wei
            for one in self.accounts.values()
        )
        deposits_wei = sum(one.deposit_wei for one in self.participants.values())
        rewards_wei = sum(one.reward_wei - one.dust_wei for one in self.settlements.values())
        paid_wei = sum(claim.amount_wei for claim in self.claims)
        return self.state.pool_wei + reserved_wei + accounts_wei + deposits_wei + rewards_wei - paid_wei

    def _unsettled_bonus_wei(self, round_id: int) -> int:
        """Return what a round's bonus still holds for its submitters; a final one's is in its settlement."""
        current, bonus_wei = self.rounds[round_id], self.bonuses[round_id]
        if current.status is RoundStatus.FINAL:
            return 0
        return bonus_wei - (bonus_wei % current.submissions if current.status is RoundStatus.VOID else 0)
