"""Random lies about everything else that a node is asked: views, balance, code, headers, proofs, blocks."""

from __future__ import annotations

import copy
import json
from random import Random

from corrupted_blobs import Corrupt, Corruption
from finished_run import FinishedRun

HEADER_NUMBERS = (
    *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas"),
    *("blobGasUsed", "excessBlobGas"),
)
HEADER_DATA = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("extraData", "mixHash", "nonce", "withdrawalsRoot", "parentBeaconBlockRoot"),
)
RECEIPT_FIELDS = ("status", "cumulativeGasUsed", "type", "logsBloom")  # and the logs: what its root covers
LOG_FIELDS = ("address", "data", "topics")


def asked(run: FinishedRun, method: str) -> list[str]:
    """Return the requests of a method."""
    return [request for request in run.answers if request.startswith(f'["{method}"')]


def _flipped(data: str, chance: Random) -> str:
    content = bytearray.fromhex(data[2:])
    if not content:
        return "0x01"
    content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    return "0x" + content.hex()


def _cut(data: str, chance: Random) -> str:
    content = bytes.fromhex(data[2:])
    if chance.random() < 0.5:
        return "0x" + content[: chance.randrange(len(content))].hex()
    return data + chance.randbytes(chance.choice([1, 32])).hex()


def view_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Alter one byte of what a view returned."""
    request = chance.choice(asked(run, "eth_call"))
    answers = {request: _flipped(run.answers[request], chance)}
    return Corruption("answer: a view's byte altered", request, True, answers=answers)


def view_exchanged(run: FinishedRun, chance: Random) -> Corruption:
    """Answer with what another view returned, or cut or lengthen the answer."""
    request = chance.choice(asked(run, "eth_call"))
    other = chance.choice(
        [run.answers[chance.choice(asked(run, "eth_call"))], _cut(run.answers[request], chance)]
    )
    is_other = not other.startswith(run.answers[request])  # nobody reads what is left over
    return Corruption("answer: a view's exchanged or cut", request, is_other, answers={request: other})


def balance_altered(run: FinishedRun, chance: Random) -> Corruption:
    """State another balance of the contract."""
    (request,) = asked(run, "eth_getBalance")
    true = int(run.answers[request], 16)
    stated = chance.choice([true + 1, max(0, true - 1), 0, chance.randrange(2**128)])
    return Corruption(
        "answer: the balance altered", hex(stated), stated != true, answers={request: hex(stated)}
    )


def code_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Show other code at one of the two addresses, whenever it is asked for."""
    where = json.loads(chance.choice(asked(run, "eth_getCode")))[1][0]
    requests = [one for one in asked(run, "eth_getCode") if json.loads(one)[1][0] == where]
    code = chance.choice([_flipped, _cut])(run.answers[requests[0]], chance)
    return Corruption("answer: the code altered", where, True, answers=dict.fromkeys(requests, code))


def header_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Alter a field of a block, however the block is asked for."""
    headers = [*asked(run, "eth_getBlockByNumber"), *asked(run, "eth_getBlockByHash")]
    true = run.answers[chance.choice(headers)]
    block, name = copy.deepcopy(true), chance.choice(sorted(true))
    if name in HEADER_NUMBERS:
        block[name] = hex(max(0, int(block[name], 16) + chance.choice([-1, 1, 100])))
    elif name in (*HEADER_DATA, "hash"):
        block[name] = _flipped(block[name], chance)
    elif name == "transactions" and block[name]:
        block[name] = chance.choice([[], [_flipped(block[name][0], chance)], block[name] * 2])
    else:
        block[name] = chance.choice([None, "0x7", []])
    is_covered = name in HEADER_NUMBERS + HEADER_DATA
    # A hash is taken from the node once, of the block that is audited; all others are derived.
    is_covered |= name == "hash" and int(true["number"], 16) == run.node.head().number
    with_events = {event.place.block_number for event in run.events}
    is_covered |= name == "transactions" and int(true["number"], 16) in with_events
    answers = {one: block for one in headers if run.answers[one]["hash"] == true["hash"]}
    what = f"{name} of block {int(true['number'], 16)}"
    return Corruption("answer: a block's field altered", what, is_covered and block != true, answers=answers)


def proof_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Alter a proof: a node of the trie, or a value that is stated beside it, which counts for nothing."""
    request = chance.choice(asked(run, "eth_getProof"))
    answer = copy.deepcopy(run.answers[request])
    nodes = answer["accountProof"]
    at = chance.randrange(len(nodes))
    match chance.randrange(5):
        case 0:
            del nodes[at]
        case 1:
            answer["balance"] = "0x1"
        case 2:
            nodes.insert(at, "0x" + chance.randbytes(40).hex())
        case _:
            nodes[at] = _flipped(nodes[at], chance)
    is_whole = set(nodes) >= set(run.answers[request]["accountProof"])
    return Corruption(
        "answer: a proof altered", f"node {at} of {request}", not is_whole, answers={request: answer}
    )


def receipts_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Alter a field of a block's receipts; its root covers some of them."""
    request = chance.choice(asked(run, "eth_getBlockReceipts"))
    receipts = copy.deepcopy(run.answers[request])
    receipt = chance.choice(receipts)
    holder = chance.choice([receipt, *receipt["logs"]])
    name = chance.choice(sorted(set(holder) - {"logs"}))
    if name == "topics":
        holder[name][chance.randrange(len(holder[name]))] = "0x" + chance.randbytes(32).hex()
    elif isinstance(holder[name], str) and len(holder[name]) > 20:
        holder[name] = _flipped(holder[name], chance)
    elif isinstance(holder[name], str):
        holder[name] = hex(int(holder[name], 16) + 1) if holder[name] != "0x" else "0x00"
    else:
        holder[name] = "0x1"
    is_covered = name in (RECEIPT_FIELDS if holder is receipt else LOG_FIELDS)
    return Corruption(
        "answer: receipts altered", f"{name} of {request}", is_covered, answers={request: receipts}
    )


def transaction_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Alter a transaction's bytes."""
    request = chance.choice(asked(run, "eth_getRawTransactionByHash"))
    answers = {request: chance.choice([_flipped, _cut])(run.answers[request], chance)}
    return Corruption("answer: a transaction altered", request, True, answers=answers)


VIEW_KINDS: tuple[Corrupt, ...] = (view_altered, view_altered, view_exchanged)
ANSWER_KINDS: tuple[Corrupt, ...] = (
    *VIEW_KINDS,
    balance_altered,
    code_altered,
    header_altered,
    header_altered,
    proof_altered,
    receipts_altered,
    transaction_altered,
)
