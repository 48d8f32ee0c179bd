"""The demonstration: a chain, workers and aggregator as processes of their own, followed to the end.

Everything stays in one folder, from which the audit works later with no process running:

    run.json, chain/, store/      what an audit needs
    participants/<owner>/         each participant's settings, outbox and log
    aggregator/, devnet.log       the same for the others; anvil.log where the chain is anvil
    audit.json, audit.html        the audit, for machines and for people
    summary.json                  quality
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fl_chain.config import (
    PRIVATE_KEY_VARIABLE,
    WORKER_SECRET_VARIABLE,
    EncryptionSettings,
    MaskingSettings,
    PolicySettings,
    Protection,
    RowPrivacySettings,
    RunSettings,
)
from fl_chain.data.orange_juice import OWNERS, logistic_regression
from fl_chain.errors import FlChainError
from fl_chain.ledger.account import Account
from fl_chain.ledger.anvil import FIXED_RULES, FUNDED_KEY, find_anvil, running_anvil
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.node import Node, connect
from fl_chain.ledger.saved_anvil import STATE_NAME
from fl_chain.records import Address
from fl_chain.run.deployment import DeployedRun, deploy_run
from fl_chain.run.folder import RunFolder, prepare_folder
from fl_chain.store import Store

WEIGHT_CAP = 1024
ALLOWANCE_WEI = 10**20  # what the demo gives each account for gas, deposit and bonds
AGGREGATOR = "aggregator"
START_LIMIT_S = 60.0

# A store has 97 rows at least: steps on half of them, few and long, drown least in the noise.
PRIVACY = RowPrivacySettings(noise_multiplier=4.0, sampling_rate=0.5, steps=5, delta=1e-4)
ROUND_RHO = 0.15625  # steps / (2 * noise_multiplier^2)


CHAIN_LOGS = {"devnet": "devnet.log", "anvil": "anvil.log"}


class ProcessDied(FlChainError):
    """A process of the demonstration ended before the run did."""


@dataclass(frozen=True, slots=True)
class DemoAccounts:
    """Private keys by role, derived from the seed: they are worth nothing outside the demonstration."""

    operator: bytes
    aggregator: bytes
    participants: Mapping[str, bytes]

    @classmethod
    def derived(cls, seed: int, owners: Sequence[str]) -> DemoAccounts:
        """Return the same keys for the same seed."""
        return cls(
            operator=_derived(seed, "operator"),
            aggregator=_derived(seed, AGGREGATOR),
            participants={owner: _derived(seed, f"participant {owner}") for owner in owners},
        )


def _derived(seed: int, role: str) -> bytes:
    return hashlib.sha256(f"fl_chain demo {seed} {role}".encode()).digest()


def demo_settings(
    *,
    seed: int,
    rounds: int,
    is_private: bool = False,
    is_masked: bool = False,
    is_encrypted: bool = False,
) -> RunSettings:
    """Return the settings of the demonstration: five stores, short deadlines, logistic regression.

    Args:
        seed: of the run.
        rounds: models to make.
        is_private: hide every row by DP-SGD, on a budget that has room for two void rounds.
        is_masked: hide every single update by secure aggregation.
        is_encrypted: hide every single update from all but the stores by homomorphic encryption.
    """
    task, model, training = logistic_regression()
    privacy: Protection | None = None
    if is_masked:
        privacy = MaskingSettings(kind="secagg")
    if is_encrypted:
        privacy = EncryptionSettings(kind="he")
    if is_private:
        privacy = PRIVACY.model_copy(update={"rho_budget": (rounds + 2) * ROUND_RHO})
        training = training.model_copy(update={"learning_rate": 1.0})
    return RunSettings(
        privacy=privacy,
        seed=seed,
        task=task,
        model=model,
        training=training,
        policy=PolicySettings(
            rounds=rounds,
            quorum=3,
            max_total_weight=2 * len(OWNERS) * weight_cap(is_encrypted=is_encrypted),
            submission_s=60,
            publication_s=20,
            posting_s=30,
            takeover_s=60,
            challenge_s=5,
            unbonding_s=1,
        ),
    )


def weight_cap(*, is_encrypted: bool) -> int:
    """Return what each store counts for at most: in a sum of ciphertexts all count alike."""
    return 1 if is_encrypted else WEIGHT_CAP


@dataclass(frozen=True, slots=True)
class Demo:
    """A demonstration that is running."""

    folder: Path
    run: DeployedRun
    node: Node
    owners: Mapping[Address, str]
    processes: Mapping[str, subprocess.Popen[bytes]]

    def verify_alive(self) -> None:
        """Check that no process has failed.

        Raises:
            ProcessDied: naming the process and the end of its log.
        """
        for name, process in self.processes.items():
            code = process.poll()
            if code not in (None, 0):
                log_path = _log_path(self.folder, name)
                tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-8:])
                raise ProcessDied(f"{name} ended with code {code}; the end of {log_path}:\n{tail}")

    def is_finished(self) -> bool:
        """Return whether every worker and the aggregator have ended by themselves."""
        return all(process.poll() == 0 for name, process in self.processes.items() if name not in CHAIN_LOGS)


@contextmanager
def start_demo(folder: Path, settings: RunSettings, *, force: bool, chain: str = "devnet") -> Iterator[Demo]:
    """Start everything; on leaving, stop what still runs.

    Args:
        folder: where everything goes.
        settings: what is trained.
        force: replace an earlier run in the folder.
        chain: the node, ``devnet`` or ``anvil``.

    Raises:
        ConfigError: if anvil is not installed; nothing has changed then.
        OutputExists: if the folder may not be replaced.
        ProcessDied: if a process does not come up.
        LedgerError: if the deployment fails.
    """
    if chain == "anvil":
        find_anvil()
    prepare_folder(folder, force=force)
    accounts = DemoAccounts.derived(settings.seed, OWNERS)
    with ExitStack() as stack:
        served, url, bank_key = (_start_anvil if chain == "anvil" else _start_devnet)(folder, stack)
        node = connect([url])
        run, owners = _deploy(folder, settings, Account(node, bank_key), accounts, chain)
        processes = {chain: served}
        for owner, key in accounts.participants.items():
            home = folder / "participants" / owner
            arguments = ["worker", "--config", str(home / "fl_chain.toml")]
            _write_settings(home, url, run, folder, owner)
            processes[f"participants/{owner}"] = _start(
                folder,
                f"participants/{owner}",
                arguments,
                key,
                stack,
                secret=_derived(settings.seed, f"secret {owner}"),
            )
        _write_settings(folder / AGGREGATOR, url, run, folder, "")
        processes[AGGREGATOR] = _start(
            folder,
            AGGREGATOR,
            ["aggregator", "--config", str(folder / AGGREGATOR / "fl_chain.toml")],
            accounts.aggregator,
            stack,
        )
        yield Demo(folder, run, node, owners, processes)


def _deploy(
    folder: Path, settings: RunSettings, bank: Account, accounts: DemoAccounts, chain: str
) -> tuple[DeployedRun, dict[Address, str]]:
    node = bank.node
    operator = Account(node, accounts.operator)
    aggregator = Account(node, accounts.aggregator)
    owners = {Account(node, key).address: owner for owner, key in accounts.participants.items()}
    for receiver in (operator.address, aggregator.address, *owners):
        bank.transfer(receiver, ALLOWANCE_WEI)
    is_encrypted = isinstance(settings.privacy, EncryptionSettings)
    per_round_wei = settings.policy.reward_wei + settings.policy.aggregator_reward_wei
    run = deploy_run(
        settings,
        node=node,
        operator=operator,
        store=Store([str(folder / "store")]),
        aggregator=aggregator.address,
        weight_caps=dict.fromkeys(owners, weight_cap(is_encrypted=is_encrypted)),
        funding_wei=settings.policy.rounds * per_round_wei,
    )
    RunFolder(
        path=folder,
        chain_id=run.ledger.run.chain_id,
        ledger=run.ledger.run.ledger,
        deployed_block=run.deployed_block,
        chain_kind=chain,
    ).write()
    return run, owners


def _write_settings(home: Path, url: str, run: DeployedRun, folder: Path, owner: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    store = os.path.relpath(folder / "store", home)
    lines = [
        "[chain]",
        f'rpc = ["{url}"]',
        f"chain_id = {run.ledger.run.chain_id}",
        f'ledger = "{run.ledger.run.ledger}"',
        "poll_s = 0.1",
        "",
        "[store]",
        f"urls = [{json.dumps(store)}]",
    ]
    if owner:
        lines += ["", "[worker]", f"owner = {json.dumps(owner)}"]
    (home / "fl_chain.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _log_path(folder: Path, name: str) -> Path:
    return folder / CHAIN_LOGS.get(name, f"{name}/log")


def _start(
    folder: Path,
    name: str,
    arguments: list[str],
    key: bytes | None,
    stack: ExitStack,
    *,
    secret: bytes | None = None,
) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    if key is not None:
        environment[PRIVATE_KEY_VARIABLE] = key.hex()
    if secret is not None:
        environment[WORKER_SECRET_VARIABLE] = secret.hex()
    log = stack.enter_context(_log_path(folder, name).open("wb"))
    process = subprocess.Popen(  # noqa: S603 - this very program, with arguments made above
        [sys.executable, "-m", "fl_chain", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    stack.callback(_stop, process)
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start_anvil(folder: Path, stack: ExitStack) -> tuple[subprocess.Popen[bytes], str, bytes]:
    """Start anvil, which mines what comes at once and an empty block each second, so that time passes."""
    state = folder / "chain" / STATE_NAME
    state.parent.mkdir()
    arguments = [*FIXED_RULES, "--block-time", "1", "--mixed-mining", "--dump-state", str(state)]
    anvil = stack.enter_context(running_anvil(_log_path(folder, "anvil"), arguments=arguments))
    return anvil.process, anvil.url, FUNDED_KEY


def _start_devnet(folder: Path, stack: ExitStack) -> tuple[subprocess.Popen[bytes], str, bytes]:
    process = _start(
        folder, "devnet", ["devnet", "--state", str(folder / "chain"), "--port", "0"], None, stack
    )
    log_path = _log_path(folder, "devnet")
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        for line in log_path.read_text(errors="replace").splitlines():
            if line.startswith("devnet listens on "):
                return process, line.split()[3].rstrip(","), dev_keys()[0]
        if process.poll() is not None:
            raise ProcessDied(f"the devnet did not start:\n{log_path.read_text(errors='replace')}")
        time.sleep(0.05)
    raise ProcessDied(f"the devnet did not answer within {START_LIMIT_S:.0f} s; see {log_path}")


def copy_store(folder: Path, name: str) -> Path:
    """Copy a run's store, to show what an audit says of an altered one.

    Args:
        folder: a run's folder.
        name: of the copy, inside the folder.

    Returns:
        The copy's path; an older copy is replaced.
    """
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / "store", target)
    return target


def flip_bit(path: Path, *, byte: int, bit: int) -> None:
    """Invert one bit of a file.

    Args:
        path: the file.
        byte: its position; a negative one counts from the end.
        bit: 0 to 7, 0 the least significant.
    """
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)
