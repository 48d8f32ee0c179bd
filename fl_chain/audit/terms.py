"""One round's part in what a participant earned, derived again from ledger and blobs.

A final round's reward of R is split into S shares: S is the number of included submissions or, where the
policy divides by declared weight, their total weight. A participant with s of them earns ``R // S * s``; what
the division leaves over is the round's dust and goes back into the pool. What lost bonds have added to a
round's reward is part of R; where such a round becomes void, its submitters share that part equally.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fl_chain.errors import ConfigError, StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event, RewardClaimed
from fl_chain.ledger.history import History
from fl_chain.records import (
    Address,
    ExclusionReason,
    LedgerPolicy,
    Posting,
    RewardSplit,
    Round,
    RoundStatus,
    Submission,
)
from fl_chain.run.rounds import RoundReader
from fl_chain.run.rule import is_selecting

_REASONS = {
    ExclusionReason.UNREADABLE: "nobody could read the update",
    ExclusionReason.OUT_OF_RANGE: "the update was out of range",
    ExclusionReason.BY_RULE: "the aggregation rule left it out",
}
_NOTHING_RESTS_ON_IT = {
    RoundStatus.OPEN: "private until the round closes",
    RoundStatus.VOID: "",
}


@dataclass(frozen=True, slots=True)
class Payment:
    """A reward that was paid out."""

    to: Address
    amount_wei: int
    transaction_hash: bytes  # 32 bytes
    block_number: int


@dataclass(frozen=True, slots=True)
class RoundTerm:
    """One round's part in what a participant earned."""

    round: int
    status: RoundStatus
    outcome: str  # "included", or why it earns nothing, or not yet
    weight: int | None  # as it declared; None where it did not submit
    blob: str  # what its update's blob says
    is_blob_missing: bool  # so that the term rests on the ledger alone
    reward_wei: int  # of the whole round
    shares: int  # that the reward is split into; 0 where nothing was posted
    share: int  # of those the participant's; 0 where it is not included
    payments: tuple[Payment, ...]
    is_claimed: bool  # as the contract says
    problems: tuple[str, ...]  # where the ledger does not say what was derived
    bonus_wei: int = 0  # part of the reward: what lost bonds have added

    @property
    def value_wei(self) -> int:
        """What the participant's shares are worth once the round is final, or void with a bonus."""
        return self.reward_wei // self.shares * self.share if self.shares else 0

    @property
    def earned_wei(self) -> int:
        """What they are worth by now: nothing before the round is settled."""
        return self.value_wei if self.status in (RoundStatus.FINAL, RoundStatus.VOID) else 0

    @property
    def dust_wei(self) -> int:
        """What the split leaves over."""
        return self.reward_wei % self.shares if self.shares else 0

    @property
    def paid_wei(self) -> int:
        """What was paid out."""
        return sum(payment.amount_wei for payment in self.payments)

    @property
    def claimable_wei(self) -> int:
        """What the contract lets be claimed."""
        return 0 if self.is_claimed else self.earned_wei


@dataclass(frozen=True, slots=True)
class _Found:
    """What became of looking for an update's blob."""

    words: str
    obstacle: ExclusionReason | None = None  # why it could not be included
    is_missing: bool = False  # from every store


