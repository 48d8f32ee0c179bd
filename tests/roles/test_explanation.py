"""Rewards explained term by term: honest runs add up, and whatever does not is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from consortium import PUBLICATION_S, Consortium, policy
from typer.testing import CliRunner

from fl_chain.aggregation.round import Aggregate
from fl_chain.audit import Explanation, explain_rewards
from fl_chain.cli.main import app
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import ConfigError
from fl_chain.ledger.devnet import background_server
from fl_chain.ledger.history import History
from fl_chain.records import Address, Exclusion, ExclusionReason, RoundStatus, address
from fl_chain.run.models import ModelChain
from fl_chain.run.rounds import RoundReader
from fl_chain.store import Store

REWARD_WEI = 10**15 + 7
STRANGER = address("0x" + "57" * 20)


def explained(
    consortium: Consortium, asked: Address, *, round_id: int | None = None, store: Store | None = None
) -> Explanation:
    return explain_rewards(consortium.ledger(), store or consortium.store, asked, round_id=round_id)


def consortium_with(folder: Path, **changes: object) -> Consortium:
    changes = {"rounds": 1, "reward_wei": REWARD_WEI, **changes}
    return Consortium(folder, policy=policy(**changes))


def is_over(history: History) -> bool:
    """Return whether everything is claimed and every deposit is out."""
    return (
        history.state.tip > 0
        and history.state.settled == history.state.latest
        and not any(history.unclaimed.values())
        and not any(one.registered for one in history.participants.values())
    )


def pay_out(consortium: Consortium) -> None:
    """Let time pass until everyone has everything."""
    consortium.work_until(is_over)
    for _ in range(2):
        consortium.clock.now += 1000
        while consortium.work():
            pass


# ---------------------------------------------------------------------- a run that is over


@pytest.fixture(scope="module", params=["equal", "declared-weight"])
def finished(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Consortium]:
    consortium = consortium_with(tmp_path_factory.mktemp("finished"), rounds=2, reward_split=request.param)
    pay_out(consortium)
    yield consortium
    consortium.chain.close()


def test_every_participant_is_told_what_it_was_paid(finished: Consortium) -> None:
    history, totals = finished.history, {1: 0, 2: 0}
    for owner in OWNERS:
        who = finished.address(owner)
        found = explained(finished, who)
        assert found.is_right
        assert found.missing_blobs == ()
        assert found.earned_wei == found.paid_wei == history.claimed_wei(who) > 0
        assert found.claimable_wei == 0
        for term in found.terms:
            assert term.outcome == "included"
            assert term.blob == "opens its commitment, within its bounds"
            assert [payment.to for payment in term.payments] == [who]
            totals[term.round] += term.paid_wei
    for round_id, total_wei in totals.items():
        assert total_wei + history.settlements[round_id].dust_wei == REWARD_WEI


def test_shares_are_the_policy_s(finished: Consortium) -> None:
    history = finished.history
    for submission in history.submissions[1]:
        term = explained(finished, submission.participant, round_id=1).terms[0]
        if finished.policy.reward_split == "equal":
            assert (term.share, term.shares) == (1, 5)
        else:
            assert (term.share, term.shares) == (submission.weight, history.rounds[1].total_weight)
        assert term.value_wei == REWARD_WEI // term.shares * term.share


def test_a_deposit_is_followed_until_it_is_out(finished: Consortium) -> None:
    (statement,) = explained(finished, finished.address(OWNERS[0])).statements
    deposit_wei = finished.policy.deposit_wei
    assert [(one.what, one.amount_wei) for one in statement.movements] == [
        ("deposit", deposit_wei),
        ("deposit asked back", deposit_wei),
        ("withdrawn", deposit_wei),
    ]
    assert (statement.came_in_wei, statement.taken_out_wei, statement.held_wei) == (
        deposit_wei,
        deposit_wei,
        0,
    )


def test_an_aggregator_is_told_of_its_bond_and_rewards(finished: Consortium) -> None:
    found = explained(finished, finished.aggregator_account.address)
    assert found.is_right
    assert found.terms == ()
    (statement,) = found.statements
    rewards = [one for one in statement.movements if one.what == "aggregator's reward"]
    assert [(one.round, one.amount_wei) for one in rewards] == [
        (round_id, finished.policy.aggregator_reward_wei) for round_id in (1, 2)
    ]
    assert statement.came_in_wei == statement.taken_out_wei > 0
    assert statement.held_wei == 0


def test_the_operator_is_told_where_the_money_went(finished: Consortium) -> None:
    found = explained(finished, finished.operator.address)
    assert found.is_right
    assert found.pool is not None
    dust_wei = sum(one.dust_wei for one in finished.history.settlements.values())
    assert found.pool.funded_wei == 2 * (REWARD_WEI + finished.policy.aggregator_reward_wei)
    assert found.pool.rewards_wei == 2 * REWARD_WEI - dust_wei
    assert (found.pool.reserved_wei, found.pool.withdrawn_wei) == (0, 0)
    assert found.pool.left_wei == dust_wei


def test_what_a_run_does_not_know_is_refused(finished: Consortium) -> None:
    with pytest.raises(ConfigError, match="takes no part"):
        explained(finished, STRANGER)
    with pytest.raises(ConfigError, match="no round 3: the newest is 2"):
        explained(finished, finished.address(OWNERS[0]), round_id=3)
    assert explained(finished, finished.address(OWNERS[0]), round_id=2).terms[0].round == 2


# ---------------------------------------------------------------------- blobs that are lost or altered


def tampered(finished: Consortium, folder: Path, change: Callable[[Path], None]) -> Store:
    """Return a copy of the store in which the first participant's update of round 1 is not as it was."""
    shutil.copytree(finished.folder / "store", folder / "store")
    submission = finished.history.submissions[1][0]
    change(folder / "store" / "updates" / submission.participant / f"0x{submission.sealed_root.hex()}")
    return Store([str(folder / "store")])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_an_altered_update_is_named(finished: Consortium, tmp_path: Path) -> None:
    store = tampered(finished, tmp_path, flip)
    who = finished.history.submissions[1][0].participant
    found = explained(finished, who, store=store)
    assert not found.is_right
    assert [len(term.problems) for term in found.terms] == [1, 0]
    assert "not what was committed to" in found.terms[0].problems[0]
    assert found.terms[0].blob.startswith("altered")
    assert explained(finished, who, store=store, round_id=2).is_right


