"""Events proven against a block hash on a real chain; liars are in tests/roles/test_state_proofs.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from chains import RECIPIENT
from deployed_runs import Run, deployed_run

from fl_chain.errors import MalformedResponse
from fl_chain.ledger import proven_events as module
from fl_chain.ledger.proven_events import may_have_logs, proven_events
from fl_chain.records import address


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with deployed_run() as prepared:
        prepared.start()
        prepared.play_round()
        yield prepared


def test_every_event_is_proven(run: Run) -> None:
    run.ledger.sync()
    proven = proven_events(run.node, run.node.head(), run.ledger.run.ledger, run.ledger.deployed_block)
    assert list(proven.events) == run.ledger.all_events()
    assert proven.linked_blocks == run.node.head().number - run.ledger.deployed_block + 1
    assert 0 < proven.opened_blocks <= proven.linked_blocks


def test_a_stretch_of_more_blocks_than_one_batch_holds_is_linked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = proven_events(run.node, run.node.head(), run.ledger.run.ledger, 0)
    for size in (1, 7, whole.linked_blocks - 1, whole.linked_blocks):
        monkeypatch.setattr(module, "BLOCKS_PER_BATCH", size)
        assert proven_events(run.node, run.node.head(), run.ledger.run.ledger, 0) == whole


def test_an_older_block_has_the_events_up_to_it(run: Run) -> None:
    block = run.node.block(run.ledger.deployed_block)
    assert block is not None
    proven = proven_events(run.node, block, run.ledger.run.ledger, 0)
    assert [type(event).__name__ for event in proven.events] == ["RunDeployed"]


def test_a_stretch_without_blocks_has_no_events(run: Run) -> None:
    head = run.node.head()
    assert proven_events(run.node, head, run.ledger.run.ledger, head.number + 1).events == ()


def test_no_event_is_another_contracts(run: Run) -> None:
    assert proven_events(run.node, run.node.head(), address(RECIPIENT), 0).events == ()


def test_a_hash_that_is_not_the_chains_is_refused(run: Run) -> None:
    other = replace(run.node.head(), hash=bytes(32))
    with pytest.raises(MalformedResponse, match="hashes to"):
        proven_events(run.node, other, run.ledger.run.ledger, 0)


def test_a_time_that_is_not_the_headers_is_refused(run: Run) -> None:
    head = run.node.head()
    with pytest.raises(MalformedResponse, match="its header says"):
        proven_events(run.node, replace(head, timestamp=head.timestamp + 1), run.ledger.run.ledger, 0)


def test_a_bloom_filter_lets_in_every_block_with_an_event(run: Run) -> None:
    ledger = run.ledger.run.ledger
    run.ledger.sync()
    with_events = {event.place.block_number for event in run.ledger.all_events()}
    opened = {
        number
        for number in range(run.node.head().number + 1)
        if may_have_logs(run.node.request("eth_getBlockByNumber", hex(number), False), ledger)
    }
    assert with_events <= opened
    assert 0 not in opened
    assert not may_have_logs({"logsBloom": "0x" + "00" * 256}, ledger)
    assert may_have_logs({"logsBloom": "0x" + "ff" * 256}, ledger)
