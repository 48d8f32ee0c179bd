"""Turns that a random run takes seldom, for both ledgers: who is expected, which key signs, what is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from oracle_moves import Moves
from oracle_people import AGGREGATOR, KEYS, OPERATOR, PAYOUTS, POLICY, RIVAL, STRANGER, WORKERS
from oracle_scenarios import admit, call, closed, joined, opened, post, submit, suspend, wait

from fl_chain.records import RoundStatus

Check = Callable[[Moves], bool]
Situation = tuple[Callable[[], Moves], Sequence[Callable[[Moves], Any]], Check]


def leave(worker: int) -> Callable[[Moves], Any]:
    """Return a step in which somebody leaves."""
    return lambda moves: moves.pair.call(moves.signer(WORKERS[worker]), "leave")


def register(worker: int) -> Callable[[Moves], Any]:
    """Return a step in which somebody registers."""
    return lambda moves: moves.register(WORKERS[worker], PAYOUTS[1])


def close(moves: Moves) -> Any:
    """Close the open round at its deadline."""
    moves.pass_until(moves.current.since + POLICY.submission_s)
    return moves.pair.call(STRANGER, "close_round", round_id=moves.current.id)


def void(moves: Moves) -> Any:
    """Void the closed round at the last deadline of its posting."""
    moves.pass_until(moves.current.since + POLICY.posting_s + POLICY.takeover_s)
    return moves.pair.call(STRANGER, "void_round", round_id=moves.current.id)


def rotate(moves: Moves) -> Any:
    """Put the first key in force."""
    return moves.pair.call(KEYS[0], "rotate_signer", participant=WORKERS[0])


def counts(status: RoundStatus, remaining: int, returning: int) -> Check:
    """Return a check of the newest round."""

    def check(moves: Moves) -> bool:
        latest = moves.latest
        return (latest.status, latest.remaining, latest.returning) == (status, remaining, returning)

    return check


def credit_wei(account: str, amount_wei: int) -> Check:
    """Return a check of what an account may take out."""
    return lambda moves: moves.pair.memory.account(account).credit_wei == amount_wei


OPEN, CLOSED, VOID = RoundStatus.OPEN, RoundStatus.CLOSED, RoundStatus.VOID
ask_for_key = call(WORKERS[0], "request_signer_rotation", signer=KEYS[0])
in_two_parts = replace(POLICY, max_unfinal_rounds=2)

SITUATIONS: dict[str, Situation] = {
    "the last one awaited leaves below the quorum": (
        opened,
        (submit(0), leave(1), leave(2)),
        counts(OPEN, 0, 1),
    ),
    "the last one awaited leaves": (opened, (submit(0), submit(1), leave(2)), counts(CLOSED, 0, 2)),
    "the last one awaited is suspended": (opened, (submit(0), submit(1), suspend(2)), counts(CLOSED, 0, 2)),
    "the suspended one submits after all": (opened, (suspend(2), submit(2)), counts(OPEN, 2, 0)),
    "one leaves after its submission": (opened, (submit(0), leave(0)), counts(OPEN, 2, 0)),
    "one leaves after its submission and comes back": (
        opened,
        (submit(0), leave(0), register(0), submit(0)),
        counts(OPEN, 2, 1),
    ),
    "one leaves before its submission and comes back": (
        opened,
        (leave(0), register(0), submit(0)),
        counts(OPEN, 2, 1),
    ),
    "one is admitted into an open round and registers there": (
        opened,
        (admit(3), register(3), submit(3)),
        counts(OPEN, 3, 1),
    ),
    "one is admitted into an open round and registers in the next": (
        opened,
        (admit(3), submit(0), submit(1), close, register(3), post()),
        counts(OPEN, 3, 0),
    ),
    "one is admitted and never registers": (
        opened,
        (admit(3), submit(0), submit(1), close, post()),
        counts(OPEN, 2, 0),
    ),
    "one is admitted before the first round and comes after it": (
        lambda: joined(2),
        (admit(3), call(STRANGER, "open_round"), submit(0), submit(1), close, post(), register(3)),
        counts(OPEN, 3, 0),
    ),
    "a suspended one is reinstated when the round has closed": (
        opened,
        (submit(0), suspend(0), submit(1), submit(2), admit(0, 3), post()),
        counts(OPEN, 3, 0),
    ),
    "a suspended one leaves and is admitted again": (
        opened,
        (suspend(0), leave(0), admit(0), register(0)),
        counts(OPEN, 3, 0),
    ),
    "one is suspended, leaves, and its admission is taken back": (
        opened,
        (suspend(0), leave(0), admit(0), suspend(0)),
        counts(OPEN, 2, 0),
    ),
    "one leaves and its admission is taken back": (opened, (leave(0), suspend(0)), counts(OPEN, 2, 0)),
    "one leaves, is suspended and is admitted again": (
        opened,
        (leave(0), suspend(0), admit(0), register(0)),
        counts(OPEN, 3, 0),
    ),
    "one leaves when the round has closed": (closed, (leave(0), post()), counts(OPEN, 2, 0)),
    "one leaves and comes back when the round has closed": (
        closed,
        (leave(0), register(0), post()),
        counts(OPEN, 3, 0),
    ),
    "one that missed a round leaves": (
        opened,
        (submit(0), submit(1), close, leave(2), post()),
        counts(OPEN, 2, 0),
    ),
    "a round below the quorum expects everybody again": (opened, (submit(0), close), counts(OPEN, 3, 0)),
    "a round that nobody posts expects who submitted": (
        opened,
        (submit(0), submit(1), close, void),
        counts(OPEN, 2, 0),
    ),
    "one leaves a void round that nothing follows": (
        lambda: opened(2),
        (suspend(1), submit(0), close, leave(0)),
        counts(VOID, 0, 0),
    ),
    "void rounds make room without a transaction of their own": (
        lambda: opened(policy=in_two_parts),
        (close, close, close, close),
        lambda moves: (moves.latest.id, moves.latest.status) == (5, OPEN),
    ),
    "a posting makes room for one round": (
        lambda: closed(policy=in_two_parts),
        (post(), lambda moves: moves.submit_all(), wait(POLICY.challenge_s), post()),
        lambda moves: moves.latest.id == 3 and moves.pair.memory.state().settled == 1,
    ),
    "a due round is settled by whoever opens the next": (
        lambda: closed(policy=in_two_parts),
        (
            *(post(), lambda moves: moves.submit_all(), post()),
            *(wait(POLICY.challenge_s), call(STRANGER, "open_round")),
        ),
        lambda moves: moves.latest.id == 3 and moves.pair.memory.state().settled == 1,
    ),
    "a key is rotated and rotated back": (
        opened,
        (
            *(ask_for_key, wait(POLICY.unbonding_s), rotate, submit(0)),
            call(KEYS[0], "request_signer_rotation", signer=WORKERS[0]),
            wait(POLICY.unbonding_s),
            call(WORKERS[0], "rotate_signer", participant=WORKERS[0]),
        ),
        lambda moves: moves.pair.memory.identity_of(WORKERS[0]) == WORKERS[0],
    ),
    "a request for a key is cancelled": (
        opened,
        (ask_for_key, call(WORKERS[0], "request_signer_rotation", signer=WORKERS[0]), wait(99), rotate),
        lambda moves: moves.pair.memory.identity_of(KEYS[0]) != WORKERS[0],
    ),
    "the requested key is admitted before it is put in force": (
        opened,
        (ask_for_key, call(OPERATOR, "admit", participant=KEYS[0], weight_cap=1), wait(99), rotate),
        lambda moves: moves.pair.memory.identity_of(KEYS[0]) == KEYS[0],
    ),
    "an identity whose key was rotated away stays its own": (
        opened,
        (
            *(ask_for_key, wait(POLICY.unbonding_s), rotate),
            call(WORKERS[1], "request_signer_rotation", signer=WORKERS[0]),
        ),
        lambda moves: moves.pair.memory.rotation(WORKERS[1]) is None,
    ),
    "one leaves, and its key is rotated all the same": (
        opened,
        (ask_for_key, leave(0), wait(POLICY.unbonding_s), rotate, register(0), submit(0)),
        counts(OPEN, 2, 1),
    ),
    "bond that is due is not delayed by asking for more": (
        joined,
        (
            call(RIVAL, "request_bond", amount_wei=100),
            wait(POLICY.unbonding_s),
            call(RIVAL, "request_bond", amount_wei=10),
        ),
        credit_wei(RIVAL, 100),
    ),
    "bond that is not due waits for what is asked later": (
        joined,
        (
            call(RIVAL, "request_bond", amount_wei=100),
            wait(POLICY.unbonding_s - 1),
            call(RIVAL, "request_bond", amount_wei=10),
            wait(1),
            call(STRANGER, "withdraw", holder=RIVAL),
        ),
        lambda moves: moves.pair.memory.account(RIVAL).unbonding_wei == 110,
    ),
    "a rival that posts is the named aggregator from then on": (
        closed,
        (
            wait(POLICY.posting_s),
            post(RIVAL),
            lambda moves: moves.submit_all(),
            post(AGGREGATOR),
            post(RIVAL),
        ),
        lambda moves: moves.latest.id == 3,
    ),
    "the announced end lets one more round open": (
        closed,
        (call(OPERATOR, "announce_end"), post(), lambda moves: moves.submit_all(), post()),
        lambda moves: moves.latest.id == 2,
    ),
    "after the last model nothing opens": (
        lambda: closed(policy=replace(POLICY, max_rounds=1)),
        (post(), call(STRANGER, "open_round"), wait(POLICY.challenge_s), call(STRANGER, "finalize")),
        lambda moves: moves.pair.memory.has_ended(moves.pair.now),
    ),
}
