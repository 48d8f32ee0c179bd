"""Turns that follow from a posting that falls, for both ledgers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from oracle_moves import Moves
from oracle_people import AGGREGATOR, KEYS, OPERATOR, POLICY, RIVAL, STRANGER, WORKERS, person
from oracle_scenarios import call, challenge, closed, joined, object_to, opened, post, submit, suspend, wait
from oracle_situations import Check, Situation, close, counts, credit_wei, leave, void

from fl_chain.errors import LedgerError
from fl_chain.records import RewardSplit, RoundStatus, VoidReason

BONUS_WEI = POLICY.bond_wei - POLICY.challenge_reward_wei
NINE = (*WORKERS, *(person(f"one more worker {number}") for number in range(4)))

OPEN, CLOSED, POSTED, VOID = RoundStatus.OPEN, RoundStatus.CLOSED, RoundStatus.POSTED, RoundStatus.VOID
by_weight = replace(POLICY, reward_split=RewardSplit.DECLARED_WEIGHT)
alone = replace(POLICY, quorum=1)


def submit_all(moves: Moves) -> None:
    """Submit for everybody."""
    moves.submit_all()


def exceed(excess: str) -> Callable[[Moves], Any]:
    """Return a step in which the last worker submits a lane out of its bounds, which closes the round."""

    def step(moves: Moves) -> Any:
        weight = min(2, moves.pair.policy.highest_weight_cap)
        moves.submit(WORKERS[0], weight)
        moves.submit(WORKERS[1], weight)
        return moves.submit(WORKERS[2], weight, excess=excess)

    return step


def nine_submissions() -> Moves:
    """Return a closed round with two partial sums of level 1 and one of level 2."""
    moves = joined(0, replace(POLICY, quorum=1, deposit_wei=0))
    for worker in NINE:
        moves.join(worker)
    moves.pair.succeed(STRANGER, "open_round")
    for worker in NINE:
        moves.submit(worker)
    return moves


def claim_all(round_id: int) -> Callable[[Moves], Any]:
    """Return a step in which everybody claims what a round has for it, and nobody is refused."""

    def step(moves: Moves) -> None:
        for worker in WORKERS:
            for one in moves.claims(worker):
                if one.round == round_id:
                    assert not isinstance(moves.claim(worker, [one]), LedgerError)

    return step


# ---------------------------------------------------------------------- what is checked


def fallen(round_id: int = 1, postings: int = 1, bonus_wei: int = BONUS_WEI) -> Check:
    """Return a check that a round waits for another posting."""

    def check(moves: Moves) -> bool:
        current, state = moves.pair.memory.round(round_id), moves.pair.memory.state()
        return (
            (current.status, current.posting_number, current.since) == (CLOSED, postings, moves.pair.now)
            and (state.active, state.tip) == (round_id, current.base_round)
            and moves.pair.memory.bonus_wei(round_id) == bonus_wei
        )

    return check


def voided(reason: VoidReason, *rounds: int) -> Check:
    """Return a check that exactly these rounds are void, for this reason."""
    return lambda moves: moves.pair.history.voids == dict.fromkeys(rounds, reason)


def bond_wei(account: str, free: int, locked: int) -> Check:
    """Return a check of an account's bonds, counted in postings."""

    def check(moves: Moves) -> bool:
        held, one_wei = moves.pair.memory.account(account), POLICY.bond_wei  # type: ignore[arg-type]
        return (held.free_bond_wei, held.locked_bond_wei) == (free * one_wei, locked * one_wei)

    return check


def claimed(*amounts_wei: int) -> Check:
    """Return a check of everything that was paid in rewards, in its order."""
    return lambda moves: tuple(one.amount_wei for one in moves.pair.history.claims) == amounts_wei


def pool_wei(rounds: int, more_wei: int = 0) -> Check:
    """Return a check of the pool: the reserves of so many rounds, and some dust."""
    reserve_wei = POLICY.reward_wei + POLICY.aggregator_reward_wei
    return lambda moves: moves.pair.memory.state().pool_wei == rounds * reserve_wei + more_wei


def every(*checks: Check) -> Check:
    """Return a check that all of these hold."""
    return lambda moves: all(check(moves) for check in checks)


settle = (wait(POLICY.challenge_s), call(STRANGER, "finalize"))
lost = every(bond_wei(AGGREGATOR, 2, 0), credit_wei(STRANGER, POLICY.challenge_reward_wei))
kept = every(bond_wei(AGGREGATOR, 3, 0), credit_wei(STRANGER, 0))

