"""What these tests do to a real node."""

from __future__ import annotations

from dataclasses import dataclass

from fl_chain.ledger.account import Account
from fl_chain.ledger.anvil import FUNDED_KEY, Anvil
from fl_chain.ledger.gas import TRANSFER_GAS
from fl_chain.ledger.node import Node
from fl_chain.ledger.signing import Call, Fees, Signer
from fl_chain.records import Digest, LedgerPolicy, RewardSplit, RunDefinition

GWEI = 10**9
RIVAL = 5  # whose key is this number
DEFINITION = RunDefinition(Digest(b"\x01" * 32), Digest(b"\x02" * 32), Digest(b"\x03" * 32), 1000)
POLICY = LedgerPolicy(
    fraction_bits=22,
    scale_bits=16,
    clip_lanes=30_000,
    max_total_weight=10_000,
    quorum=1,
    close_at=0,
    max_rounds=5,
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
STRANGER_KEY = (77).to_bytes(32, "big")


@dataclass
class Live:
    """An anvil with a client of it."""

    anvil: Anvil
    node: Node

    def account(self, key: bytes = FUNDED_KEY, **terms: float) -> Account:
        """Return an account that loses patience soon."""
        return Account(self.node, key, **{"replace_after_s": 0.1, "receipt_timeout_s": 20.0, **terms})

    def funded(self, number: int, *, amount_wei: int = 10**18) -> Account:
        """Return a further account, with money."""
        account = self.account(number.to_bytes(32, "big"))
        self.node.request("anvil_setBalance", account.address, hex(amount_wei))
        return account

    def stop_mining(self) -> None:
        """Let transactions wait until `mine`."""
        self.node.request("evm_setAutomine", False)

    def mine(self, blocks: int = 1) -> None:
        """Mine what waits."""
        self.node.request("anvil_mine", hex(blocks))

    def crowd(self) -> None:
        """Let blocks hold one transaction; `pass_over` has a better one for each of them."""
        self.stop_mining()
        self.funded(RIVAL)
        self.node.request("evm_setBlockGasLimit", hex(2 * TRANSFER_GAS - 1))

    def pass_over(self) -> None:
        """Mine a block that has no room for what waits."""
        signer = Signer(RIVAL.to_bytes(32, "big"))
        call = Call(signer.address, b"", TRANSFER_GAS)
        fees = Fees(200 * GWEI, 100 * GWEI)
        nonce = self.node.nonce(signer.address)
        signed = signer.sign(call, chain_id=self.node.chain_id, nonce=nonce, fees=fees)
        self.node.request("eth_sendRawTransaction", "0x" + signed.raw.hex())
        self.mine()

    def transactions(self, number: int) -> list[dict[str, str]]:
        """Return the transactions of a block."""
        return list(self.node.request("eth_getBlockByNumber", hex(number), True)["transactions"])
