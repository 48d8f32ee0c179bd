"""Decoding 10,000 logs of a node in bulk against web3.py's `process_log`, on the events of a real run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

from hexbytes import HexBytes
from web3 import Web3

from benchmarks.harness import Result, interleaved_medians, throughput
from benchmarks.ledger_operations import DEFINITION, POLICY
from fl_chain.ledger.account import Account
from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.decoding import decode_logs
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import Chain, dev_keys, open_chain
from fl_chain.ledger.node import embedded
from fl_chain.records import Digest

PARTICIPANTS = 12
EVENTS = 10_000  # the run's, over and over
RUNS = 7


def results() -> list[Result]:
    """Return the comparison."""
    with open_chain(accounts=PARTICIPANTS + 1) as chain:
        logs = list(islice(cycle(_logs(chain)), EVENTS))
    parsed = [_as_web3_has_it(log) for log in logs]
    contract = Web3().eth.contract(abi=training_ledger().abi)
    by_topic = {HexBytes(event().topic): event() for event in contract.events}
    seconds = interleaved_medians(
        [lambda: decode_logs(logs), lambda: [by_topic[log["topics"][0]].process_log(log) for log in parsed]],
        RUNS,
    )
    return [throughput("event_decoding", "web3.py process_log", len(logs), seconds, "events/s")]


def _logs(chain: Chain) -> list[Any]:
    node = embedded(chain)
    operator, *participants = (Account(node, key) for key in dev_keys(PARTICIPANTS + 1))
    deployment = deploy(node, operator, DEFINITION, POLICY, aggregator=operator.address)
    ledger = Ledger.open(node, deployment.address)
    for account in participants:
        ledger.admit(operator, account.address, 1)
        ledger.register(account, account.address)
    ledger.open_round(operator)
    for account in participants:
        ledger.submit(
            account,
            round=1,
            base_model_root=DEFINITION.genesis_model_root,
            sealed_root=Digest(b"\x04" * 32),
            weight=1,
        )
    ledger.post(
        operator,
        round=1,
        digest=ledger.round(1).digest,
        exclusions=[],
        partial_sum_roots=[Digest(b"\x05" * 32)] * 3,
        model_root=Digest(b"\x06" * 32),
    )
    return list(node.request("eth_getLogs", {"address": ledger.run.ledger, "fromBlock": "0x0"}))


def _as_web3_has_it(log: Any) -> Any:
    """Return a log as web3.py hands it to `process_log`, so that parsing JSON is on neither side."""
    return dict(_fields(log))


def _fields(log: Any) -> Iterator[tuple[str, Any]]:
    for name, value in log.items():
        if name == "topics":
            yield name, [HexBytes(topic) for topic in value]
        elif name in ("blockNumber", "logIndex", "transactionIndex", "blockTimestamp"):
            yield name, int(value, 16)
        elif name in ("data", "blockHash", "transactionHash"):
            yield name, HexBytes(value)
        else:
            yield name, value