def test_a_missing_update_leaves_the_ledger_s_word(finished: Consortium, tmp_path: Path) -> None:
    store = tampered(finished, tmp_path, Path.unlink)
    found = explained(finished, finished.history.submissions[1][0].participant, store=store)
    assert found.is_right
    assert found.missing_blobs == (1,)
    assert found.terms[0].blob.startswith("missing")


def test_a_policy_document_that_is_lost_or_altered_is_said(finished: Consortium, tmp_path: Path) -> None:
    shutil.copytree(finished.folder / "store", tmp_path / "store")
    document = tmp_path / "store" / "documents" / f"0x{finished.history.definition.policy_hash.hex()}"
    store, who = Store([str(tmp_path / "store")]), finished.address(OWNERS[0])
    assert "equal to the contract's constants" in explained(finished, who, store=store).policy
    flip(document)
    assert explained(finished, who, store=store).problems
    assert not explained(finished, who, store=store).is_right
    document.unlink()
    assert "no store has the policy document" in explained(finished, who, store=store).policy
    assert explained(finished, who, store=store).is_right


# ---------------------------------------------------------------------- rounds that do not pay


def test_a_round_that_is_under_way_earns_nothing_yet(tmp_path: Path) -> None:
    consortium = consortium_with(tmp_path)
    who = consortium.address(OWNERS[0])
    consortium.work_until(lambda history: history.state.latest == 1)
    term = explained(consortium, who).terms[0]
    assert (term.outcome, term.status) == ("no submission yet", RoundStatus.OPEN)
    assert consortium.workers[OWNERS[0]].step()
    assert explained(consortium, who).terms[0].blob == "private until the round closes"
    consortium.work_until(
        lambda history: history.rounds[1].status is RoundStatus.CLOSED, with_aggregator=False
    )
    operator = explained(consortium, consortium.operator.address)
    assert operator.pool is not None
    assert operator.pool.reserved_wei == REWARD_WEI + consortium.policy.aggregator_reward_wei
    assert operator.is_right
    term = explained(consortium, consortium.history.submissions[1][-1].participant).terms[0]
    assert (term.outcome, term.blob, term.is_blob_missing) == ("not posted yet", "not published yet", False)
    consortium.work_until(lambda history: 1 in history.postings)
    found = explained(consortium, who)
    assert found.terms[0].outcome == "included, not final yet"
    assert (found.earned_wei, found.terms[0].value_wei) == (0, REWARD_WEI // 5)
    consortium.work_until(lambda history: history.state.settled == 1, ())
    found = explained(consortium, who)
    assert (found.earned_wei, found.claimable_wei, found.paid_wei) == (REWARD_WEI // 5, REWARD_WEI // 5, 0)
    assert found.is_right
    assert explained(consortium, consortium.aggregator_account.address).is_right


def test_a_void_round_pays_nobody_and_says_why(tmp_path: Path) -> None:
    consortium = consortium_with(tmp_path)
    for owner in OWNERS:
        consortium.workers[owner].step()  # registers
    consortium.work_until(lambda history: history.state.latest == 2, OWNERS[:2])
    pay_out(consortium)
    found = explained(consortium, consortium.address(OWNERS[0]))
    assert found.is_right
    assert found.missing_blobs == ()  # nothing rests on an update that was never to be published
    assert [term.outcome for term in found.terms] == ["the round is void: below quorum", "included"]
    assert [term.earned_wei for term in found.terms] == [0, REWARD_WEI // 5]
    assert explained(consortium, consortium.operator.address).is_right


def post_excluding(consortium: Consortium, exclusion: Exclusion) -> Address:
    """Bring round 1 to its posting, which leaves one submission out; return whose."""
    consortium.work_until(
        lambda history: history.state.latest > 0 and history.rounds[1].status is RoundStatus.CLOSED,
        with_aggregator=False,
    )
    for worker in consortium.workers.values():
        worker.step()  # publishes
    reader = RoundReader(consortium.history, consortium.store)
    aggregate: Aggregate = reader.aggregate(1, ModelChain(reader).model(0), (exclusion,))
    for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
        consortium.store.write_sum(root, hashes)
    consortium.store.write_model(aggregate.model_root, aggregate.model)
    consortium.clock.now += PUBLICATION_S
    history, ledger, account = consortium.history, consortium.run.ledger, consortium.aggregator_account
    ledger.deposit_bond(account, history.policy.bond_wei)
    left_out = history.submissions[1][exclusion.index]
    ledger.post(
        account,
        round=1,
        digest=history.rounds[1].digest,
        exclusions=[(exclusion, left_out)],
        partial_sum_roots=aggregate.partial_sum_roots,
        model_root=aggregate.model_root,
    )
    return left_out.participant


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        (ExclusionReason.OUT_OF_RANGE, "within its bounds and was excluded"),
        (ExclusionReason.BY_RULE, "which does not leave it out"),
        (ExclusionReason.UNREADABLE, None),  # it may have come late
    ],
)
def test_a_wrong_exclusion_is_named(tmp_path: Path, reason: ExclusionReason, problem: str | None) -> None:
    consortium = consortium_with(tmp_path)
    who = post_excluding(consortium, Exclusion(2, reason))
    consortium.work_until(lambda history: history.state.settled == 1, ())
    found = explained(consortium, who)
    assert found.terms[0].outcome.startswith("excluded: ")
    assert found.earned_wei == 0
    if problem is None:
        assert found.is_right
    else:
        assert not found.is_right
        assert [problem in said for said in found.terms[0].problems] == [True]
    others = [consortium.address(owner) for owner in OWNERS if consortium.address(owner) != who]
    for other in others:
        assert explained(consortium, other).is_right
        assert explained(consortium, other).claimable_wei == REWARD_WEI // 4


def test_an_update_that_never_came_is_rightly_excluded(tmp_path: Path) -> None:
    consortium = consortium_with(tmp_path)
    for owner in OWNERS:
        consortium.workers[owner].step()  # registers
    consortium.work_until(lambda history: history.state.latest == 1, ())
    assert all(consortium.workers[owner].step() for owner in OWNERS)  # submit
    consortium.work_until(lambda history: 1 in history.postings, OWNERS[:4])
    found = explained(consortium, consortium.address(OWNERS[4]))
    assert found.terms[0].outcome == "excluded: nobody could read the update"
    assert found.missing_blobs == ()
    assert found.is_right


# ---------------------------------------------------------------------- the command


class Screen:
    """The command line on a consortium's chain."""

    def __init__(self, consortium: Consortium, url: str, folder: Path) -> None:
        self.settings = folder / "fl_chain.toml"
        self.write(consortium, url, consortium.folder / "store")
        self.consortium, self.url = consortium, url

    def write(self, consortium: Consortium, url: str, store: Path) -> None:
        ledger = consortium.run.ledger.run.ledger
        self.settings.write_text(
            f'[chain]\nrpc = ["{url}"]\nledger = "{ledger}"\n[store]\nurls = ["{store}"]\n', encoding="utf-8"
        )

    def explain(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["rewards", "explain", *arguments, "--config", str(self.settings)])


@pytest.fixture
def screen(finished: Consortium, tmp_path: Path) -> Iterator[Screen]:
    with background_server(finished.chain) as url:
        yield Screen(finished, url, tmp_path)


def test_the_command_prints_the_sum(screen: Screen) -> None:
    finished = screen.consortium
    who = finished.history.submissions[1][0].participant
    result = screen.explain(who)
    assert result.exit_code == 0, result.output
    terms = explained(finished, who).terms
    earned_wei = sum(term.earned_wei for term in terms)
    assert result.output.splitlines()[-2:] == [
        f"{terms[0].earned_wei} + {terms[1].earned_wei} = {earned_wei}",
        f"earned {earned_wei} = paid {earned_wei} + claimable 0",
    ]
    for term in terms:
        assert f"{REWARD_WEI} // {term.shares}" in result.output
        assert term.payments[0].transaction_hash.hex() in result.output
    alone = screen.explain(who, "--round", "2")
    assert alone.exit_code == 0
    assert "round 1 " not in alone.output
    assert (
        alone.output.splitlines()[-1]
        == f"earned {terms[1].earned_wei} = paid {terms[1].paid_wei} + claimable 0"
    )


def test_the_command_shows_bonds_and_the_pool(screen: Screen) -> None:
    finished = screen.consortium
    aggregator = screen.explain(finished.aggregator_account.address)
    assert aggregator.exit_code == 0
    assert "aggregator's reward of round 2" in aggregator.output
    assert "earned 0" not in aggregator.output
    operator = screen.explain(finished.operator.address)
    assert operator.exit_code == 0
    funded_wei = 2 * (REWARD_WEI + finished.policy.aggregator_reward_wei)
    assert f"funded {funded_wei} = spent" in operator.output


def test_the_command_s_exit_code_says_that_something_is_wrong(screen: Screen, tmp_path: Path) -> None:
    finished = screen.consortium
    tampered(finished, tmp_path, flip)
    screen.write(finished, screen.url, tmp_path / "store")
    result = screen.explain(finished.history.submissions[1][0].participant)
    assert result.exit_code == 1
    assert "WRONG  round 1: the update was included" in result.output
    assert screen.explain(finished.history.submissions[1][1].participant).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((STRANGER,), "takes no part"), (("0x12",), "not an address"), ((None, "--round", "9"), "no round 9")],
)
def test_the_command_refuses_what_it_does_not_know(
    screen: Screen, arguments: tuple[str | None, ...], message: str
) -> None:
    own = screen.consortium.address(OWNERS[0])
    result = screen.explain(*(own if one is None else one for one in arguments))
    assert isinstance(result.exception, ConfigError)  # which the program ends with 2
    assert message in str(result.exception)
