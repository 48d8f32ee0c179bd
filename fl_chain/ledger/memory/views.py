"""What an in-memory ledger answers, by the names of the contract's client."""

from __future__ import annotations

from fl_chain.ledger.events import Event
from fl_chain.ledger.memory.money import has_ended
from fl_chain.ledger.memory.records import Member
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.ledger.views import AccountBalance, Participant, RunState, SignerRotation
from fl_chain.records import (
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Address,
    Digest,
    LedgerPolicy,
    Round,
    RoundStatus,
    RunDefinition,
    RunId,
)


class MemoryViews:
    """Reads a ledger's state and changes nothing."""

    _state: LedgerState

    @property
    def run(self) -> RunId:
        """Which chain and ledger."""
        return self._state.run

    @property
    def operator(self) -> Address:
        """Who deployed the run."""
        return self._state.operator

    @property
    def token(self) -> Address:
        """What amounts are in; zero for the native coin."""
        return self._state.coin.address

    @property
    def events(self) -> tuple[Event, ...]:
        """Every event, from the deployment on."""
        return tuple(self._state.events)

    def definition(self) -> RunDefinition:
        """Return what is trained."""
        return self._state.definition

    def policy(self) -> LedgerPolicy:
        """Return the rules."""
        return self._state.policy

    def state(self) -> RunState:
        """Return where the run stands."""
        return self._state.standing

    def has_ended(self, now: int) -> bool:
        """Return whether no round can open at a chain time and every round is settled."""
        return has_ended(self._state, now)

    def round(self, round_id: int) -> Round:
        """Return a round; its status is NONE where there is no such round."""
        nothing = Round(round_id, RoundStatus.NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, ZERO_DIGEST)
        return self._state.rounds.get(round_id, nothing)

    def model_root(self, round_id: int) -> Digest:
        """Return the root of the model that a round made; 0 stands for genesis, a zero digest for none."""
        return self._state.model_root(round_id)

    def sums_hash(self, round_id: int) -> Digest:
        """Return the hash of the posted list of partial sums; a zero digest for none."""
        posting = self._state.postings.get(round_id)
        return ZERO_DIGEST if posting is None else posting.sums_hash

    def leaf(self, round_id: int, index: int) -> Digest:
        """Return what is stored of a submission; a zero digest for none."""
        return self._state.leaves.get((round_id, index), ZERO_DIGEST)

    def posting_summary(self, round_id: int) -> tuple[Address, int, int, int]:
        """Return poster, chain time of finality, included weight and included number of a round's posting."""
        posting = self._state.postings.get(round_id)
        if posting is None:
            return ZERO_ADDRESS, 0, 0, 0
        return posting.poster, posting.finalizable_at, posting.included_weight, posting.included

    def is_excluded(self, round_id: int, index: int) -> bool:
        """Return whether a submission is left out under the round's posting number."""
        return index in self._state.excluded_from(self.round(round_id))

    def bonus_wei(self, round_id: int) -> int:
        """Return what fallen bonds have added to a round's reward."""
        return self._state.bonuses.get(round_id, 0)

    def is_barred(self, round_id: int, poster: Address) -> bool:
        """Return whether a posting of an account fell in a round, so that it may not post it again."""
        return (round_id, poster) in self._state.barred

    def objections_to(self, round_id: int) -> int:
        """Return how many objected under the round's posting number."""
        return len(self._state.objectors_to(self.round(round_id)))

    def has_objected(self, round_id: int, index: int) -> bool:
        """Return whether a submission counts as an objection under the round's posting number."""
        return index in self._state.objectors_to(self.round(round_id))

    def is_claimed(self, round_id: int, index: int) -> bool:
        """Return whether a submission's reward was paid."""
        return (round_id, index) in self._state.claimed

    def participant(self, identity: Address) -> Participant:
        """Return a participant; all zero for an address that was never admitted."""
        one = self._state.members.get(identity, Member(ZERO_ADDRESS))
        return Participant(
            signer=one.signer,
            payout=one.payout,
            weight_cap=one.weight_cap,
            last_seen=one.last_seen,
            barred_from=one.barred_from,
            admitted=one.is_admitted,
            registered=one.barred_from != 0,
            deposit_wei=one.deposit_wei,
        )

    def rotation(self, identity: Address) -> SignerRotation | None:
        """Return the signing key that a participant has asked for; the contract shows it in events only."""
        return self._state.members.get(identity, Member(ZERO_ADDRESS)).rotation

    def identity_of(self, signer: Address) -> Address:
        """Return the participant that a key signs for; zero where it signs for none."""
        return self._state.identities.get(signer, ZERO_ADDRESS)

    def account(self, holder: Address) -> AccountBalance:
        """Return an account's bonds and credits."""
        return self._state.account(holder)

    def balance(self) -> int:
        """Return what the ledger holds, in the run's coin."""
        return self._state.coin.balance_wei(self._state.run.ledger)
