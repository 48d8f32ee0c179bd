"""Runs whose amounts are in an ERC-20 token."""

from pathlib import Path

import pytest
from consortium import MONEY_WEI, Consortium
from tokens import TokenConsortium, burn, deploy_token, mint

from fl_chain.config import RunSettings
from fl_chain.data.orange_juice import OWNERS, logistic_regression
from fl_chain.errors import ConfigError, LedgerReverted, TransactionRejected
from fl_chain.ledger.history import History
from fl_chain.ledger.token import Token
from fl_chain.records import Address, address
from fl_chain.run.deployment import deploy_run

pytestmark = [pytest.mark.node, pytest.mark.slow]

ROUNDS = 3


def is_paid_out(history: History) -> bool:
    return len(history.claims) == ROUNDS * len(OWNERS)


def nonce(consortium: Consortium, holder: Address) -> int:
    return int(consortium.node.request("eth_getTransactionCount", holder, "latest"), 16)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TokenConsortium:
    consortium = TokenConsortium(tmp_path_factory.mktemp("token"))
    consortium.work_until(is_paid_out)
    return consortium


def test_a_whole_run_in_a_token_passes_its_audit(finished: TokenConsortium) -> None:
    ledger = finished.ledger()
    assert ledger.token() == finished.own_token().address
    assert ledger.balance() == finished.own_token().balance(ledger.run.ledger) > 0
    assert finished.node.balance_wei(ledger.run.ledger) == 0
    report = finished.audit()
    assert report.findings == []
    assert {item["claimed_wei"] for item in report.participants} == {ROUNDS * (10**16 // 5)}


def test_every_approval_was_for_what_was_paid(finished: TokenConsortium) -> None:
    token, ledger = finished.own_token(), finished.run.ledger.run.ledger
    payers = [finished.operator, finished.aggregator_account, *finished.accounts.values()]
    assert {token.allowance(one.address, ledger) for one in payers} == {0}


def test_everything_can_be_taken_out(tmp_path: Path) -> None:
    consortium = TokenConsortium(tmp_path)
    consortium.work_until(is_paid_out)
    actors = [*consortium.workers.values(), consortium.aggregator]
    consortium.work_until(lambda _: all(actor.is_done() for actor in actors))
    ledger, token = consortium.ledger(), consortium.own_token()
    holders = [consortium.address(owner) for owner in OWNERS]
    with pytest.raises(LedgerReverted, match="NothingToWithdraw"):
        ledger.withdraw_pool(consortium.operator, consortium.operator.address)

    assert ledger.balance() == 0
    paid = {token.balance(holder) - MONEY_WEI for holder in holders}
    assert paid == {ROUNDS * (10**16 // 5)}
    reward = ROUNDS * consortium.policy.aggregator_reward_wei
    assert token.balance(consortium.aggregator_account.address) == MONEY_WEI + reward
    assert consortium.audit().findings == []


def test_the_audit_finds_that_the_token_took_money_away(tmp_path: Path) -> None:
    consortium = TokenConsortium(tmp_path)
    burn(consortium.own_token(), consortium.bank, consortium.run.ledger.run.ledger, 1)

    report = consortium.audit()

    assert [finding.kind.value for finding in report.findings] == ["balance_short"]
    assert report.findings[0].actual == str(consortium.history.owed_wei - 1)


def test_the_audit_names_money_that_was_sent_past_the_contract(tmp_path: Path) -> None:
    consortium = TokenConsortium(tmp_path)
    mint(consortium.own_token(), consortium.bank, consortium.run.ledger.run.ledger, 1)

    report = consortium.audit()

    assert report.verdict == "pass"
    assert [warning.kind.value for warning in report.warnings] == ["balance_excess"]


def deploy_in(consortium: Consortium, token: Address, *, funding_wei: int = 1000) -> None:
    task, model, training = logistic_regression()
    deploy_run(
        RunSettings(task=task, model=model, training=training, policy=consortium.policy),
        node=consortium.node,
        operator=consortium.operator,
        store=consortium.store,
        aggregator=consortium.aggregator_account.address,
        weight_caps={},
        funding_wei=funding_wei,
        token=token,
    )


def test_a_token_that_keeps_a_fee_is_refused(consortium: Consortium) -> None:
    token = deploy_token(consortium.bank, "FeeToken")
    mint(token, consortium.bank, consortium.operator.address, 1000)
    with pytest.raises(LedgerReverted, match="keeps a fee") as refused:
        deploy_in(consortium, token.address)
    assert refused.value.name == "WrongPayment"
    assert refused.value.arguments == {"sent": 999, "expected": 1000}


def test_what_is_no_token_is_refused_before_anything_is_deployed(consortium: Consortium) -> None:
    before = nonce(consortium, consortium.operator.address)
    for nothing in (consortium.bank.address, consortium.run.ledger.run.ledger):
        with pytest.raises(ConfigError, match=r"no .*token"):
            deploy_in(consortium, nothing)
    assert nonce(consortium, consortium.operator.address) == before


@pytest.mark.parametrize(("held", "is_enough"), [(1000, True), (999, False)])
def test_the_operator_has_to_hold_what_the_pool_takes(
    consortium: Consortium, held: int, is_enough: bool
) -> None:
    token = deploy_token(consortium.bank, "PlainToken")
    mint(token, consortium.bank, consortium.operator.address, held)
    before = nonce(consortium, consortium.operator.address)
    if is_enough:
        deploy_in(consortium, token.address)
        assert token.balance(consortium.operator.address) == 0
        return
    with pytest.raises(ConfigError, match="holds 999"):
        deploy_in(consortium, token.address)
    assert nonce(consortium, consortium.operator.address) == before


class TestApproval:
    SPENDER = address("0x" + "5e" * 20)

    @pytest.fixture(params=["PlainToken", "StrictToken"])
    def token(self, consortium: Consortium, request: pytest.FixtureRequest) -> Token:
        token = deploy_token(consortium.bank, request.param)
        mint(token, consortium.bank, consortium.operator.address, 100)
        return token

    def test_an_approval_replaces_a_smaller_one(self, consortium: Consortium, token: Token) -> None:
        holder = consortium.operator
        token.approve(holder, self.SPENDER, 3)
        token.allow(holder, self.SPENDER, 7)
        assert token.allowance(holder.address, self.SPENDER) == 7

    def test_an_approval_that_is_there_is_enough(self, consortium: Consortium, token: Token) -> None:
        holder = consortium.operator
        token.allow(holder, self.SPENDER, 7)
        before = nonce(consortium, holder.address)
        token.allow(holder, self.SPENDER, 7)
        assert nonce(consortium, holder.address) == before

    def test_no_more_is_approved_than_is_held(self, consortium: Consortium, token: Token) -> None:
        holder = consortium.operator
        token.allow(holder, self.SPENDER, 100)
        before = nonce(consortium, holder.address)
        with pytest.raises(TransactionRejected, match="holds 100"):
            token.allow(holder, self.SPENDER, 101)
        assert nonce(consortium, holder.address) == before

    def test_a_transfer_moves_the_amount(self, consortium: Consortium, token: Token) -> None:
        token.transfer(consortium.operator, self.SPENDER, 40)
        assert token.balance(self.SPENDER) == 40
        assert token.balance(consortium.operator.address) == 60
