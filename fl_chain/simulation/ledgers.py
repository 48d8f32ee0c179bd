"""What a simulated run is recorded on, its clock, and everybody's accounts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fl_chain.config import EncryptionSettings, MaskingSettings, RunSettings
from fl_chain.errors import ConfigError
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.gas import TRANSFER_GAS
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.memory.client import Genesis, MemoryChain, MemoryClient, create_chain, open_memory_chain
from fl_chain.ledger.memory.twin import SetClock, twin_of
from fl_chain.ledger.node import Node, connect, embedded
from fl_chain.ledger.signing import Call
from fl_chain.policy import RunPolicy
from fl_chain.records import Address, RunId, address
from fl_chain.run.cohorts import follows_the_ledger
from fl_chain.run.deployment import deploy_run, planned_policy, publish_run
from fl_chain.run.documents import read_policy
from fl_chain.run.folder import RunFolder, read_run_folder
from fl_chain.run.transactions import forget_newest
from fl_chain.simulation.ahead import AheadLedger, Follower, SavedLedger
from fl_chain.simulation.choices import SimulationChoices
from fl_chain.store import Store

START_S = 1_800_000_000  # chain time at which simulations begin, wherever and whenever they run
MEMORY_CHAIN_ID = 1
ALLOWANCE_WEI = 10**20  # what each account gets on a node
POLL_S = 0.2
TOGETHER = 16  # transactions that are sent in one go


@dataclass(frozen=True)
class Keys:
    """Private keys by role, derived from the seed: they are worth nothing outside a simulation."""

    operator: bytes
    aggregator: bytes
    participants: Mapping[str, bytes]

    @classmethod
    def derived(cls, seed: int, names: Sequence[str]) -> Keys:
        """Return the same keys for the same seed and names."""
        return cls(
            _derived(seed, "operator"),
            _derived(seed, "aggregator"),
            {name: _derived(seed, f"participant {name}") for name in names},
        )

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Everybody's, operator and aggregator first."""
        return tuple(map(address_of, (self.operator, self.aggregator, *self.participants.values())))


def _derived(seed: int, role: str) -> bytes:
    return hashlib.sha256(f"fl_chain simulation {seed} {role}".encode()).digest()


@dataclass(frozen=True)
class Recorded:
    """A run that participants can register for, and what goes with it.

    Attributes:
        ledger: of the run.
        policy: of the run.
        operator: its account.
        aggregator: its account.
        participants: their accounts, by name.
        wait_until: lets chain time pass up to a moment, in seconds.
        close: saves what is to be saved.
        settled: returns the ledger once it holds everything; what it was ahead of its chain is executed then.
        await_chain: waits until the chain holds everything so far.
    """

    ledger: Ledger
    policy: RunPolicy
    operator: Account
    aggregator: Account
    participants: Mapping[str, Account]
    wait_until: Callable[[float], None]
    close: Callable[[], None]
    settled: Callable[[], Ledger]
    await_chain: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class _Chain:
    node: Node
    wait_until: Callable[[float], None]
    close: Callable[[], None]
    bank: Account | None = None  # None: everybody has money from the beginning


def recorded_run(
    folder: Path, settings: RunSettings, choices: SimulationChoices, names: Sequence[str], store: Store
) -> Recorded:
    """Deploy a run for a simulation, or open the one that a folder holds.

    Raises:
        ConfigError: if the settings are out of bounds, or the saved ledger cannot be read.
        LedgerError: if the deployment fails.
    """
    if isinstance(settings.privacy, MaskingSettings):
        raise ConfigError(
            "masks hide participants from one another, and a simulation has them all in one process: leave "
            "out [run.privacy], and try it with `fl-chain demo --privacy secagg`"
        )
    if isinstance(settings.privacy, EncryptionSettings):
        raise ConfigError(
            "encryption hides updates from aggregator and auditors, and a simulation has everybody in one "
            "process: leave out [run.privacy], and try it with `fl-chain demo --privacy he`"
        )
    keys = Keys.derived(settings.seed, names)
    if choices.ledger == "memory":
        return _in_memory(folder, settings, keys, store)
    is_new = not (folder / "run.json").is_file()
    if choices.ledger == "node" and not is_new:
        raise ConfigError("a simulation on a node goes on there: resuming it from here is not possible")
    chain = _tester(folder) if choices.ledger == "tester" else _on_node(choices.rpc)
    accounts = {name: Account(chain.node, key) for name, key in keys.participants.items()}
    operator, aggregator = Account(chain.node, keys.operator), Account(chain.node, keys.aggregator)
    if is_new:
        if chain.bank is not None:
            calls = [Call(receiver, b"", TRANSFER_GAS, ALLOWANCE_WEI) for receiver in keys.addresses]
            for start in range(0, len(calls), TOGETHER):
                chain.bank.send_batch(calls[start : start + TOGETHER])
        run = deploy_run(
            settings,
            node=chain.node,
            operator=operator,
            store=store,
            aggregator=aggregator.address,
            weight_caps=weight_caps(settings, [account.address for account in accounts.values()]),
            funding_wei=_funding_wei(settings),
        )
        ledger, policy = run.ledger, run.policy
        if choices.ledger == "tester":
            _write_folder(folder, ledger, run.deployed_block, "devnet")
    else:
        found = read_run_folder(folder)
        ledger = Ledger.open(chain.node, found.run_id.ledger, deployed_block=found.deployed_block)
        policy = read_policy(ledger.definition(), ledger.policy(), store)
    if choices.ledger == "tester" and may_go_ahead(policy):
        return _ahead(folder, ledger, policy, keys, chain)
    close = chain.close
    return Recorded(ledger, policy, operator, aggregator, accounts, chain.wait_until, close, lambda: ledger)


