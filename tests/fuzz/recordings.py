"""True documents to alter: what a node says about a real run, its saved chain, a keystore, an attestation.

They are made anew by the system itself, once a process, so that none can fall behind it.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "unit" / "ledger"))

import contextlib

from chains import LOGGER_CREATION, RECIPIENT, Clock, signed
from deployed_runs import Run, deployed_run
from scratch import scratch

from fl_chain.errors import FlChainError
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet import dev_keys, open_chain
from fl_chain.ledger.devnet.rpc import Dispatcher
from fl_chain.ledger.expected_storage import expected_storage
from fl_chain.ledger.fees import current_fees
from fl_chain.ledger.node import Head, Node
from fl_chain.ledger.proven_events import proven_events
from fl_chain.ledger.receipts import receipt_of
from fl_chain.ledger.signing import Call, Fees, Signer
from fl_chain.ledger.transport import Json, Request
from fl_chain.ledger.trie_proofs import proven_account
from fl_chain.ledger.trie_roots import storage_root
from fl_chain.records import Address, ExclusionReason

SLOTS = range(6)
FEE_LIMIT_WEI = 10**12


@dataclass(frozen=True)
class Dialogue:
    """A run as its node tells it."""

    ledger: Address
    participant: Address
    deployed_block: int
    head: Head
    transaction: bytes  # hash of one that was mined
    answers: dict[str, str]  # JSON by request
    folder: Path  # of the saved chain

    def result(self, method: str, *parameters: Any) -> str:
        """Return the JSON of one true result."""
        return json.dumps(json.loads(self.answers[request_key(method, parameters)])["result"])


def request_key(method: str, parameters: Sequence[Json]) -> str:
    return json.dumps([method, list(parameters)], sort_keys=True, default=str)


class RecordingTransport:
    """The real node's answers, kept."""

    def __init__(self, run: Run, answers: dict[str, str]) -> None:
        self._dispatcher, self._answers = Dispatcher(run.chain), answers

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        answer = copy.deepcopy(self._dispatcher.answer(body))
        self._answers[request_key(method, parameters)] = json.dumps(answer)
        return answer

    def batch(self, requests: Sequence[Request]) -> Json:
        return [self.request(method, parameters) for method, parameters in requests]

    def close(self) -> None:
        pass


@cache
def dialogue() -> Dialogue:
    """Return what a node says about a run of three rounds, to everything that `readings` asks."""
    folder = scratch() / "run-chain"
    answers: dict[str, str] = {}
    with deployed_run(folder, participants=4) as run:
        hashes = _play(run)
        head = run.node.head()
        place = run.ledger.events(0, head.number)[0].place
        found = Dialogue(
            run.ledger.run.ledger,
            run.participants[0].address,
            place.block_number,
            head,
            hashes[0],
            answers,
            folder,
        )
        node = Node([("recorded", RecordingTransport(run, answers))], None)
        for reading in READINGS:
            reading(node, found)
    return found


def _play(run: Run) -> list[bytes]:
    run.start(3)
    receipts = [run.submit(number) for number in range(3)]
    run.wait(run.policy.publication_s + 1)
    run.post(1, excluded=[(1, ExclusionReason.UNREADABLE)])
    run.wait(run.policy.submission_s)
    run.ledger.close_round(run.stranger, 2)  # nobody submitted
    run.play_round()
    run.wait(run.policy.challenge_s)
    run.ledger.finalize(run.stranger)
    first = run.ledger.sync().submissions[1][0]
    run.ledger.claim(run.stranger, first.participant, [first])
    run.ledger.request_signer_rotation(run.participants[0], run.stranger.address)
    run.ledger.request_bond(run.aggregator, 5)
    run.ledger.suspend(run.operator, run.participants[1].address)
    run.ledger.leave(run.participants[2])
    run.ledger.announce_end(run.operator)
    return [receipt.transaction_hash for receipt in receipts]


# ---------------------------------------------------------------------- what is read of a node


def opened(node: Node, told: Dialogue) -> Ledger:
    return Ledger.open(node, told.ledger, deployed_block=told.deployed_block)


def _sync(node: Node, told: Dialogue) -> None:
    ledger = opened(node, told)
    read_tables(ledger.sync(), told.participant)
    ledger.all_events()


