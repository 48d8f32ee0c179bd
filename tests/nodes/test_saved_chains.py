"""What anvil leaves on disk: served as it was, and not at all where anything of it was changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import DEFINITION, POLICY

from fl_chain.errors import ConfigError, DigestMismatch, FlChainError, WrongChain
from fl_chain.ledger import anvil as anvil_module
from fl_chain.ledger.account import Account
from fl_chain.ledger.anvil import FIXED_RULES, FUNDED_KEY, running_anvil
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.events import Event
from fl_chain.ledger.node import connect
from fl_chain.ledger.saved_anvil import STATE_NAME, saved_anvil
from fl_chain.records import Address

pytestmark = pytest.mark.node

Saved = tuple[Path, Address, list[Event]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A chain with a ledger, saved: its folder, the ledger's address and events."""
    folder = tmp_path_factory.mktemp("chain")
    with running_anvil(arguments=[*FIXED_RULES, "--dump-state", str(folder / STATE_NAME)]) as anvil:
        node = connect([anvil.url])
        operator = Account(node, FUNDED_KEY)
        address = deploy(node, operator, DEFINITION, POLICY, aggregator=operator.address).address
        ledger = Ledger.open(node, address)
        ledger.fund(operator, 5)
        ledger.admit(operator, operator.address, 5)
        ledger.register(operator, operator.address)
        ledger.open_round(operator)
        node.request("anvil_mine", "0x3")
        events = ledger.all_events()
        node.close()
    return folder, address, events


def test_it_is_served_as_it_was_and_stays_untouched(saved: Saved) -> None:
    folder, address, events = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with saved_anvil(folder, chain_id=31337) as node:
        ledger = Ledger.open(node, address).pinned()
        assert ledger.all_events() == events
        assert ledger.state() == ledger.sync().state
        assert ledger.round(1) == ledger.sync().rounds[1]
        assert ledger.balance() == ledger.sync().owed_wei == 5
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def storage(state: Any) -> None:
    slots = next(account["storage"] for account in state["accounts"].values() if account["storage"])
    slot = next(iter(slots))
    slots[slot] = "0x" + (int(slots[slot], 16) ^ 1).to_bytes(32, "big").hex()


def balance(state: Any) -> None:
    account = next(iter(state["accounts"].values()))
    account["balance"] = hex(int(account["balance"], 16) + 1)


def code(state: Any) -> None:
    account = max(state["accounts"].values(), key=lambda one: len(one["code"]))
    account["code"] = account["code"][:-1] + ("0" if account["code"][-1] != "0" else "1")


def log(state: Any) -> None:
    logs = next(one["receipt"]["logs"] for one in state["transactions"] if one["info"]["nonce"] == 1)
    logs[0]["data"] = logs[0]["data"][:-1] + "6"


def no_log(state: Any) -> None:
    next(one["receipt"]["logs"] for one in state["transactions"] if one["info"]["nonce"] == 1).clear()


def timestamp(state: Any) -> None:
    header = next(one["header"] for one in state["blocks"] if one["header"]["number"] == "0x2")
    header["timestamp"] = hex(int(header["timestamp"], 16) - 1)


def transaction(state: Any) -> None:
    block = next(one for one in state["blocks"] if one["header"]["number"] == "0x2")
    block["transactions"][0]["transaction"]["value"] = "0x6"


@pytest.mark.parametrize("change", [storage, balance, code, log, no_log, timestamp, transaction])
def test_a_changed_chain_is_refused(saved: Saved, tmp_path: Path, change: Callable[[Any], None]) -> None:
    state = json.loads((saved[0] / STATE_NAME).read_bytes())
    change(state)
    (tmp_path / STATE_NAME).write_text(json.dumps(state))
    with (
        pytest.raises((DigestMismatch, ConfigError)) as refused,
        saved_anvil(tmp_path, chain_id=31337),
    ):
        pass
    if change not in (
        timestamp,
        transaction,
    ):  # the block's hash is another one then, and misses its receipts
        assert isinstance(refused.value, DigestMismatch)


def test_a_chain_of_another_id_is_refused(saved: Saved) -> None:
    with (
        pytest.raises(WrongChain, match="signed for chain 31337, the run's folder says 5"),
        saved_anvil(saved[0], chain_id=5),
    ):
        pass


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b'{"accounts": []}', b"[" * 10_000, b'{"accounts": {}}']
)
def test_what_is_no_saved_chain_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / STATE_NAME).write_bytes(content)
    with pytest.raises(FlChainError) as refused, saved_anvil(tmp_path, chain_id=31337):
        pass
    assert isinstance(refused.value, ConfigError | DigestMismatch)


def test_anvil_comes_with_the_contracts_on_linux() -> None:
    if sys.platform == "linux":
        assert "node_modules" in str(anvil_module.find_anvil())


def test_where_anvil_is_missing_it_says_how_to_get_it(
    saved: Saved, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(anvil_module, "PORTABLE_PACKAGES", "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"npm ci.*getfoundry"), saved_anvil(saved[0], chain_id=31337):
        pass
    with pytest.raises(ConfigError, match="anvil is not installed"), running_anvil():
        pass
