"""Money in against money out: of the pool, of every account, of the whole contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.pool import pool_statement
from fl_chain.audit.statement import Holdings, account_statements
from fl_chain.ledger import events as e
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.views import NOBODY, AccountBalance, Participant
from fl_chain.records import Address


def audit_conservation(
    ledger: Ledger, history: History, events: Sequence[e.Event], notes: Collection, *, is_proven: bool
) -> None:
    """Check that no money appeared or vanished, and that the contract can pay what it owes.

    Args:
        ledger: asked for what it holds.
        history: of the events.
        events: of the whole run, in the chain's order.
        notes: takes the findings.
        is_proven: whether the contract's storage was proven to be what the history gives; then the history
            says what is held for whom.
    """
    holdings: Holdings = _Proven(history) if is_proven else ledger
    pool = pool_statement(history, events, left_wei=ledger.state().pool_wei)
    notes.count(CheckId.CONSERVATION)
    if not pool.is_right:
        notes.add(
            Kind.MONEY_UNACCOUNTED,
            "what came into the pool is not what was spent, kept back, paid back and is left",
            expected=str(pool.funded_wei + pool.bonds_wei),
            actual=str(pool.spent_wei + pool.left_wei),
        )
    holders = sorted({*history.participants, *history.accounts})
    for statement in account_statements(holdings, history, events, holders):
        notes.count(CheckId.CONSERVATION)
        if not statement.is_right:
            notes.add(
                Kind.MONEY_UNACCOUNTED,
                "what came into an account is not what was taken out and is held for it",
                participant=statement.holder,
                expected=str(statement.came_in_wei),
                actual=str(statement.taken_out_wei + statement.held_wei),
            )
    came_in_wei, went_out_wei = _flows(events)
    notes.count(CheckId.CONSERVATION)
    if came_in_wei - went_out_wei != history.owed_wei:
        notes.add(
            Kind.MONEY_UNACCOUNTED,
            "what came into the contract less what went out is not what it owes",
            expected=str(history.owed_wei),
            actual=str(came_in_wei - went_out_wei),
        )
    _audit_balance(ledger.balance(), history.owed_wei, notes)


@dataclass(frozen=True, slots=True)
class _Proven:
    """What the contract holds, from a history that is proven."""

    history: History

    def participant(self, identity: Address, /) -> Participant:
        return self.history.participants.get(identity, NOBODY)

    def account(self, holder: Address, /) -> AccountBalance:
        return self.history.account(holder)


def _flows(events: Sequence[e.Event]) -> tuple[int, int]:
    """Return what accounts paid into the contract and what it paid out, in wei."""
    came_in_wei = went_out_wei = 0
    for event in events:
        match event:
            case e.PoolFunded(amount_wei=wei) | e.BondDeposited(amount_wei=wei):
                came_in_wei += wei
            case e.ParticipantRegistered(deposit_wei=wei):
                came_in_wei += wei
            case e.PoolWithdrawn(amount_wei=wei) | e.Withdrawn(amount_wei=wei):
                went_out_wei += wei
            case e.RewardClaimed(amount_wei=wei):
                went_out_wei += wei
    return came_in_wei, went_out_wei


def _audit_balance(held_wei: int, owed_wei: int, notes: Collection) -> None:
    notes.count(CheckId.BALANCE)
    if held_wei < owed_wei:
        notes.add(
            Kind.BALANCE_SHORT,
            "the contract holds less than it owes",
            expected=f"at least {owed_wei}",
            actual=str(held_wei),
        )
    elif held_wei > owed_wei:
        notes.add(
            Kind.BALANCE_EXCESS,
            "the contract holds more than it owes",
            expected=str(owed_wei),
            actual=str(held_wei),
        )
