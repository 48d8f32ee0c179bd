"""A small run whose processes are struck, started again, and held to what an undisturbed run does."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from actors import start_command, start_devnet
from points import ClockJump, FaultPoint

from fl_chain.audit import AuditReport, audit_run
from fl_chain.config import PRIVATE_KEY_VARIABLE, WORKER_SECRET_VARIABLE, PolicySettings, RunSettings
from fl_chain.data.orange_juice import logistic_regression
from fl_chain.errors import LedgerUnavailable
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.history import History
from fl_chain.ledger.keys import address_of
from fl_chain.ledger.node import Node, connect
from fl_chain.records import Address, address
from fl_chain.run.deployment import DeployedRun, deploy_run
from fl_chain.store import Store

OWNERS = ("1", "2", "3")
WORKERS = tuple(f"worker {owner}" for owner in OWNERS)
AGGREGATOR = "aggregator"
DEVNET = "devnet"
CELL = "fault cell"  # under which tests record what they have tried, for the printed matrix
ROUNDS = 2
REWARD_WEI, AGGREGATOR_REWARD_WEI = 3 * 10**15, 10**15
DEPOSIT_WEI, BOND_WEI = 10**16, 10**17
LIMIT_S = 200.0
POLL_S = 0.02

Faults = Mapping[str, Sequence[FaultPoint]]


def key_of(role: str) -> bytes:
    """Return a role's key; it is worth nothing outside these tests."""
    return hashlib.sha256(f"faults {role}".encode()).digest()


def payout_of(role: str) -> Address:
    """Return where a worker has its money sent: an account that signs nothing, so its balance is exact."""
    return address_of(key_of(f"payout of {role}"))


def addresses() -> dict[str, Address]:
    """Return the account of each role."""
    return {role: address_of(key_of(role)) for role in (*WORKERS, AGGREGATOR)}


def settings() -> RunSettings:
    """All three have to take part in every round, so that any disturbance that costs one shows."""
    task, model, training = logistic_regression()
    policy = PolicySettings(
        rounds=ROUNDS,
        quorum=len(OWNERS),
        max_total_weight=10_000,
        submission_s=120,
        publication_s=60,
        posting_s=120,
        takeover_s=120,
        challenge_s=4,
        unbonding_s=1,
        reward_wei=REWARD_WEI,
        aggregator_reward_wei=AGGREGATOR_REWARD_WEI,
        bond_wei=BOND_WEI,
        challenge_reward_wei=BOND_WEI // 20,
        deposit_wei=DEPOSIT_WEI,
    )
    return RunSettings(seed=11, task=task, model=model, training=training, policy=policy)


