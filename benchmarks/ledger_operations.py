"""A ledger operation in process against a plain value transfer on eth-tester.

Both sides sign a transaction, have it mined and read its receipt. Ours calls the ledger's `submit` by the
typed client on the development chain, theirs moves one wei on `EthereumTester`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from eth_account import Account as EthAccount
from eth_tester import EthereumTester, PyEVMBackend

from benchmarks.harness import Result, interleaved_medians, throughput
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import Chain, dev_keys, open_chain
from fl_chain.ledger.node import embedded
from fl_chain.records import Digest, LedgerPolicy, RewardSplit, RunDefinition

OPERATIONS = 24  # per run; one participant submits once a round, so this many take part
RUNS = 7
POLICY = LedgerPolicy(
    fraction_bits=22,
    scale_bits=16,
    clip_lanes=30_000,
    max_total_weight=10_000,
    quorum=1,
    close_at=0,
    max_rounds=1,
    max_unfinal_rounds=4,
    submission_s=86_400,
    publication_s=20,
    posting_s=30,
    takeover_s=40,
    challenge_s=50,
    unbonding_s=100,
    reward_wei=0,
    aggregator_reward_wei=0,
    bond_wei=0,
    challenge_reward_wei=0,
    deposit_wei=0,
    reward_split=RewardSplit.EQUAL,
)
DEFINITION = RunDefinition(Digest(b"\x01" * 32), Digest(b"\x02" * 32), Digest(b"\x03" * 32), 1000)


def results() -> list[Result]:
    """Return the comparison."""
    with open_chain(accounts=OPERATIONS * (RUNS + 1) + 1) as chain:
        batches = _batches(chain)
        transfers = _transfers()
        seconds = interleaved_medians([lambda: next(batches), lambda: next(transfers)], RUNS)
    return [throughput("ledger_operations", "eth-tester value transfer", OPERATIONS, seconds, "operations/s")]


def _batches(chain: Chain) -> Iterator[None]:
    """Submit for a few participants each time."""
    node = embedded(chain)
    operator, *participants = (Account(node, key) for key in dev_keys(OPERATIONS * (RUNS + 1) + 1))
    deployment = deploy(node, operator, DEFINITION, POLICY, aggregator=operator.address)
    ledger = Ledger.open(node, deployment.address)
    for account in participants:
        ledger.admit(operator, account.address, 1)
        ledger.register(account, account.address)
    ledger.open_round(operator)
    while True:
        batch, participants = participants[:OPERATIONS], participants[OPERATIONS:]
        for account in batch:
            ledger.submit(
                account,
                round=1,
                base_model_root=DEFINITION.genesis_model_root,
                sealed_root=Digest(b"\x04" * 32),
                weight=1,
            )
        yield


def _transfers() -> Iterator[None]:
    tester = EthereumTester(PyEVMBackend())
    key, chain_id = dev_keys()[0], tester.backend.chain.chain_id
    nonces = count()
    while True:
        for _ in range(OPERATIONS):
            transaction = {
                "chainId": chain_id,
                "nonce": next(nonces),
                "to": bytes([17]) * 20,
                "value": 1,
                "gas": 21_000,
                "maxFeePerGas": 2 * 10**9,
                "maxPriorityFeePerGas": 10**9,
            }
            raw = EthAccount.sign_transaction(transaction, key).raw_transaction
            tester.get_transaction_receipt(tester.send_raw_transaction("0x" + raw.hex()))
        yield
