"""A lying node's events: a history, or `MalformedResponse`, and whatever it holds can be read."""

from __future__ import annotations

import contextlib
import json
from functools import cache
from typing import Any

from choices import Choices
from recordings import dialogue, read_tables

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.decoding import decode_logs
from fl_chain.ledger.history import History
from fl_chain.records import RunId
from fuzz_targets.logs import truth

COVERS = (
    "fl_chain.ledger.history",
    "fl_chain.ledger.replay",
    "fl_chain.ledger.tables",
    "fl_chain.ledger.decoding",
)

MOST_EVENTS = 60
SMALL = 8


@cache
def material() -> tuple[list[dict[str, Any]], list[tuple[str, int, int]], list[str]]:
    """Return the true logs, the topics of all events with their numbers of topics and words, known words."""
    logs = json.loads(truth())
    kinds = []
    for topic, description in sorted(ledger_abi().events.items()):
        indexed = sum(field["indexed"] for field in description["inputs"])
        kinds.append(("0x" + topic.hex(), indexed, len(description["inputs"]) - indexed))
    words = {word for log in logs for word in log["topics"][1:]}
    return logs, kinds, sorted(words)


def fuzz(data: bytes) -> None:
    choices = Choices(data)
    history = History(RunId(1337, dialogue().ledger))
    if choices.byte() & 1:
        _tell_one_lie(history, choices)
    else:
        _tell_anything(history, choices)
    read_tables(history, dialogue().participant)


def _tell_one_lie(history: History, choices: Choices) -> None:
    """Tell the true events, one of them bent or left out, or one put in between."""
    true, _, _ = material()
    at = choices.below(len(true))
    match choices.below(4):
        case 0:
            lie = [true[at], _invented(choices)]
        case 1:
            lie = []
        case _:
            lie = [_bent(true[at], choices)]
    for number, log in enumerate([*true[:at], *lie, *true[at + 1 :]]):
        _extend(history, [log], number)


def _tell_anything(history: History, choices: Choices) -> None:
    """Tell true events, some twice, some not at all, some bent, some invented."""
    true, _, _ = material()
    following, written = 0, 0
    while not choices.are_over and written < MOST_EVENTS:
        action = choices.below(16)
        if action < 8 and following < len(true):
            logs = true[following : following + 1 + action]
            following += len(logs)
        elif action < 10:
            following += action - 7
            continue
        elif action < 12:
            logs = [choices.pick(true)]
        else:
            logs = [_invented(choices) if action < 14 else _bent(choices.pick(true), choices)]
        written += len(logs)
        _extend(history, logs, written)


def _extend(history: History, logs: list[dict[str, Any]], written: int) -> None:
    # Places follow one another, because that they do is checked first; one that does not is tried in `logs`.
    placed = [{**log, "blockNumber": hex(written), "logIndex": hex(at)} for at, log in enumerate(logs)]
    with contextlib.suppress(MalformedResponse):
        history.extend(decode_logs(placed))


def _word(choices: Choices) -> str:
    _, _, known = material()
    match choices.below(4):
        case 0 | 1:
            return "0x" + choices.below(SMALL).to_bytes(32, "big").hex()
        case 2:
            return choices.pick(known)
        case _:
            bits = choices.pick((8, 16, 32, 40, 64, 128, 160, 256))
            return "0x" + (2**bits - 1 - choices.below(2)).to_bytes(32, "big").hex()


def _invented(choices: Choices) -> dict[str, Any]:
    true, kinds, _ = material()
    topic, indexed, plain = choices.pick(kinds)
    words = [_word(choices) for _ in range(indexed + plain)]
    data = "0x" + "".join(word[2:] for word in words[indexed:])
    return {**true[0], "topics": [topic, *words[:indexed]], "data": data}


def _bent(log: dict[str, Any], choices: Choices) -> dict[str, Any]:
    """Return a true log with one word changed."""
    topics, data = list(log["topics"]), log["data"]
    at = choices.below(len(topics) - 1 + (len(data) - 2) // 64)
    if at < len(topics) - 1:
        topics[at + 1] = _word(choices)
    else:
        start = 2 + 64 * (at - len(topics) + 1)
        data = data[:start] + _word(choices)[2:] + data[start + 64 :]
    return {**log, "topics": topics, "data": data, "blockTimestamp": hex(choices.below(256))}


def seeds() -> list[bytes]:
    whole = b"\0" + b"\x07" * 8
    lies = [
        bytes([1, at, kind, word, 0, value])
        for at in (0, 5, 20)
        for kind in (1, 2)
        for word, value in ((0, 0), (3, 1))
    ]
    return [
        whole,
        b"\0" * 12,
        whole + b"\x0c\x03\x00\x01",
        b"\0\x07\x07\x0e\x05\x01",
        b"\0\x07\x0a\x02\x07\x08\x07",
        *lies,
    ]
