"""The shortest way to each custom error; every step of it is compared on both ledgers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from oracle_moves import Moves
from oracle_pair import Outcome, Pair
from oracle_people import AGGREGATOR, KEYS, OPERATOR, PAYOUTS, POLICY, RIVAL, STRANGER, WORKERS

from fl_chain.records import ZERO_ADDRESS, Address, AggregationKind, LedgerPolicy

WITH_STATE = replace(POLICY, aggregation=AggregationKind.SUMS_WITH_STATE)
WITH_RESULT = replace(POLICY, aggregation=AggregationKind.RESULT)

SCENARIOS: dict[str, Callable[[], Outcome]] = {}

UNREACHABLE = {
    "TooManyParticipants": "takes 65,535 admissions, which only the in-memory ledger is fast enough for",
    "ReentrancyGuardReentrantCall": "takes a token that calls back, which is no rule of the ledger",
}


def joined(
    participants: int = 3, policy: LedgerPolicy = POLICY, funded_rounds: int = 6, **coin: Any
) -> Moves:
    """Return a run with money, bonds and participants, and nothing opened."""
    moves = Moves(Pair(policy, **coin))
    moves.fund(funded_rounds * (policy.reward_wei + policy.aggregator_reward_wei))
    for account in (AGGREGATOR, RIVAL):
        moves.deposit_bond(account, 3 * policy.bond_wei)
    for worker in WORKERS[:participants]:
        moves.join(worker)
    return moves


def opened(participants: int = 3, policy: LedgerPolicy = POLICY) -> Moves:
    """Return a run whose first round is open."""
    moves = joined(participants, policy)
    moves.pair.succeed(STRANGER, "open_round")
    return moves


def closed(participants: int = 3, policy: LedgerPolicy = POLICY) -> Moves:
    """Return a run whose first round is closed."""
    moves = opened(participants, policy)
    moves.submit_all()
    return moves


def final(excluded: int | None = None) -> Moves:
    """Return a run whose first round is final."""
    moves = closed()
    moves.pass_until(moves.latest.since + POLICY.publication_s)
    moves.post(AGGREGATOR, () if excluded is None else ((excluded, 1),))
    moves.pass_until(moves.pair.now + POLICY.challenge_s)
    moves.pair.succeed(STRANGER, "finalize")
    return moves


def ended() -> Moves:
    """Return a run that nobody joined and that has ended."""
    moves = joined(0)
    moves.pair.succeed(OPERATOR, "announce_end")
    moves.pass_until(moves.pair.now + POLICY.submission_s)
    return moves


def refused(error: str, start: Callable[[], Moves], *steps: Callable[[Moves], Any]) -> None:
    """Register the way to a custom error; its last step is the one that is refused."""

    def run() -> Outcome:
        moves = start()
        outcomes = [step(moves) for step in steps]
        outcome: Outcome = outcomes[-1]
        return outcome

    SCENARIOS[error] = run


def call(caller: Address, name: str, **arguments: Any) -> Callable[[Moves], Outcome]:
    """Return a step that makes a call."""
    return lambda moves: moves.pair.call(caller, name, **arguments)


def wait(seconds: int) -> Callable[[Moves], None]:
    """Return a step in which time passes."""
    return lambda moves: moves.pass_until(moves.pair.now + seconds)


def submit(worker: int, weight: int = 2, flaw: str | None = None) -> Callable[[Moves], Outcome]:
    """Return a step in which somebody submits."""
    return lambda moves: moves.submit(WORKERS[worker], weight, flaw)


def post(
    poster: Address = AGGREGATOR,
    excluded: tuple[tuple[int, int], ...] = (),
    flaw: str | None = None,
    lie: str | None = None,
) -> Callable[[Moves], Outcome]:
    """Return a step in which somebody posts."""
    return lambda moves: moves.post(poster, excluded, flaw, lie)


def challenge(kind: str, flaw: str | None = None, *, oldest: bool = False) -> Callable[[Moves], Any]:
    """Return a step in which a posting is challenged, the newest or the oldest one."""
    return lambda moves: moves.challenge(f"challenge_{kind}", flaw, oldest=oldest)


def object_to(worker: int, flaw: str | None = None) -> Callable[[Moves], Outcome]:
    """Return a step in which a worker objects to the newest posting."""
    return lambda moves: moves.object(WORKERS[worker], flaw)


def challenge_excluded(moves: Moves) -> Outcome:
    """Challenge the first submission, which is left out."""
    current = moves.posted()
    assert current is not None
    return moves.prove("challenge_range", moves.prover(current).range(0, 0, 0), current.id)


def claim(worker: int, flaw: str | None = None) -> Callable[[Moves], Outcome]:
    """Return a step in which the first submission's reward of a worker is claimed."""
    return lambda moves: moves.claim(WORKERS[worker], moves.claims(WORKERS[worker])[:1], flaw)


