"""Blocks, transactions, receipts and logs as JSON-RPC shows them: quantities and data in hexadecimal.

The names and forms are those of the Ethereum execution API.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth._utils.address import generate_contract_address

from fl_chain.ledger.devnet.evm import Header, Receipt, Transaction

Json = Any


def data_hex(value: bytes) -> str:
    """Return bytes as JSON-RPC data."""
    return "0x" + value.hex()


def block_json(header: Header, transactions: Sequence[Json], size: int) -> Json:
    """Return a block; its transactions are hashes or `transaction_json`."""
    return {
        "number": hex(header.block_number),
        "hash": data_hex(header.hash),
        "parentHash": data_hex(header.parent_hash),
        "nonce": data_hex(header.nonce),
        "sha3Uncles": data_hex(header.uncles_hash),
        "logsBloom": data_hex(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": data_hex(header.transaction_root),
        "stateRoot": data_hex(header.state_root),
        "receiptsRoot": data_hex(header.receipt_root),
        "miner": data_hex(header.coinbase),
        "difficulty": hex(header.difficulty),
        "mixHash": data_hex(header.mix_hash),
        "extraData": data_hex(header.extra_data),
        "size": hex(size),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "baseFeePerGas": hex(header.base_fee_per_gas),
        "withdrawalsRoot": data_hex(header.withdrawals_root),
        "withdrawals": [],
        "blobGasUsed": hex(header.blob_gas_used),
        "excessBlobGas": hex(header.excess_blob_gas),
        "parentBeaconBlockRoot": data_hex(header.parent_beacon_block_root),
        "requestsHash": data_hex(header.requests_hash),
        "transactions": list(transactions),
        "uncles": [],
    }


def transaction_json(header: Header, transaction: Transaction, index: int) -> Json:
    """Return a mined transaction."""
    kind = _type_of(transaction)
    signature_v = transaction.y_parity if kind else transaction.v
    shown: dict[str, Json] = {
        "type": hex(kind),
        "hash": data_hex(transaction.hash),
        "blockHash": data_hex(header.hash),
        "blockNumber": hex(header.block_number),
        "transactionIndex": hex(index),
        "from": data_hex(transaction.sender),
        "to": data_hex(transaction.to) if transaction.to else None,
        "nonce": hex(transaction.nonce),
        "value": hex(transaction.value),
        "gas": hex(transaction.gas),
        "gasPrice": hex(_effective_gas_price(header, transaction)),
        "input": data_hex(transaction.data),
        "v": hex(signature_v),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }
    if kind:
        shown |= {"chainId": hex(transaction.chain_id), "yParity": hex(signature_v)}
        shown["accessList"] = [
            {
                "address": data_hex(address),
                "storageKeys": [data_hex(slot.to_bytes(32, "big")) for slot in slots],
            }
            for address, slots in transaction.access_list
        ]
    if kind >= 2:
        shown["maxFeePerGas"] = hex(transaction.max_fee_per_gas)
        shown["maxPriorityFeePerGas"] = hex(transaction.max_priority_fee_per_gas)
    return shown


def receipt_json(
    header: Header,
    transaction: Transaction,
    index: int,
    receipts: Sequence[Receipt],
) -> Json:
    """Return the receipt of a block's transaction, given the receipts of the whole block."""
    receipt = receipts[index]
    gas_before = receipts[index - 1].gas_used if index else 0
    logs_before = sum(len(earlier.logs) for earlier in receipts[:index])
    created = None if transaction.to else generate_contract_address(transaction.sender, transaction.nonce)
    return {
        "type": hex(_type_of(transaction)),
        "status": hex(int.from_bytes(receipt.state_root, "big")),
        "transactionHash": data_hex(transaction.hash),
        "transactionIndex": hex(index),
        "blockHash": data_hex(header.hash),
        "blockNumber": hex(header.block_number),
        "from": data_hex(transaction.sender),
        "to": data_hex(transaction.to) if transaction.to else None,
        "contractAddress": data_hex(created) if created else None,
        "cumulativeGasUsed": hex(receipt.gas_used),
        "gasUsed": hex(receipt.gas_used - gas_before),
        "effectiveGasPrice": hex(_effective_gas_price(header, transaction)),
        "logsBloom": data_hex(receipt.bloom.to_bytes(256, "big")),
        "logs": [
            log_json(
                block=header.block_number,
                position=logs_before + position,
                timestamp=header.timestamp,
                transaction_index=index,
                block_hash=header.hash,
                transaction_hash=transaction.hash,
                address=log.address,
                topics=[topic.to_bytes(32, "big") for topic in log.topics],
                data=log.data,
            )
            for position, log in enumerate(receipt.logs)
        ],
    }


def log_json(
    *,
    block: int,
    position: int,
    timestamp: int,
    transaction_index: int,
    block_hash: bytes,
    transaction_hash: bytes,
    address: bytes,
    topics: Sequence[bytes],
    data: bytes,
) -> Json:
    """Return one log."""
    return {
        "address": data_hex(address),
        "topics": [data_hex(topic) for topic in topics],
        "data": data_hex(data),
        "blockNumber": hex(block),
        "blockHash": data_hex(block_hash),
        "blockTimestamp": hex(timestamp),
        "transactionHash": data_hex(transaction_hash),
        "transactionIndex": hex(transaction_index),
        "logIndex": hex(position),
        "removed": False,
    }


def _type_of(transaction: Transaction) -> int:
    return int(getattr(transaction, "type_id", None) or 0)


def _effective_gas_price(header: Header, transaction: Transaction) -> int:
    if _type_of(transaction) >= 2:
        tip_and_base = transaction.max_priority_fee_per_gas + header.base_fee_per_gas
        return int(min(transaction.max_fee_per_gas, tip_and_base))
    return int(transaction.gas_price)
