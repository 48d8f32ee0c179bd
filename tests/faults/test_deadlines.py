"""Who is slow, dead or gone costs a round at most its deadline; processes, chain time and money are real."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from disturbances import AGGREGATOR, SUCCESSOR, WORKERS, Disturbances, Faults
from points import FaultPoint
from stage import CELL, POLICY, TALLY, trial
from trial import (
    AGGREGATOR_REWARD_WEI,
    BOND_WEI,
    DEPOSIT_WEI,
    REWARD_WEI,
    ROLES,
    ROUNDS,
    Trial,
    addresses,
    payout_of,
)

from fl_chain.ledger.events import RoundClosed, RoundOpened, RoundPosted
from fl_chain.ledger.history import History
from fl_chain.records import ExclusionReason, RoundStatus, VoidReason

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

POLICY_OF_TWO = POLICY.model_copy(update={"quorum": 2})
SUBMISSION_S, PUBLICATION_S = POLICY.submission_s, POLICY.publication_s
POSTING_S = POLICY.posting_s
ALIVE, MISSING = WORKERS[:2], WORKERS[2]


@dataclass
class Times:
    """When a round went on, in seconds of chain time."""

    opened: int = 0
    closed: int = 0
    posted: int = 0

    @property
    def submission_s(self) -> int:
        return self.closed - self.opened

    @property
    def posting_s(self) -> int:
        return self.posted - self.closed


def times(run: Trial) -> dict[int, Times]:
    found: dict[int, Times] = {}
    for event in run.deployed.ledger.all_events():
        match event:
            case RoundOpened():
                found[event.round] = Times(opened=event.place.timestamp)
            case RoundClosed():
                found[event.round].closed = event.place.timestamp
            case RoundPosted():
                found[event.round].posted = event.place.timestamp
    return found


def submitted(round_id: int, number: int) -> Callable[[History], bool]:
    return lambda history: len(history.submissions.get(round_id, ())) == number


def has_closed(round_id: int) -> Callable[[History], bool]:
    return lambda history: round_id in history.seeds


Play = Callable[..., AbstractContextManager[Trial]]


@pytest.fixture
def begun(tmp_path: Path, record_property: Callable[[str, object], None]) -> Play:
    """Begins a run whose first round expects all workers; on leaving, plays it to its end."""

    @contextmanager
    def begin(faults: Faults, *, roles: tuple[str, ...] = ROLES, rounds: int = 3) -> Iterator[Trial]:
        policy = POLICY_OF_TWO.model_copy(update={"rounds": rounds})
        disturbances = Disturbances(faults)
        for cell in disturbances.cells():
            record_property(CELL, cell)
        with trial(tmp_path, disturbances, policy=policy, roles=roles) as run:
            run.start(WORKERS, until=lambda history: history.state.registered == len(WORKERS))
            run.start(roles[len(WORKERS) :], until=lambda history: history.state.latest == 1)
            yield run
            counts = run.tally(besides=faults)
            record_property(TALLY, {name: asdict(count) for name, count in counts.items()})
            assert all((count.lost, count.doubled) == (0, 0) for count in counts.values())
            assert run.history.rounds[run.history.state.tip].step == rounds
            assert run.history.owed_wei == run.deployed.ledger.balance()
            assert run.audit().findings == []

    return begin


def test_a_worker_that_dies_for_good_costs_one_deadline_of_each_kind(begun: Play) -> None:
    with begun({MISSING: [FaultPoint("store write_update", for_good=True)]}) as run:
        run.wait(lambda history: has_closed(1)(history) and run.parts[MISSING].is_gone)
        run.wait(lambda history: sum(map(run.is_published, history.submissions[1])) == 2)
        run.leap(PUBLICATION_S)
        run.wait(submitted(2, 2))
        run.leap(SUBMISSION_S)
        run.run_to_the_end()

        history, took = run.history, times(run)
        assert [history.rounds[i].submissions for i in (1, 2, 3)] == [3, 2, 2]
        assert [one.reason for one in history.postings[1].exclusions] == [ExclusionReason.UNREADABLE]
        assert took[1].submission_s < SUBMISSION_S
        assert took[1].posting_s >= PUBLICATION_S
        assert took[2].submission_s >= SUBMISSION_S
        assert took[2].posting_s < PUBLICATION_S
        assert took[3].submission_s < SUBMISSION_S
        assert took[3].posting_s < PUBLICATION_S
        for role in ALIVE:
            assert run.node.balance_wei(payout_of(role)) == 3 * (REWARD_WEI // 2) + DEPOSIT_WEI


def test_a_straggler_costs_one_deadline_and_loses_nothing_but_that_reward(begun: Play) -> None:
    with begun({MISSING: [FaultPoint("broadcast submit", kind="straggle")]}) as run:
        run.wait(submitted(1, 2))
        run.wait(lambda history: run.parts[MISSING].struck.exists())  # it is about to submit to round 1
        run.leap(SUBMISSION_S)
        run.wait(has_closed(1))
        run.parts[MISSING].call_back()
        run.wait(
            lambda history: any(one.name == "submit" and not one.succeeded for one in run.transactions())
        )
        run.run_to_the_end()

        history, took, who = run.history, times(run), addresses()[MISSING]
        assert all(submission.participant != who for submission in history.submissions[1])
        assert took[1].submission_s >= SUBMISSION_S
        assert max(took[i].submission_s for i in (2, 3)) < SUBMISSION_S
        rewarded = [i for i in (2, 3) if history.rounds[i].submissions == 3]
        rewards_wei = sum(REWARD_WEI // history.postings[i].included for i in rewarded)
        assert history.claimed_wei(who) == rewards_wei
        assert run.node.balance_wei(payout_of(MISSING)) == rewards_wei + DEPOSIT_WEI
        # Later rounds do not wait for it, so it may come too late for one of them as well.
        refused = [one for one in run.transactions() if one.name == "submit" and not one.succeeded]
        assert {one.sender for one in refused} == {who}
        assert refused[0].round == 1
        assert len({one.round for one in refused}) == len(refused)


def test_below_the_quorum_a_round_is_void_and_training_goes_on(begun: Play, undisturbed_root: bytes) -> None:
    away = [FaultPoint("train", stays_away=True)]
    with begun(dict.fromkeys(WORKERS[1:], away), rounds=ROUNDS) as run:
        run.wait(lambda history: submitted(1, 1)(history) and all(run.parts[r].is_away for r in WORKERS[1:]))
        run.leap(SUBMISSION_S)
        run.wait(lambda history: history.state.latest == 2)
        for role in WORKERS[1:]:
            run.parts[role].call_back()
        run.run_to_the_end()

        history = run.history
        assert history.voids == {1: VoidReason.BELOW_QUORUM}
        assert history.rounds[2].base_round == 0
        assert {history.rounds[i].status for i in (2, 3)} == {RoundStatus.FINAL}
        assert history.state.pool_wei == 0  # what the void round had reserved paid for another
        assert run.model_root() == undisturbed_root


@pytest.mark.parametrize(
    ("point", "own_postings"),
    [
        (FaultPoint("broadcast post", for_good=True), 0),
        (FaultPoint("broadcast post", "after", for_good=True), 1),
    ],
    ids=["with its bond deposited", "with its bond locked"],
)
def test_an_aggregator_that_vanishes_is_replaced_by_any_bonded_account(
    begun: Play, undisturbed_root: bytes, point: FaultPoint, own_postings: int
) -> None:
    with begun({AGGREGATOR: [point]}, roles=(*ROLES, SUCCESSOR), rounds=ROUNDS) as run:
        orphaned = own_postings + 1
        run.wait(lambda history: has_closed(orphaned)(history) and run.parts[AGGREGATOR].is_gone)
        run.wait(lambda history: all(map(run.is_published, history.submissions[orphaned])))
        run.leap(POSTING_S)
        run.run_to_the_end()

        history, took = run.history, times(run)
        posters = [history.postings[i].poster for i in range(1, ROUNDS + 1)]
        first, second = addresses()[AGGREGATOR], addresses()[SUCCESSOR]
        assert posters == [first] * own_postings + [second] * (ROUNDS - own_postings)
        assert history.state.aggregator == second
        assert [i for i, one in took.items() if one.posting_s >= POSTING_S] == [orphaned]
        assert run.model_root() == undisturbed_root
        # The first one's bond and reward wait for it, whenever it comes back.
        assert history.accounts[first].free_bond_wei == BOND_WEI
        assert history.accounts[first].credit_wei == own_postings * AGGREGATOR_REWARD_WEI
