"""What the ledger's views return, as records; field for field those of ITrainingLedger.sol."""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.ledger.events import Place
from fl_chain.records import ZERO_ADDRESS, Address, FallReason, Posting

NEVER = 2**32 - 1  # no round: the participant is in good standing, or no end is announced
NO_END_TIME = 2**40 - 1


@dataclass(frozen=True, slots=True)
class RunState:
    """Where a run stands."""

    latest: int  # newest round
    settled: int  # every round up to this one is final or void for good
    tip: int  # round whose model is the newest that stands; 0: genesis
    last_closed: int  # newest round that has closed
    active: int  # round that takes submissions or waits for a posting; 0: none does
    ends_after: int  # no round beyond this opens
    ends_at: int  # from this chain time on no round opens
    registered: int  # participants that are registered and not suspended
    aggregator: Address  # who may post first
    pool_wei: int  # money that no round, account or deposit holds


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant as the ledger holds it."""

    signer: Address  # the key that signs for it now
    payout: Address  # where rewards and deposit go
    weight_cap: int
    last_seen: int  # newest round that it submitted to, or was expected as if it had
    barred_from: int  # first round that it may not submit to; 0: not registered, NEVER: good standing
    admitted: bool
    registered: bool
    deposit_wei: int


NOBODY = Participant(
    ZERO_ADDRESS,
    ZERO_ADDRESS,
    weight_cap=0,
    last_seen=0,
    barred_from=0,
    admitted=False,
    registered=False,
    deposit_wei=0,
)
"""What the ledger says of an address that was never admitted."""


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """What an account has at stake or may take out, apart from a participant's deposit."""

    free_bond_wei: int = 0
    locked_bond_wei: int = 0
    credit_wei: int = 0
    unbonding_wei: int = 0
    releasable_at: int = 0  # chain time

    def with_released(self, now: int) -> AccountBalance:
        """Return it with what was asked back and is due at a chain time as credit."""
        if self.unbonding_wei == 0 or now < self.releasable_at:
            return self
        return AccountBalance(
            self.free_bond_wei,
            self.locked_bond_wei,
            self.credit_wei + self.unbonding_wei,
            0,
            self.releasable_at,
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a round's finality paid."""

    round: int
    reward_wei: int  # what fallen bonds have added included
    aggregator_reward_wei: int
    dust_wei: int


@dataclass(frozen=True, slots=True)
class FallenPosting:
    """A posting that a challenge or the submitters took down."""

    posting: Posting
    reason: FallReason
    challenger: Address  # who proved it wrong; zero where the submitters rejected it
    challenge_reward_wei: int  # from the bond to the challenger
    bonus_wei: int  # from the bond to the round's reward; with the former 0 where the bond was freed
    place: Place


@dataclass(frozen=True, slots=True)
class ClaimedReward:
    """A reward that was paid out."""

    round: int
    participant: Address
    to: Address
    amount_wei: int


@dataclass(frozen=True, slots=True)
class SignerRotation:
    """A signing key that was asked for."""

    signer: Address
    effective_at: int  # chain time
