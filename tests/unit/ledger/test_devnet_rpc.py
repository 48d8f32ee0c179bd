"""The development chain's JSON-RPC: web3.py works on it, and bad requests get the standard errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rlp
from chains import LOGGER_CREATION, LOGGER_RUNTIME, RECIPIENT, Clock, ask, signed
from eth_account import Account
from hexbytes import HexBytes
from web3 import Web3

from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.devnet import dev_keys, logs, open_chain, rpc
from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.encoding import block_json, data_hex, receipt_json, transaction_json
from fl_chain.ledger.devnet.provider import ChainProvider
from fl_chain.ledger.devnet.rpc import Dispatcher

SENDER = Account.from_key(dev_keys()[0]).address


def deploy_logger(chain: Chain) -> str:
    created = chain.send(signed(chain.chain_id, 0, to=None, value=0, data=LOGGER_CREATION, gas=100_000))
    return str(ask(chain, "eth_getTransactionReceipt", "0x" + created.hex())["contractAddress"])


def emit(chain: Chain, contract: str, nonce: int, topic: int) -> None:
    data = topic.to_bytes(32, "big")
    chain.send(signed(chain.chain_id, nonce, to=contract, value=0, data=data, gas=50_000))


def test_web3_works_on_the_chain() -> None:
    with open_chain(clock=Clock()) as chain:
        web3 = Web3(ChainProvider(chain))
        account = Account.from_key(dev_keys()[0])
        transaction = {
            "to": Web3.to_checksum_address(RECIPIENT),
            "value": 5,
            "nonce": web3.eth.get_transaction_count(account.address),
            "chainId": web3.eth.chain_id,
            "maxFeePerGas": 2 * web3.eth.gas_price,
            "maxPriorityFeePerGas": web3.eth.max_priority_fee,
        }
        transaction["gas"] = web3.eth.estimate_gas({**transaction, "from": account.address})
        sent = web3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
        receipt = web3.eth.wait_for_transaction_receipt(sent)
        block = web3.eth.get_block(receipt["blockNumber"], full_transactions=True)
        assert (receipt["status"], receipt["gasUsed"], transaction["gas"]) == (1, 21_000, 21_000)
        assert block["transactions"][0]["hash"] == sent
        assert block["transactions"][0] == web3.eth.get_transaction(sent)
        assert web3.eth.get_block(block["hash"])["number"] == block["number"]
        assert web3.eth.get_balance(Web3.to_checksum_address(RECIPIENT)) == 5
        assert web3.eth.get_balance(Web3.to_checksum_address(RECIPIENT), "earliest") == 0
        paid = 10**24 - web3.eth.get_balance(account.address) - 5
        assert paid == receipt["gasUsed"] * receipt["effectiveGasPrice"]
        history = web3.eth.fee_history(5, "latest", [50])
        assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1 == block["number"] + 2
        assert web3.net.version == str(chain.chain_id)
        assert web3.client_version.startswith("fl-chain-devnet/")
        assert web3.eth.get_block("pending")["number"] == block["number"] + 1
        assert web3.eth.get_transaction_count(account.address, "pending") == 1


def test_a_batch_through_web3() -> None:
    with open_chain() as chain:
        web3 = Web3(ChainProvider(chain))
        with web3.batch_requests() as batch:
            batch.add(web3.eth.get_block("earliest"))
            batch.add(web3.eth.get_balance(SENDER))
            block, balance = batch.execute()
        assert (block["number"], balance) == (0, 10**24)


def test_logs_are_found_by_block_address_and_topics() -> None:
    with open_chain(clock=Clock()) as chain:
        contract = deploy_logger(chain)
        for topic in range(1, 6):
            emit(chain, contract, topic, topic)
        word = [None, *("0x" + topic.to_bytes(32, "big").hex() for topic in range(1, 6))]

        def numbers(**criteria: Any) -> list[int]:
            found = ask(chain, "eth_getLogs", criteria)
            return [int(log["blockNumber"], 16) for log in found]

        assert numbers(fromBlock="earliest") == [2, 3, 4, 5, 6]
        assert numbers() == [6]
        assert numbers(fromBlock="0x3", toBlock="0x4") == [3, 4]
        assert numbers(fromBlock="0x0", address=contract) == [2, 3, 4, 5, 6]
        assert numbers(fromBlock="0x0", address=[RECIPIENT, contract]) == [2, 3, 4, 5, 6]
        assert numbers(fromBlock="0x0", address=RECIPIENT) == []
        assert numbers(fromBlock="0x0", topics=[word[2]]) == [3]
        assert numbers(fromBlock="0x0", topics=[[word[1], word[5]]]) == [2, 6]
        assert numbers(fromBlock="0x0", topics=[None]) == [2, 3, 4, 5, 6]
        assert numbers(fromBlock="0x0", topics=[None, None]) == []
        assert numbers(fromBlock="0x0", topics=[]) == [2, 3, 4, 5, 6]
        block = ask(chain, "eth_getBlockByNumber", "0x4", False)
        assert numbers(blockHash=block["hash"]) == [4]
        receipt = ask(chain, "eth_getTransactionReceipt", block["transactions"][0])
        assert ask(chain, "eth_getLogs", {"blockHash": block["hash"]}) == receipt["logs"]


def test_too_many_logs_have_to_be_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOGS", 2)
    with open_chain(clock=Clock()) as chain:
        contract = deploy_logger(chain)
        for nonce in range(1, 4):
            emit(chain, contract, nonce, 9)
        assert ask(chain, "eth_getLogs", {"fromBlock": "0x0"})["code"] == rpc.LIMIT_EXCEEDED
        assert len(ask(chain, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x3"})) == 2


def test_reading_code_storage_and_old_states() -> None:
    with open_chain(clock=Clock()) as chain:
        contract = deploy_logger(chain)
        assert ask(chain, "eth_getCode", contract, "latest") == "0x" + LOGGER_RUNTIME.hex()
        assert ask(chain, "eth_getCode", contract, "0x0") == "0x"
        assert ask(chain, "eth_getStorageAt", contract, "0x0", "latest") == "0x" + "00" * 32
        assert ask(chain, "eth_call", {"to": contract, "data": "0x"}, "latest") == "0x"
        head = "0x" + chain.head.hash.hex()
        assert ask(chain, "eth_getTransactionCount", SENDER, {"blockHash": head}) == "0x1"
        assert ask(chain, "eth_getTransactionCount", SENDER, {"blockNumber": "0x0"}) == "0x0"


def test_what_does_not_exist_is_null() -> None:
    unknown = "0x" + "ab" * 32
    with open_chain() as chain:
        assert ask(chain, "eth_getBlockByNumber", "0x99", False) is None
        assert ask(chain, "eth_getBlockByHash", unknown, False) is None
        assert ask(chain, "eth_getTransactionByHash", unknown) is None
        assert ask(chain, "eth_getTransactionReceipt", unknown) is None
        assert ask(chain, "eth_getBlockTransactionCountByNumber", "0x99") is None


def test_a_custom_error_comes_back_as_data() -> None:
    """A deployment with nothing but zeros reverts with ZeroAddress, whose selector the answer carries."""
    selector = Web3.keccak(text="ZeroAddress()")[:4]
    with open_chain() as chain:
        data = "0x" + (training_ledger().bytecode + bytes(32 * 29)).hex()
        for method in ("eth_call", "eth_estimateGas"):
            error = ask(chain, method, {"from": SENDER, "data": data})
            assert error["code"] == rpc.EXECUTION_REVERTED
            assert HexBytes(error["data"])[:4] == selector


def test_a_call_that_breaks_the_machine_is_an_error() -> None:
    with open_chain() as chain:
        error = ask(chain, "eth_call", {"from": SENDER, "data": "0xfe"}, "latest")
        assert (error["code"], error["data"]) == (rpc.EXECUTION_REVERTED, "0x")
        error = ask(chain, "eth_call", {"from": SENDER, "to": RECIPIENT, "value": hex(10**30)}, "latest")
        assert error["code"] == rpc.EXECUTION_REVERTED


@pytest.mark.parametrize(
    ("method", "parameters", "code"),
    [
        ("eth_nonsense", [], rpc.METHOD_NOT_FOUND),
        ("eth_getBalance", [], rpc.INVALID_PARAMETERS),
        ("eth_getBalance", ["0x12", "latest"], rpc.INVALID_PARAMETERS),
        ("eth_getBalance", [12, "latest"], rpc.INVALID_PARAMETERS),
        ("eth_getBalance", ["0x" + "gg" * 20, "latest"], rpc.INVALID_PARAMETERS),
        ("eth_getBalance", [RECIPIENT, "0x99"], rpc.INVALID_PARAMETERS),
        ("eth_getBlockByNumber", ["newest", False], rpc.INVALID_PARAMETERS),
        ("eth_call", ["0x", "latest"], rpc.INVALID_PARAMETERS),
        ("eth_getLogs", ["0x"], rpc.INVALID_PARAMETERS),
        ("eth_getLogs", [{"topics": ["0x12"]}], rpc.INVALID_PARAMETERS),
        ("eth_getLogs", [{"topics": [None] * 5}], rpc.INVALID_PARAMETERS),
        ("eth_getLogs", [{"address": [RECIPIENT] * 1001}], rpc.INVALID_PARAMETERS),
        ("eth_getLogs", [{"blockHash": "0x" + "00" * 32}], rpc.INVALID_PARAMETERS),
        ("eth_sendRawTransaction", ["0x02"], rpc.TRANSACTION_REJECTED),
        ("eth_sendRawTransaction", [signed(1, 0).hex()], rpc.INVALID_PARAMETERS),
        ("eth_sendRawTransaction", ["0x" + signed(1, 0).hex()], rpc.TRANSACTION_REJECTED),
    ],
)
def test_bad_requests_get_the_standard_error(method: str, parameters: list[Any], code: int) -> None:
    with open_chain(clock=Clock()) as chain:
        assert ask(chain, method, *parameters)["code"] == code
        assert ask(chain, "eth_blockNumber") == "0x0"


def test_the_envelope_of_json_rpc() -> None:
    with open_chain() as chain:
        dispatcher = Dispatcher(chain)

        def code(body: bytes) -> int:
            return int(json.loads(dispatcher.answer_text(body) or b"{}")["error"]["code"])

        assert code(b"{") == rpc.PARSE_ERROR
        assert code(b"[" * 100_000) == rpc.PARSE_ERROR
        deepest = b"[" * (rpc.MAX_NESTING - 1) + b"]" * (rpc.MAX_NESTING - 1)
        assert code(b'{"id": 1, "method": "x", "params": %s}' % deepest) == rpc.METHOD_NOT_FOUND
        assert code(b'{"id": 1, "method": "x", "params": [%s]}' % deepest) == rpc.PARSE_ERROR
        assert code(b'{"id": 1, "method": "\\"%s"}' % (b"[" * 100)) == rpc.METHOD_NOT_FOUND
        assert code(b"[]") == rpc.INVALID_REQUEST
        assert code(b"7") == rpc.INVALID_REQUEST
        assert code(b'{"id": 1}') == rpc.INVALID_REQUEST
        assert code(b'{"id": 1, "method": "eth_chainId", "params": {"a": 1}}') == rpc.INVALID_PARAMETERS
        request = {"jsonrpc": "2.0", "id": "x", "method": "eth_chainId"}
        assert dispatcher.answer(request) == {"jsonrpc": "2.0", "id": "x", "result": hex(chain.chain_id)}
        assert dispatcher.answer([request] * rpc.MAX_BATCH)[-1]["result"] == hex(chain.chain_id)
        assert dispatcher.answer([request] * (rpc.MAX_BATCH + 1))["error"]["code"] == rpc.INVALID_REQUEST
        assert [answer["id"] for answer in dispatcher.answer([request, {"id": 2}])] == ["x", None]
        assert dispatcher.answer_text(b'{"method": "eth_chainId"}') is None


def as_py_evm_reads(chain: Chain, number: int) -> dict[str, Any]:
    """Return what is to be shown of a block, made from py-evm's own objects."""
    header = chain.header(number)
    assert header is not None
    block, receipts = chain.block(header), chain.receipts(header)
    return {
        "hashes": [data_hex(one.hash) for one in block.transactions],
        "whole": [transaction_json(header, one, at) for at, one in enumerate(block.transactions)],
        "raw": [data_hex(one.encode()) for one in block.transactions],
        "receipts": [receipt_json(header, one, at, receipts) for at, one in enumerate(block.transactions)],
        "block": lambda transactions: block_json(header, transactions, len(rlp.encode(block))),
    }


