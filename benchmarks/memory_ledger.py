"""A round's submissions on the in-memory ledger against the same calls on the embedded chain.

Ours is a round of 1,000 submissions. Theirs signs and mines a few by the typed client on the development
chain, which takes too long for a thousand; both are given as submissions per second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.harness import Result, interleaved_medians, throughput
from benchmarks.ledger_operations import DEFINITION, POLICY
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import Chain, dev_keys, open_chain
from fl_chain.ledger.memory import MemoryLedger, Message, NativeCoin
from fl_chain.ledger.node import embedded
from fl_chain.records import Address, Digest, RoundStatus, RunId, address

SUBMISSIONS = 1000
MINED = 24  # per run
RUNS = 7
OPERATOR = address(bytes([17]) * 20)
SEALED_ROOT = Digest(b"\x04" * 32)


def results() -> list[Result]:
    """Return the comparison."""
    accounts = MINED * (RUNS + 1) + 1
    with open_chain(accounts=accounts) as chain:
        rounds, batches = _rounds(RUNS + 1), _batches(chain, accounts)
        ours, theirs = interleaved_medians([lambda: next(rounds), lambda: next(batches)], RUNS)
    seconds = (ours, theirs * SUBMISSIONS / MINED)
    return [throughput("memory_ledger", "embedded py-evm ledger", SUBMISSIONS, seconds, "submissions/s")]


def _rounds(count: int) -> Iterator[None]:
    """Let everybody submit to a round, which closes by it."""
    participants = [address(hashlib.sha256(b"%d" % number).digest()[:20]) for number in range(SUBMISSIONS)]
    for ledger in [_open_ledger(participants) for _ in range(count)]:
        for participant in participants:
            ledger.submit(
                Message(participant, 2),
                round=1,
                base_model_root=DEFINITION.genesis_model_root,
                sealed_root=SEALED_ROOT,
                weight=1,
            )
        if ledger.round(1).status is not RoundStatus.CLOSED:
            raise RuntimeError("a round that everybody submitted to is still open")
        yield


def _open_ledger(participants: list[Address]) -> MemoryLedger:
    operator = Message(OPERATOR, 1)
    run = RunId(1, Address("0x" + "22" * 20))
    policy = replace(POLICY, quorum=SUBMISSIONS)
    ledger = MemoryLedger(run, operator, DEFINITION, policy, aggregator=OPERATOR, coin=NativeCoin({}))
    for participant in participants:
        ledger.admit(operator, participant, 1)
        ledger.register(Message(participant, 1), participant)
    ledger.open_round(operator)
    return ledger


def _batches(chain: Chain, accounts: int) -> Iterator[None]:
    """Submit for a few participants each time."""
    node = embedded(chain)
    operator, *participants = (Account(node, key) for key in dev_keys(accounts))
    policy = replace(POLICY, quorum=len(participants))
    ledger = Ledger.open(
        node, deploy(node, operator, DEFINITION, policy, aggregator=operator.address).address
    )
    for participant in participants:
        ledger.admit(operator, participant.address, 1)
        ledger.register(participant, participant.address)
    ledger.open_round(operator)
    base_model_root = DEFINITION.genesis_model_root
    while True:
        batch, participants = participants[:MINED], participants[MINED:]
        for participant in batch:
            ledger.submit(
                participant, round=1, base_model_root=base_model_root, sealed_root=SEALED_ROOT, weight=1
            )
        yield
