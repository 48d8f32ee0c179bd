"""Transactions that reach the development chain: mined, or refused."""

from __future__ import annotations

from functools import cache
from typing import Any

from choices import Choices
from eth_account import Account
from recordings import dialogue

from fl_chain.errors import TransactionRejected
from fl_chain.ledger.devnet import Chain, dev_keys, open_chain
from fl_chain.ledger.devnet.rpc import INTERNAL_ERROR, Dispatcher

COVERS = ("fl_chain.ledger.devnet.chain", "fl_chain.ledger.devnet.encoding")

GAS = (21_000, 0, 1, 60_000, 100_000, 2**63, 2**64, 40_000_000)
PRICES = (2 * 10**9, 10**9, 0, 1, 2**64, 2**256 - 1, 10**15)


@cache
def read_only_chain() -> Chain:
    return open_chain(dialogue().folder, read_only=True)


def fuzz(data: bytes) -> None:
    if data[:1] != b"s":
        _raw(data)
        return
    raw = _signed(Choices(data[1:]))
    if raw is None:
        return
    _raw(raw)
    with open_chain(None, accounts=1, clock=lambda: 1_000_000.0) as chain:
        _mined(chain, raw)


def _raw(raw: bytes) -> None:
    chain = read_only_chain()
    for attempt in (chain.decode, chain.send):
        try:
            attempt(raw)
        except TransactionRejected as error:
            assert str(error)


def _mined(chain: Chain, raw: bytes) -> None:
    dispatcher = Dispatcher(chain)

    def ask(method: str, *parameters: Any) -> Any:
        answer = dispatcher.answer({"id": 1, "method": method, "params": list(parameters)})
        assert answer.get("error", {}).get("code") != INTERNAL_ERROR, (method, answer)
        return answer

    sent = ask("eth_sendRawTransaction", "0x" + raw.hex())
    if "error" in sent:
        assert chain.head.block_number == 0
        return
    assert chain.head.block_number == 1
    assert ask("eth_getTransactionReceipt", sent["result"])["result"]["status"] in ("0x0", "0x1")
    assert ask("eth_getTransactionByHash", sent["result"])["result"]["hash"] == sent["result"]
    ask("eth_getBlockByNumber", "latest", True)
    ask("eth_getLogs", {"fromBlock": "0x0"})


def _signed(choices: Choices) -> bytes | None:
    """Return a transaction that a funded account has signed, of some kind and with any fields."""
    fields: dict[str, Any] = {
        "chainId": choices.pick((131277322940537, 1337, 1, 0)),
        "nonce": choices.pick((0, 0, 0, 1, 2**64 - 1)),
        "value": choices.pick((0, 1, 10**24, 2**128, 2**256 - 1)),
        "gas": choices.pick(GAS),
    }
    kind = choices.below(4)
    if kind < 2:
        fields["gasPrice"] = choices.pick(PRICES)
    else:
        fields |= {"maxFeePerGas": choices.pick(PRICES), "maxPriorityFeePerGas": choices.pick(PRICES)}
    if kind in (1, 3):
        slots = ["0x" + "00" * 31 + "07"] * choices.below(3)
        fields["accessList"] = [{"address": "0x" + "33" * 20, "storageKeys": slots}] * choices.below(3)
    receiver = choices.below(3)
    if receiver:
        fields["to"] = bytes(19) + bytes([choices.byte()]) if receiver == 1 else bytes([0x11] * 20)
    # Whatever code it runs is bounded by its gas and by the block's.
    if fields["gas"] > 100_000:
        fields["data"] = b""
    else:
        fields["data"] = choices.rest()
    try:
        return bytes(Account.sign_transaction(fields, dev_keys(1)[0]).raw_transaction)
    except (TypeError, ValueError):
        return None  # this library signs no such thing


def seeds() -> list[bytes]:
    true = [_signed(Choices(bytes([0, 0, 0, gas, kind, 0, 0, 2, 0]))) for kind in range(4) for gas in (0, 3)]
    signed = [
        b"s" + bytes([0, 0, 0, 4, kind, 0, 0, to]) + b"\x60\x00\x60\x00\xa0"
        for kind in range(4)
        for to in (0, 2)
    ]
    return [*(raw for raw in true if raw), *signed, b"\x01\xc0", b"\x03\xc0", b"\x04\xc0", b"\x80"]