@pytest.mark.parametrize("together", [2, 130])
def test_blocks_are_shown_as_py_evm_reads_them(together: int) -> None:
    clock = Clock()
    with open_chain(clock=clock) as chain:
        contract = deploy_logger(chain)
        emit(chain, contract, 1, 7)
        chain.send(signed(chain.chain_id, 2, to=contract, value=1, gas=21_001))  # it fails
        legacy = {"gasPrice": 2 * 10**9, "maxFeePerGas": None, "maxPriorityFeePerGas": None}
        chain.send(signed(chain.chain_id, 3, type=1, accessList=[], gas=30_000, **legacy))
        chain.send(signed(chain.chain_id, 4, **legacy))
        chain.send_together([signed(chain.chain_id, 5 + one) for one in range(together)])
        clock.now += 10
        chain.catch_up()
        types, statuses = set(), set()
        for number in range(chain.head.block_number + 1):
            expected = as_py_evm_reads(chain, number)
            digest = expected["block"]([])["hash"]
            for name, by in ((hex(number), "Number"), (digest, "Hash")):
                for is_full, transactions in ((False, expected["hashes"]), (True, expected["whole"])):
                    block = ask(chain, f"eth_getBlockBy{by}", name, is_full)
                    assert block == expected["block"](transactions)
                assert ask(chain, "eth_getBlockReceipts", name) == expected["receipts"]
                count = ask(chain, f"eth_getBlockTransactionCountBy{by}", name)
                assert count == hex(len(expected["hashes"]))
            for method, answers in (
                ("TransactionByHash", expected["whole"]),
                ("TransactionReceipt", expected["receipts"]),
                ("RawTransactionByHash", expected["raw"]),
            ):
                assert [ask(chain, f"eth_get{method}", one) for one in expected["hashes"]] == answers
            types |= {one["type"] for one in expected["whole"]}
            statuses |= {one["status"] for one in expected["receipts"]}
        assert types == {"0x0", "0x1", "0x2"}
        assert statuses == {"0x0", "0x1"}
        nowhere = hex(chain.head.block_number + 1)
        assert ask(chain, "eth_getBlockByNumber", nowhere, False) is None
        assert ask(chain, "eth_getBlockReceipts", "0x" + "ab" * 32) is None