@dataclass(frozen=True, slots=True)
class TermReader:
    """What it takes to derive a participant's terms."""

    history: History
    reader: RoundReader
    ledger: Ledger
    participant: Address
    policy: LedgerPolicy
    payments: dict[int, list[Payment]]  # to the participant, by round

    def term(self, current: Round) -> RoundTerm:
        """Return a round's term, with whatever contradicts it."""
        submissions = self.history.submissions[current.id]
        own = next((one for one in submissions if one.participant == self.participant), None)
        outcome, shares, share = self._split(current, own)
        found = _Found("") if own is None else self._found(current, own)
        posting = self.history.postings.get(current.id)
        reason = None if posting is None or own is None else _reason(posting, own)
        term = RoundTerm(
            round=current.id,
            status=current.status,
            outcome=outcome,
            weight=None if own is None else own.weight,
            blob=found.words,
            # Whoever is left out as unreadable is right to be, as long as nobody can read it.
            is_blob_missing=found.is_missing and reason is not ExclusionReason.UNREADABLE,
            reward_wei=self._reward_wei(current),
            shares=shares,
            share=share,
            payments=tuple(self.payments.get(current.id, ())),
            is_claimed=own is not None and self.ledger.is_claimed(current.id, own.index),
            problems=(),
            bonus_wei=self.history.bonus_wei(current.id),
        )
        problems = list(self._money_problems(term))
        if posting is not None and own is not None:
            problems += self._exclusion_problems(posting, own, found)
        return replace(term, problems=tuple(problems))

    def _exclusion_problems(self, posting: Posting, own: Submission, found: _Found) -> Iterator[str]:
        """Yield where a posting leaves out a submission that it should not, or the other way round."""
        reason = _reason(posting, own)
        if self._is_outsider(own):
            if reason is None:
                yield "the participant was not drawn for the round, and its update was included"
            return
        if not found.is_missing:
            yield from _inclusion_problems(reason, found)
        yield from self._selection_problems(posting, own)

    def _is_outsider(self, own: Submission) -> bool:
        """Return whether the participant was not drawn for the round; False where no document tells."""
        try:
            return own.index in self.reader.outsiders(own.round)
        except (StoreError, VerificationError, ConfigError):
            return False

    def _selection_problems(self, posting: Posting, own: Submission) -> Iterator[str]:
        """Yield where the rule decides otherwise about a submission than the posting."""
        is_left_out = _reason(posting, own) is ExclusionReason.BY_RULE
        try:
            is_choosing = is_selecting(self.reader.rule)
            if not is_choosing:
                if is_left_out:
                    yield "the update was excluded by the aggregation rule, which does not leave it out"
                return
            unusable = [one for one in posting.exclusions if one.reason is not ExclusionReason.BY_RULE]
            if own.index in {one.index for one in unusable}:
                return
            excluded = {one.index for one in self.reader.excluded_by_rule(posting.round, unusable)}
        except (StoreError, VerificationError, ConfigError) as error:
            if is_left_out:
                yield f"whether the aggregation rule leaves the update out cannot be derived again: {error}"
            return
        if is_left_out and own.index not in excluded:
            yield "the update was excluded by the aggregation rule, and the rule keeps it"
        if not is_left_out and own.index in excluded:
            yield "the update was included, and the aggregation rule leaves it out"

    def _reward_wei(self, current: Round) -> int:
        """Return what a round's shares divide."""
        bonus_wei = self.history.bonus_wei(current.id)
        is_bonus_alone = current.status is RoundStatus.VOID and bonus_wei > 0
        return bonus_wei if is_bonus_alone else self.policy.reward_wei + bonus_wei

    def _split(self, current: Round, own: Submission | None) -> tuple[str, int, int]:
        """Return the outcome in words, the round's shares, and those of this participant."""
        posting = self.history.postings.get(current.id)
        if current.status is RoundStatus.VOID:
            reason = self.history.voids[current.id].name.lower().replace("_", " ")
            if not self.history.bonus_wei(current.id):
                return f"the round is void: {reason}", 0, 0
            shared = f"the round is void: {reason}; its submitters share what a lost bond left it"
            return shared, current.submissions, 0 if own is None else 1
        if posting is None or current.status not in (RoundStatus.POSTED, RoundStatus.FINAL):
            return ("no submission yet" if own is None else "not posted yet"), 0, 0
        reasons = {exclusion.index: exclusion.reason for exclusion in posting.exclusions}
        included = [one for one in self.history.submissions[current.id] if one.index not in reasons]
        is_equal = self.policy.reward_split is RewardSplit.EQUAL
        shares = len(included) if is_equal else sum(one.weight for one in included)
        if own is None:
            return "no submission", shares, 0
        if own.index in reasons:
            return f"excluded: {_REASONS[reasons[own.index]]}", shares, 0
        pending = "" if current.status is RoundStatus.FINAL else ", not final yet"
        return f"included{pending}", shares, 1 if is_equal else own.weight

    def _found(self, current: Round, own: Submission) -> _Found:
        """Return what an update's blob says, where anything rests on it."""
        if current.status in _NOTHING_RESTS_ON_IT:
            return _Found(_NOTHING_RESTS_ON_IT[current.status])
        try:
            self.reader.update(own)
        except UpdateOutOfRange as error:
            return _Found(f"out of range: {error}", ExclusionReason.OUT_OF_RANGE)
        except StoreError as error:
            if current.status is RoundStatus.CLOSED:
                return _Found("not published yet")
            return _Found(f"missing: {error}", ExclusionReason.UNREADABLE, is_missing=True)
        except VerificationError as error:
            return _Found(f"altered: {error}", ExclusionReason.UNREADABLE)
        return _Found("opens its commitment, within its bounds")

    def _money_problems(self, term: RoundTerm) -> Iterator[str]:
        posting, settlement = self.history.postings.get(term.round), self.history.settlements.get(term.round)
        if posting is not None and term.shares:
            is_equal = self.policy.reward_split is RewardSplit.EQUAL
            posted = posting.included if is_equal else posting.included_weight
            if posted != term.shares:
                yield f"the posting counts {posted} shares, its submissions give {term.shares}"
        if settlement is not None and (settlement.reward_wei, settlement.dust_wei) != (
            term.reward_wei,
            term.dust_wei,
        ):
            yield f"the round paid {settlement.reward_wei} wei and {settlement.dust_wei} wei of dust"
        if term.paid_wei + term.claimable_wei != term.earned_wei:
            yield (
                f"{term.earned_wei} wei were earned, but {term.paid_wei} wei were paid and "
                f"{term.claimable_wei} wei can be claimed"
            )


def _reason(posting: Posting, own: Submission) -> ExclusionReason | None:
    return next((one.reason for one in posting.exclusions if one.index == own.index), None)


def _inclusion_problems(reason: ExclusionReason | None, found: _Found) -> Iterator[str]:
    """Yield where a posting and an update that is there contradict each other."""
    match reason, found.obstacle:
        case None, ExclusionReason.OUT_OF_RANGE:
            yield "the update is out of range and was included"
        case None, ExclusionReason.UNREADABLE:
            yield "the update was included, and what the stores have is not what was committed to"
        case ExclusionReason.OUT_OF_RANGE, None:
            yield "the update is within its bounds and was excluded as out of range"
        case ExclusionReason.BY_RULE, ExclusionReason.OUT_OF_RANGE:
            yield "the update is out of range, so the rule had no part in leaving it out"


def payments_to(participant: Address, events: Sequence[Event]) -> dict[int, list[Payment]]:
    """Return the rewards that a participant was paid, by round."""
    found: dict[int, list[Payment]] = {}
    for event in events:
        if isinstance(event, RewardClaimed) and event.participant == participant:
            place = event.place
            payment = Payment(event.to, event.amount_wei, place.transaction_hash, place.block_number)
            found.setdefault(event.round, []).append(payment)
    return found
