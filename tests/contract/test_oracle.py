"""The contract and the in-memory ledger are two accounts of the same rules: nothing tells them apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from oracle_falls import FALLS
from oracle_kinds import KINDS
from oracle_machine import LedgerMachine
from oracle_moves import Moves
from oracle_pair import DEFINITION, Pair
from oracle_people import AGGREGATOR, OPERATOR, PAYOUTS, POLICY, STRANGER, WORKERS, person
from oracle_proofs import FLAWS
from oracle_scenarios import SCENARIOS, UNREACHABLE, closed, joined, whole_life
from oracle_situations import SITUATIONS

from fl_chain.errors import LedgerError, LedgerReverted, TransactionFailed, TransactionRejected
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.events import EVENT_TYPES
from fl_chain.ledger.memory import MemoryLedger, Message, NativeCoin
from fl_chain.records import ZERO_ADDRESS, ZERO_DIGEST, LedgerPolicy, RewardSplit, RunId

FEWEST_CALLS = 1_500
FEWEST_FALLS = 10
YEAR_S = 365 * 24 * 3600


@pytest.fixture(scope="module")
def machine(oracle_settings: settings) -> Counter[str]:
    """What the state machine met."""
    run_state_machine_as_test(LedgerMachine, settings=oracle_settings)
    return LedgerMachine.met


@pytest.mark.slow
def test_both_ledgers_agree_after_every_call_of_anybody(machine: Counter[str]) -> None:
    assert LedgerMachine.calls >= FEWEST_CALLS
    assert machine["RoundFinalized"] > 0
    assert machine["RewardClaimed"] > 0
    assert machine["PostingFell"] >= FEWEST_FALLS
    assert machine["PostingObjected"] > 0


def test_every_custom_error_has_a_scenario_or_a_reason() -> None:
    declared = {error.name for error in ledger_abi().errors.values()}
    assert declared == set(SCENARIOS) | set(UNREACHABLE)
    assert not set(SCENARIOS) & set(UNREACHABLE)


@pytest.mark.parametrize("error", SCENARIOS)
def test_both_refuse_with_the_same_error(error: str) -> None:
    outcome = SCENARIOS[error]()
    assert isinstance(outcome, LedgerReverted)
    assert outcome.name == error


@pytest.mark.parametrize("situation", [*SITUATIONS, *FALLS])
def test_both_come_through_a_turn_in_the_same_way(situation: str) -> None:
    start, steps, check = (SITUATIONS | FALLS)[situation]
    moves = start()
    for step in steps:
        step(moves)
    assert check(moves)


@pytest.mark.parametrize("turn", KINDS)
def test_both_hold_each_kind_of_aggregation_to_its_own(turn: str) -> None:
    start, steps, check = KINDS[turn]
    moves = start()
    outcomes = [step(moves) for step in steps]
    assert check(moves, outcomes[-1])


@pytest.fixture(scope="module")
def posted() -> Moves:
    """A round whose posting is right."""
    moves = closed()
    moves.post(AGGREGATOR)
    return moves


@pytest.mark.parametrize(("kind", "flaw"), [(kind, flaw) for kind in FLAWS for flaw in FLAWS[kind]])
def test_both_refuse_a_proof_for_the_same_flaw(posted: Moves, kind: str, flaw: str) -> None:
    outcome = posted.challenge(kind, flaw)
    assert isinstance(outcome, LedgerReverted)
    assert outcome.name == FLAWS[kind][flaw][1]


@pytest.mark.parametrize("kind", FLAWS)
def test_both_refuse_to_call_a_right_posting_wrong(posted: Moves, kind: str) -> None:
    outcome = posted.challenge(kind)
    assert isinstance(outcome, LedgerReverted)
    assert outcome.name == "NothingWrong"


def test_a_whole_life_meets_every_event_and_pays_out_every_coin() -> None:
    pair = whole_life()
    assert {event.__name__ for event in EVENT_TYPES} <= set(pair.met)
    assert pair.memory.balance() == 0


def test_a_token_that_keeps_a_fee_is_refused() -> None:
    moves = Moves(Pair(is_token=True, fee_wei=1))
    outcome = moves.fund(10)
    assert isinstance(outcome, LedgerReverted)
    assert (outcome.name, outcome.arguments) == ("WrongPayment", {"sent": 9, "expected": 10})


def test_a_run_in_a_token_takes_no_coin() -> None:
    outcome = joined(0, is_token=True).fund(10, excess_wei=3)
    assert isinstance(outcome, LedgerReverted)
    assert (outcome.name, outcome.arguments) == ("WrongPayment", {"sent": 3, "expected": 0})


@pytest.mark.parametrize("is_token", [False, True])
def test_an_amount_beyond_128_bits_is_refused(is_token: bool) -> None:
    moves = joined(0, is_token=is_token)
    pool_wei = moves.pair.memory.state().pool_wei
    call = {"amount_wei": 2**128 - pool_wei, "value_wei": 0}
    assert isinstance(moves.pair.call(STRANGER, "fund", **call), TransactionFailed)
    call["amount_wei"] -= 1
    outcome = moves.pair.call(STRANGER, "fund", **call)
    assert isinstance(outcome, LedgerReverted)
    assert outcome.name == ("AmountTooLarge" if is_token else "WrongPayment")


def test_a_call_that_takes_no_coin_refuses_it() -> None:
    moves = joined(0)
    assert isinstance(moves.pair.call(STRANGER, "finalize", value_wei=1), TransactionFailed)


# ---------------------------------------------------------------------- deployment


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("fraction_bits", {"fraction_bits": 8}, {"fraction_bits": 7}),
        ("fraction_bits", {"fraction_bits": 24}, {"fraction_bits": 25}),
        ("scale_bits", {"scale_bits": 40}, {"scale_bits": 41}),
        ("max_total_weight", {"max_total_weight": 1}, {"max_total_weight": 0}),
        (
            "max_total_weight",
            {"scale_bits": 40, "clip_lanes": 1, "max_total_weight": 2**21 - 1},
            {"scale_bits": 40, "clip_lanes": 1, "max_total_weight": 2**21},
        ),
        ("clip_lanes", {"clip_lanes": 1}, {"clip_lanes": 0}),
        (
            "clip_lanes",
            {"clip_lanes": 2**16, "max_total_weight": 2**15 - 1},
            {"clip_lanes": 2**16, "max_total_weight": 2**15},
        ),
        ("quorum", {"quorum": 1}, {"quorum": 0}),
        ("close_at", {"close_at": 2}, {"close_at": 1}),
        ("max_rounds", {"max_rounds": 1}, {"max_rounds": 0}),
        ("max_unfinal_rounds", {"max_unfinal_rounds": 1}, {"max_unfinal_rounds": 0}),
        ("max_unfinal_rounds", {"max_unfinal_rounds": 64}, {"max_unfinal_rounds": 65}),
        ("publication_s", {"publication_s": 109}, {"publication_s": 110}),
        ("challenge_reward_wei", {"challenge_reward_wei": 50}, {"challenge_reward_wei": 51}),
        (
            "rho_micro_per_round",
            {"rho_micro_per_round": 2**64 - 1, "rho_micro_budget": 2**64 - 1},
            {"rho_micro_per_round": 1, "rho_micro_budget": 0},
        ),
        *(
            (f"{period}_s", {f"{period}_s": good}, {f"{period}_s": bad})
            for period in ("submission", "publication", "posting", "takeover", "challenge", "unbonding")
            for good, bad in ((1, 0), (YEAR_S, YEAR_S + 1))
            if (period, good) != ("publication", YEAR_S)
        ),
    ],
)
def test_both_keep_the_bounds_of_a_policy(
    pair: Pair, field: str, inside: dict[str, int], outside: dict[str, int]
) -> None:
    wide: LedgerPolicy = replace(POLICY, posting_s=100) if "publication_s" not in inside else POLICY
    if inside.get("posting_s") == 1 or inside.get("takeover_s") == 1:
        wide = replace(wide, publication_s=1)
    assert not isinstance(pair.deploy_again(replace(wide, **inside)), LedgerError)
    refusal = pair.deploy_again(replace(wide, **outside))
    assert isinstance(refusal, LedgerReverted)
    name = field.replace("_s", "_seconds") if field.endswith("_s") else field
    first, *rest = name.split("_")
    assert refusal.name == "PolicyOutOfBounds"
    assert refusal.arguments["field"] == first + "".join(word.title() for word in rest)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair()


@pytest.mark.parametrize(
    "changes",
    [
        {"policy_hash": ZERO_DIGEST},
        {"manifest_hash": ZERO_DIGEST},
        {"genesis_model_root": ZERO_DIGEST},
        {"dimension": 0},
        {"dimension": 2**32 + 1},
    ],
)
def test_both_refuse_a_definition_that_leaves_something_out(pair: Pair, changes: dict[str, Any]) -> None:
    refusal = pair.deploy_again(definition=replace(DEFINITION, **changes))
    assert isinstance(refusal, LedgerReverted)
    assert refusal.name == "PolicyOutOfBounds"


def test_both_take_the_largest_dimension_and_no_zero_aggregator(pair: Pair) -> None:
    assert not isinstance(pair.deploy_again(definition=replace(DEFINITION, dimension=2**32)), LedgerError)
    refusal = pair.deploy_again(aggregator=ZERO_ADDRESS)
    assert isinstance(refusal, LedgerReverted)
    assert refusal.name == "ZeroAddress"


# ---------------------------------------------------------------------- the in-memory ledger alone


def memory_ledger(policy: LedgerPolicy = POLICY, balance_wei: int = 10**9) -> MemoryLedger:
    coin = NativeCoin(dict.fromkeys((OPERATOR, AGGREGATOR, *WORKERS), balance_wei), frozenset({PAYOUTS[1]}))
    run = RunId(1, person("ledger"))
    return MemoryLedger(run, Message(OPERATOR, 1), DEFINITION, policy, aggregator=AGGREGATOR, coin=coin)


def test_no_more_participants_than_a_counter_of_16_bits_holds() -> None:
    ledger = memory_ledger()
    for number in range(2**16 - 1):
        ledger.admit(Message(OPERATOR, 2), person(f"participant {number}"), 1)
    with pytest.raises(LedgerReverted, match="TooManyParticipants") as refusal:
        ledger.admit(Message(OPERATOR, 2), person("one more"), 1)
    assert refusal.value.arguments == {"admitted": 2**16 - 1}


def test_nobody_sends_more_than_it_holds() -> None:
    ledger = memory_ledger(balance_wei=5)
    with pytest.raises(TransactionRejected, match="send it money first"):
        ledger.fund(Message(OPERATOR, 2, 6), 6)
    ledger.fund(Message(OPERATOR, 2, 5), 5)
    assert (ledger.balance(), ledger.state().pool_wei) == (5, 5)


def test_an_account_that_takes_no_coin_keeps_its_credit() -> None:
    ledger = memory_ledger()
    ledger.admit(Message(OPERATOR, 2), WORKERS[0], 1)
    ledger.register(Message(WORKERS[0], 2, POLICY.deposit_wei), PAYOUTS[1])
    ledger.leave(Message(WORKERS[0], 3))
    before = ledger.account(WORKERS[0])
    with pytest.raises(LedgerReverted, match="TransferFailed"):
        ledger.withdraw(Message(STRANGER, 3 + POLICY.unbonding_s), WORKERS[0])
    assert ledger.account(WORKERS[0]) == before
    assert ledger.balance() == POLICY.deposit_wei


@pytest.mark.parametrize("weight", [-1, 2**32, 1.0])
def test_an_argument_that_no_transaction_can_carry_is_refused(weight: Any) -> None:
    ledger = memory_ledger(replace(POLICY, reward_split=RewardSplit.DECLARED_WEIGHT))
    with pytest.raises(ValueError, match="integer of 32 bits"):
        ledger.admit(Message(OPERATOR, 2), WORKERS[0], weight)
    assert len(ledger.events) == 1