def may_go_ahead(policy: RunPolicy) -> bool:
    """Return whether everything that a simulation asks its chain is known before it is executed.

    That is all but the randomness of its blocks, from which cohorts may be drawn.
    """
    return not follows_the_ledger(policy)


def _ahead(folder: Path, ledger: Ledger, policy: RunPolicy, keys: Keys, chain: _Chain) -> Recorded:
    """Return the ledger's twin, with its chain executed in a process of its own."""
    clock = SetClock(START_S)
    twin = twin_of(ledger, keys.addresses, clock)
    chain.close()
    forget_newest(folder / "aggregator")
    secrets = (keys.operator, keys.aggregator, *keys.participants.values())
    saved = SavedLedger(folder / "chain", ledger.run, ledger.deployed_block, secrets)
    follower, found = Follower(saved), ExitStack()

    def settled() -> Ledger:
        follower.finish()
        reopened = _tester(folder)
        found.callback(reopened.close)
        return Ledger.open(reopened.node, saved.run.ledger, deployed_block=saved.deployed_block)

    def close() -> None:
        follower.close()
        found.close()

    ahead = AheadLedger(twin, clock, follower)
    operator, aggregator, *others = (Account(ahead.node, key) for key in secrets)
    participants = dict(zip(keys.participants, others, strict=True))
    return Recorded(
        ahead,
        policy,
        operator,
        aggregator,
        participants,
        ahead.wait_until,
        close,
        cache(settled),
        follower.catch_up,
    )


def weight_caps(settings: RunSettings, participants: Sequence[Address]) -> dict[Address, int]:
    """Return the same cap for everybody: as much as fits a round in which all submit."""
    cap = settings.policy.max_total_weight // max(1, len(participants))
    if cap == 0:
        raise ConfigError(
            f"max_total_weight is {settings.policy.max_total_weight}, less than {len(participants)} "
            "participants: raise it"
        )
    return dict.fromkeys(participants, cap)


def _funding_wei(settings: RunSettings) -> int:
    return settings.policy.rounds * (settings.policy.reward_wei + settings.policy.aggregator_reward_wei)


def _write_folder(folder: Path, ledger: Ledger, deployed_block: int, kind: str) -> None:
    run = ledger.run
    RunFolder(folder, run.chain_id, run.ledger, deployed_block, chain_kind=kind).write()


def _in_memory(folder: Path, settings: RunSettings, keys: Keys, store: Store) -> Recorded:
    clock = SetClock(START_S)
    is_new = not (folder / "run.json").is_file()
    if is_new:
        chain, policy = _created(folder, settings, keys, store, clock)
    else:
        chain = open_memory_chain(folder / "chain", clock=clock, read_only=False)
    ledger = MemoryClient(chain)
    clock.now = max(clock.now, ledger.head().timestamp)
    operator = Account(ledger.node, keys.operator)
    participants = {name: Account(ledger.node, key) for name, key in keys.participants.items()}
    if is_new:
        ledger.fund(operator, _funding_wei(settings))
        for participant, cap in weight_caps(settings, [a.address for a in participants.values()]).items():
            ledger.admit(operator, participant, cap)
        _write_folder(folder, ledger, 0, "memory")
    else:
        policy = read_policy(ledger.definition(), ledger.policy(), store)
    aggregator = Account(ledger.node, keys.aggregator)
    move = _mover(clock)
    return Recorded(ledger, policy, operator, aggregator, participants, move, chain.close, lambda: ledger)


def _created(
    folder: Path, settings: RunSettings, keys: Keys, store: Store, clock: SetClock
) -> tuple[MemoryChain, RunPolicy]:
    participants = keys.addresses[2:]
    policy = planned_policy(settings, weight_caps(settings, participants))
    ledger = address(hashlib.sha256(keys.operator).digest()[:20])
    genesis = Genesis(
        run=RunId(MEMORY_CHAIN_ID, ledger),
        now=START_S,
        operator=keys.addresses[0],
        aggregator=keys.addresses[1],
        definition=publish_run(policy, store),
        policy=policy.ledger,
        accounts=keys.addresses,
    )
    return create_chain(folder / "chain", genesis, clock), policy


def _mover(clock: SetClock) -> Callable[[float], None]:
    def wait_until(moment_s: float) -> None:
        clock.now = max(clock.now, moment_s)

    return wait_until


def _tester(folder: Path) -> _Chain:
    from fl_chain.ledger.devnet.chain import open_chain
    from fl_chain.ledger.devnet.keys import dev_keys

    chain = open_chain(folder / "chain", clock=lambda: START_S)
    clock = SetClock(chain.head.timestamp)
    chain.go_by(clock)
    move = _mover(clock)

    def wait_until(moment_s: float) -> None:
        move(moment_s)
        chain.catch_up()

    node = embedded(chain, mines_together=True)
    return _Chain(node, wait_until, chain.close, Account(node, dev_keys()[0]))


def _on_node(url: str) -> _Chain:
    from fl_chain.ledger.devnet.keys import dev_keys

    node = connect([url])

    def wait_until(moment_s: float) -> None:
        time.sleep(POLL_S)  # a node's time is the world's

    return _Chain(node, wait_until, node.close, Account(node, dev_keys()[0]))
