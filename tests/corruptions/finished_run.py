"""A finished run with everything in it, recorded: what a node says of it, and its blobs.

An aggregator lies and loses its bond, a round is void with it, an update is left out, somebody objects,
rewards are claimed, deposits and bonds taken out, the pool withdrawn. Chain, contract and training are real.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import liars
import numpy as np
from consortium import Consortium, policy
from liars import Liar, Lie
from lying_nodes import PROOF_METHODS

from fl_chain.aggregator import Aggregator, AggregatorParts
from fl_chain.audit import AuditReport, audit_run
from fl_chain.commitment.chunks import LANE
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.data.orange_juice import OWNERS
from fl_chain.errors import RequestRefused
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.events import Event
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node
from fl_chain.ledger.transport import Json, Request
from fl_chain.records import Address, Opening
from fl_chain.store import Store

HONEST, ODD = OWNERS[:4], OWNERS[4]
MORE_THAN_NEEDED_WEI = 12_345
NOTHING: Mapping[str, Json] = MappingProxyType({})


def request_key(method: str, parameters: Sequence[Json]) -> str:
    return json.dumps([method, list(parameters)], sort_keys=True)


@dataclass
class RecordedTransport:
    """A real node's answers, kept as long as it tells the truth; some are replaced by others."""

    node: Node
    answers: dict[str, Json]
    replaced: Mapping[str, Json] = field(default_factory=dict)
    without: Sequence[str] = ()  # methods that the node does not have

    def request(self, method: str, parameters: Sequence[Json]) -> Json:
        if method in self.without:
            return {"error": {"code": -32601, "message": f"the method {method} does not exist"}}
        key = request_key(method, parameters)
        if key in self.replaced:
            return {"result": self.replaced[key]}
        if key in self.answers:
            return {"result": self.answers[key]}
        try:
            result = self.node.request(method, *parameters)
        except RequestRefused as error:
            return {"error": {"code": error.code, "message": str(error), "data": "0x" + error.data.hex()}}
        if not self.replaced:
            self.answers[key] = result
        return {"result": result}

    def batch(self, requests: Sequence[Request]) -> Json:
        return [self.request(method, parameters) for method, parameters in requests]

    def close(self) -> None:
        pass


@dataclass
class FinishedRun:
    """The run, to be audited as it is or with some of it replaced."""

    node: Node
    ledger: Address
    deployed_block: int
    history: History
    events: tuple[Event, ...]
    folder: Path  # of the store
    answers: dict[str, Json] = field(default_factory=dict)
    asked_with_proofs: frozenset[str] = frozenset()  # what a node is asked that offers proofs

    def audit(self, replaced: Mapping[str, Json] = NOTHING, *, with_proofs: bool = True) -> AuditReport:
        """Audit it as anyone would, by a node that answers some requests otherwise."""
        without = () if with_proofs else PROOF_METHODS
        transport = RecordedTransport(self.node, self.answers, replaced, without)
        node = Node([("recorded", transport)], None)
        ledger = Ledger.open(node, self.ledger, deployed_block=self.deployed_block)
        return audit_run(ledger, Store([str(self.folder)]))

    def record(self) -> None:
        """Audit the true run by both nodes, so that every answer that either gives can be corrupted.

        Raises:
            ValueError: if there are findings.
        """
        found = self.audit().findings
        self.asked_with_proofs = frozenset(self.answers)
        if found or self.audit(with_proofs=False).findings:
            raise ValueError("the clean run has findings")

    def is_asked_with_proofs(self, requests: Iterable[str]) -> bool:
        """Return whether a node that offers proofs is asked all of these: of views it is asked a few."""
        return self.asked_with_proofs.issuperset(requests)

    def blobs(self) -> list[Path]:
        """Return every file in the store."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


class _Both:
    def __init__(self, *aggregators: Aggregator) -> None:
        self.aggregators = aggregators

    def step(self) -> bool:
        return sum(one.step() for one in self.aggregators) > 0


def _submit_out_of_range(consortium: Consortium) -> None:
    """Submit and publish an update beyond its bounds in the name of a participant that does nothing more."""
    consortium.workers[ODD].step()
    consortium.work_until(lambda history: history.state.active == 1, HONEST)
    history, who, weight = consortium.history, consortium.address(ODD), 100
    lanes = np.zeros(consortium.run.definition.dimension, dtype=LANE)
    lanes[3] = consortium.run.policy.ledger.clip_lanes * weight + 1
    opening = Opening(vector_root(lanes), b"s" * 32)
    root = sealed_root(opening.vector_root, opening.salt, history.run, 1, who)
    consortium.run.ledger.submit(
        consortium.accounts[ODD],
        round=1,
        base_model_root=history.model_root(0),
        sealed_root=root,
        weight=weight,
    )
    consortium.store.write_update(who, root, opening, lanes, run=history.run, round=1)


def _object_to(consortium: Consortium, round_id: int) -> None:
    """Object, as one of several, to a posting that is right."""
    history, who = consortium.history, HONEST[0]
    (own,) = [one for one in history.submissions[round_id] if one.participant == consortium.address(who)]
    consortium.run.ledger.object(
        consortium.accounts[who], model_root=history.model_root(round_id), submission=own
    )


def _run_to_the_end(consortium: Consortium, aggregators: Sequence[Aggregator]) -> History:
    for _ in range(600):
        moved = [consortium.work(HONEST)]
        workers = [consortium.workers[owner] for owner in HONEST]
        if all(worker.is_done() for worker in workers) and all(one.is_done() for one in aggregators):
            return consortium.history
        if not any(moved):
            consortium.pass_time(5.0)
    raise AssertionError(f"never ended; the run stands at {consortium.history.state}")


@contextmanager
def finished_run(folder: Path) -> Iterator[FinishedRun]:
    """Let a run come to its end, and record what an audit asks."""
    consortium = Consortium(folder, policy=policy(rounds=2, challenge_s=60))
    parts = AggregatorParts(
        consortium.ledger(), consortium.aggregator_account, consortium.store, folder / "liar"
    )
    liar = Liar(parts, Lie(liars.one_lane_off_by_one), {1})
    second = consortium.new_aggregator(consortium.account("second aggregator"))
    consortium.aggregator = _Both(liar, second)  # type: ignore[assignment]
    consortium.run.ledger.fund(consortium.operator, MORE_THAN_NEEDED_WEI)
    _submit_out_of_range(consortium)
    consortium.work_until(lambda history: 3 in history.postings, HONEST)
    _object_to(consortium, 3)
    _run_to_the_end(consortium, [second])
    consortium.run.ledger.withdraw_pool(consortium.operator, consortium.operator.address)
    history = consortium.run.ledger.sync()
    ledger = consortium.run.ledger
    events = tuple(ledger.all_events())
    run = FinishedRun(
        consortium.node, ledger.run.ledger, ledger.deployed_block, history, events, folder / "store"
    )
    try:
        yield run
    finally:
        consortium.chain.close()


__all__ = ["FinishedRun", "finished_run", "request_key"]
