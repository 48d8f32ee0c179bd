"""The contract and the in-memory ledger side by side, and the history that the contract's events give."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, is_dataclass, replace
from typing import Any

from oracle_evm import EvmLedger
from oracle_people import (
    AGGREGATOR,
    DIMENSION,
    EVERYBODY,
    OPERATOR,
    PEOPLE,
    POLICY,
    RIVAL,
    START,
    some_digest,
)
from oracle_vectors import Vectors, genesis_lanes

from fl_chain.commitment.partial_sums import sums_hash
from fl_chain.commitment.tree import vector_root
from fl_chain.errors import LedgerError, LedgerReverted
from fl_chain.ledger.devnet.chain import GENESIS_BALANCE_WEI
from fl_chain.ledger.events import Event, Place, PoolWithdrawn, RewardClaimed, Withdrawn
from fl_chain.ledger.history import History
from fl_chain.ledger.memory import Coin, MemoryLedger, Message, NativeCoin, Token
from fl_chain.ledger.views import AccountBalance, Participant, RunState
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
    address,
)

NOWHERE = Place(0, b"", 0, b"", 0)
# Each call's arguments in the order of ITrainingLedger.sol, by the names of the in-memory ledger.
CALLS: dict[str, tuple[str, ...]] = {
    "fund": ("amount_wei",),
    "admit": ("participant", "weight_cap"),
    "suspend": ("participant",),
    "announce_end": (),
    "withdraw_pool": ("to",),
    "register": ("payout",),
    "change_payout": ("payout",),
    "request_signer_rotation": ("signer",),
    "rotate_signer": ("participant",),
    "leave": (),
    "open_round": (),
    "submit": ("round", "base_model_root", "sealed_root", "weight"),
    "close_round": ("round_id",),
    "post": (
        *("round", "digest", "exclusions", "partial_sum_roots"),
        *("result_root", "state_root", "model_root"),
    ),
    "void_round": ("round_id",),
    "finalize": (),
    "challenge_sum": ("round_id", "proof"),
    "challenge_range": ("round_id", "proof"),
    "challenge_apply": ("round_id", "proof"),
    "object": ("round", "model_root", "index", "weight", "sealed_root"),
    "deposit_bond": ("amount_wei",),
    "request_bond": ("amount_wei",),
    "withdraw": ("holder",),
    "claim": ("participant", "claims"),
}


Outcome = tuple[Event, ...] | LedgerError


def definition(dimension: int = DIMENSION) -> RunDefinition:
    """Return what is trained: a model of so many lanes."""
    genesis = vector_root(genesis_lanes(dimension))
    return RunDefinition(some_digest("policy"), some_digest("manifest"), genesis, dimension)


DEFINITION = definition()


class Pair:
    """Makes each call to both ledgers and compares everything that can be seen of them.

    Attributes:
        now: chain time in seconds; tests move it.
        met: how often each event and each custom error was seen.
        vectors: behind what is submitted and posted.
    """

    def __init__(
        self,
        policy: LedgerPolicy = POLICY,
        *,
        is_token: bool = False,
        fee_wei: int = 0,
        dimension: int = DIMENSION,
    ) -> None:
        self.now, self.calls = START, 0
        self.met: Counter[str] = Counter()
        self.evm = EvmLedger(PEOPLE)
        message = self.message(OPERATOR)
        balances = dict.fromkeys(PEOPLE, 2**200 if is_token else GENESIS_BALANCE_WEI)
        coin: Coin = NativeCoin(balances)
        if is_token:
            coin = Token(self.evm.deploy_token(message, balances, fee_wei), balances, fee_wei)
        self.coin = coin
        trained = definition(dimension)
        events = self.evm.deploy(message, trained, policy, AGGREGATOR)
        run = RunId(self.evm.chain_id, self.evm.address)
        self.memory = MemoryLedger(run, message, trained, policy, aggregator=AGGREGATOR, coin=coin)
        self.policy = policy
        self.vectors = Vectors(run, dimension, policy.quantisation)
        self.history = History(run)
        self._verify_outcomes(self.memory.events, events)
        self.history.extend(events)
        self.verify_views()

    def deploy_again(
        self,
        policy: LedgerPolicy = POLICY,
        definition: RunDefinition = DEFINITION,
        aggregator: Address = AGGREGATOR,
    ) -> Outcome:
        """Deploy another run to both, and return its events or what it was refused with."""
        message, evm = self.message(OPERATOR), EvmLedger(())
        run = RunId(evm.chain_id, evm.address)
        coin = NativeCoin({})
        expected = self._outcome(
            lambda: MemoryLedger(run, message, definition, policy, aggregator=aggregator, coin=coin).events
        )
        actual = self._outcome(lambda: evm.deploy(message, definition, policy, aggregator))
        self._verify_outcomes(expected, actual)
        return expected

    @property
    def ledger(self) -> Address:
        """The contract's address."""
        return self.evm.address

    def message(self, caller: Address, value_wei: int = 0) -> Message:
        """Return a message of this moment."""
        return Message(caller, self.now, value_wei, some_digest("prevrandao", self.calls))

    def call(self, caller: Address, name: str, *, value_wei: int = 0, **arguments: Any) -> Outcome:
        """Make a call to both and return its events, or what it was refused with."""
        self.calls += 1
        message = self.message(caller, value_wei)
        expected = self._outcome(lambda: getattr(self.memory, name)(message, **arguments))
        values = [_plain(arguments.get(key, ZERO_DIGEST)) for key in CALLS[name]]
        actual = self._outcome(lambda: self.evm.call(message, _camel_case(name), values))
        self._verify_outcomes(expected, actual)
        if not isinstance(actual, LedgerError):
            self.history.extend(actual)
            if name == "post":
                assert self.evm.posted_exclusions() == _plain(arguments["exclusions"])
        self.verify_views()
        return expected

    def succeed(self, caller: Address, name: str, *, value_wei: int = 0, **arguments: Any) -> None:
        """Make a call to both that has to succeed."""
        outcome = self.call(caller, name, value_wei=value_wei, **arguments)
        assert not isinstance(outcome, LedgerError), f"{name}: {outcome}"

    @staticmethod
    def _outcome(call: Any) -> Outcome:
        try:
            outcome: Outcome = call()
        except LedgerError as error:
            return error
        return outcome

    # ------------------------------------------------------------------ comparisons

    def _verify_outcomes(self, expected: Outcome, actual: Outcome) -> None:
        if isinstance(expected, LedgerError) or isinstance(actual, LedgerError):
            assert _described(actual) == _described(expected)
            self.met[_described(expected)[1]] += 1
            return
        assert [_unplaced(event) for event in actual] == [_unplaced(event) for event in expected]
        assert all(event.place.timestamp == self.now for event in (*expected, *actual))
        self.met.update(type(event).__name__ for event in actual)

    def verify_views(self) -> None:
        """Compare every view of the two, and what the events alone give."""
        self._verify_run()
        for round_id in range(self.memory.state().latest + 2):
            self._verify_round(round_id)
        for one in (*EVERYBODY, self.ledger):
            self._verify_person(one)
        self._verify_history()

    def _verify_run(self) -> None:
        memory, view = self.memory, self.evm.view
        *numbers, aggregator, pool_wei = view("runState")
        assert RunState(*numbers, address(aggregator), pool_wei) == memory.state()
        assert view("hasEnded") == memory.has_ended(self.evm.now)
        assert address(view("operator")) == memory.operator
        assert address(view("token")) == memory.token
        assert view("policy") == astuple(memory.policy())
        assert view("definition") == astuple(memory.definition())
        assert self.evm.balance_wei(self.ledger) == memory.balance()

    def _verify_round(self, round_id: int) -> None:
        memory, view = self.memory, self.evm.view
        status, *numbers = view("roundOf", round_id)
        actual = Round(round_id, RoundStatus(status), *numbers, Digest(view("digestOf", round_id)))
        assert actual == memory.round(round_id)
        assert view("modelRootOf", round_id) == memory.model_root(round_id)
        assert view("sumsHashOf", round_id) == memory.sums_hash(round_id)
        poster, *rest = view("postingOf", round_id)
        assert (address(poster), *rest) == memory.posting_summary(round_id)
        assert view("bonusOf", round_id) == memory.bonus_wei(round_id)
        for account in (AGGREGATOR, RIVAL):
            assert view("isBarred", round_id, account) == memory.is_barred(round_id, account)
        # The next three share a slot with every submission, so they are asked from Closed on.
        is_closed = actual.status is not RoundStatus.OPEN
        objections = view("objectionsTo", round_id) if is_closed else 0
        assert objections == memory.objections_to(round_id)
        for index in range(actual.submissions + 1):
            assert view("leafOf", round_id, index) == memory.leaf(round_id, index)
            if is_closed:
                assert view("isExcluded", round_id, index) == memory.is_excluded(round_id, index)
            if objections:
                assert view("hasObjected", round_id, index) == memory.has_objected(round_id, index)
            assert view("isClaimed", round_id, index) == memory.is_claimed(round_id, index)

    def _verify_person(self, one: Address) -> None:
        memory, view = self.memory, self.evm.view
        signer, payout, *rest = view("participantOf", one)
        assert Participant(address(signer), address(payout), *rest) == memory.participant(one)
        assert address(view("identityOf", one)) == memory.identity_of(one)
        assert AccountBalance(*view("accountOf", one)) == memory.account(one)
        if one != ZERO_ADDRESS:
            assert self.evm.balance_wei(one) == self.coin.balance_wei(one)

    def _verify_history(self) -> None:
        history, memory = self.history, self.memory
        assert history.state == memory.state()
        assert (history.operator, history.token) == (memory.operator, memory.token)
        assert (history.definition, history.policy) == (memory.definition(), memory.policy())
        assert history.genesis == memory.round(0)
        assert history.rounds == {
            number: memory.round(number) for number in range(1, history.state.latest + 1)
        }
        for number in history.rounds:
            self._verify_replayed_round(number)
        assert history.owed_wei + self._stranded_wei() == memory.balance()
        for one in EVERYBODY:
            assert history.account(one) == memory.account(one)
            assert history.identities.get(one, ZERO_ADDRESS) == memory.identity_of(one)
            assert history.rotations.get(one) == memory.rotation(one)
            if one in history.participants:
                assert history.participants[one] == memory.participant(one)
            else:
                assert memory.participant(one).signer == ZERO_ADDRESS

    def _stranded_wei(self) -> int:
        """Return what was paid to the ledger itself: it takes no coin, but a token does not ask."""
        payments = (PoolWithdrawn, Withdrawn, RewardClaimed)
        paid = [event for event in self.memory.events if isinstance(event, payments)]
        return sum(event.amount_wei for event in paid if event.to == self.ledger)

    def _verify_replayed_round(self, number: int) -> None:
        history, memory = self.history, self.memory
        assert history.model_root(number) == memory.model_root(number)
        self._verify_replayed_fall(number)
        submissions, posting = history.submissions[number], history.postings.get(number)
        assert [one.leaf for one in submissions] == [memory.leaf(number, one.index) for one in submissions]
        paid = {claim.participant for claim in history.claims if claim.round == number}
        claimed = {one.participant for one in submissions if memory.is_claimed(number, one.index)}
        assert paid == claimed
        for claim in history.claims:
            if claim.round == number:
                (own,) = [one for one in submissions if one.participant == claim.participant]
                assert history.reward_wei(own) == claim.amount_wei
        if posting is None:
            assert memory.sums_hash(number) == ZERO_DIGEST
            return
        assert sums_hash(posting.partial_sum_roots) == memory.sums_hash(number)
        summary = (posting.poster, posting.finalizable_at, posting.included_weight, posting.included)
        assert summary == memory.posting_summary(number)
        left_out = [one.index for one in submissions if memory.is_excluded(number, one.index)]
        assert [exclusion.index for exclusion in posting.exclusions] == left_out

    def _verify_replayed_fall(self, number: int) -> None:
        history, memory = self.history, self.memory
        assert history.bonus_wei(number) == memory.bonus_wei(number)
        for account in (AGGREGATOR, RIVAL):
            assert history.is_barred(number, account) == memory.is_barred(number, account)
        submitted = {one.participant: one.index for one in history.submissions[number]}
        objected = [submitted[participant] for participant in history.objections_to(number)]
        assert len(objected) == memory.objections_to(number)
        assert all(memory.has_objected(number, index) for index in objected)
        fallen = [one for one in history.fallen if one.posting.round == number]
        assert [one.posting.posting_number for one in fallen] == list(range(len(fallen)))
        assert len(fallen) == memory.round(number).posting_number
        assert sum(one.bonus_wei for one in fallen) == memory.bonus_wei(number)


def _described(outcome: Outcome) -> tuple[str, str, dict[str, Any]]:
    if isinstance(outcome, LedgerReverted):
        return "refused", outcome.name, outcome.arguments
    if isinstance(outcome, LedgerError):
        return "refused", type(outcome).__name__, {}
    return "succeeded", "", {}


def _unplaced(event: Event) -> Event:
    return replace(event, place=NOWHERE)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return astuple(value) if is_dataclass(value) else value


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
