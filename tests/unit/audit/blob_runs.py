"""A run on a real contract with real blobs: whatever lanes a test likes, summed and posted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from chains import Clock
from deployed_runs import POLICY

from fl_chain.aggregation.round import Aggregate, aggregate_round
from fl_chain.audit import AuditReport, audit_run
from fl_chain.commitment.canonical import canonical_json, document_hash
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.commitment.seals import sealed_root
from fl_chain.commitment.tree import vector_root
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.deployment import deploy
from fl_chain.ledger.devnet import dev_keys, open_chain
from fl_chain.ledger.node import embedded
from fl_chain.records import AggregationKind, Digest, Exclusion, ExclusionReason, Opening, RunDefinition
from fl_chain.store import Store

WEIGHT = 2


@dataclass
class BlobRun:
    """Participants that submit lanes, and an aggregator that sums them."""

    clock: Clock
    ledger: Ledger
    store: Store
    operator: Account
    aggregator: Account
    participants: list[Account]
    models: dict[int, Lanes]  # by round; 0 is genesis

    def submit(self, number: int, lanes: Lanes, *, publish: bool = True, weight: int = WEIGHT) -> None:
        """Submit lanes to the newest round."""
        history = self.ledger.sync()
        latest, who = history.state.latest, self.participants[number].address
        opening = Opening(vector_root(lanes), bytes(32))
        root = sealed_root(opening.vector_root, opening.salt, history.run, latest, who)
        self.ledger.submit(
            self.participants[number],
            round=latest,
            base_model_root=history.model_root(history.rounds[latest].base_round),
            sealed_root=root,
            weight=weight,
        )
        if publish:
            self.store.write_update(who, root, opening, lanes, run=history.run, round=latest)

    def post(
        self,
        updates: Sequence[Lanes],
        *,
        excluded: Sequence[tuple[int, ExclusionReason]] = (),
        model_root: Digest | None = None,
    ) -> Aggregate:
        """Post the newest round's aggregate of the updates; those that are left out add nothing."""
        history = self.ledger.sync()
        latest = history.state.latest
        out = {index for index, _ in excluded}
        aggregate = aggregate_round(
            self.models[history.rounds[latest].base_round],
            [None if index in out else lanes for index, lanes in enumerate(updates)],
            WEIGHT * (len(updates) - len(out)),
            history.policy.quantisation,
        )
        for root, hashes in zip(aggregate.partial_sum_roots, aggregate.chunk_hashes, strict=True):
            self.store.write_sum(root, hashes)
        self.store.write_model(aggregate.model_root, aggregate.model)
        self.models[latest] = aggregate.model
        submissions = history.submissions[latest]
        self.ledger.post(
            self.aggregator,
            round=latest,
            digest=history.rounds[latest].digest,
            exclusions=[(Exclusion(index, reason), submissions[index]) for index, reason in excluded],
            partial_sum_roots=aggregate.partial_sum_roots,
            model_root=model_root or aggregate.model_root,
        )
        return aggregate

    def play(self, updates: Sequence[Lanes]) -> Aggregate:
        """Let everybody submit, and post."""
        for number, lanes in enumerate(updates):
            self.submit(number, lanes)
        return self.post(updates)

    def audit(self) -> AuditReport:
        """Audit the run as it stands."""
        return audit_run(Ledger.open(self.ledger.node, self.ledger.run.ledger), self.store)


@contextmanager
def blob_run(folder: Path, genesis: Lanes, *, participants: int = 3, **changes: object) -> Iterator[BlobRun]:
    """Deploy a run with a genesis model; the changes are to the policy."""
    store = Store([str(folder / "store")])
    document = canonical_json({"note": "no run document, so the audit says so"})
    manifest = canonical_json([{"dtype": "float32", "name": "w", "shape": [genesis.size]}])
    store.write_document(document)
    store.write_document(manifest)
    store.write_model(vector_root(genesis), genesis)
    definition = RunDefinition(
        document_hash({"note": "no run document, so the audit says so"}),
        document_hash([{"dtype": "float32", "name": "w", "shape": [genesis.size]}]),
        vector_root(genesis),
        genesis.size,
    )
    clock = Clock()
    policy = replace(POLICY, **changes)  # type: ignore[arg-type]
    with open_chain(None, clock=clock, accounts=participants + 2) as chain:
        node = embedded(chain)
        operator, aggregator, *people = (Account(node, key) for key in dev_keys(participants + 2))
        deployment = deploy(node, operator, definition, policy, aggregator=aggregator.address)
        ledger = Ledger.open(node, deployment.address)
        ledger.fund(operator, 100_000)
        ledger.deposit_bond(aggregator, 50_000)
        for one in people:
            ledger.admit(operator, one.address, 1 if policy.aggregation is AggregationKind.RESULT else 10)
            ledger.register(one, one.address)
        ledger.open_round(operator)
        yield BlobRun(clock, ledger, store, operator, aggregator, people, {0: genesis})


def random_lanes(dimension: int, seed: int, *, most: int = 60_000) -> Lanes:
    """Return lanes within the bounds of `deployed_runs.POLICY`."""
    rng = np.random.default_rng(seed)
    return rng.integers(-most, most, dimension, endpoint=True).astype(">i4").view(LANE)
