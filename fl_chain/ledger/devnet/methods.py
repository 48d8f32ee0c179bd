"""The JSON-RPC methods of a development chain: those that web3.py and the ledger client use.

Parameters and results have the forms of the Ethereum execution API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import rlp  # type: ignore[import-untyped]
from eth.constants import ZERO_ADDRESS
from eth_hash.auto import keccak

from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.encoding import Json, block_json, data_hex, receipt_json, transaction_json
from fl_chain.ledger.devnet.evm import Header
from fl_chain.ledger.devnet.execution import Call, call, estimate_gas
from fl_chain.ledger.devnet.logs import find_logs
from fl_chain.ledger.devnet.parameters import InvalidParameters, address_of, bytes_of, hash_of, quantity_of
from fl_chain.ledger.devnet.proofs import account_proof
from fl_chain.ledger.devnet.stored import StoredBlock, StoredReceipt

TIP_WEI = 10**9  # what the chain suggests as a priority fee; it takes any
MAX_FEE_HISTORY = 1024
MAX_PROVEN_SLOTS = 1024
HEAD_TAGS = ("latest", "safe", "finalized")

Method = Callable[[Chain, Sequence[Json]], Json]


def _header_at(chain: Chain, block: Json) -> Header | None:
    if isinstance(block, Mapping):  # EIP-1898
        block = block.get("blockHash", block.get("blockNumber"))
    if block is None or block in HEAD_TAGS:
        chain.catch_up()
        return chain.head
    if block == "pending":
        return chain.pending_header()
    if block == "earliest":
        return chain.header(0)
    if isinstance(block, str) and len(block) == 66:
        return chain.header(hash_of(block))
    return chain.header(quantity_of(block))


def _existing_header(chain: Chain, parameters: Sequence[Json], position: int) -> Header:
    block = parameters[position] if len(parameters) > position else "latest"
    header = _header_at(chain, block)
    if header is None:
        raise InvalidParameters(f"there is no block {block}")
    return header


def _stored_at(chain: Chain, block: Json) -> tuple[StoredBlock, tuple[StoredReceipt, ...]] | None:
    """Return a block that is named by its number or hash, where it can be shown as it is stored."""
    if not isinstance(block, str) or not block.startswith("0x"):
        return None
    return chain.stored(hash_of(block) if len(block) == 66 else quantity_of(block))


def _block(chain: Chain, parameters: Sequence[Json]) -> Json:
    full = len(parameters) > 1 and parameters[1]
    stored = None if full else _stored_at(chain, parameters[0])
    if stored is not None:
        hashes = [data_hex(keccak(one)) for one in stored[0].transactions]
        return block_json(stored[0].header, hashes, stored[0].size)
    header = _header_at(chain, parameters[0])
    if header is None:
        return None
    if parameters[0] == "pending":
        return block_json(header, [], 0) | {"hash": None, "nonce": None}
    block = chain.block(header)
    transactions = [
        transaction_json(header, transaction, index) if full else data_hex(transaction.hash)
        for index, transaction in enumerate(block.transactions)
    ]
    return block_json(header, transactions, len(rlp.encode(block)))


def _block_number(chain: Chain, _parameters: Sequence[Json]) -> Json:
    chain.catch_up()
    return hex(chain.head.block_number)


def _stored_place(
    chain: Chain, parameters: Sequence[Json]
) -> tuple[StoredBlock, tuple[StoredReceipt, ...], int] | None:
    """Return the block of a transaction, where it can be shown as it is stored, and its index there."""
    place = chain.position(hash_of(parameters[0]))
    stored = None if place is None else chain.stored(place[0])
    return None if place is None or stored is None else (*stored, place[1])


def _transaction(chain: Chain, parameters: Sequence[Json]) -> Json:
    stored = _stored_place(chain, parameters)
    if stored is not None:
        block, _, index = stored
        return transaction_json(block.header, chain.mined(block.transactions[index]), index)
    place = chain.locate(hash_of(parameters[0]))
    if place is None:
        return None
    header, index = place
    return transaction_json(header, chain.block(header).transactions[index], index)


def _receipt(chain: Chain, parameters: Sequence[Json]) -> Json:
    stored = _stored_place(chain, parameters)
    if stored is not None:
        block, receipts, index = stored
        return receipt_json(block.header, chain.mined(block.transactions[index]), index, receipts)
    place = chain.locate(hash_of(parameters[0]))
    if place is None:
        return None
    header, index = place
    return receipt_json(header, chain.block(header).transactions[index], index, chain.receipts(header))


def _block_receipts(chain: Chain, parameters: Sequence[Json]) -> Json:
    stored = _stored_at(chain, parameters[0])
    if stored is not None:
        block, shown = stored
        return [
            receipt_json(block.header, chain.mined(one), index, shown)
            for index, one in enumerate(block.transactions)
        ]
    header = _header_at(chain, parameters[0])
    if header is None:
        return None
    receipts = chain.receipts(header)
    return [
        receipt_json(header, transaction, index, receipts)
        for index, transaction in enumerate(chain.block(header).transactions)
    ]


def _raw_transaction(chain: Chain, parameters: Sequence[Json]) -> Json:
    stored = _stored_place(chain, parameters)
    if stored is not None:
        block, _, index = stored
        return data_hex(block.transactions[index])
    place = chain.locate(hash_of(parameters[0]))
    if place is None:
        return None
    header, index = place
    return data_hex(chain.block(header).transactions[index].encode())


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
    return hex(chain.state(_existing_header(chain, parameters, 1)).get_balance(address_of(parameters[0])))


def _code(chain: Chain, parameters: Sequence[Json]) -> Json:
    return data_hex(chain.state(_existing_header(chain, parameters, 1)).get_code(address_of(parameters[0])))


def _nonce(chain: Chain, parameters: Sequence[Json]) -> Json:
    return hex(chain.state(_existing_header(chain, parameters, 1)).get_nonce(address_of(parameters[0])))


def _storage(chain: Chain, parameters: Sequence[Json]) -> Json:
    state = chain.state(_existing_header(chain, parameters, 2))
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
    header = _header_at(chain, parameters[0])
    return None if header is None else hex(len(chain.block(header).transactions))


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
