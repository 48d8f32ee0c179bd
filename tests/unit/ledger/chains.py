"""What the tests of chains share: signed transactions and a contract of nine bytes."""

from __future__ import annotations

from typing import Any

from eth_account import Account

from fl_chain.ledger.devnet import dev_keys
from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.rpc import Dispatcher

RECIPIENT = "0x" + "11" * 20
# Runtime code: logs without data, with the first word of the call's input as the only topic.
LOGGER_RUNTIME = bytes.fromhex("60003560006000a100")
LOGGER_CREATION = b"\x68" + LOGGER_RUNTIME + bytes.fromhex("60005260096017f3")


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def signed(chain_id: int, nonce: int, key: bytes = dev_keys()[0], **fields: Any) -> bytes:
    """Return a signed transaction, a transfer of one wei unless the fields say otherwise."""
    transaction: dict[str, Any] = {
        "chainId": chain_id,
        "nonce": nonce,
        "to": RECIPIENT,
        "value": 1,
        "gas": 21_000,
        "maxFeePerGas": 2 * 10**9,
        "maxPriorityFeePerGas": 10**9,
    } | fields
    to = transaction.pop("to")
    transaction = {name: value for name, value in transaction.items() if value is not None}
    if to is not None:
        transaction["to"] = bytes.fromhex(to.removeprefix("0x"))
    return bytes(Account.sign_transaction(transaction, key).raw_transaction)


def ask(chain: Chain, method: str, *parameters: Any) -> Any:
    """Return the result of one request, or the error object."""
    response = Dispatcher(chain).answer(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    )
    return response.get("result", response.get("error"))


def dump(chain: Chain) -> list[Any]:
    """Return everything that a node says about every block."""
    seen: list[Any] = []
    for number in range(chain.head.block_number + 1):
        block = ask(chain, "eth_getBlockByNumber", hex(number), True)
        receipts = [ask(chain, "eth_getTransactionReceipt", shown["hash"]) for shown in block["transactions"]]
        senders = {shown["from"] for shown in block["transactions"]} | {RECIPIENT}
        accounts = [
            (sender, ask(chain, method, sender, hex(number)))
            for sender in sorted(senders)
            for method in ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")
        ]
        seen.append((block, receipts, accounts))
    logs = chain.query("SELECT * FROM logs ORDER BY block, position")
    return [seen, logs]