@dataclass
class Part:
    """One actor: its process now, and the blows that are still to come."""

    name: str
    log: Path
    start: Callable[[FaultPoint | None], BaseProcess]
    faults: list[FaultPoint]
    process: BaseProcess = field(init=False)
    point: FaultPoint | None = field(init=False, default=None)

    def restart(self) -> None:
        """Start the process, with the next blow waiting for it."""
        self.point = self.faults.pop(0) if self.faults else None
        self.process = self.start(self.point)

    def look(self) -> bool:
        """Start the process again if it was struck; return whether it has ended by itself."""
        code = self.process.exitcode
        if code is None:
            return False
        if code != 0 or (self.name == DEVNET):
            is_struck = self.point is not None and self.point.kind == "kill"
            assert is_struck, f"{self.name} ended with {code} and nothing had struck it:\n{self.tail()}"
            assert code == -9, f"{self.name} ended with {code}, not at {self.point}:\n{self.tail()}"
            self.restart()
            return False
        return True

    def tail(self) -> str:
        """Return the end of the process's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"--- {self.name}, {self.point} to come:\n" + "\n".join(lines[-12:])


@dataclass
class Trial:
    """A run in its folder."""

    folder: Path
    node: Node
    deployed: DeployedRun
    parts: dict[str, Part]

    def run_to_the_end(self) -> None:
        """Start every actor again whenever it falls, until all have ended by themselves."""
        deadline = time.monotonic() + LIMIT_S
        actors = [part for part in self.parts.values() if part.name != DEVNET]
        for part in actors:
            part.restart()
        while True:
            self.parts[DEVNET].look()
            have_ended = [part.look() for part in actors]
            if all(have_ended):
                break
            assert time.monotonic() < deadline, "\n".join(part.tail() for part in actors)
            time.sleep(POLL_S)
        _connected(self.node.name)
        for part in self.parts.values():
            is_waiting = part.faults or (part.point is not None and part.point.kind == "kill")
            assert not is_waiting, f"{part.name} never came to {part.point}"

    # ------------------------------------------------------------------ what must hold

    @property
    def history(self) -> History:
        """The ledger's history up to now."""
        return self.deployed.ledger.sync()

    def model_root(self) -> bytes:
        """Return the root of the final model."""
        return self.history.postings[self.history.state.tip].model_root

    def audit(self) -> AuditReport:
        """Audit the run as somebody else would."""
        return audit_run(Ledger.open(self.node, self.deployed.ledger.run.ledger), self.store)

    @property
    def store(self) -> Store:
        """The run's blobs."""
        return Store([str(self.folder / "store")])

    def transactions(self) -> Counter[tuple[str, str, bool]]:
        """Return how many transactions each account sent to the ledger: by role, call and success."""
        roles = {who: role for role, who in addresses().items()}
        counted: Counter[tuple[str, str, bool]] = Counter()
        for number in range(self.node.head().number + 1):
            block = self.node.request("eth_getBlockByNumber", hex(number), True)
            for transaction in block["transactions"]:
                role = roles.get(address(transaction["from"]))
                if role is not None:
                    receipt = self.node.request("eth_getTransactionReceipt", transaction["hash"])
                    name = _name(transaction["input"])
                    counted[role, name, int(receipt["status"], 16) == 1] += 1
        return counted

    def verify(self, *, model_root: bytes | None, may_be_refused: bool = False) -> None:
        """Check that nothing was lost, nothing came twice, and the model is the same.

        Args:
            model_root: the undisturbed run's; None where this is that run.
            may_be_refused: whether the contract may have refused a transaction that came too late.
        """
        history = self.history
        final = [posting.round for posting in history.postings.values()]
        assert len(final) == ROUNDS
        participants = {addresses()[role] for role in WORKERS}
        for round_id in final:
            assert Counter(s.participant for s in history.submissions[round_id]) == dict.fromkeys(
                participants, 1
            )
            assert history.postings[round_id].exclusions == ()
        claims = Counter((claim.round, claim.participant) for claim in history.claims)
        assert claims == {(round_id, who): 1 for round_id in final for who in participants}
        self._verify_money(history)
        self._verify_transactions(history, may_be_refused=may_be_refused)
        report = self.audit()
        assert report.findings == []
        assert report.verdict == "pass"
        assert model_root is None or self.model_root() == model_root

    def _verify_money(self, history: History) -> None:
        earned_wei = ROUNDS * REWARD_WEI // len(OWNERS)
        for role in WORKERS:
            assert self.node.balance_wei(payout_of(role)) == earned_wei + DEPOSIT_WEI
        assert history.owed_wei == history.state.pool_wei == self.deployed.ledger.balance()
        # A bond is deposited only while none is free: one that was deposited twice would show.
        free_wei = 0
        for event in self.deployed.ledger.events(0, self.node.head().number):
            match type(event).__name__:
                case "BondDeposited":
                    free_wei += event.amount_wei
                    assert free_wei == BOND_WEI
                case "RoundPosted":
                    free_wei -= BOND_WEI
                case "RoundFinalized":
                    free_wei += BOND_WEI
                case "BondRequested":
                    free_wei -= event.amount_wei
        assert free_wei == 0

    def _verify_transactions(self, history: History, *, may_be_refused: bool) -> None:
        sent = self.transactions()
        once = {(role, name, True): 1 for role in WORKERS for name in ("register", "claim", "leave")}
        once |= {(role, "withdraw", True): 1 for role in (*WORKERS, AGGREGATOR)}
        once |= {(AGGREGATOR, "post", True): ROUNDS, (AGGREGATOR, "requestBond", True): 1}
        for role in WORKERS:
            own = [s for r in history.submissions.values() for s in r if s.participant == addresses()[role]]
            assert len({submission.round for submission in own}) == len(own)
            once[role, "submit", True] = len(own)
        free_for_all = ("openRound", "closeRound", "voidRound", "finalize", "depositBond")
        assert once == {
            key: number
            for key, number in sent.items()
            if key[1] not in free_for_all and (key[2] or not may_be_refused)
        }


