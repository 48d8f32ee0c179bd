"""One run on an in-process chain, one transaction a call: the figures are receipts, not estimates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_tester import EthereumTester, PyEVMBackend
from web3 import EthereumTesterProvider, Web3

from fl_chain.ledger.artifact import training_ledger

ETHER = 10**18
POLICY: dict[str, int] = {
    "fractionBits": 22,
    "scaleBits": 20,
    "clipLanes": 1 << 15,
    "maxTotalWeight": 60_000,
    "quorum": 2,
    "closeAt": 0,
    "maxRounds": 100,
    "maxUnfinalRounds": 2,
    "submissionSeconds": 3600,
    "publicationSeconds": 600,
    "postingSeconds": 1800,
    "takeoverSeconds": 1800,
    "challengeSeconds": 3600,
    "unbondingSeconds": 7200,
    "rewardWei": ETHER // 100,
    "aggregatorRewardWei": ETHER // 1000,
    "bondWei": ETHER // 10,
    "challengeRewardWei": ETHER // 100,
    "depositWei": ETHER // 100,
    "rewardSplit": 0,
    "aggregation": 0,
    "rhoMicroPerRound": 0,
    "rhoMicroBudget": 0,
}
DEFINITION = (b"\x01" * 32, b"\x02" * 32, b"\x03" * 32, 1_000_000)
GAS_LIMIT = 8_000_000


def sealed_root(round_id: int, index: int) -> bytes:
    """Return some sealed root, another one for each submission."""
    return hashlib.sha256(f"{round_id}/{index}".encode()).digest()


def partial_sum_roots(submissions: int) -> list[bytes]:
    """Return as many roots as a posting of so many submissions lists."""
    count, level = 0, submissions
    while count == 0 or level > 1:
        level = -(-level // 8)
        count += level
    return [hashlib.sha256(f"sum {i}".encode()).digest() for i in range(count)]


@dataclass
class Run:
    """A deployed ledger with funded accounts; every call checks its receipt and returns the gas it used."""

    policy: dict[str, int] = field(default_factory=lambda: dict(POLICY))
    submitted: dict[int, list[int]] = field(default_factory=dict)
    accounts: dict[str, LocalAccount] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tester = EthereumTester(PyEVMBackend())
        self.w3 = Web3(EthereumTesterProvider(self.tester))
        self.bank = self.w3.eth.accounts[0]
        self.operator, self.aggregator = self.account("operator"), self.account("aggregator")
        self.deploy()

    def deploy(self) -> None:
        """Deploy the ledger."""
        artifact = training_ledger()
        contract = self.w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        deployment = contract.constructor(
            DEFINITION, tuple(self.policy.values()), self.aggregator.address, "0x" + "00" * 20
        )
        receipt = self.receipt(self.operator, deployment, 0)
        self.deployment_gas = int(receipt["gasUsed"])
        self.ledger: Any = self.w3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)

    def account(self, name: str) -> LocalAccount:
        """Return a funded account, the same for the same name."""
        if name not in self.accounts:
            self.accounts[name] = Account.from_key(hashlib.sha256(name.encode()).digest())
            transfer = {"from": self.bank, "to": self.accounts[name].address, "value": 100 * ETHER}
            self.w3.eth.send_transaction(transfer)
        return self.accounts[name]

    def worker(self, index: int) -> LocalAccount:
        """Return a participant's account."""
        return self.account(f"worker {index}")

    def receipt(self, sender: LocalAccount, call: Any, value: int) -> Any:
        """Send a transaction and return its receipt, which says that it succeeded."""
        request = call.build_transaction(
            {
                "from": sender.address,
                "value": value,
                "gas": GAS_LIMIT,
                "gasPrice": 2 * 10**9,
                "nonce": self.w3.eth.get_transaction_count(sender.address),
            }
        )
        signed = sender.sign_transaction(request)
        receipt = self.w3.eth.get_transaction_receipt(
            self.w3.eth.send_raw_transaction(signed.raw_transaction)
        )
        assert receipt["status"] == 1
        return receipt

    def send(self, sender: LocalAccount, name: str, *arguments: Any, value: int = 0) -> int:
        """Call the ledger in a transaction and return the gas it used."""
        call = getattr(self.ledger.functions, name)(*arguments)
        return int(self.receipt(sender, call, value)["gasUsed"])

    def latest(self) -> int:
        """Return the newest round's id."""
        return int(self.ledger.functions.runState().call()[0])

    def submit(self, index: int) -> int:
        """Submit as a participant to the newest round."""
        round_id = self.latest()
        base = self.ledger.functions.roundOf(round_id).call()[8]
        root = self.ledger.functions.modelRootOf(base).call()
        self.submitted.setdefault(round_id, []).append(index)
        return self.send(
            self.worker(index), "submit", round_id, root, sealed_root(round_id, index), index + 1
        )

    def post(self, sender: LocalAccount, submissions: int, excluded: tuple[int, ...] = ()) -> int:
        """Post the newest round, without those at the given positions."""
        round_id = self.latest()
        digest = self.ledger.functions.digestOf(round_id).call()
        order = self.submitted[round_id]
        exclusions = [
            (at, 1, order[at] + 1, self.worker(order[at]).address, sealed_root(round_id, order[at]))
            for at in excluded
        ]
        model = hashlib.sha256(f"model {round_id}".encode()).digest()
        roots = partial_sum_roots(submissions)
        return self.send(sender, "post", round_id, digest, exclusions, roots, bytes(32), bytes(32), model)

    def claims(self, index: int, rounds: range) -> list[tuple[int, int, int, bytes]]:
        """Return what a participant claims for rounds in which it submitted."""
        return [
            (number, self.submitted[number].index(index), index + 1, sealed_root(number, index))
            for number in rounds
        ]

    def pass_time(self, seconds: int) -> None:
        """Let chain time pass."""
        now = self.w3.eth.get_block("latest")["timestamp"]
        self.tester.time_travel(now + seconds)
