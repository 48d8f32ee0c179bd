"""Logs of a node into events, in bulk and straight from the words of topics and data.

A generic decoder takes a few hundred microseconds for a log, because it resolves types anew each time. Here
every event's fields are resolved once. Everything is checked that the ABI promises: each value lies in its
type's range, offsets and lengths are those that the compiler's encoder writes, and nothing is left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from fl_chain.commitment.seals import leaf
from fl_chain.errors import MalformedResponse
from fl_chain.ledger.abi import ledger_abi, masks_abi
from fl_chain.ledger.events import (
    EVENT_TYPES,
    MASK_EVENT_TYPES,
    Event,
    Place,
    PostingFell,
    RoundPosted,
    RoundVoided,
    RunDeployed,
    SeedsPublished,
    SurvivorsFixed,
)
from fl_chain.ledger.node import data_bytes, quantity
from fl_chain.records import (
    Address,
    AggregationKind,
    Digest,
    Exclusion,
    ExclusionReason,
    FallReason,
    LedgerPolicy,
    RewardSplit,
    RunDefinition,
    VoidReason,
)

WORD = 32
_EXCLUSION_WORDS = 5
_DEFINITION_TYPES = ("bytes32", "bytes32", "bytes32", "uint64")
_POLICY_TYPES = ("uint8", "uint8", *["uint32"] * 2, *["uint16"] * 2, "uint32", "uint16", *["uint32"] * 6)
_POLICY_TYPES += (*["uint128"] * 5, "uint8", "uint8", "uint64", "uint64")
_POSTED_TYPES = ("uint16", "bytes32", "bytes32", "bytes32", "uint16", "uint32", "uint40")
_EXCLUSION_TYPES = ("uint16", "uint8", "uint32", "address", "bytes32")
_FELL_TYPES = ("uint16", "uint8", "uint256", "uint256")
_SEED_BYTES = 16

Reader = Callable[[bytes], Any]
Decoder = Callable[[Place, Sequence[bytes], bytes], Event]


def decode_logs(
    logs: Iterable[Mapping[str, Any]], timestamps: Mapping[int, int] | None = None
) -> list[Event]:
    """Return the events in a node's logs, in their order.

    Args:
        logs: as eth_getLogs returns them, all of the ledger's address or, in a masked run, of its masks'.
        timestamps: chain time by block number, for nodes that do not send it along with a log.

    Raises:
        MalformedResponse: a log is none of the ledger's events.
    """
    decoders = _decoders()
    known = timestamps or {}
    return [_decode(log, decoders, known) for log in logs]


def _decode(log: Mapping[str, Any], decoders: Mapping[str, Decoder], timestamps: Mapping[int, int]) -> Event:
    try:
        number = quantity(log["blockNumber"])
        stamp = log.get("blockTimestamp")
        place = Place(
            number,
            _hash(log["blockHash"]),
            timestamps[number] if stamp is None else quantity(stamp),
            _hash(log["transactionHash"]),
            quantity(log["logIndex"]),
        )
        topics = log["topics"]
        decoder = decoders[topics[0]]
        words = [data_bytes(topic) for topic in topics[1:]]
        return decoder(place, words, data_bytes(log["data"]))
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise MalformedResponse(
            f"a log of the ledger is not one of its events: {type(error).__name__}: {error}; ask another node"
        ) from error


@cache
def _decoders() -> dict[str, Decoder]:
    """Return the decoder of each event by its first topic."""
    special: dict[str, Decoder] = {
        "RunDeployed": _run_deployed,
        "RoundPosted": _round_posted,
        "PostingFell": _posting_fell,
        "RoundVoided": _round_voided,
        "SurvivorsFixed": _survivors_fixed,
        "SeedsPublished": _seeds_published,
    }
    types = {one.__name__: one for one in (*EVENT_TYPES, *MASK_EVENT_TYPES)}
    decoders: dict[str, Decoder] = {}
    for topic, description in (*ledger_abi().events.items(), *masks_abi().events.items()):
        event_type = types.get(description["name"])
        if event_type is not None:
            decoder = special.get(description["name"]) or _static_decoder(event_type, description["inputs"])
            decoders["0x" + topic.hex()] = decoder
    return decoders


def _static_decoder(event_type: type[Event], inputs: Sequence[Mapping[str, Any]]) -> Decoder:
    """Return a decoder for an event of static fields: the indexed ones are topics, the others data."""
    indexed = [_reader(field["type"]) for field in inputs if field["indexed"]]
    plain = [_reader(field["type"]) for field in inputs if not field["indexed"]]
    fields = sorted(range(len(inputs)), key=lambda at: not inputs[at]["indexed"])  # as they are read
    order = [fields.index(at) for at in range(len(inputs))]
    is_in_order = order == sorted(order)
    build: Callable[..., Event] = event_type

    def decode(place: Place, topics: Sequence[bytes], data: bytes) -> Event:
        if len(topics) != len(indexed) or len(data) != WORD * len(plain):
            raise ValueError(f"{event_type.__name__} has other lengths")
        values = [read(topic) for read, topic in zip(indexed, topics, strict=True)]
        values += [read(data[start * WORD : (start + 1) * WORD]) for start, read in enumerate(plain)]
        return build(place, *(values if is_in_order else [values[at] for at in order]))

    return decode


def _run_deployed(place: Place, topics: Sequence[bytes], data: bytes) -> Event:
    operator, aggregator = map(_address, topics)
    words = _words(data)
    if len(words) != 1 + len(_DEFINITION_TYPES) + len(_POLICY_TYPES):
        raise ValueError("RunDeployed has another length")
    definition = RunDefinition(*_read(_DEFINITION_TYPES, words[1:5]))
    *numbers, split, aggregation, rho_per_round, rho_budget = _read(_POLICY_TYPES, words[5:])
    kinds = (RewardSplit(split), AggregationKind(aggregation))
    policy = LedgerPolicy(*[*numbers, *kinds, rho_per_round, rho_budget])
    return RunDeployed(place, operator, aggregator, _address(words[0]), definition, policy)


def _round_voided(place: Place, topics: Sequence[bytes], data: bytes) -> Event:
    (round_word,) = topics
    return RoundVoided(place, _uint(32)(round_word), VoidReason(_uint(8)(data)))


def _posting_fell(place: Place, topics: Sequence[bytes], data: bytes) -> Event:
    round_word, poster, challenger = topics
    number, reason, reward_wei, bonus_wei = _read(_FELL_TYPES, _words(data))
    people = (_address(poster), _address(challenger))
    return PostingFell(
        place, _uint(32)(round_word), number, *people, FallReason(reason), reward_wei, bonus_wei
    )


def _round_posted(place: Place, topics: Sequence[bytes], data: bytes) -> Event:
    round_word, poster = topics
    words = _words(data)
    head = len(_POSTED_TYPES)
    number, model, result, state, included, weight, finalizable_at = _read(_POSTED_TYPES, words[:head])
    exclusions_at, roots_at = (_uint(32)(word) for word in words[head : head + 2])
    # The arrays follow the head without a gap, in their order, and end the data.
    count = _uint(16)(words[head + 2])
    first_root = head + 3 + count * _EXCLUSION_WORDS + 1
    root_count = _uint(16)(words[first_root - 1])
    expected = ((head + 2) * WORD, (first_root - 1) * WORD, first_root + root_count)
    if (exclusions_at, roots_at, len(words)) != expected:
        raise ValueError("RoundPosted's arrays are not where the encoder puts them")
    exclusions = (
        _exclusion(words[start : start + _EXCLUSION_WORDS])
        for start in range(head + 3, first_root - 1, _EXCLUSION_WORDS)
    )
    return RoundPosted(
        place=place,
        round=_uint(32)(round_word),
        posting_number=number,
        poster=_address(poster),
        model_root=model,
        result_root=result,
        state_root=state,
        included=included,
        included_weight=weight,
        finalizable_at=finalizable_at,
        exclusions=tuple(exclusions),
        partial_sum_roots=tuple(Digest(word) for word in words[first_root:]),
    )


def _survivors_fixed(place: Place, topics: Sequence[bytes], data: bytes) -> Event:
    round_word, by = topics
    words = _words(data)
    survivors, terms = _read(("uint16", "uint16"), words[:2])
    exclusions_at, absentees_at = (_uint(32)(word) for word in words[2:4])
    count = _uint(16)(words[4])
    first_absentee = 5 + count * _EXCLUSION_WORDS + 1
    absent = _uint(16)(words[first_absentee - 1])
    expected = (4 * WORD, (first_absentee - 1) * WORD, first_absentee + absent)
    if (exclusions_at, absentees_at, len(words)) != expected:
        raise ValueError("SurvivorsFixed's arrays are not where the encoder puts them")
    exclusions = (
        _exclusion(words[start : start + _EXCLUSION_WORDS])
        for start in range(5, first_absentee - 1, _EXCLUSION_WORDS)
    )
    return SurvivorsFixed(
        place=place,
        round=_uint(32)(round_word),
        by=_address(by),
        survivors=survivors,
        terms=terms,
        exclusions=tuple(exclusions),
        absentees=tuple(_address(word) for word in words[first_absentee:]),
    )


def _seeds_published(place: Place, topics: Sequence[bytes], data: bytes) -> Event:
    round_word, by = topics
    words = _words(data)
    if (_uint(32)(words[0]), _uint(16)(words[1]), len(words) - 2) != (WORD, len(words) - 2, len(words) - 2):
        raise ValueError("SeedsPublished's list is not where the encoder puts it")
    seeds = tuple(_bytes16(word) for word in words[2:])
    return SeedsPublished(place, _uint(32)(round_word), _address(by), seeds)


def _exclusion(words: Sequence[bytes]) -> Exclusion:
    index, reason, weight, participant, sealed_root = _read(_EXCLUSION_TYPES, words)
    opened = leaf(Digest(sealed_root), weight, participant)
    return Exclusion(index, ExclusionReason(reason), opened)


def _hash(value: Any) -> bytes:
    content = data_bytes(value)
    if len(content) != WORD:
        raise ValueError(f"a hash has {WORD} bytes, not {len(content)}")
    return content


def _words(data: bytes) -> list[bytes]:
    if len(data) % WORD:
        raise ValueError("the data are not whole words")
    return [data[start : start + WORD] for start in range(0, len(data), WORD)]


def _read(types: Sequence[str], words: Sequence[bytes]) -> list[Any]:
    return [_reader(kind)(word) for kind, word in zip(types, words, strict=True)]


@cache
def _reader(kind: str) -> Reader:
    if kind == "bytes32":
        return Digest
    if kind == "bytes16":
        return _bytes16
    if kind == "address":
        return _address
    return _uint(int(kind.removeprefix("uint")))


@cache
def _uint(bits: int) -> Callable[[bytes], int]:
    def read(word: bytes) -> int:
        value = int.from_bytes(word, "big")
        if value >> bits or len(word) != WORD:
            raise ValueError(f"{value} is not a word of {bits} bits")
        return value

    return read


def _bytes16(word: bytes) -> bytes:
    if len(word) != WORD or any(word[_SEED_BYTES:]):
        raise ValueError(f"a seed has {_SEED_BYTES} bytes")
    return word[:_SEED_BYTES]


def _address(word: bytes) -> Address:
    if len(word) != WORD or any(word[:12]):
        raise ValueError("an address has 20 bytes")
    return Address("0x" + word[12:].hex())
