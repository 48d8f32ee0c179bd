"""Deploys a run, makes its actors ready, and lets them play under disturbances."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from actors import Command, Devnet, start
from disturbances import AGGREGATOR, DEVNET, OWNERS, WORKERS, Disturbances
from lines import Line
from parts import Part
from points import FaultPoint
from trial import (
    AGGREGATOR_REWARD_WEI,
    BOND_WEI,
    DEPOSIT_WEI,
    LEAPS,
    REWARD_WEI,
    ROLES,
    ROUNDS,
    Trial,
    addresses,
    connected,
    key_of,
    payout_of,
)

from fl_chain.config import PRIVATE_KEY_VARIABLE, WORKER_SECRET_VARIABLE, PolicySettings, RunSettings
from fl_chain.data.orange_juice import logistic_regression
from fl_chain.ledger.account import Account
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.node import Node
from fl_chain.run.deployment import DeployedRun, deploy_run
from fl_chain.store import Store

CELL = "fault cell"  # under which tests record what they have tried, for the printed matrix
TALLY = "fault tally"  # and what was lost and doubled

# All three have to take part in every round, so that any disturbance that costs one shows.
POLICY = PolicySettings(
    rounds=ROUNDS,
    quorum=len(OWNERS),
    max_total_weight=10_000,
    submission_s=120,
    publication_s=60,
    posting_s=120,
    takeover_s=120,
    challenge_s=100,
    unbonding_s=1,
    reward_wei=REWARD_WEI,
    aggregator_reward_wei=AGGREGATOR_REWARD_WEI,
    bond_wei=BOND_WEI,
    challenge_reward_wei=BOND_WEI // 20,
    deposit_wei=DEPOSIT_WEI,
)


def verify_survival(
    folder: Path, disturbances: Disturbances, model_root: bytes, record: Callable[[str, object], None]
) -> None:
    """Run under disturbances to the end, and check that nothing came of them.

    Args:
        folder: for everything.
        disturbances: what is done to the run.
        model_root: the undisturbed run's.
        record: notes a property of the test, for the printed matrix.
    """
    for cell in disturbances.cells():
        record(CELL, cell)
    with trial(folder, disturbances) as run:
        run.run_to_the_end()
        record(TALLY, {name: asdict(count) for name, count in run.tally().items()})
        run.verify(model_root=model_root)


@contextmanager
def trial(
    folder: Path,
    disturbances: Disturbances | None = None,
    *,
    policy: PolicySettings = POLICY,
    roles: Sequence[str] = ROLES,
) -> Iterator[Trial]:
    """Deploy a run and make its actors ready; on leaving, stop whatever still runs.

    Args:
        folder: for everything.
        disturbances: what is done to the run; None leaves it alone.
        policy: the run's rules.
        roles: who takes part.
    """
    disturbed = disturbances or Disturbances()
    with ExitStack() as stack:
        chain = _devnet_part(folder, disturbed)
        stack.callback(chain.end)
        chain.restart()
        url = chain.log.with_suffix(".url").read_text()
        node = connected(url)
        deployed = _deploy(folder, node, policy)
        parts, lines = {DEVNET: chain}, {}
        for role in roles:
            cuts = disturbed.lines.get(role)
            if cuts:
                lines[role] = Line(url, cuts)
                stack.callback(lines[role].close)
            command = _write_command(folder, role, lines[role].url if cuts else url, deployed, disturbed)
            parts[role] = _actor_part(folder, role, command, disturbed.faults.get(role, ()))
            stack.callback(parts[role].end)
        if disturbed.faults.get(DEVNET):
            chain.end()
            chain.faults = list(disturbed.faults[DEVNET])
            chain.restart()
            connected(url)
        yield Trial(folder, node, deployed, policy, disturbed, parts, lines)


def _devnet_part(folder: Path, disturbances: Disturbances) -> Part:
    log = folder / f"{DEVNET}.log"
    devnet = Devnet(
        folder / "chain",
        _free_port(),
        tuple(disturbances.jumps),
        disturbances.clock_shifts_s.get(DEVNET, 0.0),
        started_at=time.time(),
        leaps=folder / LEAPS,
    )
    log.with_suffix(".url").write_text(f"http://127.0.0.1:{devnet.port}")

    def start_at(points: Sequence[FaultPoint], away_s: float) -> BaseProcess:
        shifted = replace(devnet, clock_shift_s=devnet.clock_shift_s + away_s)
        return start(shifted, tuple(points), log, log.with_suffix(".struck"))

    return Part(DEVNET, log, start_at, [])


def _deploy(folder: Path, node: Node, policy: PolicySettings) -> DeployedRun:
    bank = Account(node, dev_keys()[0])
    operator = Account(node, dev_keys()[1])
    for receiver in addresses().values():
        bank.transfer(receiver, 10**18)
    task, model, training = logistic_regression()
    return deploy_run(
        RunSettings(seed=11, task=task, model=model, training=training, policy=policy),
        node=node,
        operator=operator,
        store=Store([str(folder / "store")]),
        aggregator=addresses()[AGGREGATOR],
        weight_caps={addresses()[role]: 1000 for role in WORKERS},
        funding_wei=policy.rounds * (REWARD_WEI + AGGREGATOR_REWARD_WEI),
    )


def _write_command(
    folder: Path, role: str, url: str, deployed: DeployedRun, disturbances: Disturbances
) -> Command:
    home = folder / role
    home.mkdir()
    command = role.split(maxsplit=1)[0]
    lines = [
        *("[chain]", f"rpc = [{json.dumps(url)}]", f'ledger = "{deployed.ledger.run.ledger}"'),
        *("poll_s = 0.05", "[store]", 'urls = ["../store"]'),
    ]
    if command == "worker":
        lines += ["[worker]", f'owner = "{role.split()[1]}"', f'payout = "{payout_of(role)}"']
    config = home / "fl_chain.toml"
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Command(
        arguments=(command, "--config", str(config)),
        environment={
            PRIVATE_KEY_VARIABLE: key_of(role).hex(),
            WORKER_SECRET_VARIABLE: key_of(f"secret of {role}").hex(),
        },
        clock_shift_s=disturbances.clock_shifts_s.get(role, 0.0),
        is_impatient=role in disturbances.lines,
    )


def _actor_part(folder: Path, role: str, command: Command, faults: Sequence[FaultPoint]) -> Part:
    log = folder / f"{role}.log"

    def start_again(points: Sequence[FaultPoint], _away_s: float) -> BaseProcess:
        return start(command, tuple(points), log, log.with_suffix(".struck"))

    return Part(role, log, start_again, list(faults))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
