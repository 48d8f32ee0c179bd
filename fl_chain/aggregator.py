"""The aggregator: reads and checks every update of a closed round, sums, applies, posts.

It keeps nothing that it could not derive again but a note of its newest transaction, so it can be killed at
any moment and started again, by itself or by anyone else with a bond.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fl_chain.aggregation.round import Aggregate
from fl_chain.errors import (
    ConfigError,
    GapInGraph,
    LedgerReverted,
    SpoiltRound,
    StoreError,
    TooFewInGroups,
    VerificationError,
)
from fl_chain.ledger.account import Account, Receipt
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import absentees, least_survivors
from fl_chain.records import Digest, Exclusion, Round, RoundStatus
from fl_chain.run.graphs import is_graph_due, may_draw
from fl_chain.run.keeper import active_round, has_ended
from fl_chain.run.key_gathering import KeyGathering
from fl_chain.run.masked_rounds import published_seeds, verify_fixable, wrong_seeds
from fl_chain.run.models import ModelChain
from fl_chain.run.patience import Patience
from fl_chain.run.payout import Payout, is_paid_out
from fl_chain.run.rounds import RoundReader
from fl_chain.run.rule import is_selecting
from fl_chain.run.transactions import TransactionOutbox
from fl_chain.run.unmasking import joined_seeds
from fl_chain.store import Store

log = logging.getLogger(__name__)

# The round that was read is not the one that stands, or its time is over: the next step sees to that.
_OVERTAKEN = (
    "WrongStatus",
    "WrongDigest",
    "NotYourTurn",
    "DeadlinePassed",
    "Barred",
    "KeysClosed",
    "NoGraphDue",
    "SurvivorsAlreadyFixed",
    "SurvivorsNotFixed",
)


@dataclass(frozen=True, slots=True)
class AggregatorParts:
    """What an aggregator is made of."""

    ledger: Ledger
    account: Account
    store: Store
    state: Path  # a folder for this aggregator alone
    models: ModelChain | None = None  # where models are verified already; None: a chain of its own
    is_durable: bool = True  # whether the note of the newest transaction has to outlive a power cut


class Aggregator:
    """Posts aggregates: the named one at once, any other after the named one's time is over."""

    def __init__(self, parts: AggregatorParts) -> None:
        self._parts = parts
        self._transactions = TransactionOutbox(parts.state, parts.account, is_durable=parts.is_durable)
        self._patience = Patience(parts.ledger, parts.account, self._transactions, rank=0)
        self._payout = Payout(parts.ledger, parts.account, self._transactions)
        self._reader = RoundReader(parts.ledger.sync(), parts.store)
        self._models = parts.models or ModelChain(self._reader)
        self._keys = KeyGathering(parts.store, parts.ledger.verifier)
        self._said = ""
        self._spoilt: set[Digest] = set()

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
        return (
            self._bring_keys(history)
            or self._post(history)
            or self._patience.step(history)
            or self._take_out(history)
        )

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
            or current.digest in self._spoilt
            or not self._may_post(history, current)
        ):
            return False
        try:
            if self._reader.is_encrypted:
                return self._post_opened(history, current)
            return self._post_summed(history, current)
        except SpoiltRound as error:
            self._spoilt.add(current.digest)  # nothing that may yet come changes it
            self._say_once(f"round {current.id} ends without a model: {error}")
            return False
        except (StoreError, VerificationError, ConfigError) as error:
            self._say_once(f"round {current.id}: cannot be aggregated yet: {error}")
            return False

    def _post_summed(self, history: History, current: Round) -> bool:
        """Post a round by the sum of its updates, or by what its rule makes of them.

        Raises:
            SpoiltRound: if a masked round's sum is noise.
            StoreError, VerificationError, ConfigError: if something that it takes is not there.
        """
        if history.is_masked and self._unmask(history, current):
            return True
        fixed = history.round_masks(current.id).exclusions
        exclusions = fixed if history.is_masked else self._exclusions(history, current)
        if exclusions is None or (history.is_masked and not self._has_published(history, current)):
            return False
        aggregate = self._aggregated(history, current, exclusions)
        self._publish(aggregate)
        self._ensure_bond(history)
        return self._send(history, current, exclusions, aggregate)

    def _post_opened(self, history: History, current: Round) -> bool:
        """Post an encrypted round by the sum that more than half of its submitters have opened.

        Raises:
            StoreError, VerificationError, ConfigError: if a ciphertext, the base or the policy is not there.
        """
        rounds = self._reader.encrypted
        exclusions = rounds.exclusions(current.id)
        if exclusions and not self._may_exclude(history, current):
            return False
        summands = rounds.read(current.id)
        total = summands.added.root
        openings = rounds.openings(current.id, total)
        opened = openings.agreed_sum
        if opened is None:
            accused = ", ".join(openings.accused)
            why = f"its sum was spoilt by {accused}" if accused else "too few have opened its sum yet"
            self._say_once(f"round {current.id}: {why} ({len(openings.found)} of {openings.submitters})")
            return False
        base = self._models.model(current.base_round)
        aggregate = rounds.derived(summands, base, total, opened, pool=self._models.pool)
        self._publish(aggregate)
        self._ensure_bond(history)
        return self._send(history, current, exclusions, aggregate)

    # ------------------------------------------------------------------ masks

    def _bring_keys(self, history: History) -> bool:
        """Bring the keys that participants of a masked round have signed, once all of them are there.

        The named aggregator does; where it does not, participants bring their own.
        """
        current = active_round(history)
        if not history.is_masked or current is None or current.status is not RoundStatus.OPEN:
            return False
        if history.state.aggregator != self._parts.account.address:
            return False
        now = self._parts.ledger.head().timestamp
        if is_graph_due(history, current):
            return may_draw(history, current, now) and self._sent(
                current,
                f"graph of round {current.id}",
                lambda: self._parts.ledger.draw_graph(self._parts.account, current.id),
            )
        waiting = self._keys.waiting(history, current, now)
        if not waiting:
            return False
        ledger, account = self._parts.ledger, self._parts.account
        return self._sent(
            current,
            f"keys of {len(waiting)} participants for round {current.id}",
            lambda: ledger.set_up_keys_of(
                account, current.id, [(one.keys, one.signature) for one in waiting]
            ),
        )

    def _unmask(self, history: History, current: Round) -> bool:
        """Fix the survivors of a masked round, then publish the seeds; return whether anything was sent.

        Raises:
            TooFewShares: if too few shares are released yet.
            StoreError, VerificationError: see `joined_seeds`.
        """
        if history.round_masks(current.id).exclusions is None:
            return self._fix_survivors(history, current)
        if self._has_published(history, current):
            return False
        seeds = joined_seeds(history, self._parts.store, current.id)
        ledger, account = self._parts.ledger, self._parts.account
        return self._sent(
            current,
            f"seeds of round {current.id}",
            lambda: ledger.publish_seeds(account, current.id, seeds),
        )

    def _fix_survivors(self, history: History, current: Round) -> bool:
        if not self._may_fix(history, current):
            return False
        exclusions = self._exclusions(history, current)
        if exclusions is None:
            return False
        submissions, masks = history.submissions[current.id], history.round_masks(current.id)
        survivors, needed = len(submissions) - len(exclusions), least_survivors(masks, history.policy.quorum)
        if survivors < needed and not history.is_grouped:
            self._say_once(
                f"round {current.id}: {survivors} of {len(masks.keys)} members are there, and it takes "
                f"{needed} to take the masks off: it ends without a model unless more updates are published"
            )
            return False
        if exclusions and not self._may_exclude(history, current):
            return False
        try:
            verify_fixable(masks, history.vertices, submissions, exclusions)
        except (GapInGraph, TooFewInGroups) as error:
            self._say_once(f"round {current.id}: {error}, unless more updates are published")
            return False
        self._ensure_bond(history)
        ledger, account = self._parts.ledger, self._parts.account
        return self._sent(
            current,
            f"survivors of round {current.id}",
            lambda: ledger.fix_survivors(
                account,
                round=current.id,
                digest=current.digest,
                exclusions=[(exclusion, submissions[exclusion.index]) for exclusion in exclusions],
                absentees=absentees(masks, submissions),
                graph=masks.graph,
            ),
        )

    def _may_fix(self, history: History, current: Round) -> bool:
        """Return whether it is this account's turn: whoever fixed what came to nothing comes last."""
        own, tip = self._parts.account.address, history.state.tip
        waited_s = self._parts.ledger.head().timestamp - current.since
        if waited_s >= history.policy.posting_s:
            return True
        named = history.state.aggregator
        is_first = own == named or history.fixed_in.get(named, 0) > tip
        return is_first and history.fixed_in.get(own, 0) <= tip

    def _has_published(self, history: History, current: Round) -> bool:
        """Return whether this account's newest seeds are those that the survivors call for."""
        masks, own = history.round_masks(current.id), self._parts.account.address
        return own in masks.seeds and not wrong_seeds(history, current.id, own)

    def _sent(self, current: Round, what: str, call: Callable[[], Receipt]) -> bool:
        try:
            is_due = lambda: self._parts.ledger.round(current.id) == current  # noqa: E731
            return self._transactions.send(what, is_due=is_due, call=call) is not None
        except LedgerReverted as error:
            if error.name not in _OVERTAKEN:
                raise
            log.warning("round %d: the %s were not taken: %s", current.id, what, error)
            return False

    # ------------------------------------------------------------------ what is posted

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

    def _exclusions(self, history: History, current: Round) -> tuple[Exclusion, ...] | None:
        """Return what to leave out; None while it is too soon to leave anything out, or too much would be.

        Raises:
            StoreError, VerificationError, ConfigError: see `RoundReader.excluded_by_rule`.
        """
        submissions = history.submissions[current.id]
        outsiders = self._reader.outsiders(current.id)
        if not self._may_exclude(history, current):
            store = self._parts.store
            is_missing = any(not store.has_update(s.participant, s.sealed_root) for s in submissions)
            # What rule and cohort leave out is an exclusion as well.
            return None if is_missing or outsiders or is_selecting(self._reader.rule) else ()
        unusable = []
        for submission in submissions:
            if submission.index in outsiders:  # whatever its update is: nobody asked for it
                continue
            problem = self._reader.problem(submission)
            if problem is not None:
                unusable.append(Exclusion(submission.index, problem))
        # The contract wants a quorum that is not called unusable; what the rules leave out counts into it.
        if len(unusable) > current.submissions - max(1, history.policy.quorum):
            return None
        exclusions = tuple(self._reader.excluded_by_rule(current.id, unusable))
        if len(exclusions) == current.submissions:
            self._say_once(f"round {current.id}: the rules keep no update, so nothing can be posted")
            return None
        return exclusions

    def _may_exclude(self, history: History, current: Round) -> bool:
        return self._parts.ledger.head().timestamp >= current.since + history.policy.publication_s

    def _aggregated(self, history: History, current: Round, exclusions: tuple[Exclusion, ...]) -> Aggregate:
        base = self._models.model(current.base_round)
        carried = self._models.carried_into(current.id)
        own = self._parts.account.address
        seeds = published_seeds(history, current.id, own) if history.is_masked else None
        return self._reader.aggregate(
            current.id, base, exclusions, carried, pool=self._models.pool, seeds=seeds
        )

    def _publish(self, aggregate: Aggregate) -> None:
        for root, chunk_hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
            self._parts.store.write_sum(root, chunk_hashes)
        if aggregate.carried is not None:
            self._parts.store.write_state(aggregate.carried_root, aggregate.carried)
        self._parts.store.write_model(aggregate.model_root, aggregate.model)

    def _is_newest(self) -> bool:
        """Return whether the history is of the newest block, so that the contract's views say the same."""
        return self._parts.ledger.synced == self._parts.ledger.head()

    def _ensure_bond(self, history: History) -> None:
        own = history.accounts.get(self._parts.account.address)
        if own is not None and own.free_bond_wei >= history.policy.bond_wei and self._is_newest():
            return
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

        def stands() -> bool:
            if self._is_newest() and history.rounds[current.id] == current:
                return True
            return self._parts.ledger.round(current.id) == current

        try:
            receipt = self._transactions.send(
                f"posting of round {current.id}",
                is_due=stands,
                call=lambda: self._parts.ledger.post(
                    self._parts.account,
                    round=current.id,
                    digest=current.digest,
                    exclusions=[(exclusion, submissions[exclusion.index]) for exclusion in exclusions],
                    partial_sum_roots=aggregate.partial_sum_roots,
                    model_root=aggregate.model_root,
                    result_root=aggregate.result_root,
                    state_root=aggregate.state_root,
                ),
            )
        except LedgerReverted as error:
            if error.name not in _OVERTAKEN:
                raise
            log.warning("round %d: not posted: %s", current.id, error)
            return False
        if receipt is None:
            return False
        self._models.note_derived(current.id, exclusions, aggregate)
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
