"""Who is slow, dead or gone costs a round at most its deadline; processes, chain time and money are real."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from disturbances import AGGREGATOR, SUCCESSOR, WORKERS, Disturbances, Faults
from points import FaultPoint
from stage import CELL, POLICY, TALLY, trial
from trial import BOND_WEI, DEPOSIT_WEI, REWARD_WEI, ROLES, ROUNDS, Trial, addresses, payout_of

from fl_chain.ledger.events import RoundClosed, RoundOpened, RoundPosted
from fl_chain.records import ExclusionReason, RoundStatus, VoidReason

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SUBMISSION_S, PUBLICATION_S, POSTING_S = 7, 4, 5
DEADLINES = POLICY.model_copy(
    update={
        "quorum": 2,
        "submission_s": SUBMISSION_S,
        "publication_s": PUBLICATION_S,
        "posting_s": POSTING_S,
    }
)
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


Play = Callable[..., AbstractContextManager[Trial]]


@pytest.fixture
def played(tmp_path: Path, record_property: Callable[[str, object], None]) -> Play:
    """Plays a run to its end; its first round expects all workers."""

    @contextmanager
    def play(faults: Faults, *, roles: tuple[str, ...] = ROLES, rounds: int = 3) -> Iterator[Trial]:
        policy = DEADLINES.model_copy(update={"rounds": rounds})
        disturbances = Disturbances(faults)
        for cell in disturbances.cells():
            record_property(CELL, cell)
        with trial(tmp_path, disturbances, policy=policy, roles=roles) as run:
            run.start(WORKERS, until=lambda history: history.state.registered == len(WORKERS))
            run.run_to_the_end()
            counts = run.tally(besides=faults)
            record_property(TALLY, {name: asdict(count) for name, count in counts.items()})
            assert all((count.lost, count.doubled) == (0, 0) for count in counts.values())
            assert run.history.rounds[run.history.state.tip].step == rounds
            assert run.history.owed_wei == run.deployed.ledger.balance()
            assert run.audit().findings == []
            yield run

    return play


def test_a_worker_that_dies_before_it_publishes_costs_that_deadline_too(played: Play) -> None:
    faults = {MISSING: [FaultPoint("store write_update", for_good=True)]}
    with played(faults) as run:
        history, took = run.history, times(run)
        assert [history.rounds[i].submissions for i in (1, 2, 3)] == [3, 2, 2]
        assert [one.reason for one in history.postings[1].exclusions] == [ExclusionReason.UNREADABLE]
        assert took[1].submission_s < SUBMISSION_S
        assert took[1].posting_s >= PUBLICATION_S
        assert took[2].submission_s >= SUBMISSION_S
        assert took[3].submission_s < SUBMISSION_S
        for role in ALIVE:
            assert run.node.balance_wei(payout_of(role)) == 3 * (REWARD_WEI // 2) + DEPOSIT_WEI


def test_a_straggler_costs_one_deadline_and_loses_nothing_but_that_reward(played: Play) -> None:
    late_s = SUBMISSION_S + 1
    faults = {MISSING: [FaultPoint("broadcast submit", kind="slow", down_s=late_s)]}
    with played(faults) as run:
        history, took = run.history, times(run)
        assert [s.participant for s in history.submissions[1]].count(addresses()[MISSING]) == 0
        assert took[1].submission_s >= SUBMISSION_S
        assert took[1].submission_s < late_s + SUBMISSION_S
        assert max(took[i].submission_s for i in (2, 3)) < SUBMISSION_S
        rewards_wei = history.claimed_wei(addresses()[MISSING])
        assert rewards_wei == sum(
            REWARD_WEI // history.postings[i].included for i in (2, 3) if history.rounds[i].submissions == 3
        )
        assert run.node.balance_wei(payout_of(MISSING)) == rewards_wei + DEPOSIT_WEI
        refused = [one for one in run.transactions() if one.name == "submit" and not one.succeeded]
        assert len(refused) == 1


def test_below_the_quorum_a_round_is_void_and_training_goes_on(played: Play) -> None:
    away = FaultPoint("train", down_s=SUBMISSION_S + 2)
    with played({role: [away] for role in WORKERS[1:]}, rounds=2) as run:
        history = run.history
        assert history.voids == {1: VoidReason.BELOW_QUORUM}
        assert history.rounds[2].base_round == 0
        assert {history.rounds[i].status for i in (2, 3)} == {RoundStatus.FINAL}
        assert history.state.pool_wei == 0  # what the void round had reserved paid for another


@pytest.mark.parametrize(
    ("point", "own_postings"),
    [
        (FaultPoint("broadcast post", for_good=True), 0),
        (FaultPoint("broadcast post", "after", for_good=True), 1),
    ],
    ids=["with its bond deposited", "with its bond locked"],
)
def test_an_aggregator_that_vanishes_is_replaced_by_any_bonded_account(
    played: Play, undisturbed_root: bytes, point: FaultPoint, own_postings: int
) -> None:
    roles = (*ROLES, SUCCESSOR)
    with played({AGGREGATOR: [point]}, roles=roles, rounds=ROUNDS) as run:
        history, took = run.history, times(run)
        posters = [history.postings[i].poster for i in range(1, ROUNDS + 1)]
        first, second = addresses()[AGGREGATOR], addresses()[SUCCESSOR]
        assert posters == [first] * own_postings + [second] * (ROUNDS - own_postings)
        assert history.state.aggregator == second
        assert [one.posting_s >= POSTING_S for one in took.values()].count(True) == 1
        assert run.model_root() == undisturbed_root
        # The first one's bond and reward wait for it, whenever it comes back.
        left = history.accounts[first]
        assert left.free_bond_wei == BOND_WEI
