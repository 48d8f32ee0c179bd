"""Real nodes on free ports, and a ledger on each kind of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live import DEFINITION, POLICY, STRANGER_KEY, Live

from fl_chain.ledger.account import Account
from fl_chain.ledger.anvil import FUNDED_KEY, running_anvil
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import background_server, dev_keys, open_chain
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.node import Node, connect


@pytest.fixture
def live() -> Iterator[Live]:
    """An anvil that mines every transaction at once."""
    with running_anvil(arguments=["--hardfork", "cancun"]) as anvil:
        node = connect([anvil.url])
        yield Live(anvil, node)
        node.close()


@pytest.fixture(params=["devnet", "anvil"])
def deployed(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger on a node, with a stranger who has money."""
    if request.param == "devnet":
        with open_chain() as chain, background_server(chain) as url:
            yield from _deployed(connect([url]), dev_keys()[0])
    else:
        with running_anvil(arguments=["--hardfork", "cancun"]) as anvil:
            yield from _deployed(connect([anvil.url]), FUNDED_KEY)


def _deployed(node: Node, key: bytes) -> Iterator[Ledger]:
    operator = Account(node, key)
    operator.transfer(address_of(STRANGER_KEY), 10**18)
    deployment = deploy(node, operator, DEFINITION, POLICY, aggregator=operator.address)
    yield Ledger.open(node, deployment.address, deployed_block=deployment.block_number)
    node.close()
