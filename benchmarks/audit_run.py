"""A whole audit against hashing the run's blobs once.

Ours is the audit of 20 rounds of 20 participants and a model of a million parameters: every copy of every
blob, all sums and models derived again, figures of all updates, the money, the contract's state. The peer
hashes the same files with `hashlib.sha256` and nothing else, in as many processes as there are cores. All
files are in the page cache; the chain is on disk. Each audit is a process of its own and loads what it needs
in the measured time; audits and hashing go by turns, and medians count. `audit_memory` compares the largest
resident memory of an auditing process with what the blobs take.
"""

from __future__ import annotations

import hashlib
import resource
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.harness import Result, cores, machine
from fl_chain.aggregator import Aggregator, AggregatorParts
from fl_chain.audit import audit_run
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.config import ModelSettings, PolicySettings, RunSettings
from fl_chain.data.orange_juice import logistic_regression
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet import dev_keys, open_chain
from fl_chain.ledger.node import embedded
from fl_chain.records import Address, Opening, Round
from fl_chain.run.deployment import deploy_run
from fl_chain.store import Store

ROUNDS = 20
RUNS = 5
PARTICIPANTS = 20
HIDDEN = (1000, 990)  # with eight inputs and one output 1,000,981 parameters
WEIGHT = 10
CHALLENGE_S = 30


@dataclass(frozen=True, slots=True)
class _Measured:
    seconds: float
    peak_bytes: int
    blob_bytes: int
    verdict: str


def results() -> list[Result]:
    """Return `audit_run` and `audit_memory`."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        address = _made(folder)
        files = [path for path in (folder / "store").rglob("*") if path.is_file()]
        audits, hashings = [], []
        for number in range(RUNS + 1):
            hashing_s, audit = _hashed(files), _audited_apart(folder, address)
            if audit.verdict != "pass":
                raise RuntimeError("the run is right, and the audit says otherwise")
            if number > 0:  # the first brings files into the page cache, and loops onto the disk
                hashings.append(hashing_s)
                audits.append(audit)
    gigabytes = audits[0].blob_bytes / 1e9
    peer = f"hashlib.sha256 over the same files, {cores()} processes"
    seconds = statistics.median(one.seconds for one in audits)
    speed = (gigabytes / seconds, gigabytes / statistics.median(hashings))
    memory = (max(one.peak_bytes for one in audits) / 1e9, gigabytes)
    return [
        Result("audit_run", _ratio(*speed), peer, round(speed[0], 4), round(speed[1], 4), "GB/s", machine()),
        Result(
            "audit_memory",
            _ratio(memory[1], memory[0]),
            "all blobs of the run in memory",
            round(memory[0], 4),
            round(memory[1], 4),
            "GB",
            machine(),
        ),
    ]


def _ratio(ours: float, theirs: float) -> float:
    return round(ours / theirs, 4)


def _audited_apart(folder: Path, address: Address) -> _Measured:
    with get_context("spawn").Pool(1) as child:
        return child.apply(_audited, (str(folder), address))


def _audited(folder: str, address: Address) -> _Measured:
    """Audit in a process of its own, which holds nothing else."""
    with open_chain(Path(folder) / "chain") as chain:
        ledger = Ledger.open(embedded(chain), address)
        start = time.perf_counter()
        report = audit_run(ledger, Store([f"{folder}/store"]))
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _Measured(seconds, peak, report.blobs.bytes, report.verdict)


def _hashed(files: list[Path]) -> float:
    """Return the seconds that hashing takes."""
    shares = [files[number :: cores()] for number in range(cores())]
    with get_context("fork").Pool(cores()) as pool:
        pool.map(len, shares)  # the processes are there
        start = time.perf_counter()
        pool.map(_hash_files, shares, chunksize=1)
        return time.perf_counter() - start


def _hash_files(files: list[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()


def _made(folder: Path) -> Address:
    """Make the run: real chain, ledger, store and aggregator, updates drawn at random."""
    rng = np.random.default_rng(0)
    now = float(1_800_000_000)
    store = Store([str(folder / "store")])
    with open_chain(folder / "chain", accounts=PARTICIPANTS + 2, clock=lambda: now) as chain:
        node = embedded(chain)
        operator, poster, *accounts = (Account(node, key) for key in dev_keys(PARTICIPANTS + 2))
        task, _, training = logistic_regression()
        run = deploy_run(
            RunSettings(
                seed=1,
                task=task,
                model=ModelSettings(kind="mlp", hidden=HIDDEN),
                training=training,
                policy=PolicySettings(
                    rounds=ROUNDS,
                    quorum=PARTICIPANTS,
                    max_total_weight=1000,
                    challenge_s=CHALLENGE_S,
                    reward_wei=0,
                    aggregator_reward_wei=0,
                    bond_wei=0,
                    challenge_reward_wei=0,
                    deposit_wei=0,
                ),
            ),
            node=node,
            operator=operator,
            store=store,
            aggregator=poster.address,
            weight_caps={account.address: WEIGHT for account in accounts},
            funding_wei=0,
        )
        ledger = run.ledger
        for account in accounts:
            ledger.register(account, account.address)
        aggregator = Aggregator(AggregatorParts(ledger, poster, store, folder / "aggregator"))
        while not aggregator.is_done():
            history = ledger.sync()
            latest = history.state.latest
            if latest and not history.submissions[latest]:
                current = history.rounds[latest]
                for account, lanes in zip(accounts, _updates(rng, run.definition.dimension), strict=True):
                    _submit(ledger, store, account, current, lanes)
            if not aggregator.step():
                now += CHALLENGE_S
                chain.catch_up()
    return ledger.run.ledger


def _updates(rng: np.random.Generator, dimension: int) -> Iterator[Lanes]:
    for _ in range(PARTICIPANTS):
        values = rng.normal(scale=2000, size=dimension).astype(np.int32)
        yield values.view(np.uint32).astype(LANE)


def _submit(ledger: Ledger, store: Store, account: Account, current: Round, lanes: Lanes) -> None:
    history, who = ledger.sync(), account.address
    salt = hashlib.sha256(f"{who} {current.id}".encode()).digest()
    opening = Opening(vector_root(lanes), salt)
    sealed = sealed_root(opening.vector_root, salt, history.run, current.id, who)
    store.write_update(who, sealed, opening, lanes, run=history.run, round=current.id)
    base = history.model_root(current.base_round)
    ledger.submit(account, round=current.id, base_model_root=base, sealed_root=sealed, weight=WEIGHT)