def admit(worker: int, weight_cap: int = 5) -> Callable[[Moves], Outcome]:
    """Return a step in which somebody is admitted."""
    return call(OPERATOR, "admit", participant=WORKERS[worker], weight_cap=weight_cap)


def suspend(worker: int) -> Callable[[Moves], Outcome]:
    """Return a step in which somebody is suspended."""
    return call(OPERATOR, "suspend", participant=WORKERS[worker])


ask_for_key = call(WORKERS[0], "request_signer_rotation", signer=KEYS[0])
published = wait(POLICY.publication_s)

# ---------------------------------------------------------------------- operator and money

refused("NotOperator", joined, call(STRANGER, "announce_end"))
refused("EndAlreadyAnnounced", ended, call(OPERATOR, "announce_end"))
refused("RunEnded", ended, lambda moves: moves.fund(5))
refused("RunNotEnded", joined, call(OPERATOR, "withdraw_pool", to=OPERATOR))
refused("ZeroAddress", ended, call(OPERATOR, "withdraw_pool", to=ZERO_ADDRESS))
refused("WrongPayment", joined, lambda moves: moves.fund(5, excess_wei=1))
refused("NothingToWithdraw", joined, call(STRANGER, "withdraw", holder=AGGREGATOR))
refused("BondTooSmall", joined, call(RIVAL, "request_bond", amount_wei=3 * POLICY.bond_wei + 1))
refused(
    "TransferFailed",
    final,
    lambda moves: moves.pair.call(WORKERS[0], "change_payout", payout=moves.pair.ledger),
    claim(0),
)
refused(
    "AmountTooLarge",
    lambda: joined(0, is_token=True),
    lambda moves: moves.fund(2**127),
    lambda moves: moves.deposit_bond(RIVAL, 2**127),
)
refused("SafeERC20FailedOperation", lambda: joined(0, is_token=True), lambda moves: moves.fund(2**255))

# ---------------------------------------------------------------------- participants

refused("AlreadyAdmitted", joined, admit(0))
refused("WeightCapOutOfBounds", joined, admit(4, 0))
refused("NotAdmitted", joined, lambda moves: moves.register(WORKERS[4], PAYOUTS[0]))
refused("AlreadyRegistered", joined, lambda moves: moves.register(WORKERS[0], PAYOUTS[0]))
refused("NotRegistered", joined, call(STRANGER, "leave"))
refused("AlreadySuspended", joined, suspend(0), suspend(0))
refused("SuspensionPending", opened, suspend(0), admit(0))
refused("ParticipantSuspendedFrom", joined, suspend(2), call(STRANGER, "open_round"), submit(2))
refused(
    "SignerTaken",
    joined,
    ask_for_key,
    wait(POLICY.unbonding_s),
    call(KEYS[0], "rotate_signer", participant=WORKERS[0]),
    call(OPERATOR, "admit", participant=KEYS[0], weight_cap=1),
)
refused("NoRotationPending", joined, call(KEYS[0], "rotate_signer", participant=WORKERS[0]))
refused("NotRequestedSigner", joined, ask_for_key, call(KEYS[1], "rotate_signer", participant=WORKERS[0]))
refused(
    "RotationNotDue",
    joined,
    ask_for_key,
    wait(POLICY.unbonding_s - 1),
    call(KEYS[0], "rotate_signer", participant=WORKERS[0]),
)

# ---------------------------------------------------------------------- rounds