def _pinned(node: Node, told: Dialogue) -> None:
    ledger = opened(node, told).pinned()
    read_tables(ledger.sync(), told.participant)
    ledger.state()


def read_tables(history: Any, participant: Address) -> None:
    """Read everything that is derived of a history."""
    if not history.has_begun:
        return
    assert isinstance(history.owed_wei, int)
    for round_id, submissions in history.submissions.items():
        history.model_root(round_id)
        for submission in submissions:
            assert history.reward_wei(submission) >= 0
            history.weight_cap_at(submission)
    for one in {participant, *history.participants}:
        history.claimed_wei(one)
        for submission in history.unclaimed_rewards(one):
            history.reward_wei(submission)
        history.identity_of(one)
    with contextlib.suppress(FlChainError):
        storage_root({slot: word.value for slot, word in expected_storage(history).items()})


def _constants(node: Node, told: Dialogue) -> None:
    ledger = opened(node, told)
    for view in (
        ledger.definition,
        ledger.policy,
        ledger.operator,
        ledger.token,
        ledger.state,
        ledger.has_ended,
    ):
        _quietly(view)
    _quietly(ledger.balance)


def _round_views(node: Node, told: Dialogue) -> None:
    ledger = opened(node, told)
    for view in (ledger.round, ledger.model_root, ledger.sums_hash, ledger.posting_summary):
        _quietly(lambda: view(1))  # noqa: B023 - called at once
    for view_of_submission in (ledger.leaf, ledger.is_excluded, ledger.is_claimed):
        _quietly(lambda: view_of_submission(1, 0))  # noqa: B023


def _account_views(node: Node, told: Dialogue) -> None:
    ledger = opened(node, told)
    for view in (ledger.participant, ledger.identity_of, ledger.account):
        _quietly(lambda: view(told.participant))  # noqa: B023
    node.nonce(told.participant)


def _gas(node: Node, told: Dialogue) -> None:
    opened(node, told).gas_by_call()


def _proof(node: Node, told: Dialogue) -> None:
    proven_account(node, told.head, told.ledger, SLOTS)


def _events(node: Node, told: Dialogue) -> None:
    proven_events(node, told.head, told.ledger, told.deployed_block)


def _fees(node: Node, told: Dialogue) -> None:
    current_fees(node, FEE_LIMIT_WEI)


def _receipt(node: Node, told: Dialogue) -> None:
    signer = Signer(dev_keys()[0])
    fees = Fees(10**10, 1)
    transaction = signer.sign(Call(told.ledger, b"", 10**6), chain_id=node.chain_id, nonce=0, fees=fees)
    answer = node.request("eth_getTransactionReceipt", "0x" + told.transaction.hex())
    receipt_of(node, transaction, answer)


def _blocks(node: Node, told: Dialogue) -> None:
    node.batch([("eth_getBlockByNumber", ["latest", False]), ("eth_chainId", [])])
    node.block(told.head.number)
    node.head()


def _quietly(view: Any) -> None:
    """Go on with the next view where one is refused."""
    with contextlib.suppress(FlChainError):
        view()


READINGS = (
    _sync,
    _pinned,
    _constants,
    _round_views,
    _account_views,
    _gas,
    _proof,
    _fees,
    _receipt,
    _blocks,
    _events,
)


# ---------------------------------------------------------------------- a small saved chain


@cache
def small_chain() -> Path:
    """Return the folder of a saved chain of three blocks: a transfer, a deployment, a call that logs."""
    folder = scratch() / "small-chain"
    clock = Clock()
    with open_chain(folder, clock=clock, accounts=1) as chain:
        chain.send(signed(chain.chain_id, 0))
        chain.send(signed(chain.chain_id, 1, to=None, value=0, gas=200_000, data=LOGGER_CREATION))
        created = Dispatcher(chain).answer(
            {"id": 1, "method": "eth_getTransactionReceipt", "params": [_last_transaction(chain)]}
        )["result"]["contractAddress"]
        chain.send(signed(chain.chain_id, 2, to=created, value=0, gas=100_000, data=b"\x07" * 32))
    return folder


def _last_transaction(chain: Any) -> str:
    return "0x" + chain.block(chain.head).transactions[-1].hash.hex()


__all__ = [
    "READINGS",
    "RECIPIENT",
    "SLOTS",
    "Dialogue",
    "dialogue",
    "read_tables",
    "request_key",
    "small_chain",
]
