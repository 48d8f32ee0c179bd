"""Several nodes of one chain, of which now one and then the other is away."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from consortium import Consortium, policy

from fl_chain.ledger import node as node_module
from fl_chain.ledger.devnet import background_server, dev_keys, open_chain
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node, connect


@dataclass
class ServedTwice(Consortium):
    """A chain behind two nodes."""

    first: ExitStack = field(default_factory=ExitStack)
    second: ExitStack = field(default_factory=ExitStack)

    def start_chain(self) -> tuple[Node, bytes]:
        """Serve the chain twice."""
        self.chain = open_chain(None, clock=self.clock)
        self.urls = [one.enter_context(background_server(self.chain)) for one in (self.first, self.second)]
        return connect(self.urls), dev_keys()[0]


def is_over(history: History) -> bool:
    state = history.state
    return state.tip > 0 and history.rounds[state.tip].step == 2 and state.settled == state.latest


def test_a_run_goes_on_where_another_node_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(node_module, "FIRST_PAUSE_S", 0.01)
    run = ServedTwice(tmp_path, policy=policy(rounds=2))
    try:
        run.work_until(lambda history: history.state.last_closed == 1)
        with caplog.at_level(logging.WARNING):
            run.first.close()
            run.work_until(lambda history: history.state.latest == 2)
        assert f"{run.urls[0]} does not answer; asking {run.urls[1]}" in caplog.text

        port = int(run.urls[0].rsplit(":", 1)[1])
        run.first.enter_context(background_server(run.chain, port))
        run.second.close()
        history = run.work_until(is_over)

        assert [len(history.submissions[round_id]) for round_id in (1, 2)] == [5, 5]
        assert run.run.ledger.reorganisations == 0
        assert run.audit().findings == []
    finally:
        run.node.close()
        run.first.close()
        run.second.close()
        run.chain.close()