FALLS: dict[str, Situation] = {
    "a sum of submissions is wrong": (
        closed,
        (post(lie="first sum"), challenge("sum")),
        every(fallen(), lost, voided(VoidReason.BASE_FELL, 2)),
    ),
    "the model is wrong": (closed, (post(lie="model"), challenge("apply")), every(fallen(), lost)),
    **{
        f"a lane {excess} its bound is included": (
            opened,
            (exceed(excess), post(), challenge("range")),
            every(fallen(), lost),
        )
        for excess in ("above", "below", "padding")
    },
    "a sum is wrong beside what is left out": (
        closed,
        (wait(POLICY.publication_s), post(excluded=((1, 3),), lie="first sum"), challenge("sum")),
        every(fallen(), lost, lambda moves: not moves.pair.memory.is_excluded(1, 1)),
    ),
    "a sum of sums is wrong": (
        nine_submissions,
        (post(lie="total"), challenge("sum")),
        every(fallen(), lost),
    ),
    "the first of many sums is wrong": (
        nine_submissions,
        (post(lie="first sum"), challenge("sum")),
        every(fallen(), lost),
    ),
    "a sum of nothing is wrong": (
        nine_submissions,
        (
            wait(POLICY.publication_s),
            post(excluded=tuple((index, 3) for index in range(8)), lie="first sum"),
            challenge("sum"),
        ),
        every(fallen(), lost),
    ),
    "a challenge comes in the last second": (
        closed,
        (post(lie="model"), wait(POLICY.challenge_s - 1), challenge("apply")),
        every(fallen(), lost),
    ),
    "the poster challenges itself": (
        closed,
        (
            post(lie="model"),
            lambda moves: moves.challenge("challenge_apply", challenger=AGGREGATOR),
        ),
        every(fallen(), bond_wei(AGGREGATOR, 2, 0), credit_wei(AGGREGATOR, POLICY.challenge_reward_wei)),
    ),
    "each posting of a liar has a bond of its own": (
        closed,
        (
            *(post(lie="model"), submit_all, post(lie="model"), submit_all, post(lie="first sum")),
            *(challenge("sum"), challenge("apply"), challenge("apply", oldest=True)),
        ),
        every(
            fallen(),
            bond_wei(AGGREGATOR, 0, 0),
            credit_wei(STRANGER, 3 * POLICY.challenge_reward_wei),
            voided(VoidReason.BASE_FELL, 3, 2),
        ),
    ),
    "what is open on a fallen posting is void, and expects everybody again": (
        closed,
        (post(lie="model"), submit(0), leave(1), challenge("apply"), post(RIVAL)),
        every(counts(OPEN, 2, 0), voided(VoidReason.BASE_FELL, 2), lambda moves: moves.latest.id == 3),
    ),
    "what has closed on a fallen posting is void": (
        closed,
        (post(lie="model"), submit(0), submit(1), leave(2), challenge("apply"), post(RIVAL)),
        every(counts(OPEN, 2, 0), voided(VoidReason.BASE_FELL, 2)),
    ),
    "an honest posting on a fallen one gets its bond back": (
        closed,
        (
            *(post(lie="model"), submit_all, wait(POLICY.posting_s), post(RIVAL), submit(2)),
            challenge("apply", oldest=True),
        ),
        every(fallen(), lost, bond_wei(RIVAL, 3, 0), voided(VoidReason.BASE_FELL, 2, 3), pool_wei(5)),
    ),
    "a void round stays void when its base falls": (
        closed,
        (post(lie="model"), submit(0), wait(POLICY.challenge_s - 1), challenge("apply"), post(RIVAL), close),
        every(lambda moves: moves.pair.history.voids == {2: 3, 3: 1}, counts(OPEN, 3, 0)),
    ),
    "a rival posts at once where the named aggregator is barred": (
        closed,
        (post(lie="model"), challenge("apply"), post(AGGREGATOR), post(RIVAL)),
        lambda moves: moves.pair.memory.state().aggregator == RIVAL and moves.latest.id == 3,
    ),
    "a barred account posts the next round": (
        closed,
        (post(lie="model"), challenge("apply"), post(RIVAL), submit_all, wait(POLICY.posting_s), post()),
        lambda moves: moves.pair.memory.posting_summary(3)[0] == AGGREGATOR,
    ),
    "who is not named waits for one that is not barred": (
        closed,
        (wait(POLICY.posting_s), post(RIVAL, lie="model"), challenge("apply"), post(RIVAL), post(AGGREGATOR)),
        lambda moves: moves.pair.memory.state().aggregator == AGGREGATOR and moves.latest.id == 3,
    ),
    "two lie about one round, and the included share both bonds": (
        closed,
        (
            *(post(lie="model"), challenge("apply"), post(RIVAL, lie="total"), challenge("sum")),
            call(WORKERS[0], "deposit_bond", amount_wei=POLICY.bond_wei, value_wei=POLICY.bond_wei),
            *(wait(POLICY.posting_s), post(WORKERS[0]), *settle, claim_all(1)),
        ),
        every(
            claimed(*3 * [(POLICY.reward_wei + 2 * BONUS_WEI) // 3]),
            lambda moves: moves.pair.memory.bonus_wei(1) == 2 * BONUS_WEI,
        ),
    ),
    "the dust of a final round is that of reward and bonus": (
        closed,
        (post(lie="model"), challenge("apply"), post(RIVAL), *settle, claim_all(1)),
        every(claimed(483, 483, 483), pool_wei(4, 1)),
    ),
    "reward and bonus are shared by declared weight": (
        lambda: opened(policy=by_weight),
        (
            *(submit(0, 1), submit(1, 2), submit(2, 4), post(lie="first sum"), challenge("sum")),
            *(post(RIVAL), *settle, claim_all(1)),
        ),
        claimed(207, 414, 828),
    ),
    "nobody posts a fallen round again, and its submitters share the bonus": (
        lambda: closed(4),
        (post(lie="model"), challenge("apply"), void, claim_all(1)),
        every(claimed(*4 * [BONUS_WEI // 4]), pool_wei(5, BONUS_WEI % 4)),
    ),
    "a bonus of a void round is shared equally whatever the weights are": (
        lambda: opened(policy=by_weight),
        (
            *(submit(0, 1), submit(1, 2), submit(2, 4)),
            *(wait(POLICY.publication_s), post(excluded=((1, 3),), lie="model"), challenge("apply")),
            *(void, claim_all(1)),
        ),
        claimed(150, 150, 150),
    ),
    "a bonus goes with a round whose base falls": (
        closed,
        (
            *(post(lie="model"), submit_all, post(lie="model"), challenge("apply")),
            *(post(RIVAL), challenge("apply", oldest=True), claim_all(2)),
        ),
        every(
            fallen(),
            claimed(150, 150, 150),
            voided(VoidReason.BASE_FELL, 3, 2),
            bond_wei(RIVAL, 3, 0),
        ),
    ),
    "more than half of three object": (
        closed,
        (post(lie="random total"), object_to(0), object_to(1), object_to(2)),
        every(fallen(bonus_wei=0), kept, lambda moves: moves.pair.memory.is_barred(1, AGGREGATOR)),
    ),
    "half of four is not enough": (
        lambda: closed(4),
        (post(lie="random model"), object_to(0), object_to(1)),
        lambda moves: moves.pair.memory.round(1).status is POSTED,
    ),
    "two object to a posting of two": (
        lambda: closed(2),
        (post(lie="random model"), object_to(0), object_to(1)),
        every(fallen(bonus_wei=0), kept),
    ),
    "one objects to a posting of one": (
        lambda: closed(1, alone),
        (post(lie="random total"), object_to(0)),
        every(fallen(bonus_wei=0), kept),
    ),
    "an objection counts against one posting only": (
        closed,
        (*(post(lie="random model"), object_to(0), object_to(1), post(RIVAL), object_to(0), object_to(0)),),
        lambda moves: moves.pair.memory.round(1).status is POSTED and moves.pair.memory.objections_to(1) == 1,
    ),
    "who has left or is suspended objects": (
        closed,
        (post(lie="random model"), leave(0), suspend(1), object_to(0), object_to(1)),
        fallen(bonus_wei=0),
    ),
    "a new key objects for its participant, the old one does not": (
        opened,
        (
            *(call(WORKERS[0], "request_signer_rotation", signer=KEYS[0]), wait(POLICY.unbonding_s)),
            *(submit_all, post(lie="random model"), call(KEYS[0], "rotate_signer", participant=WORKERS[0])),
            *(call(WORKERS[0], "withdraw", holder=WORKERS[0]), object_to(0), object_to(1)),
        ),
        fallen(bonus_wei=0),
    ),
    "a proof takes the bond of a posting that some object to": (
        closed,
        (post(lie="model"), object_to(0), challenge("apply"), post(RIVAL)),
        every(lost, lambda moves: moves.pair.memory.objections_to(1) == 0),
    ),
    "the last model falls, and the run goes on": (
        lambda: closed(policy=replace(POLICY, max_rounds=1)),
        (
            *(post(lie="model"), challenge("apply"), lambda moves: moves.fund(5), post(RIVAL)),
            *settle,
        ),
        lambda moves: moves.pair.memory.has_ended(moves.pair.now) and moves.latest.id == 1,
    ),
    "a fallen round of a run that was to end is posted again": (
        closed,
        (
            *(post(lie="model"), call(OPERATOR, "announce_end"), submit_all),
            *(wait(POLICY.challenge_s - 1), challenge("apply"), wait(POLICY.submission_s - 90), post(RIVAL)),
            *settle,
        ),
        lambda moves: moves.latest.id == 3 and moves.pair.memory.state().settled == 2,
    ),
}
