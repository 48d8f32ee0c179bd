"""Aggregators that lie, each a process of its own: caught, replaced, and the run of six rounds ends.

In round 3 the named aggregator posts a wrong sum, which anyone can prove. In round 5 its successor posts a
sum that nobody can see, which only the submitters can reject.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fl_chain.audit import audit_run
from fl_chain.config import PRIVATE_KEY_VARIABLE, RunSettings
from fl_chain.data.orange_juice import OWNERS
from fl_chain.demo import demo_settings
from fl_chain.ledger.account import Account
from fl_chain.ledger.anvil import running_anvil
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet import dev_keys
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node, connect
from fl_chain.records import FallReason, RoundStatus
from fl_chain.run.deployment import deploy_run
from fl_chain.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROUNDS, LIE, HIDDEN_LIE = 6, 3, 5
ALLOWANCE_WEI = 10**20
LIAR_SCRIPT = Path(__file__).parents[1] / "attacks" / "liar_process.py"
# The first account of anvil's own mnemonic. The key is public.
ANVIL_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ANVIL_RULES = ["--hardfork", "cancun", "--block-time", "1", "--mixed-mining"]


class Processes:
    """Everybody in the run but the chain."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], key: bytes | None = None) -> subprocess.Popen[bytes]:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join([*sys.path, str(LIAR_SCRIPT.parent)])
        if key is not None:
            environment[PRIVATE_KEY_VARIABLE] = key.hex()
        log = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, *command], stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        self._stack.callback(stop, process)
        self.running[name] = process
        return process

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def served_chain(kind: str, processes: Processes, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Serve a chain; give its URL and a key that has money."""
    if kind == "anvil":
        with running_anvil(arguments=ANVIL_RULES) as anvil:
            yield anvil.url, ANVIL_KEY
        return
    processes.start("devnet", ["-m", "fl_chain", "devnet", "--state", str(folder / "chain"), "--port", "0"])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for line in processes.log("devnet").splitlines():
            if line.startswith("devnet listens on "):
                yield line.split()[3].rstrip(","), dev_keys()[0]
                return
        time.sleep(0.05)
    raise AssertionError(processes.log("devnet"))


def settings() -> RunSettings:
    run = demo_settings(seed=1, rounds=ROUNDS)
    return run.model_copy(update={"policy": run.policy.model_copy(update={"challenge_s": 12})})


def write_settings(home: Path, url: str, ledger: Ledger, folder: Path, owner: str = "") -> str:
    home.mkdir()
    lines = ["[chain]", f'rpc = ["{url}"]', f'ledger = "{ledger.run.ledger}"', "poll_s = 0.1"]
    lines += ["[store]", f'urls = ["{folder / "store"}"]']
    lines += ["[worker]", f'owner = "{owner}"'] if owner else []
    (home / "fl_chain.toml").write_text("\n".join(lines) + "\n")
    return str(home / "fl_chain.toml")


def follow(ledger: Ledger, processes: Processes) -> History:
    """Wait until everybody has ended by himself, paid out; the chain alone is left."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        codes = {name: process.poll() for name, process in processes.running.items() if name != "devnet"}
        for name, code in codes.items():
            assert code in (None, 0), f"{name}:\n{processes.log(name)[-3000:]}"
        if all(code == 0 for code in codes.values()):
            return ledger.sync()
        time.sleep(0.2)
    raise AssertionError(f"the run did not end: {ledger.sync().state}, still there: {codes}")


def keys_with_money(node: Node, bank: bytes, names: list[str]) -> dict[str, bytes]:
    keys = dict(zip(names, dev_keys(len(names), seed=b"lies"), strict=True))
    for key in keys.values():
        Account(node, bank).transfer(Account(node, key).address, ALLOWANCE_WEI)
    return keys


@pytest.mark.parametrize("kind", [pytest.param("devnet", marks=pytest.mark.long), "anvil"])
def test_two_liars_fall_and_the_run_ends(tmp_path: Path, kind: str) -> None:
    with ExitStack() as stack:
        processes = Processes(tmp_path, stack)
        url, bank = stack.enter_context(served_chain(kind, processes, tmp_path))
        node = connect([url])
        keys = keys_with_money(node, bank, ["operator", "first", "second", "watcher", *OWNERS])
        addresses = {name: Account(node, key).address for name, key in keys.items()}
        run = settings()
        deployed = deploy_run(
            run,
            node=node,
            operator=Account(node, keys["operator"]),
            store=Store([str(tmp_path / "store")]),
            aggregator=addresses["first"],
            weight_caps={addresses[owner]: 1024 for owner in OWNERS},
            funding_wei=ROUNDS * (run.policy.reward_wei + run.policy.aggregator_reward_wei),
        )
        ledger = deployed.ledger
        for owner in OWNERS:
            config = write_settings(tmp_path / owner, url, ledger, tmp_path, owner)
            processes.start(owner, ["-m", "fl_chain", "worker", "--config", config], keys[owner])
        config = write_settings(tmp_path / "watcher", url, ledger, tmp_path)
        processes.start("watcher", ["-m", "fl_chain", "watch", "--config", config], keys["watcher"])
        for name, lie, lying_round in (
            ("first", "one_lane_off_by_one", LIE),
            ("second", "random_sum_root", HIDDEN_LIE),
        ):
            config = write_settings(tmp_path / name, url, ledger, tmp_path)
            processes.start(name, [str(LIAR_SCRIPT), config, lie, str(lying_round)], keys[name])

        history = follow(ledger, processes)

        proven, rejected = history.fallen
        assert (proven.posting.round, proven.reason) == (LIE, FallReason.SUM)
        assert proven.posting.poster == addresses["first"]
        assert proven.challenger in {addresses[name] for name in ("watcher", *OWNERS)}
        assert (rejected.posting.round, rejected.reason) == (HIDDEN_LIE, FallReason.OBJECTIONS)
        assert rejected.posting.poster == addresses["second"]
        assert history.postings[LIE].poster == addresses["second"]
        assert history.postings[HIDDEN_LIE].poster == addresses["first"]
        assert history.rounds[history.state.tip].step == ROUNDS
        assert history.rounds[LIE].status is RoundStatus.FINAL
        bonus_wei = run.policy.bond_wei - run.policy.challenge_reward_wei
        assert history.bonus_wei(LIE) == bonus_wei
        assert history.settlements[LIE].reward_wei == run.policy.reward_wei + bonus_wei
        report = audit_run(ledger, Store([str(tmp_path / "store")]))
        assert report.findings == []
        falls = {item.round: [fall.reason for fall in item.fallen] for item in report.rounds if item.fallen}
        assert falls == {LIE: ["sum"], HIDDEN_LIE: ["objections"]}
