"""The ledger of one run, opened and checked: typed views, transactions, and its history."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeVar

from fl_chain.errors import LedgerError, MalformedResponse, RequestRefused
from fl_chain.ledger.abi import ContractAbi, ledger_abi, masks_abi
from fl_chain.ledger.calls import LedgerCalls
from fl_chain.ledger.code import Contracts, plain_contracts, verify_ledger_code
from fl_chain.ledger.decoding import decode_logs
from fl_chain.ledger.events import Event
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Head, Node, parse_head, quantity
from fl_chain.ledger.reverts import decode_revert
from fl_chain.ledger.spending import gas_by_call, gas_uses
from fl_chain.ledger.token import Token
from fl_chain.ledger.views import AccountBalance, Participant, RunState
from fl_chain.records import (
    ZERO_ADDRESS,
    Address,
    AggregationKind,
    Digest,
    LedgerPolicy,
    RewardSplit,
    Round,
    RoundStatus,
    RunDefinition,
    RunId,
    address,
)

log = logging.getLogger(__name__)

READINGS = 4  # of one stretch of the chain, where a reorganisation comes between
BLOCKS_PER_REQUEST = 10_000  # of logs; halved where a node refuses so many
RECEIPTS_PER_BATCH = 200

Kind = TypeVar("Kind", bound=IntEnum)


class Ledger(LedgerCalls):
    """One run's ledger on one node. Made by `Ledger.open`.

    Attributes:
        node: where it is asked.
        run: which chain and address.
        contracts: of this release, that the run has.
        deployed_block: no event is older.
        code_hash: SHA-256 of the contract's code, equal for every ledger of this release.
        verifier: the contract that decides challenges.
        verifier_code_hash: SHA-256 of its code, equal for every ledger of this release.
        reorganisations: how often the history was built anew since the ledger was opened, because the chain
            had changed behind it; what was concluded from it before may not hold any more.
    """

    def __init__(
        self,
        node: Node,
        run: RunId,
        *,
        confirmations: int,
        deployed_block: int,
        contracts: Contracts | None = None,
    ) -> None:
        self.node = node
        self.run = run
        self.contracts = contracts or plain_contracts(run.ledger)
        self.code_hash: Digest = self.contracts.ledger.code_hash
        self.verifier: Address = self.contracts.verifier
        self.verifier_code_hash: Digest = self.contracts.judge.code_hash
        self._confirmations = confirmations
        self.deployed_block = deployed_block
        self.is_on_chain = True  # False where no machine runs the contract: nothing can be proven of its code
        self._history = History(run)
        self._synced: Head | None = None
        self._blocks_per_request = BLOCKS_PER_REQUEST
        self._policy: LedgerPolicy | None = None
        self._token: Address | None = None
        self._pin: Head | None = None
        self.reorganisations = 0

    @classmethod
    def open(
        cls,
        node: Node,
        ledger: Address,
        *,
        chain_id: int | None = None,
        confirmations: int = 0,
        deployed_block: int = 0,
    ) -> Ledger:
        """Open a ledger after checking that it is one.

        Args:
            node: where it is asked.
            ledger: its address.
            chain_id: which chain it has to be on; None trusts the node's.
            confirmations: blocks on top of a block before its events count.
            deployed_block: no event is older.

        Raises:
            WrongChain: the node serves another chain.
            WrongCode: the address holds no contract, or another one.
            LedgerUnavailable: no node answers.
        """
        node.verify_chain(chain_id)
        contracts = verify_ledger_code(node, ledger)
        run = RunId(node.chain_id, ledger)
        return cls(node, run, confirmations=confirmations, deployed_block=deployed_block, contracts=contracts)

    def pinned(self, block: Head | None = None) -> Ledger:
        """Return the ledger as it stood at one block: history and views are of that block, whatever follows.

        Args:
            block: the newest one that is deep enough by default.

        Raises:
            RequestRefused: when it is read, if the block has left the chain or the node its state.
        """
        other = self.on(self.node, confirmations=self._confirmations)
        other._pin = block or self._pin or self._deep_enough(self.node.head())
        return other

    def on(self, node: Node, *, confirmations: int = 0) -> Ledger:
        """Return the same ledger on a node, with nothing read yet."""
        return Ledger(
            node,
            self.run,
            confirmations=confirmations,
            deployed_block=self.deployed_block,
            contracts=self.contracts,
        )

    @property
    def emitters(self) -> tuple[Address, ...]:
        """The contracts whose events make the run's history."""
        return (self.run.ledger, self.verifier) if self.contracts.is_masked else (self.run.ledger,)

    # ------------------------------------------------------------------ views

    def head(self) -> Head:
        """Return the newest block."""
        return self._pin or self.node.head()

    def definition(self) -> RunDefinition:
        """Return what is trained."""
        policy_hash, manifest_hash, genesis_model_root, dimension = self._view("definition")[0]
        return RunDefinition(
            Digest(policy_hash), Digest(manifest_hash), Digest(genesis_model_root), dimension
        )

    def policy(self) -> LedgerPolicy:
        """Return the rules."""
        if self._policy is None:
            values = self._view("policy")[0]
            *numbers, split, aggregation, rho_per_round, rho_budget = values
            kinds = _member(RewardSplit, split), _member(AggregationKind, aggregation)
            self._policy = LedgerPolicy(*[*numbers, *kinds, rho_per_round, rho_budget])
        return self._policy

    def operator(self) -> Address:
        """Return who deployed the run."""
        return address(self._view("operator")[0])

    def token(self) -> Address:
        """Return what amounts are in; zero for the native coin."""
        if self._token is None:
            self._token = address(self._view("token")[0])
        return self._token

    def state(self) -> RunState:
        """Return where the run stands."""
        values = self._view("runState")[0]
        return RunState(*[*values[:-2], address(values[-2]), values[-1]])

    def has_ended(self) -> bool:
        """Return whether no round can open and every round is settled."""
        return bool(self._view("hasEnded")[0])

    def round(self, round_id: int) -> Round:
        """Return a round; its status is NONE where there is no such round."""
        values = self._view("roundOf", round_id)[0]
        digest = Digest(self._view("digestOf", round_id)[0])
        return Round(*[round_id, _member(RoundStatus, values[0]), *values[1:], digest])

    def model_root(self, round_id: int) -> Digest:
        """Return the root of the model that a round made; 0 stands for genesis, a zero digest for none."""
        return Digest(self._view("modelRootOf", round_id)[0])

    def sums_hash(self, round_id: int) -> Digest:
        """Return the hash of the posted list of partial sums."""
        return Digest(self._view("sumsHashOf", round_id)[0])

    def leaf(self, round_id: int, index: int) -> Digest:
        """Return what is stored of a submission."""
        return Digest(self._view("leafOf", round_id, index)[0])

    def posting_summary(self, round_id: int) -> tuple[Address, int, int, int]:
        """Return poster, chain time of finality, included weight and included number of a round's posting."""
        poster, finalizable_at, included_weight, included = self._view("postingOf", round_id)[0]
        return address(poster), finalizable_at, included_weight, included

    def is_excluded(self, round_id: int, index: int) -> bool:
        """Return whether the standing posting leaves a submission out."""
        return bool(self._view("isExcluded", round_id, index)[0])

    def bonus_wei(self, round_id: int) -> int:
        """Return what fallen bonds have added to a round's reward."""
        return int(self._view("bonusOf", round_id)[0])

    def is_barred(self, round_id: int, poster: Address) -> bool:
        """Return whether a posting of an account fell in a round, so that it may not post it again."""
        return bool(self._view("isBarred", round_id, poster)[0])

    def objections_to(self, round_id: int) -> int:
        """Return how many submissions object to a round's standing posting."""
        return int(self._view("objectionsTo", round_id)[0])

    def has_objected(self, round_id: int, index: int) -> bool:
        """Return whether a submission counts as an objection to the standing posting."""
        return bool(self._view("hasObjected", round_id, index)[0])

    def is_claimed(self, round_id: int, index: int) -> bool:
        """Return whether a submission's reward was paid."""
        return bool(self._view("isClaimed", round_id, index)[0])

    def participant(self, identity: Address) -> Participant:
        """Return a participant; all zero for an address that was never admitted."""
        signer, payout, *rest = self._view("participantOf", identity)[0]
        return Participant(address(signer), address(payout), *rest)

    def identity_of(self, signer: Address) -> Address:
        """Return the participant that a key signs for; zero where it signs for none."""
        return address(self._view("identityOf", signer)[0])

    def account(self, holder: Address) -> AccountBalance:
        """Return an account's bonds and credits."""
        return AccountBalance(*self._view("accountOf", holder)[0])

    def balance(self) -> int:
        """Return what the contract holds, in the run's coin."""
        if self.token() == ZERO_ADDRESS:
            return self.node.balance_wei(self.run.ledger, self._block)
        return Token(self.node, self.token()).balance(self.run.ledger, block=self._block)

    # ------------------------------------------------------------------ views of a masked run

    def identity_key(self, participant: Address) -> bytes:
        """Return a participant's X25519 identity key; zeros where it has none."""
        return bytes(self._mask_view("identityKeyOf", participant)[0])

    def key_ring(self, round_id: int) -> tuple[int, int, bool, int, int, int, bytes]:
        """Return a ring's members, those expected, whether all of these joined, and when it closes.

        Then vertices, reach and seed of the round's graph; zeros where it has none.
        """
        *numbers, vertices, reach, seed = self._mask_view("keyRingOf", round_id)[0]
        members, joined, is_complete, close_at = numbers
        return members, joined, is_complete, close_at, vertices, reach, bytes(seed)

    def ring_digest(self, round_id: int) -> Digest:
        """Return what is stored of a round's set-ups."""
        return Digest(self._mask_view("ringDigestOf", round_id)[0])

    def survivors(self, round_id: int) -> tuple[bytes, bytes, int, int, int, int]:
        """Return what is stored of who stays: two hashes, members, submissions, survivors, terms."""
        exclusions, absent, members, submissions, survivors, terms = self._mask_view("survivorsOf", round_id)[
            0
        ]
        return exclusions, absent, members, submissions, survivors, terms

    def seeds_hash(self, round_id: int, poster: Address) -> bytes:
        """Return the hash of the seeds that an account published last for a round."""
        return bytes(self._mask_view("seedsHashOf", round_id, poster)[0])

    def _view(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        return self._asked(ledger_abi(), self.run.ledger, name, arguments)

    def _mask_view(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        return self._asked(masks_abi(), self.verifier, name, arguments)

    def _asked(
        self, abi: ContractAbi, contract: Address, name: str, arguments: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        function = abi.functions[name]
        try:
            return function.decode(self.node.call(contract, function.encode(arguments), block=self._block))
        except RequestRefused as error:
            raise decode_revert(error.data) or error from error

    @property
    def _block(self) -> Any:
        """Of which block views are, as a parameter of requests."""
        return "latest" if self._pin is None else self._pin.reference

    # ------------------------------------------------------------------ history

    @property
    def synced(self) -> Head:
        """The block that the history was brought up to.

        Raises:
            MalformedResponse: no block is deep enough yet.
        """
        if self._synced is None:
            raise MalformedResponse("the node shows no block that is deep enough: wait, or ask another node")
        return self._synced

    def sync(self) -> History:
        """Bring the history up to the newest block that is deep enough, and return it.

        It is the same object each time. Where the chain was reorganised behind it, it is built anew; it never
        holds events of two branches.

        Raises:
            LedgerUnavailable: no node answers.
            MalformedResponse: what the node says cannot have come from one ledger.
        """
        for _ in range(READINGS):
            target = self._confirmed_head()
            if target is None or target == self._synced:
                return self._history
            first = self.deployed_block if self._synced is None else self._synced.number + 1
            events = self._read_events(first, target.number)
            # A reorganisation while they were read changes the newest of the blocks, whatever else it does.
            if events and self.node.block(target.number) != target:
                continue
            self._extend(events, target)
            return self._history
        raise MalformedResponse(f"{self.node.name} changes its chain while it is read: ask another node")

    def _extend(self, events: list[Event], target: Head) -> None:
        try:
            self._history.extend(events)
        except LedgerError:
            self._forget()
            raise
        self._synced = target

    def _forget(self) -> None:
        self._history.restart()
        self._synced = None
        self.reorganisations += 1

    def _confirmed_head(self) -> Head | None:
        """Return the newest block that counts; forget the history if its own last block is gone."""
        if self._pin is not None:
            return self._pin
        requests: list[tuple[str, Sequence[Any]]] = [("eth_getBlockByNumber", ["latest", False])]
        if self._synced is not None:
            requests.append(("eth_getBlockByNumber", [hex(self._synced.number), False]))
        answers = self.node.batch(requests)
        head = parse_head(answers[0])
        if self._synced is not None and (answers[1] is None or parse_head(answers[1]) != self._synced):
            log.warning("block %d was reorganised: reading the ledger's events anew", self._synced.number)
            self._forget()
        number = head.number - self._confirmations
        if number < self.deployed_block or (self._synced is not None and number <= self._synced.number):
            return self._synced
        return self._deep_enough(head)

    def _deep_enough(self, head: Head) -> Head:
        """Return the newest block that has its confirmations; the first one where none has."""
        if self._confirmations == 0:
            return head
        return parse_head(
            self.node.request("eth_getBlockByNumber", hex(max(0, head.number - self._confirmations)), False)
        )

    def events(self, first_block: int, last_block: int) -> list[Event]:
        """Return the ledger's events in a range of blocks, in the chain's order."""
        return self._read_events(first_block, last_block)

    def all_events(self) -> list[Event]:
        """Return every event that the history rests on, in the chain's order."""
        return [] if self._synced is None else self._read_events(self.deployed_block, self._synced.number)

    def _read_events(self, first: int, last: int) -> list[Event]:
        found: list[Event] = []
        while first <= last:
            end = min(last, first + self._blocks_per_request - 1)
            emitters = self.emitters[0] if len(self.emitters) == 1 else list(self.emitters)
            criteria = {"address": emitters, "fromBlock": hex(first), "toBlock": hex(end)}
            try:
                logs = self.node.request("eth_getLogs", criteria)
            except RequestRefused:
                if end == first:
                    raise
                self._blocks_per_request = max(1, (end - first + 1) // 2)
                continue
            if not isinstance(logs, list):
                raise MalformedResponse("expected a list of logs")
            found += decode_logs(logs, self._missing_timestamps(logs))
            first = end + 1
        return found

    def _missing_timestamps(self, logs: Sequence[dict[str, Any]]) -> dict[int, int]:
        try:
            numbers = sorted({quantity(log["blockNumber"]) for log in logs if "blockTimestamp" not in log})
        except (KeyError, TypeError) as error:
            raise MalformedResponse(f"a log of the node is none: {error!r}; ask another node") from error
        blocks = self._in_batches("eth_getBlockByNumber", [[hex(number), False] for number in numbers])
        return {number: parse_head(block).timestamp for number, block in zip(numbers, blocks, strict=True)}

    def _in_batches(self, method: str, parameters: Sequence[Sequence[Any]]) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(parameters), RECEIPTS_PER_BATCH):
            part = parameters[start : start + RECEIPTS_PER_BATCH]
            answers += self.node.batch([(method, one) for one in part])
        return answers

    def gas_by_call(self) -> dict[str, tuple[int, int]]:
        """Return how often each call of the ledger succeeded and the gas of all of them, by its name.

        The deployment is called ``deploy``.

        Raises:
            MalformedResponse: the node does not keep every transaction.
        """
        uses = gas_uses(self.node, self._read_events(self.deployed_block, self.head().number))
        if uses is None:
            raise MalformedResponse("the node does not keep every transaction: ask one that does")
        return gas_by_call(uses)


def _member(kind: type[Kind], value: int) -> Kind:
    try:
        return kind(value)
    except ValueError as error:
        raise MalformedResponse(f"the contract's view returned what it cannot return: {error}") from error
