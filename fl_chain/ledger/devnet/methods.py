"""The JSON-RPC methods of a development chain: those that web3.py and the ledger client use.

Parameters and results have the forms of the Ethereum execution API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from eth.constants import ZERO_ADDRESS
from eth_hash.auto import keccak

from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.encoding import Json, block_json, data_hex, receipt_json, transaction_json
from fl_chain.ledger.devnet.evm import Header
from fl_chain.ledger.devnet.execution import Call, call, estimate_gas
from fl_chain.ledger.devnet.logs import find_logs
from fl_chain.ledger.devnet.parameters import InvalidParameters, address_of, bytes_of, hash_of, quantity_of
from fl_chain.ledger.devnet.proofs import account_proof
from fl_chain.ledger.devnet.stored import StoredBlock

TIP_WEI = 10**9  # what the chain suggests as a priority fee; it takes any
MAX_FEE_HISTORY = 1024
MAX_PROVEN_SLOTS = 1024
HEAD_TAGS = ("latest", "safe", "finalized")

Method = Callable[[Chain, Sequence[Json]], Json]


def _named(chain: Chain, block: Json) -> int | bytes:
    """Return number or hash of a block that is not still to come."""
    if isinstance(block, Mapping):  # EIP-1898
        block = block.get("blockHash", block.get("blockNumber"))
    if block is None or block in HEAD_TAGS:
        chain.catch_up()
        return bytes(chain.head.hash)
    if block == "earliest":
        return 0
    return hash_of(block) if isinstance(block, str) and len(block) == 66 else quantity_of(block)


def _header_at(chain: Chain, block: Json) -> Header | None:
    return chain.pending_header() if block == "pending" else chain.header(_named(chain, block))


def _mined_at(chain: Chain, block: Json) -> StoredBlock | None:
    return None if block == "pending" else chain.stored(_named(chain, block))


def _existing_header(chain: Chain, parameters: Sequence[Json], position: int) -> Header:
    block = parameters[position] if len(parameters) > position else "latest"
    header = _header_at(chain, block)
    if header is None:
        raise InvalidParameters(f"there is no block {block}")
    return header


def _accounts(chain: Chain, parameters: Sequence[Json], position: int) -> Any:
    """Return accounts and storage at a block; no transaction waits here, so none is ahead of the newest."""
    if parameters[position:] == ["pending"]:
        return chain.accounts(chain.head)
    return chain.accounts(_existing_header(chain, parameters, position))


def _block(chain: Chain, parameters: Sequence[Json]) -> Json:
    if parameters[0] == "pending":
        return block_json(chain.pending_header(), [], 0) | {"hash": None, "nonce": None}
    block = _mined_at(chain, parameters[0])
    if block is None:
        return None
    full = len(parameters) > 1 and parameters[1]
    transactions = [
        transaction_json(block.header, chain.mined(one), index) if full else data_hex(keccak(one))
        for index, one in enumerate(block.transactions)
    ]
    return block_json(block.header, transactions, block.size)


def _block_number(chain: Chain, _parameters: Sequence[Json]) -> Json:
    chain.catch_up()
    return hex(chain.head.block_number)


def _place(chain: Chain, transaction_hash: Json) -> tuple[StoredBlock, int] | None:
    """Return a transaction's block and its index there."""
    position = chain.position(hash_of(transaction_hash))
    block = None if position is None else chain.stored(position[0])
    return None if position is None or block is None else (block, position[1])


def _transaction(chain: Chain, parameters: Sequence[Json]) -> Json:
    place = _place(chain, parameters[0])
    if place is None:
        return None
    block, index = place
    return transaction_json(block.header, chain.mined(block.transactions[index]), index)


def _receipt(chain: Chain, parameters: Sequence[Json]) -> Json:
    place = _place(chain, parameters[0])
    if place is None:
        return None
    block, index = place
    return receipt_json(block.header, chain.mined(block.transactions[index]), index, block.receipts)


def _block_receipts(chain: Chain, parameters: Sequence[Json]) -> Json:
    block = _mined_at(chain, parameters[0])
    if block is None:
        return None
    return [
        receipt_json(block.header, chain.mined(one), index, block.receipts)
        for index, one in enumerate(block.transactions)
    ]


def _raw_transaction(chain: Chain, parameters: Sequence[Json]) -> Json:
    place = _place(chain, parameters[0])
    if place is None:
        return None
    block, index = place
    return data_hex(block.transactions[index])


def _send(chain: Chain, parameters: Sequence[Json]) -> Json:
    return data_hex(chain.send(bytes_of(parameters[0])))


def _parse_call(fields: Json) -> Call:
    if not isinstance(fields, Mapping):
        raise InvalidParameters("a call is an object")
    data = fields.get("input", fields.get("data"))
    return Call(
        sender=address_of(fields["from"]) if fields.get("from") else ZERO_ADDRESS,
        to=address_of(fields["to"]) if fields.get("to") else b"",
        value_wei=quantity_of(fields.get("value") or "0x0"),
        data=bytes_of(data) if data else b"",
        gas=quantity_of(fields["gas"]) if fields.get("gas") else None,
    )


