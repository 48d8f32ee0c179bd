"""Logs into events: the same values as web3.py gives, and nothing that the ABI does not promise."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest
from deployed_runs import Run, deployed_run
from hexbytes import HexBytes
from web3 import Web3

from fl_chain.errors import MalformedResponse
from fl_chain.ledger.abi import ledger_abi
from fl_chain.ledger.artifact import training_ledger
from fl_chain.ledger.decoding import decode_logs
from fl_chain.ledger.events import (
    EVENT_TYPES,
    PostingFell,
    PostingObjected,
    RoundPosted,
    RoundVoided,
    RunDeployed,
)
from fl_chain.records import ExclusionReason


@pytest.fixture(scope="module")
def logs() -> list[dict[str, Any]]:
    """The logs of a run in which every kind of event happens."""
    with deployed_run() as run:
        run.start(4)
        _everything(run)
        found = run.node.request(
            "eth_getLogs", {"address": run.ledger.run.ledger, "fromBlock": "0x0", "toBlock": "latest"}
        )
    return list(found)


def _everything(run: Run) -> None:
    ledger = run.ledger
    ledger.deposit_bond(run.stranger, 20_000)
    for number in range(4):
        run.submit(number)
    excluded = [(1, ExclusionReason.UNREADABLE), (2, ExclusionReason.BY_RULE)]
    run.wait(run.policy.publication_s)
    run.post(1, excluded=excluded)
    for number in range(3):
        run.object(1, number)
    run.wait(run.policy.publication_s)
    run.post(1, excluded=excluded, account=run.stranger)
    ledger.change_payout(run.participants[0], run.stranger.address)
    ledger.request_signer_rotation(run.participants[0], run.participants[5].address)
    ledger.suspend(run.operator, run.participants[2].address)
    ledger.leave(run.participants[3])
    run.wait(run.policy.unbonding_s)
    ledger.rotate_signer(run.participants[5], run.participants[0].address)
    ledger.close_round(run.stranger, 3)
    ledger.finalize(run.stranger)
    ledger.claim(run.stranger, run.participants[0].address, ledger.sync().submissions[1][:1])
    ledger.request_bond(run.stranger, 5)
    ledger.withdraw(run.stranger, run.participants[3].address)
    ledger.announce_end(run.operator)
    run.wait(run.policy.submission_s)
    ledger.close_round(run.stranger, 4)
    ledger.finalize(run.stranger)
    ledger.withdraw_pool(run.operator, run.operator.address)


def test_every_event_happened(logs: list[dict[str, Any]]) -> None:
    assert {type(event) for event in decode_logs(logs)} == set(EVENT_TYPES)


def test_every_event_of_the_abi_has_a_record_with_its_fields() -> None:
    by_name = {one.__name__: one for one in EVENT_TYPES}
    assert {entry["name"] for entry in ledger_abi().events.values()} == set(by_name)
    for entry in ledger_abi().events.values():
        names = [re.sub("([A-Z])", r"_\1", one["name"]).lower() for one in entry["inputs"]]
        own = [field.name.rstrip("_") for field in fields(by_name[entry["name"]])][1:]
        assert own == names


def test_the_values_are_those_of_web3(logs: list[dict[str, Any]]) -> None:
    contract = Web3().eth.contract(abi=training_ledger().abi)
    by_topic = {HexBytes(event().topic): event() for event in contract.events}
    for log, event in zip(logs, decode_logs(logs), strict=True):
        parsed: Any = {
            **log,
            "topics": [HexBytes(topic) for topic in log["topics"]],
            "data": HexBytes(log["data"]),
        }
        theirs = by_topic[parsed["topics"][0]].process_log(parsed)["args"]
        for name, value in theirs.items():
            own = re.sub("([A-Z])", r"_\1", name).lower()
            _verify_same(getattr(event, "from_" if own == "from" else own), value)
        assert event.place.block_number == int(log["blockNumber"], 16)
        assert event.place.timestamp == int(log["blockTimestamp"], 16)


def _verify_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, str):
        assert ours == theirs.lower()
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for own, other in zip(ours, theirs, strict=True):
            if isinstance(other, bytes):
                assert own == other
            else:
                assert (own.index, own.reason) == (other["index"], other["reason"])
    elif hasattr(theirs, "keys"):
        own = [getattr(ours, field.name) for field in fields(ours)]
        assert own == list(theirs.values())
    else:
        assert ours == theirs


def log_of(logs: list[dict[str, Any]], kind: type) -> dict[str, Any]:
    """Return the first log of a kind of event."""
    return next(log for log, event in zip(logs, decode_logs(logs), strict=True) if type(event) is kind)


def changed_word(log: dict[str, Any], position: int, word: int) -> dict[str, Any]:
    """Return a log with another word in its data."""
    data = bytearray.fromhex(log["data"][2:])
    data[position * 32 : position * 32 + 32] = word.to_bytes(32, "big")
    return {**log, "data": "0x" + data.hex()}


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_lengths_are_exact(logs: list[dict[str, Any]], kind: type) -> None:
    log = log_of(logs, kind)
    data = log["data"]
    wrong = [data + "00", data + "00" * 32]
    if len(data) > 2:
        wrong += [data[:-2], data[:-64], "0x"]
    for other in wrong:
        with pytest.raises(MalformedResponse):
            decode_logs([{**log, "data": other}])
    for topics in (log["topics"][:-1], [*log["topics"], log["topics"][-1]]):
        if topics:
            with pytest.raises(MalformedResponse):
                decode_logs([{**log, "topics": topics}])


def test_arrays_are_where_the_encoder_puts_them(logs: list[dict[str, Any]]) -> None:
    log = log_of(logs, RoundPosted)
    (event,) = decode_logs([log])
    assert isinstance(event, RoundPosted)
    assert len(event.exclusions) == 2
    words = (len(log["data"]) - 2) // 64
    first_root = words - len(event.partial_sum_roots)
    for position, word in (
        (7, 8 * 32),
        (7, 10 * 32),
        (8, 0),
        (8, 2**256 - 1),
        (9, 0),
        (9, 3),
        (9, 2**16),
        (9, 2**255),
        (first_root - 1, 0),
        (first_root - 1, 2),
        (first_root - 1, 2**200),
    ):
        with pytest.raises(MalformedResponse):
            decode_logs([changed_word(log, position, word)])


@pytest.mark.parametrize(
    ("kind", "position", "good", "bad"),
    [
        (RoundPosted, 0, 2**16 - 1, 2**16),
        (RoundPosted, 5, 2**32 - 1, 2**32),
        (RoundPosted, 6, 2**40 - 1, 2**40),
        (RoundPosted, 10, 2**16 - 1, 2**16),
        (RoundPosted, 11, 3, 4),
        (RoundPosted, 11, 1, 0),
        (RoundPosted, 13, 2**160 - 1, 2**160),
        (PostingFell, 0, 2**16 - 1, 2**16),
        (PostingFell, 1, 6, 7),
        (PostingFell, 1, 1, 0),
        (PostingObjected, 0, 2**16 - 1, 2**16),
        (PostingObjected, 1, 2**16 - 1, 2**16),
        (RoundVoided, 0, 3, 4),
        (RoundVoided, 0, 1, 0),
        (RunDeployed, 0, 2**160 - 1, 2**160),
        (RunDeployed, 4, 2**64 - 1, 2**64),
        (RunDeployed, 5, 255, 256),
        (RunDeployed, 24, 1, 2),
    ],
)
def test_values_lie_in_their_range(
    logs: list[dict[str, Any]], kind: type, position: int, good: int, bad: int
) -> None:
    log = log_of(logs, kind)
    decode_logs([changed_word(log, position, good)])
    with pytest.raises(MalformedResponse):
        decode_logs([changed_word(log, position, bad)])


@pytest.mark.parametrize(
    "change",
    [
        {"topics": []},
        {"topics": ["0x" + "00" * 32]},
        {"topics": None},
        {"data": None},
        {"data": "0xzz"},
        {"blockNumber": None},
        {"blockHash": 5},
        {"logIndex": "x"},
    ],
)
def test_logs_that_are_none_are_refused(logs: list[dict[str, Any]], change: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponse):
        decode_logs([{**logs[0], **change}])


def test_a_log_without_time_needs_it_from_elsewhere(logs: list[dict[str, Any]]) -> None:
    log = {name: value for name, value in logs[0].items() if name != "blockTimestamp"}
    with pytest.raises(MalformedResponse):
        decode_logs([log])
    (event,) = decode_logs([log], {int(log["blockNumber"], 16): 77})
    assert event.place.timestamp == 77


def test_the_input_of_a_call_says_its_arguments() -> None:
    submit = ledger_abi().functions["submit"]
    arguments = (1, bytes(32), b"\x01" * 32, 7)
    assert submit.decode_input(submit.encode(arguments)) == arguments
    with pytest.raises(MalformedResponse, match="submit has other arguments"):
        submit.decode_input(submit.encode(arguments)[:-1])
