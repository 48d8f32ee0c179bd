"""What each kind of aggregation posts, and which challenges it leaves, for both ledgers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oracle_falls import exceed
from oracle_moves import Moves
from oracle_pair import Outcome
from oracle_people import WORKERS, some_digest
from oracle_scenarios import (
    WITH_RESULT,
    WITH_STATE,
    admit,
    challenge,
    closed,
    joined,
    object_to,
    opened,
    post,
)

from fl_chain.commitment.proofs import ApplyProof, Proof, SumProof
from fl_chain.errors import LedgerReverted
from fl_chain.records import ZERO_DIGEST, LedgerPolicy

Steps = tuple[Callable[[Moves], Any], ...]
Kinds = dict[str, tuple[Callable[[], Moves], Steps, Callable[[Moves, Any], bool]]]


def refused(name: str, **arguments: Any) -> Callable[[Moves, Outcome], bool]:
    """Return a check of the last call: refused by an error, with arguments."""

    def check(moves: Moves, outcome: Outcome) -> bool:
        assert isinstance(outcome, LedgerReverted), outcome
        return (outcome.name, dict(outcome.arguments)) == (name, arguments)

    return check


def taken(moves: Moves, outcome: Outcome) -> bool:
    """Check that the last call was taken."""
    return isinstance(outcome, tuple)


def fell(moves: Moves, outcome: Outcome) -> bool:
    """Check that the posting of round 1 fell."""
    return isinstance(outcome, tuple) and moves.pair.memory.round(1).posting_number == 1


def say(proof: Proof) -> Callable[[Moves], Outcome]:
    """Return a step that sends a proof about round 1."""
    return lambda moves: moves.prove(f"challenge_{proof.reason.name.lower()}", proof, 1)


def closed_run(policy: LedgerPolicy) -> Callable[[], Moves]:
    """Return the way to a closed round."""
    return lambda: closed(policy=policy)


ZERO, RESULT, STATE = (
    "0x" + root.hex() for root in (ZERO_DIGEST, some_digest("result"), some_digest("state"))
)
EMPTY_SUM = SumProof(0, 0, ZERO_DIGEST, (), (), (), b"", ())
EMPTY_APPLY = ApplyProof(0, (), b"", (), b"", (), ZERO_DIGEST, ())
state, result = int(WITH_STATE.aggregation), int(WITH_RESULT.aggregation)

KINDS: Kinds = {
    "sums with state: posted": (closed_run(WITH_STATE), (post(),), taken),
    "sums with state: no state": (
        closed_run(WITH_STATE),
        (post(flaw="state root"),),
        refused("WrongRoots", aggregation=state, resultRoot=ZERO, stateRoot=ZERO),
    ),
    "sums with state: a result": (
        closed_run(WITH_STATE),
        (post(flaw="result root"),),
        refused("WrongRoots", aggregation=state, resultRoot=RESULT, stateRoot=STATE),
    ),
    "sums with state: no sums": (
        closed_run(WITH_STATE),
        (post(flaw="too few sums"),),
        refused("WrongPartialSumCount", given=0, expected=1),
    ),
    "sums with state: a wrong sum falls": (
        closed_run(WITH_STATE),
        (post(lie="first sum"), challenge("sum")),
        fell,
    ),
    "sums with state: an update out of range falls": (
        lambda: opened(policy=WITH_STATE),
        (exceed("above"), post(), challenge("range")),
        fell,
    ),
    "sums with state: a model cannot be shown wrong": (
        closed_run(WITH_STATE),
        (post(lie="model"), challenge("apply")),
        refused("NoSuchChallenge", aggregation=state),
    ),
    "sums with state: a wrong model is objected to": (
        closed_run(WITH_STATE),
        (post(lie="model"), object_to(0), object_to(1)),
        fell,
    ),
    "result: posted": (closed_run(WITH_RESULT), (post(),), taken),
    "result: no result": (
        closed_run(WITH_RESULT),
        (post(flaw="result root"),),
        refused("WrongRoots", aggregation=result, resultRoot=ZERO, stateRoot=ZERO),
    ),
    "result: a state": (
        closed_run(WITH_RESULT),
        (post(flaw="state root"),),
        refused("WrongRoots", aggregation=result, resultRoot=RESULT, stateRoot=STATE),
    ),
    "result: sums": (
        closed_run(WITH_RESULT),
        (post(flaw="too many sums"),),
        refused("WrongPartialSumCount", given=1, expected=0),
    ),
    "result: a sum cannot be shown wrong": (
        closed_run(WITH_RESULT),
        (post(), say(EMPTY_SUM)),
        refused("NoSuchChallenge", aggregation=result),
    ),
    "result: a model cannot be shown wrong": (
        closed_run(WITH_RESULT),
        (post(), say(EMPTY_APPLY)),
        refused("NoSuchChallenge", aggregation=result),
    ),
    "result: an update out of range falls": (
        lambda: opened(policy=WITH_RESULT),
        (exceed("below"), post(), challenge("range")),
        fell,
    ),
    "result: a wrong posting is objected to": (
        closed_run(WITH_RESULT),
        (post(), object_to(0), object_to(1)),
        fell,
    ),
    "result: a cap above 1": (
        lambda: joined(policy=WITH_RESULT),
        (admit(4, 2),),
        refused("WeightCapOutOfBounds", weightCap=2, highestCap=1),
    ),
    "result: a cap of 1": (lambda: joined(policy=WITH_RESULT), (admit(4, 1),), taken),
    "result: a weight above 1": (
        lambda: opened(policy=WITH_RESULT),
        (lambda moves: moves.submit(WORKERS[0], 2),),
        refused("WeightOutOfBounds", weight=2, weightCap=1),
    ),
}
