"""eth_getLogs from the state file's index: no block is scanned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fl_chain.ledger.devnet.chain import Chain
from fl_chain.ledger.devnet.encoding import Json, log_json
from fl_chain.ledger.devnet.parameters import (
    InvalidParameters,
    TooManyResults,
    address_of,
    hash_of,
    quantity_of,
)

MAX_LOGS = 20_000
MAX_ALTERNATIVES = 1000  # addresses, or values of one topic, in one filter

_SELECT = (
    "SELECT block, position, timestamp, transaction_index, block_hash, transaction_hash, address, data,"
    " topic0, topic1, topic2, topic3 FROM logs"
)


def find_logs(chain: Chain, criteria: Json) -> list[Json]:
    """Return the logs that a filter of the Ethereum execution API matches, in the chain's order.

    Raises:
        InvalidParameters: the filter is malformed.
        TooManyResults: more than `MAX_LOGS` match.
    """
    if not isinstance(criteria, Mapping):
        raise InvalidParameters("a filter is an object")
    conditions, values = _block_condition(chain, criteria)
    if criteria.get("address"):
        _add_choice(conditions, values, "address", _alternatives(criteria["address"], address_of))
    topics = criteria.get("topics") or []
    if not isinstance(topics, list) or len(topics) > 4:
        raise InvalidParameters("topics are a list of at most four")
    for position, topic in enumerate(topics):
        if topic is None:
            conditions.append(f"topic{position} IS NOT NULL")
        elif topic != []:
            _add_choice(conditions, values, f"topic{position}", _alternatives(topic, hash_of))
    # Only column names are put into the statement; values travel beside it.
    statement = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY block, position LIMIT {MAX_LOGS + 1}"
    rows = chain.query(statement, values)
    if len(rows) > MAX_LOGS:
        raise TooManyResults(f"more than {MAX_LOGS} logs match; ask for fewer blocks at once")
    return [_row_json(row) for row in rows]


def _block_condition(chain: Chain, criteria: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    if criteria.get("blockHash"):
        header = chain.header(hash_of(criteria["blockHash"]))
        if header is None:
            raise InvalidParameters(f"there is no block {criteria['blockHash']}")
        return ["block = ?"], [header.block_number]
    first = _number(chain, criteria.get("fromBlock"))
    last = _number(chain, criteria.get("toBlock"))
    return ["block BETWEEN ? AND ?"], [first, last]


def _number(chain: Chain, block: Any) -> int:
    if block == "earliest":
        return 0
    if block in (None, "latest", "safe", "finalized", "pending"):
        return int(chain.head.block_number)
    return min(quantity_of(block), 2**62)


def _alternatives(value: Any, parse: Any) -> list[bytes]:
    listed = value if isinstance(value, list) else [value]
    if len(listed) > MAX_ALTERNATIVES:
        raise InvalidParameters(f"at most {MAX_ALTERNATIVES} alternatives in a filter")
    return [parse(item) for item in listed]


def _add_choice(conditions: list[str], values: list[Any], column: str, choices: Sequence[bytes]) -> None:
    conditions.append(f"{column} IN ({', '.join('?' * len(choices))})")
    values.extend(choices)


def _row_json(row: tuple[Any, ...]) -> Json:
    block, position, timestamp, transaction_index, block_hash, transaction_hash, address, data, *topics = row
    return log_json(
        block=block,
        position=position,
        timestamp=timestamp,
        transaction_index=transaction_index,
        block_hash=block_hash,
        transaction_hash=transaction_hash,
        address=address,
        topics=[topic for topic in topics if topic is not None],
        data=data,
    )
