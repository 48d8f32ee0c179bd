"""A round of 1,000 submissions on anvil, signing included, against web3.py sending one after the other.

Ours signs every participant's `submit` and sends all of them in batches (`send_all`); the round is over when
the last receipt is here. Theirs is the usual path: a contract call with every field given, signed by
eth-account, sent, and its receipt waited for. It is measured on fewer submissions and given per submission,
because it takes so long.

Each gets the anvil that suits it, and that prints nothing: ours one that mines a block every quarter of a
second, as chains do, theirs one that mines every transaction at once, so that it does not wait for blocks.

Needs anvil (`npm ci` in ``contracts``, or https://getfoundry.sh); where it is missing this benchmark says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from eth_account import Account as EthAccount
from web3 import Web3

from benchmarks.harness import Result, interleaved_medians, throughput
from benchmarks.ledger_operations import DEFINITION, POLICY
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.account import Account, send_all
from fl_chain.ledger.anvil import FIXED_RULES, FUNDED_KEY, running_anvil
from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.gas import DEFAULT_GAS, TRANSFER_GAS, gas_limit
from fl_chain.ledger.node import connect
from fl_chain.ledger.signing import Call
from fl_chain.records import Address, Digest, RoundStatus

SUBMISSIONS = 1000
GAS_LIMIT = 10**9  # of a block
SENT_ONE_BY_ONE = 50  # per run of theirs
RUNS = 5
KEYS = [number.to_bytes(32, "big") for number in range(1, SUBMISSIONS + 1)]
SEALED_ROOT = Digest(b"\x04" * 32)


def results() -> list[Result]:
    """Return the comparison."""
    in_blocks = [*FIXED_RULES, "--block-time", "0.25", "--gas-limit", str(GAS_LIMIT)]
    with (
        running_anvil(arguments=in_blocks, is_quiet=True) as anvil,
        running_anvil(arguments=FIXED_RULES, is_quiet=True) as at_once,
    ):
        ours = _rounds(_opened(anvil.url, SUBMISSIONS))
        theirs = _one_by_one(at_once.url, _opened(at_once.url, SENT_ONE_BY_ONE))
        medians = interleaved_medians([lambda: next(ours), lambda: next(theirs)], RUNS)
    seconds = (medians[0], medians[1] * SUBMISSIONS / SENT_ONE_BY_ONE)
    return [throughput("anvil_submissions", "web3.py one by one", SUBMISSIONS, seconds, "submissions/s")]


def _opened(url: str, count: int) -> list[Ledger]:
    """Deploy a ledger for each run; its first round is open and waits for so many submissions."""
    node = connect([url])
    operator = Account(node, FUNDED_KEY)
    participants = [Account(node, key) for key in KEYS[:count]]
    send_all([(operator, Call(one.address, b"", TRANSFER_GAS, 10**18)) for one in participants])
    admit, register = (ledger_abi().functions[name] for name in ("admit", "register"))
    policy = replace(POLICY, quorum=count)
    ledgers = []
    for _ in range(RUNS + 1):
        deployment = deploy(node, operator, DEFINITION, policy, aggregator=operator.address)
        ledger = Ledger.open(node, deployment.address)
        send_all([(operator, _call(ledger, admit.encode([one.address, 1]))) for one in participants])
        send_all([(one, _call(ledger, register.encode([one.address]))) for one in participants])
        ledger.open_round(operator)
        ledgers.append(ledger)
    return ledgers


def _call(ledger: Ledger, data: bytes, gas: int = DEFAULT_GAS) -> Call:
    return Call(ledger.run.ledger, data, gas)


def _rounds(ledgers: list[Ledger]) -> Iterator[None]:
    """Let everybody submit to a round, which closes by it."""
    submit = ledger_abi().functions["submit"]
    data = submit.encode([1, DEFINITION.genesis_model_root, SEALED_ROOT, 1])
    # Everybody has an account beforehand: deriving an address from a key is no part of a submission.
    accounts_of = [[Account(ledger.node, key) for key in KEYS[:SUBMISSIONS]] for ledger in ledgers]
    for ledger, accounts in zip(ledgers, accounts_of, strict=True):
        send_all([(one, _call(ledger, data, gas_limit("submit"))) for one in accounts])
        if ledger.round(1).status is not RoundStatus.CLOSED:
            raise RuntimeError("a round that everybody submitted to is still open")
        yield


def _one_by_one(url: str, ledgers: list[Ledger]) -> Iterator[None]:
    web3 = Web3(Web3.HTTPProvider(url))
    chain_id = web3.eth.chain_id
    for ledger in ledgers:
        contract: Any = web3.eth.contract(_checksum(ledger.run.ledger), abi=training_ledger().abi)
        for key in KEYS[:SENT_ONE_BY_ONE]:
            account = EthAccount.from_key(key)
            call = contract.functions.submit(1, DEFINITION.genesis_model_root, SEALED_ROOT, 1)
            transaction = call.build_transaction(
                {
                    "chainId": chain_id,
                    "from": account.address,
                    "nonce": web3.eth.get_transaction_count(account.address),
                    "gas": gas_limit("submit"),
                    "maxFeePerGas": 10 * 10**9,
                    "maxPriorityFeePerGas": 10**9,
                }
            )
            sent = web3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
            web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.005)
        if ledger.round(1).status is not RoundStatus.CLOSED:
            raise RuntimeError("a round that everybody submitted to is still open")
        yield


def _checksum(address: Address) -> Any:
    return Web3.to_checksum_address(address)
