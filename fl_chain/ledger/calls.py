"""Every transaction that the ledger takes, typed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from fl_chain.commitment.proofs import Proof
from fl_chain.errors import RequestRefused
from fl_chain.ledger.abi import AbiFunction, ledger_abi, masked_ledger_abi, masks_abi
from fl_chain.ledger.account import Account, Receipt, send_all
from fl_chain.ledger.gas import gas_limit
from fl_chain.ledger.node import Node, quantity
from fl_chain.ledger.reverts import decode_revert
from fl_chain.ledger.signing import Call
from fl_chain.ledger.token import Token
from fl_chain.masking.graph import Graph
from fl_chain.masking.groups import Groups
from fl_chain.records import (
    ZERO_ADDRESS,
    ZERO_DIGEST,
    Address,
    Digest,
    Exclusion,
    LedgerPolicy,
    PublishedKeys,
    RunId,
    Submission,
)


class LedgerCalls(ABC):
    """The ledger's transactions; each waits until it is mined and returns its receipt.

    Each raises ``LedgerReverted`` where the contract refuses (its ``name`` is the custom error's),
    ``TransactionFailed`` or ``TransactionRejected`` where it does not get that far, and ``LedgerUnavailable``
    where no node answers.
    """

    node: Node
    run: RunId
    verifier: Address

    @abstractmethod
    def policy(self) -> LedgerPolicy:
        """Return the rules."""

    @abstractmethod
    def token(self) -> Address:
        """Return what amounts are in; zero for the native coin."""

    # ------------------------------------------------------------------ operator

    def fund(self, account: Account, amount_wei: int) -> Receipt:
        """Add money to the pool."""
        return self._send(account, "fund", amount_wei, value_wei=amount_wei)

    def admit(self, account: Account, participant: Address, weight_cap: int) -> Receipt:
        """Admit a participant, or reinstate a suspended one."""
        return self._send(account, "admit", participant, weight_cap)

    def suspend(self, account: Account, participant: Address) -> Receipt:
        """Bar a participant from the next round on."""
        return self._send(account, "suspend", participant)

    def announce_end(self, account: Account) -> Receipt:
        """Announce the end: one more round may open."""
        return self._send(account, "announceEnd")

    def withdraw_pool(self, account: Account, to: Address) -> Receipt:
        """Pay out what the pool has left, after the last round is settled."""
        return self._send(account, "withdrawPool", to)

    # ------------------------------------------------------------------ participant

    def register(self, account: Account, payout: Address) -> Receipt:
        """Register the account, which the operator has admitted.

        Args:
            account: signs, and is the identity unless its key was rotated.
            payout: where rewards and the deposit go.
        """
        return self._send(account, "register", payout, value_wei=self.policy().deposit_wei)

    def change_payout(self, account: Account, payout: Address) -> Receipt:
        """Change where rewards and the deposit go."""
        return self._send(account, "changePayout", payout)

    def request_signer_rotation(self, account: Account, signer: Address) -> Receipt:
        """Ask for another signing key; the key in use cancels."""
        return self._send(account, "requestSignerRotation", signer)

    def rotate_signer(self, account: Account, participant: Address) -> Receipt:
        """Put the requested key in force; that key signs."""
        return self._send(account, "rotateSigner", participant)

    def leave(self, account: Account) -> Receipt:
        """Leave the run."""
        return self._send(account, "leave")

    # ------------------------------------------------------------------ rounds

    def open_round(self, account: Account) -> Receipt:
        """Open the next round."""
        return self._send(account, "openRound")

    def submit(
        self,
        account: Account,
        *,
        round: int,  # noqa: A002
        base_model_root: Digest,
        sealed_root: Digest,
        weight: int,
    ) -> Receipt:
        """Submit an update.

        Args:
            account: a registered participant's signing key.
            round: the open round.
            base_model_root: the model that the update starts from.
            sealed_root: the commitment to the update.
            weight: the declared weight, 1 to the participant's cap.
        """
        return self._send(account, "submit", round, base_model_root, sealed_root, weight)

    def submit_together(self, updates: Sequence[tuple[Account, int, Digest, Digest, int]]) -> list[Receipt]:
        """Submit several participants' updates in one go.

        Args:
            updates: account, round, base model root, sealed root and weight of each; see `submit`.
        """
        return self._send_together([(account, "submit", tuple(rest), 0) for account, *rest in updates])

    def register_together(self, accounts: Sequence[Account]) -> list[Receipt]:
        """Register several accounts in one go, each with its own address for rewards."""
        deposit_wei = self.policy().deposit_wei
        return self._send_together([(one, "register", (one.address,), deposit_wei) for one in accounts])

    def close_round(self, account: Account, round_id: int) -> Receipt:
        """Close a round after its deadline, or void it below the quorum."""
        return self._send(account, "closeRound", round_id)

    def post(
        self,
        account: Account,
        *,
        round: int,  # noqa: A002
        digest: Digest,
        exclusions: Sequence[tuple[Exclusion, Submission]],
        partial_sum_roots: Sequence[Digest],
        model_root: Digest,
        result_root: Digest = ZERO_DIGEST,
        state_root: Digest = ZERO_DIGEST,
    ) -> Receipt:
        """Publish a closed round's aggregate.

        Args:
            account: holds a free bond.
            round: the closed round.
            digest: its digest as it was read.
            exclusions: what is left out, each with its submission, ascending by index.
            partial_sum_roots: level 1 first, left to right, the total last; none where the policy's kind has
                a result.
            model_root: the new global model.
            result_root: of what the rule made of the updates, where the policy's kind has one; else zero.
            state_root: of what the rule carries on, where the policy's kind has one; else zero.
        """
        excluded = _opened(exclusions)
        return self._send(
            account,
            "post",
            *(round, digest, excluded, list(partial_sum_roots), result_root, state_root, model_root),
            exclusions=len(excluded),
        )

    def void_round(self, account: Account, round_id: int) -> Receipt:
        """Void a closed round that nobody posted in time."""
        return self._send(account, "voidRound", round_id)

    def finalize(self, account: Account) -> Receipt:
        """Settle every round whose challenge window is over."""
        return self._send(account, "finalize", rounds=self.policy().max_unfinal_rounds)

    # ------------------------------------------------------------------ masks, of a masked run

    def set_identity_key(self, account: Account, key: bytes) -> Receipt:
        """Name the participant's X25519 key, for ever; peers seal their shares to it."""
        return self._mask(account, "setIdentityKey", key)

    def draw_graph(self, account: Account, round_id: int) -> Receipt:
        """Draw who shares masks with whom in an open round of many participants."""
        return self._mask(account, "drawGraph", round_id)

    def set_up_keys(self, account: Account, round_id: int, keys: PublishedKeys) -> Receipt:
        """Join an open round's masks."""
        commitments = (keys.key_commitment, keys.mask_commitment, keys.shares_hash)
        return self._mask(account, "setUpKeys", round_id, keys.round_key, *commitments)

    def set_up_keys_of(
        self, account: Account, round_id: int, signed: Sequence[tuple[PublishedKeys, bytes]]
    ) -> Receipt:
        """Bring keys that participants have signed, as if each had called `set_up_keys`.

        Args:
            account: anyone's.
            round_id: the open round.
            signed: keys, each with the signature of its participant, 65 bytes.
        """
        joined = [(astuple(keys), *_short(signature)) for keys, signature in signed]
        return self._mask(account, "setUpKeysOf", round_id, joined, set_ups=len(joined))

    def fix_survivors(
        self,
        account: Account,
        *,
        round: int,  # noqa: A002
        digest: Digest,
        exclusions: Sequence[tuple[Exclusion, Submission]],
        absentees: Sequence[Address],
        graph: Graph | Groups | None = None,
    ) -> Receipt:
        """Fix who stays in a closed round's sum, once for ever.

        Args:
            account: holds a free bond.
            round: the closed round.
            digest: its digest as it was read.
            exclusions: what is left out, each with its submission, ascending by index.
            absentees: members of the ring that did not submit, ascending: all of them.
            graph: of the round, where it has one.
        """
        vertices, reach = (0, 0) if graph is None else (graph.vertices, graph.reach)
        return self._mask(
            account,
            "fixSurvivors",
            *(round, digest, _opened(exclusions), list(absentees)),
            exclusions=len(exclusions),
            members=len(absentees),
            vertices=vertices,
            steps=(len(exclusions) + len(absentees)) * 2 * reach,
        )

    def publish_seeds(self, account: Account, round_id: int, seeds: Sequence[bytes]) -> Receipt:
        """Publish the seeds that the account's posting takes the masks off with.

        Args:
            account: posts next.
            round_id: a closed round whose survivors are fixed.
            seeds: of each survivor its mask seed, in the order of submissions, then of each of the departed
                its key seed, or zero where nobody of its group stays.
        """
        return self._mask(account, "publishSeeds", round_id, list(seeds), members=len(seeds))

    # ------------------------------------------------------------------ challenges

    def challenge(self, account: Account, round_id: int, proof: Proof) -> Receipt:
        """Take down a posting that a proof shows to be wrong.

        Args:
            account: anyone's; the challenge reward is credited to it.
            round_id: a posted round.
            proof: of a wrong partial sum, of an included update out of range, of a wrong model, or of a wrong
                seed or term of a masked round.
        """
        rounds = self.policy().max_unfinal_rounds
        return self._send(account, proof.function, round_id, astuple(proof), rounds=rounds)

    def try_challenge(self, sender: Address, round_id: int, proof: Proof) -> int:
        """Try a challenge on the newest block without a transaction, and return the gas that it would take.

        Args:
            sender: as whom; the node asks nothing of it but that it could pay.
            round_id: a posted round.
            proof: see `challenge`.

        Raises:
            LedgerReverted: the contract would refuse the proof.
            RequestRefused: the node does not run it to its end.
            LedgerUnavailable: no node answers.
        """
        data = challenge_call(proof, round_id)
        request = {"from": sender, "to": self.run.ledger, "data": "0x" + data.hex()}
        try:
            # Not every node says with an estimate by which custom error a call fails.
            self.node.call(self.run.ledger, data, sender=sender)
            return quantity(self.node.request("eth_estimateGas", request))
        except RequestRefused as error:
            raise decode_revert(error.data) or error from error

    def object(self, account: Account, *, model_root: Digest, submission: Submission) -> Receipt:
        """Object to a posting that can neither be derived nor proven wrong.

        Args:
            account: signs for the submission's participant.
            model_root: of the posting that is meant, so that the objection counts against no other.
            submission: the participant's own one to the posted round.
        """
        opened = (submission.index, submission.weight, submission.sealed_root)
        rounds = self.policy().max_unfinal_rounds
        return self._send(account, "object", submission.round, model_root, *opened, rounds=rounds)

    # ------------------------------------------------------------------ money

    def deposit_bond(self, account: Account, amount_wei: int) -> Receipt:
        """Add to the account's free bond."""
        return self._send(account, "depositBond", amount_wei, value_wei=amount_wei)

    def request_bond(self, account: Account, amount_wei: int) -> Receipt:
        """Ask free bond back."""
        return self._send(account, "requestBond", amount_wei)

    def withdraw(self, account: Account, holder: Address) -> Receipt:
        """Pay an account its credit and whatever it asked back that is due."""
        return self._send(account, "withdraw", holder)

    def claim(self, account: Account, participant: Address, rewards: Sequence[Submission]) -> Receipt:
        """Pay a participant's rewards to its payout address.

        Args:
            account: anyone's.
            participant: whose.
            rewards: its submissions to final rounds, and to void ones with a bonus; see
                ``History.unclaimed_rewards``.
        """
        claims = [(one.round, one.index, one.weight, one.sealed_root) for one in rewards]
        return self._send(account, "claim", participant, claims, claims=len(claims))

    def _send_together(self, orders: Sequence[tuple[Account, str, tuple[Any, ...], int]]) -> list[Receipt]:
        """Send calls of several accounts, each with what native coin goes along."""
        calls = []
        for account, name, arguments, value_wei in orders:
            data = ledger_abi().functions[name].encode(arguments)
            calls.append(
                (account, Call(self.run.ledger, data, gas_limit(name, data_bytes=len(data)), value_wei))
            )
        return send_all(calls)

    def _send(
        self, account: Account, name: str, *arguments: Any, value_wei: int = 0, **items: int
    ) -> Receipt:
        data = _function(name).encode(arguments)
        gas = gas_limit(name, data_bytes=len(data), **items)
        if value_wei and self.token() != ZERO_ADDRESS:
            Token(account.node, self.token()).allow(account, self.run.ledger, value_wei)
            value_wei = 0
        return account.send(self.run.ledger, data, gas=gas, value_wei=value_wei)

    def _mask(self, account: Account, name: str, *arguments: Any, **items: int) -> Receipt:
        data = masks_abi().functions[name].encode(arguments)
        return account.send(self.verifier, data, gas=gas_limit(name, data_bytes=len(data), **items))


def _short(signature: bytes) -> tuple[bytes, bytes]:
    """Return a signature in two words: the parity in the highest bit of s (EIP-2098)."""
    s, parity = int.from_bytes(signature[32:64], "big"), signature[64]
    return signature[:32], (s | parity << 255).to_bytes(32, "big")


def challenge_call(proof: Proof, round_id: int) -> bytes:
    """Return the input of the transaction that takes a posting down with a proof."""
    return _function(proof.function).encode((round_id, astuple(proof)))


def _function(name: str) -> AbiFunction:
    """Return a function of the ledger; the masked one has two more challenges."""
    return ledger_abi().functions.get(name) or masked_ledger_abi().functions[name]


def _opened(
    exclusions: Sequence[tuple[Exclusion, Submission]],
) -> list[tuple[int, int, int, Address, Digest]]:
    return [
        (one.index, int(one.reason), submission.weight, submission.participant, submission.sealed_root)
        for one, submission in exclusions
    ]
