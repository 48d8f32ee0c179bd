"""A ledger's events proven against a block's hash, none altered, invented or left out.

Each header names its parent's hash, so that one trusted hash covers every header before it (Ethereum yellow
paper, section 4.3). A header's bloom filter tells in which blocks an address may have emitted logs; there,
receipts and transactions have to hash to the header's roots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eth_hash.auto import keccak

from fl_chain.errors import DigestMismatch, MalformedResponse, RequestRefused
from fl_chain.ledger.decoding import decode_logs
from fl_chain.ledger.events import Event
from fl_chain.ledger.node import Head, Node, data_bytes, quantity
from fl_chain.ledger.roots import block_hash, receipts_root, transactions_root
from fl_chain.ledger.transport import Json
from fl_chain.ledger.trie_proofs import ProofsNotOffered
from fl_chain.records import Address

MOST_BLOCKS = 200_000  # between deployment and the block that is trusted; some minutes of requests
BLOCKS_PER_BATCH = 200
BLOOM_BITS = 2048


@dataclass(frozen=True, slots=True)
class ProvenEvents:
    """Every event of an address in a stretch of the chain."""

    events: tuple[Event, ...]
    linked_blocks: int  # whose headers lead to the trusted hash
    opened_blocks: int  # whose receipts and transactions were hashed


def proven_events(
    node: Node,
    newest: Head,
    ledger: Address,
    first_block: int,
    *,
    known: Mapping[int, Json] | None = None,
    beside: Sequence[Address] = (),
) -> ProvenEvents:
    """Return every event of a ledger up to a block, proven against that block's hash.

    Args:
        node: where it is asked; its word counts for nothing.
        newest: whose hash is trusted.
        ledger: whose events.
        first_block: before it there are none.
        known: what the node answered for some blocks, by their number; its word counts for nothing either.
        beside: further contracts whose events are wanted.

    Raises:
        ProofsNotOffered: the stretch is too long, or the node does not give what it takes.
        MalformedResponse: what it gives does not lead to the hash; ask another node.
        LedgerUnavailable: no node answers.
    """
    length = newest.number - first_block + 1
    if length > MOST_BLOCKS:
        raise ProofsNotOffered(f"the run goes over {length} blocks; at most {MOST_BLOCKS} are followed back")
    linked = _linked_headers(node, newest, first_block, known or {})
    emitters = (ledger, *beside)
    opened = [one for one in linked if any(may_have_logs(one[1], emitter) for emitter in emitters)]
    logs: list[Json] = []
    for digest, header in reversed(opened):
        logs += _proven_logs(node, digest, header, emitters)
    return ProvenEvents(tuple(decode_logs(logs)), max(length, 0), len(opened))


def may_have_logs(header: Mapping[str, Json], ledger: Address) -> bool:
    """Return whether a block's bloom filter lets an address have logs in it (yellow paper, section 4.3.1)."""
    bloom = int.from_bytes(data_bytes(header["logsBloom"]), "big")
    hashed = keccak(bytes.fromhex(ledger[2:]))
    bits = (int.from_bytes(hashed[start : start + 2], "big") % BLOOM_BITS for start in (0, 2, 4))
    return all(bloom >> bit & 1 for bit in bits)


def _linked_headers(
    node: Node, newest: Head, first_block: int, known: Mapping[int, Json]
) -> Iterator[tuple[bytes, Mapping[str, Json]]]:
    """Yield hash and header of each block, newest first, checked against the hash that the next one names."""
    expected = newest.hash
    for last in range(newest.number, first_block - 1, -BLOCKS_PER_BATCH):
        numbers = range(last, max(first_block, last - BLOCKS_PER_BATCH + 1) - 1, -1)
        unknown = [number for number in numbers if known.get(number) is None]
        answers = _offered(node, [("eth_getBlockByNumber", [hex(number), False]) for number in unknown])
        headers = {**known, **dict(zip(unknown, answers, strict=True))}
        for number in numbers:
            header = headers[number]
            digest, expected = expected, _verified_parent(header, number, expected)
            if number == newest.number and quantity(header["timestamp"]) != newest.timestamp:
                raise MalformedResponse(
                    f"the node says that block {number} is of {newest.timestamp}, its header says "
                    f"{quantity(header['timestamp'])}: ask another node"
                )
            yield digest, header


def _verified_parent(header: Json, number: int, expected: bytes) -> bytes:
    """Return the hash of a header's parent after checking its own."""
    try:
        actual = block_hash(header)
        is_same = actual == expected and quantity(header["number"]) == number
        parent = data_bytes(header["parentHash"])
    except (KeyError, TypeError, AttributeError) as error:
        raise MalformedResponse(f"the node shows no header of block {number} ({error!r})") from error
    if not is_same:
        raise MalformedResponse(
            f"the node's header of block {number} hashes to 0x{actual.hex()}, the block after it names "
            f"0x{expected.hex()}: the node alters it, or the chain was reorganised; ask another node"
        )
    return parent


def _proven_logs(
    node: Node, digest: bytes, header: Mapping[str, Json], emitters: Sequence[Address]
) -> Iterator[Json]:
    """Yield contracts' logs of a block whose header is proven, with nothing in them on the node's word."""
    number = header["number"]
    wanted = {emitter[2:] for emitter in emitters}
    try:
        hashes = header["transactions"]
        asked = [("eth_getRawTransactionByHash", [one]) for one in hashes]
        receipts, *raw = _offered(node, [("eth_getBlockReceipts", [number]), *asked])
        sent = [data_bytes(one) for one in raw]
        _verify_content(header, receipts, sent)
        position = 0
        for index, (receipt, transaction) in enumerate(zip(receipts, sent, strict=True)):
            for log in receipt["logs"]:
                if data_bytes(log["address"]).hex() in wanted:
                    yield {
                        "topics": ["0x" + data_bytes(topic).hex() for topic in log["topics"]],
                        "data": log["data"],
                        "blockNumber": number,
                        "blockHash": "0x" + digest.hex(),
                        "blockTimestamp": header["timestamp"],
                        "transactionHash": "0x" + keccak(transaction).hex(),
                        "transactionIndex": hex(index),
                        "logIndex": hex(position),
                    }
                position += 1
    except DigestMismatch as error:
        raise MalformedResponse(
            f"the node alters what is in its blocks: {error}; ask another node"
        ) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise MalformedResponse(
            f"the node does not show all of block {quantity(number)}: {error!r}"
        ) from error


def _verify_content(header: Mapping[str, Json], receipts: Sequence[Json], sent: Sequence[bytes]) -> None:
    """Check that receipts and transactions are those of a block.

    Raises:
        DigestMismatch: naming which of them are not.
    """
    for name, actual in (
        ("receiptsRoot", receipts_root(receipts)),
        ("transactionsRoot", transactions_root(sent)),
    ):
        if actual != (expected := data_bytes(header[name])):
            raise DigestMismatch(f"{name} of block {header['number']}", expected=expected, actual=actual)


def _offered(node: Node, requests: Sequence[tuple[str, Sequence[Json]]]) -> list[Json]:
    try:
        return node.batch(requests)
    except RequestRefused as error:
        raise ProofsNotOffered(f"the node does not show whole blocks: {error}") from error
