"""A simulation whose chain is executed in a process of its own: the same chain, and no refusal passes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fl_chain.audit import audit_run
from fl_chain.config import CohortSettings, PolicySettings, RunSettings
from fl_chain.data.orange_juice import logistic_regression
from fl_chain.errors import MalformedResponse
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event
from fl_chain.ledger.memory.twin import SetClock, twin_of
from fl_chain.policy import run_policy, with_cohort_size
from fl_chain.records import Digest
from fl_chain.run.folder import read_run_folder
from fl_chain.simulation import Progress, Simulation, SimulationChoices, ahead, ledgers, open_simulation
from fl_chain.simulation.ahead import AHEAD_ROUNDS, AheadLedger, Block, ChainNotFollowing
from fl_chain.store import Store

TASK, MODEL, TRAINING = logistic_regression()
CHOICES = SimulationChoices(n_participants=3, division="iid", ledger="tester")
ROUNDS = 4


def settings(rounds: int = ROUNDS, **changes: object) -> RunSettings:
    policy = PolicySettings(rounds=rounds, quorum=2, **changes)  # type: ignore[arg-type]
    return RunSettings(seed=7, task=TASK, model=MODEL, training=TRAINING, policy=policy)


@dataclass(frozen=True)
class Ended:
    """What a simulation left."""

    folder: Path
    head: bytes
    model_root: Digest


def ended(
    folder: Path,
    run: RunSettings | None = None,
    inspect: Callable[[Simulation], None] = lambda simulation: None,
) -> Ended:
    with open_simulation(folder, run or settings(), CHOICES) as simulation:
        inspect(simulation)
        history = simulation.run()
        return Ended(folder, simulation.ledger.head().hash, history.model_root(history.state.tip))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A simulation that was ahead of its chain, to its end."""
    seen: list[type[Ledger]] = []
    made = ended(tmp_path_factory.mktemp("ahead") / "run", inspect=lambda one: seen.append(type(one.ledger)))
    assert seen == [AheadLedger]
    return made


def test_the_chain_is_the_same_whether_it_is_waited_for_or_not(
    whole: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "may_go_ahead", lambda policy: False)
    seen: list[type[Ledger]] = []
    waited = ended(tmp_path / "run", inspect=lambda one: seen.append(type(one.ledger)))
    assert seen == [Ledger]
    assert (waited.head, waited.model_root) == (whole.head, whole.model_root)


def test_an_audit_finds_everything_on_the_chain(whole: Ended) -> None:
    found = read_run_folder(whole.folder)
    with found.open_ledger() as ledger:
        report = audit_run(ledger, Store(found.store_urls))
    assert report.verdict == "pass"
    assert [one.included for one in report.rounds] == [3] * ROUNDS


