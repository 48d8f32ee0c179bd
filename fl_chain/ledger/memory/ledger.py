"""The in-memory ledger: one method per external function of ITrainingLedger.sol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fl_chain.commitment.proofs import ApplyProof, RangeProof, SumProof
from fl_chain.errors import TransactionFailed
from fl_chain.ledger import events as e
from fl_chain.ledger.events import Event
from fl_chain.ledger.memory import challenges, money, participation, posting, rounds, succession
from fl_chain.ledger.memory.bounds import verify_definition, verify_policy
from fl_chain.ledger.memory.coin import Coin
from fl_chain.ledger.memory.records import Claim, Message, OpenedExclusion, refused, verify_uint
from fl_chain.ledger.memory.state import LedgerState
from fl_chain.ledger.memory.views import MemoryViews
from fl_chain.records import ZERO_ADDRESS, ZERO_DIGEST, Address, Digest, LedgerPolicy, RunDefinition, RunId

Events = tuple[Event, ...]


class MemoryLedger(MemoryViews):
    """The ledger of one training run, without a chain.

    Each call says who calls and when, and returns the events that it emitted. Where it raises, nothing has
    changed: ``LedgerReverted`` where the contract refuses (same custom error, same arguments),
    ``TransactionFailed`` where it reverts without one, ``TransactionRejected`` where the caller lacks the
    coin that it sends, ``ValueError`` for an argument that does not fit its Solidity type.
    """

    def __init__(
        self,
        run: RunId,
        message: Message,
        definition: RunDefinition,
        policy: LedgerPolicy,
        *,
        aggregator: Address,
        coin: Coin,
    ) -> None:
        """Deploy a run.

        Args:
            run: which chain and ledger every hash is bound to.
            message: whose caller becomes the operator.
            definition: what is trained.
            policy: the rules.
            aggregator: who may post first.
            coin: what amounts are in.

        Raises:
            LedgerReverted: a constant is outside its bounds.
        """
        if aggregator == ZERO_ADDRESS:
            raise refused("ZeroAddress")
        verify_definition(definition)
        verify_policy(policy)
        self._state = LedgerState(run, definition, policy, message.caller, coin)
        self._state.begin()
        self._state.update_standing(aggregator=aggregator)
        fields = (message.caller, aggregator, coin.address, definition, policy)
        self._state.emit(message, e.RunDeployed, *fields)
        self._state.commit()

    def _call(self, message: Message, rule: Callable[[], None], *, is_payable: bool = False) -> Events:
        """Run one call, completely or not at all."""
        self._state.coin.verify_sent(message)
        if message.value_wei and not is_payable:
            raise TransactionFailed("this call takes no coin: send none along")
        self._state.begin()
        try:
            rule()
        except BaseException:
            self._state.roll_back()
            raise
        return self._state.commit()

    # ------------------------------------------------------------------ operator

    def fund(self, message: Message, amount_wei: int) -> Events:
        """Add money to the pool. Anyone may."""
        verify_uint("amount_wei", amount_wei, 256)
        return self._call(message, lambda: money.fund(self._state, message, amount_wei), is_payable=True)

    def admit(self, message: Message, participant: Address, weight_cap: int) -> Events:
        """Admit a participant, or reinstate one with a new cap once its suspension has taken effect."""
        verify_uint("weight_cap", weight_cap, 32)
        return self._call(message, lambda: participation.admit(self._state, message, participant, weight_cap))

    def suspend(self, message: Message, participant: Address) -> Events:
        """Bar a participant from the next round on."""
        return self._call(message, lambda: participation.suspend(self._state, message, participant))

    def announce_end(self, message: Message) -> Events:
        """Announce the end: one more round may open, within ``submission_s`` from now."""
        return self._call(message, lambda: succession.announce_end(self._state, message))

    def withdraw_pool(self, message: Message, to: Address) -> Events:
        """Pay what is left in the pool, after the last round is settled."""
        return self._call(message, lambda: money.withdraw_pool(self._state, message, to))

    # ------------------------------------------------------------------ participant

    def register(self, message: Message, payout: Address) -> Events:
        """Register the caller, which the operator has admitted; take the deposit."""
        return self._call(
            message, lambda: participation.register(self._state, message, payout), is_payable=True
        )

    def change_payout(self, message: Message, payout: Address) -> Events:
        """Change where rewards and the deposit go."""
        return self._call(message, lambda: participation.change_payout(self._state, message, payout))

    def request_signer_rotation(self, message: Message, signer: Address) -> Events:
        """Ask for another signing key; the key in use cancels."""
        return self._call(
            message, lambda: participation.request_signer_rotation(self._state, message, signer)
        )

    def rotate_signer(self, message: Message, participant: Address) -> Events:
        """Put a requested signing key in force once it is due; that key calls."""
        return self._call(message, lambda: participation.rotate_signer(self._state, message, participant))

    def leave(self, message: Message) -> Events:
        """Leave the run. The deposit is unbonding; rewards stay claimable."""
        return self._call(message, lambda: participation.leave(self._state, message))

    # ------------------------------------------------------------------ rounds

    def open_round(self, message: Message) -> Events:
        """Open the next round where no round is open or closed. Anyone may."""
        return self._call(message, lambda: succession.open_round(self._state, message))

    def submit(
        self,
        message: Message,
        *,
        round: int,  # noqa: A002
        base_model_root: Digest,
        sealed_root: Digest,
        weight: int,
    ) -> Events:
        """Submit the caller's update.

        Args:
            message: whose caller is a registered participant's signing key.
            round: the open round.
            base_model_root: the model that the update starts from.
            sealed_root: the commitment to the update.
            weight: the declared weight, 1 to the participant's cap.
        """
        verify_uint("round", round, 32)
        verify_uint("weight", weight, 32)
        return self._call(
            message,
            lambda: rounds.submit(
                self._state,
                message,
                round,
                base_model_root=base_model_root,
                sealed_root=sealed_root,
                weight=weight,
            ),
        )

    def close_round(self, message: Message, round_id: int) -> Events:
        """Close an open round after its deadline, or void it below the quorum. Anyone may."""
        verify_uint("round_id", round_id, 32)
        return self._call(message, lambda: rounds.close_round(self._state, message, round_id))

    def post(
        self,
        message: Message,
        *,
        round: int,  # noqa: A002
        digest: Digest,
        exclusions: Sequence[OpenedExclusion],
        partial_sum_roots: Sequence[Digest],
        model_root: Digest,
        result_root: Digest = ZERO_DIGEST,
        state_root: Digest = ZERO_DIGEST,
    ) -> Events:
        """Publish a closed round's aggregate and open the next round on it.

        Args:
            message: whose caller holds a free bond.
            round: the closed round.
            digest: its digest as the poster read it.
            exclusions: what is left out, ascending by index.
            partial_sum_roots: level 1 first, left to right, the total last.
            model_root: the new global model.
            result_root: of what the rule made of the updates, where the policy's kind has one; else zero.
            state_root: of what the rule carries on, where the policy's kind has one; else zero.
        """
        verify_uint("round", round, 32)
        for one in exclusions:
            verify_uint("index", one.index, 16)
            verify_uint("reason", one.reason, 8)
            verify_uint("weight", one.weight, 32)
        return self._call(
            message,
            lambda: posting.post(
                self._state,
                message,
                round,
                digest=digest,
                exclusions=exclusions,
                partial_sum_roots=partial_sum_roots,
                result_root=result_root,
                state_root=state_root,
                model_root=model_root,
            ),
        )

    def void_round(self, message: Message, round_id: int) -> Events:
        """Void a closed round that nobody posted in time. Anyone may."""
        verify_uint("round_id", round_id, 32)
        return self._call(message, lambda: rounds.void_round(self._state, message, round_id))

    def finalize(self, message: Message) -> Events:
        """Settle every round in order whose challenge window is over. Anyone may."""
        return self._call(message, lambda: succession.finalize(self._state, message))

    # ------------------------------------------------------------------ challenges

    def challenge_sum(self, message: Message, round_id: int, proof: SumProof) -> Events:
        """Take down a posting whose partial sums do not add up. Anyone may, until it can become final."""
        verify_uint("round_id", round_id, 32)
        verify_uint("index", proof.index, 16)
        verify_uint("chunk", proof.chunk, 64)
        for opening in proof.openings:
            verify_uint("weight", opening.weight, 32)
        return self._call(message, lambda: challenges.challenge(self._state, message, round_id, proof))

    def challenge_range(self, message: Message, round_id: int, proof: RangeProof) -> Events:
        """Take down a posting that includes an update outside its bounds."""
        verify_uint("round_id", round_id, 32)
        verify_uint("index", proof.index, 16)
        verify_uint("weight", proof.opening.weight, 32)
        verify_uint("chunk", proof.chunk, 64)
        verify_uint("lane", proof.lane, 16)
        return self._call(message, lambda: challenges.challenge(self._state, message, round_id, proof))

    def challenge_apply(self, message: Message, round_id: int, proof: ApplyProof) -> Events:
        """Take down a posting whose model does not follow from its total."""
        verify_uint("round_id", round_id, 32)
        verify_uint("chunk", proof.chunk, 64)
        return self._call(message, lambda: challenges.challenge(self._state, message, round_id, proof))

    def object(
        self,
        message: Message,
        *,
        round: int,  # noqa: A002
        model_root: Digest,
        index: int,
        weight: int,
        sealed_root: Digest,
    ) -> Events:
        """Object to a posting that the caller can neither derive nor prove wrong.

        Args:
            message: whose caller signs for the participant of the submission.
            round: a posted round.
            model_root: of the posting that is meant.
            index: of the caller's submission; it, ``weight`` and ``sealed_root`` open the stored leaf.
            weight: as declared.
            sealed_root: as submitted.
        """
        verify_uint("round", round, 32)
        verify_uint("index", index, 16)
        verify_uint("weight", weight, 32)
        return self._call(
            message,
            lambda: challenges.object_to(
                self._state, message, round, model_root, index=index, weight=weight, sealed_root=sealed_root
            ),
        )

    # ------------------------------------------------------------------ money

    def deposit_bond(self, message: Message, amount_wei: int) -> Events:
        """Add to the caller's free bond."""
        verify_uint("amount_wei", amount_wei, 256)
        return self._call(
            message, lambda: money.deposit_bond(self._state, message, amount_wei), is_payable=True
        )

    def request_bond(self, message: Message, amount_wei: int) -> Events:
        """Ask free bond back."""
        verify_uint("amount_wei", amount_wei, 256)
        return self._call(message, lambda: money.request_bond(self._state, message, amount_wei))

    def withdraw(self, message: Message, holder: Address) -> Events:
        """Pay an account its credit and whatever it asked back that is due. Anyone may."""
        return self._call(message, lambda: money.withdraw(self._state, message, holder))

    def claim(self, message: Message, participant: Address, claims: Sequence[Claim]) -> Events:
        """Pay a participant's rewards to its payout address. Anyone may.

        Those of final rounds, and of void ones that a fallen bond has given a bonus.
        """
        for one in claims:
            verify_uint("round", one.round, 32)
            verify_uint("index", one.index, 16)
            verify_uint("weight", one.weight, 32)
        return self._call(message, lambda: money.claim(self._state, message, participant, claims))
