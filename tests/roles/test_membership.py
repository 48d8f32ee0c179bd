"""Participants come and go, change keys and payout, and get their money, by the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from consortium import Consortium, policy
from typer.testing import CliRunner

from fl_chain.cli.main import app
from fl_chain.config import PRIVATE_KEY_VARIABLE
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import ConfigError, FlChainError, KeyUnavailable, LedgerReverted, LedgerUnavailable
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet import background_server
from fl_chain.ledger.history import History
from fl_chain.records import Address, address

OTHERS, MOVER = OWNERS[:4], OWNERS[4]
UNBONDING_S = 40
SAFE = address("0x" + "5a" * 20)
STRANGER = address("0x" + "57" * 20)


@dataclass
class Office:
    """A consortium whose chain is served, and the command line with some role's key."""

    consortium: Consortium
    settings: Path

    def run(self, role: str, *arguments: str) -> str:
        """Return what a command printed."""
        result = self._invoke(role, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, role: str, *arguments: str) -> FlChainError:
        """Return the error that ends a command."""
        error = self._invoke(role, arguments).exception
        assert isinstance(error, FlChainError), error
        return error

    def _invoke(self, role: str, arguments: tuple[str, ...]) -> Result:
        environment = {PRIVATE_KEY_VARIABLE: self.consortium.key(role).hex()}
        return CliRunner().invoke(app, [*arguments, "--config", str(self.settings)], env=environment)

    def wait(self, seconds: float) -> None:
        self.consortium.clock.now += seconds
        self.consortium.chain.catch_up()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    consortium = Consortium(tmp_path, policy=policy(rounds=4, unbonding_s=UNBONDING_S))
    with background_server(consortium.chain) as url:
        settings = tmp_path / "fl_chain.toml"
        settings.write_text(
            f'[chain]\nrpc = ["{url}"]\nledger = "{consortium.run.ledger.run.ledger}"\n', encoding="utf-8"
        )
        yield Office(consortium, settings)
    consortium.chain.close()


def role_of(owner: str) -> str:
    return f"participant {owner}"


def posted(round_id: int) -> Callable[[History], bool]:
    return lambda history: round_id in history.postings


def is_over(history: History) -> bool:
    return history.state.tip > 0 and history.rounds[history.state.tip].step == 4


def submitters(history: History, round_id: int) -> set[Address]:
    return {submission.participant for submission in history.submissions[round_id]}


# ---------------------------------------------------------------------- leaving and coming back


def test_who_leaves_is_paid_back_and_may_come_back(office: Office) -> None:
    consortium, who = office.consortium, office.consortium.address(MOVER)
    consortium.work_until(posted(1))
    deposit_wei = consortium.policy.deposit_wei

    said = office.run(role_of(MOVER), "participant", "leave")
    assert f"deposit of {deposit_wei} wei" in said
    assert "standing         left" in office.run(role_of(MOVER), "participant", "show")

    history = consortium.work_until(posted(2))
    assert who not in submitters(history, 2)
    assert office.refused(role_of(MOVER), "participant", "leave").name == "NotRegistered"

    assert office.refused(role_of(MOVER), "rewards", "withdraw").name == "NothingToWithdraw"
    office.wait(UNBONDING_S)
    before_wei = consortium.node.balance_wei(who)
    office.run("operator", "rewards", "withdraw", "--account", who)
    assert consortium.node.balance_wei(who) == before_wei + deposit_wei

    assert f"deposit of {deposit_wei} wei" in office.run(role_of(MOVER), "participant", "join")
    assert "standing         registered" in office.run(role_of(MOVER), "participant", "show", who)
    history = consortium.work_until(is_over)
    assert who in submitters(history, history.state.latest)
    assert consortium.audit().findings == []


def test_a_deposit_is_not_paid_back_a_second_early(office: Office) -> None:
    consortium, who = office.consortium, office.consortium.address(MOVER)
    consortium.work_until(posted(1))
    office.run(role_of(MOVER), "participant", "leave")
    due = consortium.ledger().account(who).releasable_at
    left_s = due - consortium.ledger().head().timestamp
    assert left_s == UNBONDING_S
    office.wait(left_s - 1)
    assert office.refused("operator", "rewards", "withdraw", "--account", who).name == "NothingToWithdraw"
    office.wait(1)
    office.run("operator", "rewards", "withdraw", "--account", who)


# ---------------------------------------------------------------------- another key