refused("RoundInProgress", opened, call(STRANGER, "open_round"))
refused("TooFewParticipants", lambda: joined(1), call(STRANGER, "open_round"))
refused(
    "TooManyUnfinalRounds",
    lambda: closed(policy=replace(POLICY, max_unfinal_rounds=1)),
    post(),
    call(STRANGER, "open_round"),
)
refused(
    "PoolTooSmall",
    lambda: joined(funded_rounds=0),
    lambda moves: moves.fund(POLICY.reward_wei + POLICY.aggregator_reward_wei - 1),
    call(STRANGER, "open_round"),
)
refused(
    "PrivacyBudgetSpent",
    lambda: closed(policy=replace(POLICY, rho_micro_per_round=5, rho_micro_budget=14)),
    post(),
    lambda moves: moves.submit_all(),
    post(),
    call(STRANGER, "open_round"),
)
refused("WrongStatus", opened, call(STRANGER, "void_round", round_id=1))
refused("WrongBaseModel", opened, submit(0, flaw="base"))
refused("AlreadySubmitted", opened, submit(0), submit(0))
refused("DeadlinePassed", opened, wait(POLICY.submission_s), submit(0))
refused("DeadlineNotPassed", opened, wait(POLICY.submission_s - 1), call(STRANGER, "close_round", round_id=1))
refused("WeightOutOfBounds", opened, submit(0, 6))
refused(
    "TotalWeightExceeded",
    lambda: opened(policy=replace(POLICY, max_total_weight=9)),
    submit(0, 5),
    submit(1, 5),
)
refused("WrongDigest", closed, post(flaw="digest"))
refused("WrongPartialSumCount", closed, post(flaw="too many sums"))
refused("WrongRoots", closed, post(flaw="state root"))
refused("NotYourTurn", closed, wait(POLICY.posting_s - 1), post(RIVAL))
refused("ExclusionsTooEarly", closed, wait(POLICY.publication_s - 1), post(excluded=((0, 1),)))
refused("ExclusionsNotAscending", closed, published, post(flaw="order"))
refused("IndexOutOfBounds", closed, published, post(flaw="index"))
refused("UnknownReason", closed, published, post(flaw="reason"))
refused("LeafMismatch", closed, published, post(flaw="leaf root"))
refused("NothingIncluded", closed, published, post(flaw="everybody"))
refused("BelowQuorum", closed, published, post(excluded=((0, 1), (1, 2))))
refused("ChallengeWindowClosed", closed, post(lie="model"), wait(POLICY.challenge_s), challenge("apply"))
refused("NoSuchChallenge", lambda: closed(policy=WITH_STATE), post(), challenge("apply"))
refused("WrongPartialSums", closed, post(), challenge("sum", "list"))
refused("WrongLength", closed, post(), challenge("apply", "total path"))
refused("ChunkOutOfBounds", closed, post(), challenge("range", "chunk"))
refused("LaneOutOfBounds", closed, post(), challenge("range", "lane"))
refused("PathMismatch", closed, post(), challenge("apply", "base"))
refused("NotIncluded", closed, published, post(excluded=((0, 1),)), challenge_excluded)
refused("NothingWrong", closed, post(), challenge("sum"))
refused("Barred", closed, post(lie="model"), challenge("apply"), post())
refused("WrongModel", closed, post(), object_to(0, "model"))
refused("AlreadyObjected", closed, post(), object_to(0), object_to(0))
refused("NothingToFinalize", closed, post(), wait(POLICY.challenge_s - 1), call(STRANGER, "finalize"))
refused("NotFinal", closed, claim(0))
refused("ExcludedFromReward", lambda: final(excluded=0), claim(0))
refused("AlreadyClaimed", final, claim(0, flaw="twice"))


refused(
    "PolicyOutOfBounds",
    lambda: joined(0),
    lambda moves: moves.pair.deploy_again(replace(POLICY, quorum=0)),
)


def whole_life() -> Pair:
    """Return a run in which everything that can happen has happened, to the last coin."""
    moves = final(excluded=0)
    pair = moves.pair
    for step in (
        lambda moves: moves.submit_all(),
        post(lie="model"),
        object_to(0),
        challenge("apply"),
        post(RIVAL),
        lambda moves: moves.claim(WORKERS[1], [one for one in moves.claims(WORKERS[1]) if one.round == 1]),
        ask_for_key,
        wait(POLICY.unbonding_s),
        call(KEYS[0], "rotate_signer", participant=WORKERS[0]),
        call(KEYS[0], "change_payout", payout=PAYOUTS[1]),
        suspend(1),
        call(WORKERS[1], "leave"),
        call(OPERATOR, "announce_end"),
        wait(POLICY.submission_s),
        call(STRANGER, "close_round", round_id=4),
        call(STRANGER, "finalize"),
        call(RIVAL, "request_bond", amount_wei=3 * POLICY.bond_wei),
        call(AGGREGATOR, "request_bond", amount_wei=2 * POLICY.bond_wei),
        call(KEYS[0], "leave"),
        call(WORKERS[2], "leave"),
        *[lambda moves, at=at: moves.claim(WORKERS[at], moves.claims(WORKERS[at])[-1:]) for at in range(3)],
        lambda moves: moves.claim(WORKERS[2], moves.claims(WORKERS[2])[:1]),
        wait(POLICY.unbonding_s),
        call(OPERATOR, "withdraw_pool", to=OPERATOR),
        *[
            call(STRANGER, "withdraw", holder=holder)
            for holder in (STRANGER, RIVAL, AGGREGATOR, *WORKERS[:3])
        ],
    ):
        outcome: Any = step(moves)
        assert outcome is None or isinstance(outcome, tuple), outcome
    return pair