def test_the_chain_falls_behind_so_far_and_no_further(
    whole: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = ahead._Chain.executed

    def slowly(chain: ahead._Chain, order: Block | ahead.Moment) -> str:
        time.sleep(0.1)
        return executed(chain, order)

    monkeypatch.setattr(ahead._Chain, "executed", slowly)
    behind: list[int] = []
    with open_simulation(tmp_path / "run", settings(), CHOICES) as simulation:
        ledger = simulation.ledger
        assert isinstance(ledger, AheadLedger)

        def say(progress: Progress) -> None:
            waiting = ledger._follower._unanswered
            if progress.metrics is None and waiting:
                behind.append(progress.round + 1 - min(waiting))

        simulation.run(say)
        assert simulation.ledger.head().hash == whole.head
    assert max(behind) == AHEAD_ROUNDS  # when a round begins; its first submission waits


def test_what_the_contract_refuses_stops_the_simulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeat = ahead._FollowingLedger.repeat

    def with_no_weight(
        ledger: ahead._FollowingLedger, block: Block, accounts: Mapping[str, Account]
    ) -> object:
        if block.round == 2 and block.calls[0].name == "submit":
            first = block.calls[0]
            spoiled = replace(first, arguments=(*first.arguments[:-1], 0))
            block = replace(block, calls=(spoiled, *block.calls[1:]))
        return repeat(ledger, block, accounts)  # type: ignore[arg-type]

    monkeypatch.setattr(ahead._FollowingLedger, "repeat", with_no_weight)
    with open_simulation(tmp_path / "run", settings(9), CHOICES) as simulation:
        with pytest.raises(ChainNotFollowing, match=r"round 2, submit: .*WeightOutOfBounds"):
            simulation.run()
        with pytest.raises(ChainNotFollowing, match="round 2, submit"):
            simulation.run()
        assert 2 <= max(simulation.metrics) < 2 + AHEAD_ROUNDS


def test_who_cannot_pay_on_the_chain_does_not_register(tmp_path: Path) -> None:
    too_much = settings(1, deposit_wei=2 * ledgers.ALLOWANCE_WEI)
    with (
        open_simulation(tmp_path / "run", too_much, CHOICES) as simulation,
        pytest.raises(ChainNotFollowing, match="round 0, register"),
    ):
        simulation.run()


def test_a_contract_that_does_anything_else_stops_the_simulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = ahead.outcome
    monkeypatch.setattr(
        ahead, "outcome", lambda events: tuple(one for one in outcome(events) if one[0] != "RoundClosed")
    )
    executed = ahead._Chain.executed

    def honestly(chain: ahead._Chain, order: Block | ahead.Moment) -> str:
        ahead.outcome = outcome
        return executed(chain, order)

    monkeypatch.setattr(ahead._Chain, "executed", honestly)
    with (
        open_simulation(tmp_path / "run", settings(1), CHOICES) as simulation,
        pytest.raises(ChainNotFollowing, match=r"round 1, submit: the contract's event is .*RoundClosed"),
    ):
        simulation.run()


def test_a_chain_that_was_left_behind_catches_up(
    whole: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blobs in the folder are of later rounds than its chain; what is made again is the same."""
    executed, done = ahead._Chain.executed, 0

    def dying(chain: ahead._Chain, order: Block | ahead.Moment) -> str:
        nonlocal done
        done += 1
        if done == 5:
            time.sleep(0.2)  # so that the simulation gets ahead
            os._exit(1)
        return executed(chain, order)

    with monkeypatch.context() as patch:
        patch.setattr(ahead._Chain, "executed", dying)
        with (
            open_simulation(tmp_path / "run", settings(), CHOICES) as simulation,
            pytest.raises(ChainNotFollowing, match="ended on the way: free memory"),
        ):
            simulation.run()
    resumed = ended(tmp_path / "run")
    assert (resumed.head, resumed.model_root) == (whole.head, whole.model_root)
    assert not list((tmp_path / "run" / "outbox").rglob("0x*/0x*"))


@pytest.mark.parametrize(
    ("cohort", "is_sound"),
    [
        (None, True),
        (CohortSettings(size=2, randomness="seed"), True),
        (CohortSettings(size=2, randomness="chain"), False),
        (CohortSettings(fraction=0.5), False),
    ],
)
def test_what_hangs_on_the_chain_s_randomness_is_waited_for(
    cohort: CohortSettings | None, is_sound: bool
) -> None:
    run = settings().model_copy(update={"cohort": cohort})
    assert ledgers.may_go_ahead(run_policy(with_cohort_size(run, 3))) is is_sound


class _Forgetful(Ledger):
    """The contract as somebody shows it who leaves out the newest events."""

    shown: int | None = None

    def all_events(self) -> list[Event]:
        return super().all_events()[: self.shown]


def test_a_ledger_that_does_not_follow_from_its_calls_has_no_twin(whole: Ended) -> None:
    found = read_run_folder(whole.folder)
    everybody = ledgers.Keys.derived(7, ["0000", "0001", "0002"]).addresses
    with found.open_chain() as node:
        ledger = _Forgetful(node, found.run_id, confirmations=0, deployed_block=found.deployed_block)
        assert twin_of(ledger, everybody, SetClock(0)).ledger.state() == ledger.state()
        for shown, accounts, says in (
            (0, everybody, "no deployment"),
            (-1, everybody, "do not follow"),
            (None, everybody[:2], "are refused"),
        ):
            ledger.shown = shown
            with pytest.raises(MalformedResponse, match=says):
                twin_of(ledger, accounts, SetClock(0))
