"""An account's money in the ledger apart from rewards: deposits, bonds, credits, withdrawals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.ledger.views import AccountBalance, Participant
from fl_chain.records import Address, FallReason


@dataclass(frozen=True, slots=True)
class Movement:
    """One change of an account."""

    what: str
    amount_wei: int
    sign: int  # 1 into the account, -1 out of it for good, 0 within the account
    round: int | None
    place: e.Place


@dataclass(frozen=True, slots=True)
class Statement:
    """What moved, and what the contract holds for the account now.

    ``movements`` add up to ``deposit_wei`` and the fields of ``held``: what came in is what was taken out and
    what is still there.
    """

    holder: Address
    movements: tuple[Movement, ...]
    deposit_wei: int  # as the contract says, like the next
    held: AccountBalance
    is_whole: bool  # every movement is listed, not those of one round

    @property
    def came_in_wei(self) -> int:
        """Deposits and bonds paid, aggregator rewards and challenge rewards."""
        return sum(one.amount_wei for one in self.movements if one.sign > 0)

    @property
    def taken_out_wei(self) -> int:
        """Withdrawals, and bonds that were lost."""
        return sum(one.amount_wei for one in self.movements if one.sign < 0)

    @property
    def held_wei(self) -> int:
        """What the contract holds."""
        held = self.held
        bonds_wei = held.free_bond_wei + held.locked_bond_wei
        return self.deposit_wei + bonds_wei + held.unbonding_wei + held.credit_wei

    @property
    def is_right(self) -> bool:
        """Whether the movements add up to what the contract holds."""
        return not self.is_whole or self.came_in_wei == self.taken_out_wei + self.held_wei


class Holdings(Protocol):
    """Who says what the contract holds for an account: the ledger, or a history that is proven."""

    def participant(self, identity: Address, /) -> Participant:
        """Return a participant; all zero for an address that was never admitted."""
        ...

    def account(self, holder: Address, /) -> AccountBalance:
        """Return an account's bonds and credits."""
        ...


def account_statements(
    ledger: Holdings,
    history: History,
    events: Sequence[e.Event],
    holders: Iterable[Address],
    *,
    round_id: int | None = None,
) -> tuple[Statement, ...]:
    """Return the statements of those accounts that had anything to do with the ledger.

    Args:
        ledger: asked for what it holds at the history's block.
        history: of the events.
        events: of the whole run, in the chain's order.
        holders: whose; one that is named twice counts once.
        round_id: list the movements of this round alone; None lists all.
    """
    statements = []
    for holder in dict.fromkeys(holders):
        movements = [one for one in _movements(events, history, holder) if round_id in (None, one.round)]
        if movements:
            statements.append(
                Statement(
                    holder=holder,
                    movements=tuple(movements),
                    deposit_wei=ledger.participant(holder).deposit_wei,
                    held=ledger.account(holder),
                    is_whole=round_id is None,
                )
            )
    return tuple(statements)


def _movements(events: Sequence[e.Event], history: History, holder: Address) -> list[Movement]:
    found = []
    for event in events:
        what: tuple[str, int, int, int | None] | None = None
        if isinstance(event, e.PostingFell):
            found += _fall_movements(event, holder)
        match event:
            case e.ParticipantRegistered(participant=who, deposit_wei=wei) if who == holder:
                what = ("deposit", wei, 1, None)
            case e.ParticipantLeft(participant=who, deposit_wei=wei) if who == holder:
                what = ("deposit asked back", wei, 0, None)
            case e.BondDeposited(account=who, amount_wei=wei) if who == holder:
                what = ("bond", wei, 1, None)
            case e.BondRequested(account=who, amount_wei=wei) if who == holder:
                what = ("bond asked back", wei, 0, None)
            case e.RoundFinalized(round=number, aggregator_reward_wei=wei) if (
                history.postings[number].poster == holder
            ):
                what = ("aggregator's reward", wei, 1, number)
            case e.Withdrawn(account=who, amount_wei=wei) if who == holder:
                what = ("withdrawn", wei, -1, None)
        if what is not None:
            found.append(Movement(*what, event.place))
    return found


def _fall_movements(event: e.PostingFell, holder: Address) -> list[Movement]:
    """Return what a fallen posting moves of an account; both for one that has challenged itself."""
    reward_wei, lost_wei = event.challenge_reward_wei, event.challenge_reward_wei + event.bonus_wei
    found = []
    if event.poster == holder and event.reason is not FallReason.OBJECTIONS:
        found.append(Movement("bond lost", lost_wei, -1, event.round, event.place))
    if event.challenger == holder:
        found.append(Movement("challenge reward", reward_wei, 1, event.round, event.place))
    return found