@contextmanager
def trial(
    folder: Path,
    faults: Faults,
    *,
    via: Callable[[str], str] = lambda url: url,
    jumps: Sequence[ClockJump] = (),
    clock_shifts_s: Mapping[str, float] | None = None,
) -> Iterator[Trial]:
    """Deploy a run and make its actors ready; on leaving, stop whatever still runs.

    Args:
        folder: for everything.
        faults: for each actor, the blows in the order in which it will meet them.
        via: where the actors ask, given the devnet's address.
        jumps: of the devnet's clock.
        clock_shifts_s: for each actor, how wrong its clock is.
    """
    port = _free_port()
    log = folder / f"{DEVNET}.log"

    def devnet(point: FaultPoint | None) -> BaseProcess:
        return start_devnet(folder / "chain", port=port, log=log, point=point, jumps=tuple(jumps))

    chain = Part(DEVNET, log, devnet, [])
    parts = {DEVNET: chain}
    chain.restart()
    try:
        url = f"http://127.0.0.1:{port}"
        node = _connected(url)
        deployed = _deploy(folder, node)
        for role in (*WORKERS, AGGREGATOR):
            start = _actor(folder, role, via(url), deployed, (clock_shifts_s or {}).get(role, 0.0))
            parts[role] = Part(role, folder / f"{role}.log", start, list(faults.get(role, ())))
        if faults.get(DEVNET):
            chain.process.kill()
            chain.process.join()
            chain.faults = list(faults[DEVNET])
            chain.restart()
            _connected(url)
        yield Trial(folder, node, deployed, parts)
    finally:
        for part in parts.values():
            if hasattr(part, "process"):
                part.process.kill()
                part.process.join()


def _deploy(folder: Path, node: Node) -> DeployedRun:
    bank = Account(node, dev_keys()[0])
    operator = Account(node, dev_keys()[1])
    for receiver in addresses().values():
        bank.transfer(receiver, 10**18)
    return deploy_run(
        settings(),
        node=node,
        operator=operator,
        store=Store([str(folder / "store")]),
        aggregator=addresses()[AGGREGATOR],
        weight_caps={addresses()[role]: 1000 for role in WORKERS},
        funding_wei=ROUNDS * (REWARD_WEI + AGGREGATOR_REWARD_WEI),
    )


def _actor(
    folder: Path, role: str, url: str, deployed: DeployedRun, clock_shift_s: float
) -> Callable[[FaultPoint | None], BaseProcess]:
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
    environment = {
        PRIVATE_KEY_VARIABLE: key_of(role).hex(),
        WORKER_SECRET_VARIABLE: key_of(f"secret of {role}").hex(),
    }

    def start(point: FaultPoint | None) -> BaseProcess:
        return start_command(
            [command, "--config", str(config)],
            log=folder / f"{role}.log",
            environment=environment,
            point=point,
            clock_shift_s=clock_shift_s,
        )

    return start


def _connected(url: str) -> Node:
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect([url])
        except LedgerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _name(data: str) -> str:
    return ledger_abi().name_of(bytes.fromhex(data[2:10])) or "other"
