"""Random lies about a run's events: altered, dropped, doubled, in another order.

A lie changes meaning where the logs do not decode to the same records any more, their places included.
"""

from __future__ import annotations

import copy
from random import Random

from corrupted_blobs import Corrupt, Corruption
from finished_run import FinishedRun

from fl_chain.errors import FlChainError
from fl_chain.ledger.decoding import decode_logs
from fl_chain.ledger.events import Event
from fl_chain.ledger.transport import Json

PLACE_FIELDS = ("blockNumber", "blockHash", "blockTimestamp", "transactionHash", "logIndex")
UNREAD_FIELDS = ("transactionIndex", "address", "removed")


def told_logs(run: FinishedRun) -> tuple[str, list[Json]]:
    """Return the request for the run's logs, and the logs."""
    ((request, logs),) = [one for one in run.answers.items() if one[0].startswith('["eth_getLogs"')]
    return request, copy.deepcopy(logs)


def decoded(logs: list[Json]) -> list[Event] | None:
    """Return what logs stand for; None for nothing."""
    try:
        return decode_logs(logs)
    except FlChainError:
        return None


def _corruption(run: FinishedRun, kind: str, logs: list[Json], what: str) -> Corruption:
    request, true = told_logs(run)
    changes_meaning = decoded(logs) != decoded(true)
    return Corruption(f"event: {kind}", what, changes_meaning, answers={request: logs})


def _words(log: Json) -> list[str]:
    data = log["data"][2:]
    return [*log["topics"], *("0x" + data[start : start + 64] for start in range(0, len(data), 64))]


def _with_word(log: Json, place: int, word: str) -> None:
    if place < len(log["topics"]):
        log["topics"][place] = word
        return
    start = 2 + 64 * (place - len(log["topics"]))
    log["data"] = log["data"][:start] + word[2:] + log["data"][start + 64 :]


def byte_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Alter one byte of an event's topics or data."""
    _, logs = told_logs(run)
    at = chance.randrange(len(logs))
    place = chance.randrange(len(_words(logs[at])))
    word = bytearray.fromhex(_words(logs[at])[place][2:])
    word[chance.randrange(32)] ^= chance.randrange(1, 256)
    _with_word(logs[at], place, "0x" + word.hex())
    return _corruption(run, "a byte altered", logs, f"log {at}, word {place}")


def word_replaced(run: FinishedRun, chance: Random) -> Corruption:
    """Replace a word by one that is as likely: the next number, the one before, or another event's word."""
    _, logs = told_logs(run)
    at = chance.randrange(len(logs))
    place = chance.randrange(len(_words(logs[at])))
    number = int(_words(logs[at])[place], 16)
    others = [word for log in logs for word in _words(log)]
    number = chance.choice([(number + 1) % 2**256, (number - 1) % 2**256, 0, int(chance.choice(others), 16)])
    _with_word(logs[at], place, f"0x{number:064x}")
    return _corruption(run, "a word replaced by a likely one", logs, f"log {at}, word {place}: {number}")


def place_altered(run: FinishedRun, chance: Random) -> Corruption:
    """Say that an event stands elsewhere: another block, time, transaction or position."""
    _, logs = told_logs(run)
    at, field = chance.randrange(len(logs)), chance.choice(PLACE_FIELDS + UNREAD_FIELDS)
    old = logs[at][field]
    if field == "removed":
        logs[at][field] = True
    elif len(old) > 20:
        new = bytearray.fromhex(old[2:])
        new[chance.randrange(len(new))] ^= chance.randrange(1, 256)
        logs[at][field] = chance.choice(["0x" + new.hex(), chance.choice(logs)[field]])
    else:
        logs[at][field] = hex(max(0, int(old, 16) + chance.choice([-2, -1, 1, 2, 1000])))
    return _corruption(run, "its place altered", logs, f"log {at}, {field}: {logs[at][field]}")


def dropped(run: FinishedRun, chance: Random) -> Corruption:
    """Leave an event out, or all from one on."""
    _, logs = told_logs(run)
    at = chance.randrange(len(logs))
    end = chance.choice([at + 1, at + 1, at + 2, len(logs)])
    del logs[at:end]
    return _corruption(run, "dropped", logs, f"logs {at} to {end}")


def doubled(run: FinishedRun, chance: Random) -> Corruption:
    """Tell of an event twice, the second time at its own place or right after another event."""
    _, logs = told_logs(run)
    at, to = chance.randrange(len(logs)), chance.randrange(len(logs))
    again = copy.deepcopy(logs[at])
    if chance.random() < 0.7:
        again |= {field: logs[to][field] for field in PLACE_FIELDS}
        again["logIndex"] = hex(int(logs[to]["logIndex"], 16) + 1)
    logs.insert(to + 1, again)
    return _corruption(run, "doubled", logs, f"log {at} after {to}")


def reordered(run: FinishedRun, chance: Random) -> Corruption:
    """Exchange two events, with their places or without."""
    _, logs = told_logs(run)
    first = chance.randrange(len(logs) - 1)
    second = chance.choice([first + 1, chance.randrange(len(logs))])
    logs[first], logs[second] = logs[second], logs[first]
    if chance.random() < 0.6:
        for field in PLACE_FIELDS:
            logs[first][field], logs[second][field] = logs[second][field], logs[first][field]
    return _corruption(run, "reordered", logs, f"logs {first} and {second}")


EVENT_KINDS: tuple[Corrupt, ...] = (
    byte_altered,
    byte_altered,
    word_replaced,
    word_replaced,
    place_altered,
    dropped,
    doubled,
    reordered,
)
