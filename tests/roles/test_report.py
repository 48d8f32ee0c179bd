"""What an audit says of updates that break no rule, in its report and on its page."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from consortium import Consortium
from test_dishonest import HONEST, ODD, is_open, submit_lanes, zeros

from fl_chain.audit import Kind, audit_run
from fl_chain.errors import MalformedResponse
from fl_chain.ledger.node import Node
from fl_chain.report import parse_report, render_page
from fl_chain.run.rounds import RoundReader


def test_a_zero_update_and_a_copy_are_named_and_drawn(consortium: Consortium) -> None:
    consortium.workers[ODD].step()
    consortium.work_until(is_open, HONEST)
    submit_lanes(consortium, ODD, zeros(consortium), 100, publish=True)
    history = consortium.work_until(lambda history: history.state.latest == 2, HONEST)
    victim = next(one for one in history.submissions[1] if one.participant != consortium.address(ODD))
    copied = RoundReader(history, consortium.store).update(victim)
    submit_lanes(consortium, ODD, copied, victim.weight, publish=True)
    consortium.work_until(lambda history: 2 in history.postings, HONEST)

    report = consortium.audit()

    assert report.verdict == "pass"
    zero, copy = (one for one in report.warnings if one.participant == consortium.address(ODD))
    assert (zero.kind, zero.round) == (Kind.UPDATE_ZERO, 1)
    assert (copy.kind, copy.round) == (Kind.UPDATE_COPIED, 2)
    assert f"the same vector as that of {victim.participant} in round 1" in copy.detail
    assert consortium.audit().to_json() == report.to_json()

    source = report.to_json().encode()
    page = render_page(parse_report(source), source=source)
    assert zero.detail in page
    assert copy.detail in page


def test_gas_is_told_by_round_and_adds_up(consortium: Consortium) -> None:
    history = consortium.work_until(lambda history: 2 in history.postings)

    gas = json.loads(consortium.audit().to_json())["gas"]

    assert gas["run"]["submit"]["calls"] == sum(map(len, history.submissions.values()))
    for call in ("submit", "post"):
        by_round = [own[call] for own in gas["rounds"].values() if call in own]
        for unit in ("calls", "gas"):
            assert sum(one[unit] for one in by_round) == gas["run"][call][unit]
    assert {"submit", "post"} <= set(gas["rounds"]["1"])
    assert "claim" not in {call for own in gas["rounds"].values() for call in own}


class PrunedNode:
    """A node that has forgotten one kind of answer."""

    def __init__(self, node: Node, forgotten: str) -> None:
        self._node, self._forgotten = node, forgotten

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        answers = self._node.batch(requests)
        return [
            None if method == self._forgotten else answer
            for (method, _), answer in zip(requests, answers, strict=True)
        ]


@pytest.mark.parametrize("forgotten", ["eth_getTransactionReceipt", "eth_getTransactionByHash"])
def test_a_node_that_has_forgotten_transactions_can_be_audited_all_the_same(
    consortium: Consortium, forgotten: str
) -> None:
    ledger = consortium.ledger()
    ledger.node = PrunedNode(consortium.node, forgotten)

    report = audit_run(ledger, consortium.store)

    assert report.verdict == "pass"
    assert report.gas is None
    with pytest.raises(MalformedResponse, match="ask one that does"):
        ledger.gas_by_call()
