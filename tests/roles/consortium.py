"""A consortium in one process: real chain, contract, store and training; the clock is turned by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fl_chain.aggregation.quantise import model_values, quantise_update
from fl_chain.aggregator import Aggregator, AggregatorParts
from fl_chain.audit import AuditReport, audit_run
from fl_chain.commitment.chunks import Lanes
from fl_chain.config import (
    AggregationSettings,
    CohortSettings,
    FedAvgSettings,
    MaskingSettings,
    ModelSettings,
    PolicySettings,
    PrivacySettings,
    RunSettings,
    TrainingSettings,
)
from fl_chain.data.orange_juice import OWNERS, logistic_regression
from fl_chain.learning import LocalLearner, build_task
from fl_chain.learning.work import RoundWork
from fl_chain.ledger.account import Account
from fl_chain.ledger.client import Ledger
from fl_chain.ledger.devnet.chain import Chain, open_chain
from fl_chain.ledger.devnet.keys import dev_keys
from fl_chain.ledger.history import History
from fl_chain.ledger.node import Node, embedded
from fl_chain.records import ZERO_ADDRESS, Address, AggregationKind
from fl_chain.rules import rule_of
from fl_chain.run.deployment import DeployedRun, deploy_run
from fl_chain.run.outbox import Outbox
from fl_chain.store import Store
from fl_chain.worker import Worker, WorkerParts

START_S = 1_800_000_000
MONEY_WEI = 10**20
SUBMISSION_S, PUBLICATION_S, POSTING_S, TAKEOVER_S, CHALLENGE_S = 100, 20, 50, 200, 30


@dataclass
class Clock:
    """Wall time that stands still until it is moved."""

    now: float = float(START_S)

    def __call__(self) -> float:
        return self.now


def policy(**changes: object) -> PolicySettings:
    return PolicySettings(
        rounds=3,
        quorum=3,
        max_total_weight=10_000,
        submission_s=SUBMISSION_S,
        publication_s=PUBLICATION_S,
        posting_s=POSTING_S,
        takeover_s=TAKEOVER_S,
        challenge_s=CHALLENGE_S,
        unbonding_s=10,
    ).model_copy(update=changes)


@dataclass
class Consortium:
    """Five stores, an aggregator, and whoever else a test needs.

    Attributes:
        owners: who takes part; ``Store 1#7`` is one more with the rows of ``Store 1``.
    """

    folder: Path
    owners: tuple[str, ...] = field(default=OWNERS, kw_only=True)
    policy: PolicySettings = field(default_factory=policy)
    clock: Clock = field(default_factory=Clock)
    confirmations: int = 0
    aggregation: AggregationSettings = field(default_factory=FedAvgSettings)
    training: dict[str, object] = field(default_factory=dict)  # changes of the settings
    cohort: CohortSettings | None = None
    task_model: ModelSettings | None = None
    privacy: PrivacySettings | MaskingSettings | None = None

    def __post_init__(self) -> None:
        self.node, bank_key = self.start_chain()
        self.store = Store([str(self.folder / "store")])
        self.bank = Account(self.node, bank_key)
        self.operator = self.account("operator")
        self.aggregator_account = self.account("aggregator")
        self.accounts = {owner: self.account(f"participant {owner}") for owner in self.owners}
        task, model, training = logistic_regression()
        model = self.task_model or model
        training = TrainingSettings.model_validate({**training.model_dump(), **self.training})
        self.run: DeployedRun = deploy_run(
            RunSettings(
                seed=5,
                task=task,
                model=model,
                training=training,
                policy=self.policy,
                aggregation=self.aggregation,
                cohort=self.cohort,
                privacy=self.privacy,
            ),
            node=self.node,
            operator=self.operator,
            store=self.store,
            aggregator=self.aggregator_account.address,
            weight_caps={account.address: self.weight_cap() for account in self.accounts.values()},
            funding_wei=self.policy.rounds * (self.policy.reward_wei + self.policy.aggregator_reward_wei),
            token=self.coin(),
        )
        self.workers = {owner: self.worker(owner) for owner in self.owners}
        self.aggregator = self.new_aggregator(self.aggregator_account)

    def start_chain(self) -> tuple[Node, bytes]:
        """Start the chain; return its node and the key of an account with money."""
        self.chain: Chain = open_chain(None, clock=self.clock)
        return embedded(self.chain), dev_keys()[0]

    def pass_time(self, seconds: float) -> None:
        """Let chain time pass."""
        self.clock.now += seconds
        self.chain.catch_up()

    def plain_update(self, round_id: int, owner: str, *, weight: int | None = None) -> Lanes:
        """Return what an owner's worker trains in a round, before anything hides it.

        Args:
            round_id: the round.
            owner: whose worker.
            weight: that it is multiplied by; None: the number of rows.
        """
        history, quantisation = self.history, self.history.policy.quantisation
        base = self.store.read_model(history.base_model_roots[round_id], history.definition.dimension)
        values = model_values(base, quantisation.fraction_bits)
        trained = self.workers[owner]._parts.learner.train(
            values, round_id=history.rounds[round_id].step, work=RoundWork()
        )
        return quantise_update(trained.values, values, weight or trained.n_examples, quantisation)

    def weight_cap(self) -> int:
        """Return every participant's largest weight."""
        return 1 if rule_of(self.aggregation).kind is AggregationKind.RESULT else 1000

    def coin(self) -> Address:
        """Return the token that amounts are in; zero for the native coin."""
        return ZERO_ADDRESS

    def key(self, role: str) -> bytes:
        """Return a role's private key."""
        return hashlib.sha256(role.encode()).digest()

    def account(self, role: str) -> Account:
        """Return an account with money."""
        account = Account(self.node, self.key(role), replace_after_s=0.2)
        self.bank.transfer(account.address, MONEY_WEI)
        return account

    def ledger(self) -> Ledger:
        """Open the ledger anew, as a process of its own does."""
        return Ledger.open(self.node, self.run.ledger.run.ledger, confirmations=self.confirmations)

    def worker(self, owner: str) -> Worker:
        """Start a worker; a second one for the same owner goes on from the first one's folder."""
        learner = LocalLearner(
            build_task(self.run.policy.task, self.run.policy.model),
            self.run.policy.training,
            owner=owner.partition("#")[0],
            seed=self.run.policy.seed,
        )
        account = self.accounts[owner]
        return Worker(
            WorkerParts(
                ledger=self.ledger(),
                account=account,
                store=self.store,
                learner=learner,
                policy=self.run.policy,
                outbox=Outbox(self.folder / f"worker-{owner}"),
                payout=account.address,
                clock=self.clock,
            )
        )

    def new_aggregator(self, account: Account) -> Aggregator:
        """Start an aggregator."""
        return Aggregator(
            AggregatorParts(
                ledger=self.ledger(),
                account=account,
                store=self.store,
                state=self.folder / f"aggregator-{account.address}",
            )
        )

    @property
    def history(self) -> History:
        """The ledger's history up to now."""
        return self.run.ledger.sync()

    def address(self, owner: str) -> Address:
        """Return a store's identity."""
        return self.accounts[owner].address

    def work(self, owners: tuple[str, ...] = OWNERS, *, with_aggregator: bool = True) -> bool:
        """Let everyone take one step; return whether anybody did anything."""
        moved = [self.workers[owner].step() for owner in owners]
        return any(moved) | (with_aggregator and self.aggregator.step())

    def work_until(
        self,
        reached: Callable[[History], bool],
        owners: tuple[str, ...] = OWNERS,
        *,
        with_aggregator: bool = True,
        pause_s: float = 5.0,
        limit: int = 400,
    ) -> History:
        """Work, and let time pass whenever nobody has anything to do, until the ledger says that it is so."""
        for _ in range(limit):
            if reached(self.history):
                return self.history
            if not self.work(owners, with_aggregator=with_aggregator):
                self.pass_time(pause_s)
        raise AssertionError(f"never reached; the run stands at {self.history.state}")

    def audit(self) -> AuditReport:
        """Audit the run as somebody else would."""
        return audit_run(self.ledger(), self.store)