def test_a_worker_goes_on_with_another_key(office: Office) -> None:
    consortium, who = office.consortium, office.consortium.address(MOVER)
    consortium.work_until(posted(1))
    new = consortium.account("a new key")

    said = office.run(role_of(MOVER), "participant", "rotate-key", new.address)
    assert f"in {UNBONDING_S} s" in said
    assert f"rotate-key --confirm {who}" in said
    assert new.address in office.run(role_of(MOVER), "participant", "show")
    early = office.refused("a new key", "participant", "rotate-key", "--confirm", who)
    assert isinstance(early, LedgerReverted)
    assert early.name == "RotationNotDue"

    office.wait(UNBONDING_S)
    stolen = office.refused("operator", "participant", "rotate-key", "--confirm", who)
    assert isinstance(stolen, LedgerReverted)
    assert stolen.name == "NotRequestedSigner"
    assert f"signs for {who}" in office.run("a new key", "participant", "rotate-key", "--confirm", who)

    with pytest.raises(KeyUnavailable, match=new.address):
        consortium.workers[MOVER].step()
    consortium.accounts[MOVER] = new
    consortium.workers[MOVER] = consortium.worker(MOVER)
    history = consortium.work_until(is_over)

    assert all(who in submitters(history, round_id) for round_id in range(1, history.state.latest + 1))
    assert new.address not in history.participants
    assert f"signing key      {new.address}" in office.run("operator", "participant", "show", new.address)
    consortium.work_until(lambda history: not history.participants[who].registered)
    assert history.claimed_wei(who) > 0
    assert consortium.audit().findings == []


def test_the_key_in_use_cancels_a_request(office: Office) -> None:
    consortium, who = office.consortium, office.consortium.address(MOVER)
    consortium.workers[MOVER].step()
    new = consortium.account("a new key")
    office.run(role_of(MOVER), "participant", "rotate-key", new.address)
    assert "no other key" in office.run(role_of(MOVER), "participant", "rotate-key", who)
    assert "requested key" not in office.run(role_of(MOVER), "participant", "show")
    office.wait(UNBONDING_S)
    assert (
        office.refused("a new key", "participant", "rotate-key", "--confirm", who).name == "NoRotationPending"
    )


def test_a_rotation_is_asked_for_or_confirmed(office: Office) -> None:
    for arguments in ((), (SAFE, "--confirm", SAFE)):
        error = office.refused(role_of(MOVER), "participant", "rotate-key", *arguments)
        assert isinstance(error, ConfigError)


# ---------------------------------------------------------------------- where the money goes


def test_rewards_and_deposit_go_to_the_payout_address(office: Office) -> None:
    consortium, who = office.consortium, office.consortium.address(MOVER)
    consortium.work_until(posted(1))

    assert SAFE in office.run(role_of(MOVER), "participant", "payout", SAFE)
    consortium.work_until(lambda _: all(worker.is_done() for worker in consortium.workers.values()))

    history = consortium.history
    claims = history.claims_of(who)
    assert {claim.to for claim in claims} == {SAFE}
    assert {claim.participant for claim in claims} == {who}
    earned_wei = 4 * (consortium.policy.reward_wei // 5)
    assert consortium.node.balance_wei(SAFE) == earned_wei + consortium.policy.deposit_wei
    assert consortium.audit().findings == []


def test_a_bond_is_asked_back_and_paid(office: Office) -> None:
    consortium = office.consortium
    holder = consortium.account("rich").address
    assert "free bond: 100 wei" in office.run("rich", "bond", "deposit", "100")
    assert office.refused("rich", "bond", "request", "101").name == "BondTooSmall"
    office.run("rich", "bond", "request", "30")
    assert office.refused("rich", "rewards", "withdraw").name == "NothingToWithdraw"
    office.wait(UNBONDING_S)
    office.run("rich", "bond", "request")
    before_wei = consortium.node.balance_wei(holder)
    office.run("operator", "rewards", "withdraw", "--account", holder)
    assert consortium.node.balance_wei(holder) == before_wei + 30
    office.wait(UNBONDING_S)
    office.run("operator", "rewards", "withdraw", "--account", holder)
    assert consortium.node.balance_wei(holder) == before_wei + 100
    assert office.refused("rich", "bond", "request").name == "NothingToWithdraw"


@pytest.mark.parametrize(
    "arguments",
    [
        ("participant", "payout", "0x12"),
        ("participant", "show", "me"),
        ("rewards", "withdraw", "--account", "0x"),
    ],
)
def test_what_is_no_address_is_refused(office: Office, arguments: tuple[str, ...]) -> None:
    assert re.search("not an address", str(office.refused(role_of(MOVER), *arguments)))


def test_a_stranger_has_nothing_to_show(office: Office) -> None:
    assert isinstance(office.refused("operator", "participant", "show", STRANGER), ConfigError)


# ---------------------------------------------------------------------- starting


@pytest.mark.parametrize("command", ["worker", "aggregator"])
def test_an_actor_whose_node_goes_away_while_it_starts_tries_again(
    office: Office, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    from fl_chain.cli import actors

    started: list[object] = []
    sync = Ledger.sync
    failures = iter([LedgerUnavailable("no node answers")])

    def failing_once(ledger: Ledger) -> History:
        for error in failures:
            raise error
        return sync(ledger)

    monkeypatch.setattr(Ledger, "sync", failing_once)
    monkeypatch.setattr(actors, "run_actor", lambda actor, **_: started.append(actor))
    with office.settings.open("a") as file:
        file.write(f'[store]\nurls = ["{office.consortium.folder / "store"}"]\n[worker]\nowner = "{MOVER}"\n')
    office.run(role_of(MOVER), command)
    assert [type(actor).__name__.lower() for actor in started] == [command]
