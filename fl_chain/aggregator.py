"""The aggregator: reads and checks every update of a closed round, sums, applies, posts.

It keeps nothing that it could not derive again but a note of its newest transaction, so it can be killed at
any moment and started again, by itself or by anyone else with a bond.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from fl_chain.aggregation.round import Aggregate
from fl_chain.errors import LedgerReverted, StoreError, VerificationError
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.records import Exclusion, ExclusionReason, Round, RoundStatus
from fl_chain.run.keeper import active_round, has_ended
from fl_chain.run.models import ModelChain
from fl_chain.run.patience import Patience
from fl_chain.run.payout import Payout, is_paid_out
from fl_chain.run.rounds import RoundReader
from fl_chain.run.transactions import TransactionOutbox
from fl_chain.store import Store

log = logging.getLogger(__name__)

# The round that was read is not the one that stands, or its time is over: the next step sees to that.
_OVERTAKEN = ("WrongStatus", "WrongDigest", "NotYourTurn", "DeadlinePassed", "Barred")


@dataclass(frozen=True, slots=True)
class AggregatorParts:
    """What an aggregator is made of."""

    ledger: Ledger
    account: Account
    store: Store
    state: Path  # a folder for this aggregator alone


class Aggregator:
    """Posts aggregates: the named one at once, any other after the named one's time is over."""

    def __init__(self, parts: AggregatorParts) -> None:
        self._parts = parts
        self._transactions = TransactionOutbox(parts.state, parts.account)
        self._patience = Patience(parts.ledger, parts.account, self._transactions, rank=0)
        self._payout = Payout(parts.ledger, parts.account, self._transactions)
        self._reader = RoundReader(parts.ledger.sync(), parts.store)
        self._models = ModelChain(self._reader)
        self._said = ""

    def step(self) -> bool:
        """Do what is due next, at most one thing.

        Returns:
            Whether anything was done; if not, wait a moment before the next call.

        Raises:
            LedgerError: if the ledger cannot be reached or refuses what it should accept.
            StateUnwritable: if the aggregator's folder does not take what has to be durable.
        """
        history = self._parts.ledger.sync()
        if not history.has_begun:  # the deployment itself waits for its confirmations
            return False
        return self._post(history) or self._patience.step(history) or self._take_out(history)

    def is_done(self) -> bool:
        """Return whether the run has ended and nothing of this account is left in it."""
        history = self._parts.ledger.sync()
        if not history.has_begun:
            return False
        now = self._parts.ledger.synced.timestamp
        return has_ended(history, now) and is_paid_out(history, self._parts.account.address)

    def _post(self, history: History) -> bool:
        current = active_round(history)
        if (
            current is None
            or current.status is not RoundStatus.CLOSED
            or not self._may_post(history, current)
        ):
            return False
        try:
            outsiders = self._reader.outsiders(current.id)
        except (StoreError, VerificationError) as error:
            self._say_once(f"round {current.id}: who is in its cohort is not known yet: {error}")
            return False
        exclusions = self._exclusions(history, current, outsiders)
        if exclusions is None or not _is_allowed(exclusions, current, history.policy.quorum):
            return False
        try:
            aggregate = self._aggregated(current, exclusions)
            self._publish(aggregate)
        except (StoreError, VerificationError) as error:
            self._say_once(f"round {current.id}: cannot be aggregated yet: {error}")
            return False
        self._ensure_bond(history)
        return self._send(history, current, exclusions, aggregate)

    def _say_once(self, message: str) -> None:
        if message != self._said:
            self._said = message
            log.warning("%s", message)

    def _may_post(self, history: History, current: Round) -> bool:
        """Return whether it is this account's turn: the named one's, then anyone's, then nobody's.

        Whoever has posted the round wrongly is barred from it; where that is the named aggregator, nobody
        waits for it.
        """
        own, named = self._parts.account.address, history.state.aggregator
        policy = history.policy
        waited_s = self._parts.ledger.head().timestamp - current.since
        if history.is_barred(current.id, own) or waited_s >= policy.posting_s + policy.takeover_s:
            return False
        return own == named or history.is_barred(current.id, named) or waited_s >= policy.posting_s

    def _exclusions(
        self, history: History, current: Round, outsiders: frozenset[int]
    ) -> tuple[Exclusion, ...] | None:
        """Return what to leave out; None while it is too soon to leave anything out."""
        may_exclude = self._parts.ledger.head().timestamp >= current.since + history.policy.publication_s
        if not may_exclude:
            is_missing = any(
                not self._parts.store.has_update(s.participant, s.sealed_root)
                for s in history.submissions[current.id]
            )
            return None if is_missing or outsiders else ()
        found: list[Exclusion] = []
        for submission in history.submissions[current.id]:
            if submission.index in outsiders:  # whatever its update is: nobody asked for it
                found.append(Exclusion(submission.index, ExclusionReason.BY_RULE))
                continue
            problem: ExclusionReason | None = self._reader.problem(submission)
            if problem is not None:
                found.append(Exclusion(submission.index, problem))
        return tuple(found)

    def _aggregated(self, current: Round, exclusions: tuple[Exclusion, ...]) -> Aggregate:
        return self._reader.aggregate(current.id, self._models.model(current.base_round), exclusions)

    def _publish(self, aggregate: Aggregate) -> None:
        for root, chunk_hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
            self._parts.store.write_sum(root, chunk_hashes)
        self._parts.store.write_model(aggregate.model_root, aggregate.model)

    def _ensure_bond(self, history: History) -> None:
        lacking_wei = history.policy.bond_wei - self._free_bond_wei()
        if lacking_wei > 0:
            self._transactions.send(
                "deposit of a bond",
                is_due=lambda: history.policy.bond_wei - self._free_bond_wei() == lacking_wei,
                call=lambda: self._parts.ledger.deposit_bond(self._parts.account, lacking_wei),
            )

    def _free_bond_wei(self) -> int:
        return self._parts.ledger.account(self._parts.account.address).free_bond_wei

    def _send(
        self, history: History, current: Round, exclusions: tuple[Exclusion, ...], aggregate: Aggregate
    ) -> bool:
        submissions = history.submissions[current.id]
        try:
            receipt = self._transactions.send(
                f"posting of round {current.id}",
                is_due=lambda: self._parts.ledger.round(current.id) == current,
                call=lambda: self._parts.ledger.post(
                    self._parts.account,
                    round=current.id,
                    digest=current.digest,
                    exclusions=[(exclusion, submissions[exclusion.index]) for exclusion in exclusions],
                    partial_sum_roots=aggregate.partial_sum_roots,
                    model_root=aggregate.model_root,
                ),
            )
        except LedgerReverted as error:
            if error.name not in _OVERTAKEN:
                raise
            log.warning("round %d: not posted: %s", current.id, error)
            return False
        if receipt is None:
            return False
        log.info(
            "round %d: posted model 0x%s from %d of %d submissions",
            current.id,
            aggregate.model_root.hex(),
            current.submissions - len(exclusions),
            current.submissions,
        )
        return True

    def _take_out(self, history: History) -> bool:
        """After the end: ask the bond back, and take out everything when it is due."""
        address = self._parts.account.address
        if address not in history.accounts or not has_ended(history, self._parts.ledger.synced.timestamp):
            return False
        return self._payout.step(address)


def _is_allowed(exclusions: tuple[Exclusion, ...], current: Round, quorum: int) -> bool:
    """Return whether the contract takes a posting that leaves so much out.

    One submission at least is included, and a quorum of them is not called unreadable or out of range.
    """
    faulty = sum(exclusion.reason is not ExclusionReason.BY_RULE for exclusion in exclusions)
    return len(exclusions) < current.submissions and faulty <= current.submissions - quorum
