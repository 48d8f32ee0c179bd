"""What became of the money that a run was funded with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus

_UNDER_WAY = (RoundStatus.OPEN, RoundStatus.CLOSED, RoundStatus.POSTED)


@dataclass(frozen=True, slots=True)
class PoolStatement:
    """The pool from its first funding on; what came in is what was spent, kept back, paid back or is left."""

    funded_wei: int
    bonds_wei: int  # lost ones, as far as they were paid out with rewards or came to the pool as dust
    rewards_wei: int  # of final rounds to participants, without dust
    aggregator_rewards_wei: int  # of final rounds
    reserved_wei: int  # for rounds that are under way
    withdrawn_wei: int  # by the operator, after the end
    left_wei: int  # as the contract says

    @property
    def spent_wei(self) -> int:
        """Everything that is not in the pool any more."""
        return self.rewards_wei + self.aggregator_rewards_wei + self.reserved_wei + self.withdrawn_wei

    @property
    def is_right(self) -> bool:
        """Whether the sum comes out."""
        return self.funded_wei + self.bonds_wei == self.spent_wei + self.left_wei


def pool_statement(history: History, events: Sequence[e.Event], *, left_wei: int) -> PoolStatement:
    """Return the pool's statement.

    Args:
        history: of the events.
        events: of the whole run, in the chain's order.
        left_wei: what the contract says is in the pool now.
    """
    policy = history.policy
    under_way = sum(current.status in _UNDER_WAY for current in history.rounds.values())
    final = [event for event in events if isinstance(event, e.RoundFinalized)]
    return PoolStatement(
        funded_wei=sum(event.amount_wei for event in events if isinstance(event, e.PoolFunded)),
        bonds_wei=sum(_settled_bonus_wei(history, round_id) for round_id in history.bonuses),
        rewards_wei=sum(event.reward_wei - event.dust_wei for event in final),
        aggregator_rewards_wei=sum(event.aggregator_reward_wei for event in final),
        reserved_wei=under_way * (policy.reward_wei + policy.aggregator_reward_wei),
        withdrawn_wei=sum(event.amount_wei for event in events if isinstance(event, e.PoolWithdrawn)),
        left_wei=left_wei,
    )


def _settled_bonus_wei(history: History, round_id: int) -> int:
    """Return what of a round's bonus is in its rewards, or came to the pool when it was voided."""
    current, bonus_wei = history.rounds[round_id], history.bonus_wei(round_id)
    if current.status is RoundStatus.VOID:
        return bonus_wei % current.submissions
    return bonus_wei if current.status is RoundStatus.FINAL else 0
