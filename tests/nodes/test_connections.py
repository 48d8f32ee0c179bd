"""Anvil over http, a websocket and ipc: reading, sending, and what the contract refuses."""

from __future__ import annotations

import pytest
from live import DEFINITION, POLICY, STRANGER_KEY, Live

from fl_chain.errors import ConfigError, LedgerReverted, RequestRefused
from fl_chain.ledger.account import Account
from fl_chain.ledger.anvil import FUNDED_KEY, running_anvil
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.node import connect

pytestmark = pytest.mark.node


@pytest.mark.parametrize("kind", ["http", "ws", "ipc"])
def test_a_ledger_works_over(live: Live, kind: str) -> None:
    anvil = live.anvil
    url = {"http": anvil.url, "ws": anvil.websocket_url, "ipc": str(anvil.ipc_path)}[kind]
    node = connect([url], chain_id=31337)
    operator, stranger = Account(node, FUNDED_KEY), Account(node, STRANGER_KEY)
    operator.transfer(stranger.address, 10**18)
    deployment = deploy(node, operator, DEFINITION, POLICY, aggregator=operator.address)
    ledger = Ledger.open(node, deployment.address, deployed_block=deployment.block_number)
    with pytest.raises(LedgerReverted) as refused:
        ledger.register(stranger, stranger.address)
    assert refused.value.name == "NotAdmitted"
    ledger.admit(operator, stranger.address, 5)
    ledger.register(stranger, stranger.address)
    ledger.open_round(stranger)

    history = ledger.sync()
    assert ledger.round(1) == history.rounds[1]
    assert ledger.state() == history.state
    pinned = ledger.pinned()
    ledger.fund(operator, 5)
    assert (pinned.state().pool_wei, ledger.state().pool_wei) == (0, 5)
    assert pinned.sync().state == pinned.state()
    assert pinned.balance() == 0
    with pytest.raises(RequestRefused):
        node.request("eth_nonsense")
    many = node.batch([("eth_getBlockByNumber", ["0x0", True])] * 300)
    assert all(one == many[0] for one in many)
    node.close()


def test_a_quiet_anvil_answers_too() -> None:
    with running_anvil(is_quiet=True, arguments=["--chain-id", "77"]) as anvil:
        connect([anvil.url], chain_id=77).close()
    with pytest.raises(ConfigError, match="anvil ended with code"), running_anvil(arguments=["--nonsense"]):
        pass
    with (
        pytest.raises(ConfigError, match="anvil ended with code"),
        running_anvil(is_quiet=True, arguments=["--nonsense"]),
    ):
        pass