def _call(chain: Chain, parameters: Sequence[Json]) -> Json:
    header = _existing_header(chain, parameters, 1)
    return data_hex(call(chain, header, _parse_call(parameters[0])))


def _estimate_gas(chain: Chain, parameters: Sequence[Json]) -> Json:
    # It is about a transaction to come, so by default in the context of the block to come.
    header = _existing_header(chain, parameters, 1) if len(parameters) > 1 else chain.pending_header()
    return hex(estimate_gas(chain, header, _parse_call(parameters[0])))


def _logs(chain: Chain, parameters: Sequence[Json]) -> Json:
    chain.catch_up()
    return find_logs(chain, parameters[0])


def _balance(chain: Chain, parameters: Sequence[Json]) -> Json:
    return hex(_accounts(chain, parameters, 1).get_balance(address_of(parameters[0])))


def _code(chain: Chain, parameters: Sequence[Json]) -> Json:
    return data_hex(_accounts(chain, parameters, 1).get_code(address_of(parameters[0])))


def _nonce(chain: Chain, parameters: Sequence[Json]) -> Json:
    return hex(_accounts(chain, parameters, 1).get_nonce(address_of(parameters[0])))


def _storage(chain: Chain, parameters: Sequence[Json]) -> Json:
    state = _accounts(chain, parameters, 2)
    value: int = state.get_storage(address_of(parameters[0]), quantity_of(parameters[1]))
    return data_hex(value.to_bytes(32, "big"))


def _proof(chain: Chain, parameters: Sequence[Json]) -> Json:
    if not isinstance(parameters[1], list) or len(parameters[1]) > MAX_PROVEN_SLOTS:
        raise InvalidParameters(f"expected a list of at most {MAX_PROVEN_SLOTS} storage slots")
    slots = [quantity_of(slot) for slot in parameters[1]]
    if any(slot >= 2**256 for slot in slots):
        raise InvalidParameters("a storage slot has 256 bits")
    return account_proof(chain, _existing_header(chain, parameters, 2), address_of(parameters[0]), slots)


def _gas_price(chain: Chain, _parameters: Sequence[Json]) -> Json:
    return hex(chain.pending_header().base_fee_per_gas + TIP_WEI)


def _fee_history(chain: Chain, parameters: Sequence[Json]) -> Json:
    newest: int = _existing_header(chain, parameters, 1).block_number
    newest = min(newest, chain.head.block_number)
    count = min(quantity_of(parameters[0]), MAX_FEE_HISTORY, newest + 1)
    headers = [chain.header(number) for number in range(newest - count + 1, newest + 1)]
    following = chain.header(newest + 1) or chain.pending_header()
    percentiles = parameters[2] if len(parameters) > 2 and parameters[2] else []
    return {
        "oldestBlock": hex(newest - count + 1),
        "baseFeePerGas": [hex(header.base_fee_per_gas) for header in (*headers, following) if header],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers if header],
        "reward": [[hex(TIP_WEI)] * len(percentiles)] * count,
    }


def _transaction_count_of_block(chain: Chain, parameters: Sequence[Json]) -> Json:
    block = _mined_at(chain, parameters[0])
    return None if block is None else hex(len(block.transactions))


METHODS: Mapping[str, Method] = {
    "eth_blobBaseFee": lambda _chain, _parameters: "0x1",
    "eth_blockNumber": _block_number,
    "eth_call": _call,
    "eth_chainId": lambda chain, _parameters: hex(chain.chain_id),
    "eth_estimateGas": _estimate_gas,
    "eth_feeHistory": _fee_history,
    "eth_gasPrice": _gas_price,
    "eth_getBalance": _balance,
    "eth_getBlockByHash": _block,
    "eth_getBlockByNumber": _block,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getBlockTransactionCountByHash": _transaction_count_of_block,
    "eth_getBlockTransactionCountByNumber": _transaction_count_of_block,
    "eth_getCode": _code,
    "eth_getLogs": _logs,
    "eth_getProof": _proof,
    "eth_getRawTransactionByHash": _raw_transaction,
    "eth_getStorageAt": _storage,
    "eth_getTransactionByHash": _transaction,
    "eth_getTransactionCount": _nonce,
    "eth_getTransactionReceipt": _receipt,
    "eth_maxPriorityFeePerGas": lambda _chain, _parameters: hex(TIP_WEI),
    "eth_accounts": lambda _chain, _parameters: [],
    "eth_sendRawTransaction": _send,
    "eth_syncing": lambda _chain, _parameters: False,
    "net_listening": lambda _chain, _parameters: True,
    "net_peerCount": lambda _chain, _parameters: "0x0",
    "net_version": lambda chain, _parameters: str(chain.chain_id),
    "web3_clientVersion": lambda _chain, _parameters: "fl-chain-devnet/" + version("fl-chain"),
}
