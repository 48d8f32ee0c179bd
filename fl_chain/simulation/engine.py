"""A whole run with every participant in it: train, submit, close, publish, post, verify, to the end.

The contract or its in-memory twin, the aggregator, the prover, commitments and stores are those of a run
between companies. What is saved is what one party can save: a posting is verified once, not by everybody, and
updates become public when their round closes by being moved from one folder to another.

Where that is sound, nobody waits for the chain either: see `fl_chain.simulation.ahead`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fl_chain.aggregation.quantise import model_values
from fl_chain.aggregator import Aggregator, AggregatorParts
from fl_chain.config import RunSettings, TaskSettings
from fl_chain.errors import ConfigError, OutputExists
from fl_chain.learning import build_task, n_rows
from fl_chain.learning.work import Values
from fl_chain.ledger.history import History
from fl_chain.machine.memory import collecting_seldom, keep_freed_memory
from fl_chain.records import Address, Round, RoundStatus, Submission
from fl_chain.run.cohorts import cohort, participation
from fl_chain.run.durable import exclusive
from fl_chain.run.folder import prepare_folder
from fl_chain.run.keeper import active_round, has_ended
from fl_chain.run.kept import last_included
from fl_chain.run.models import ModelChain
from fl_chain.run.rounds import RoundReader
from fl_chain.simulation.choices import CHOICES_NAME, SimulationChoices, read_choices, write_choices
from fl_chain.simulation.crew import Crew, WorkerFailed, open_crew
from fl_chain.simulation.ledgers import ALLOWANCE_WEI, TOGETHER, Recorded, recorded_run
from fl_chain.simulation.phases import Phase, PhaseClock
from fl_chain.simulation.shares import shares_of
from fl_chain.simulation.trainer import Ground, Job, Trained, Trainer
from fl_chain.store import Store

log = logging.getLogger(__name__)

PARTS = 3  # that a round is submitted in while others still train; the last one is small
SLOW_DIMENSION = 50_000  # parameters from which on training a round takes longer than submitting it
MOST_JUDGED = 64  # participants on whose own rows models are judged
TRAINING_LOSS = "training_loss"  # of a participant on its own rows, as its last epoch had it


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a simulation is."""

    round: int  # models made, 0 before the first
    trained: int  # participants that have submitted to the round that is open
    of: int  # how many are expected there
    metrics: dict[str, float] | None = None  # of the model that was just made


class Simulation:
    """A run that is under way; made by `open_simulation`.

    Attributes:
        ledger: what the simulation goes by; once `run` has returned, the one that an audit reads.
    """

    def __init__(self, folder: Path, recorded: Recorded, ground: Ground, crew: Crew) -> None:
        self.folder = folder
        self.ledger = recorded.ledger
        self.policy = recorded.policy
        self.store = ground.public
        self.metrics: dict[int, dict[str, float]] = {}  # of each round's model, on the rows held out
        self.losses: dict[int, float] = {}  # mean training loss of each round's participants
        self.own: dict[Address, dict[int, dict[str, float]]] = {}  # of each participant, by round
        self.phases = PhaseClock()
        self._recorded = recorded
        self.ground = ground
        self._crew = crew
        self.names = {account.address: name for name, account in recorded.participants.items()}
        self._reader = RoundReader(self.ledger.sync(), self.store)
        self._models = ModelChain(self._reader)
        self._aggregator = Aggregator(
            AggregatorParts(
                self.ledger,
                recorded.aggregator,
                self.store,
                folder / "aggregator",
                models=self._models,
                is_durable=False,
            )
        )
        self._evaluator: Trainer | None = None
        self._published: set[Submission] = set()
        self._judges_own = False

    def run(
        self, say: Callable[[Progress], None] = lambda progress: None, *, judges_own: bool = False
    ) -> History:
        """Go on until the run has ended, and return its history.

        Args:
            say: is told of every participant and every model.
            judges_own: also judge every model on each participant's own held-out rows, into `own`; of more
                than `MOST_JUDGED` participants nobody's.

        Raises:
            LedgerError, StoreError, ModelError, InputDataError, VerificationError: see the run's parts.
            WorkerFailed: if a process of the simulation ended, or could not train.
            ChainNotFollowing: if the chain does not take what the simulation went on from.
        """
        self._judges_own = judges_own and len(self.names) <= MOST_JUDGED
        self._register()
        while True:
            history = self.ledger.sync()
            if has_ended(history, self.ledger.head().timestamp):
                self._score(history, say)
                self.ledger = self._recorded.settled()
                return self.ledger.sync()
            if self._step(history, say):
                continue
            with self.phases.phase(history.state.latest, Phase.AGGREGATE):
                is_done = self._aggregator.step()
            if not is_done:
                self._recorded.wait_until(_next_moment(history, self.ledger.head().timestamp))

    def await_chain(self) -> None:
        """Wait until the chain holds everything that was done so far.

        Raises:
            ChainNotFollowing: if it does not take it.
        """
        self._recorded.await_chain()

    def _step(self, history: History, say: Callable[[Progress], None]) -> bool:
        """Do what is due for the participants; return whether anything was done."""
        self._score(history, say)
        current = active_round(history)
        if current is None:
            return False
        if current.status is RoundStatus.OPEN:
            with self.phases.phase(current.id, Phase.TRAIN):
                return self._train(history, current, say)
        with self.phases.phase(current.id, Phase.PUBLISH):
            return self._publish(history, current)

    def _register(self) -> None:
        history = self.ledger.sync()
        waiting = [
            account
            for account in self._recorded.participants.values()
            if not history.participants[account.address].registered
        ]
        for start in range(0, len(waiting), TOGETHER):
            self.ledger.register_together(waiting[start : start + TOGETHER])
        if waiting and not history.rounds:
            self._deposit_bonds(history)

    def _deposit_bonds(self, history: History) -> None:
        """Deposit the aggregator's bonds for all rounds that can be unfinished at once."""
        policy = history.policy
        bonds_wei = policy.bond_wei * min(policy.max_rounds, policy.max_unfinal_rounds)
        if 0 < bonds_wei <= ALLOWANCE_WEI // 2:
            self.ledger.deposit_bond(self._recorded.aggregator, bonds_wei)

    def _train(self, history: History, current: Round, say: Callable[[Progress], None]) -> bool:
        """Train and submit for everybody whose turn it is, in the order of their names."""
        if self.ledger.head().timestamp >= current.since + history.policy.submission_s:
            return False
        drawn = cohort(history, self.policy, current.id)
        submitted = {submission.participant for submission in history.submissions[current.id]}
        registered = set(history.registered_at[current.id]) if drawn is None else drawn
        due = [who for who in self.names if who in registered and who not in submitted]
        if not due:
            return False
        with self.phases.phase(current.id, Phase.VERIFY):
            self._models.model(current.base_round)  # nobody trains on what was not verified
        done = len(submitted)
        loss = 0.0
        together = min(TOGETHER, -(-len(due) // parts_of(history.definition.dimension)))
        finished: list[tuple[Address, Trained]] = []
        for who, trained in zip(due, self._crew.train(self._jobs(history, current, due)), strict=True):
            finished.append((who, trained))
            if len(finished) == together or who == due[-1]:
                with self.phases.phase(current.id, Phase.SUBMIT):
                    self._submit(history, current, finished)
                finished.clear()
            done, loss = done + 1, loss + trained.loss
            self._of(who, current.id)[TRAINING_LOSS] = trained.loss
            say(Progress(current.step - 1, done, len(due) + len(submitted)))
        self.losses[current.id] = loss / len(due)
        return True

    def _jobs(self, history: History, current: Round, due: list[Address]) -> list[Job]:
        share = participation(history, self.policy, current.id)
        base_root = history.model_root(current.base_round)
        keeps = self.policy.training.algorithm == "scaffold" or bool(self.policy.training.local)
        jobs = []
        for who in due:
            newest = last_included(history, current.base_round, who) if keeps else None
            jobs.append(
                Job(
                    participant=who,
                    name=self.names[who],
                    round=current.id,
                    step=current.step,
                    base_model_root=base_root,
                    weight_cap=history.participants[who].weight_cap,
                    participation=share,
                    kept=None if newest is None else (newest, history.base_model_roots[newest]),
                )
            )
        return jobs

    def _submit(self, history: History, current: Round, finished: Sequence[tuple[Address, Trained]]) -> None:
        base_root = history.model_root(current.base_round)
        self.ledger.submit_together(
            [
                (
                    self._recorded.participants[self.names[who]],
                    current.id,
                    base_root,
                    trained.sealed_root,
                    trained.weight,
                )
                for who, trained in finished
            ]
        )

    def _publish(self, history: History, current: Round) -> bool:
        """Put the closed round's updates where everybody can read them."""
        due = [one for one in history.submissions[current.id] if one not in self._published]
        lost = []
        for submission in due:
            update = submission.participant, submission.sealed_root
            # Where it was published before, perhaps by a process that was killed, it is published again.
            if not self.ground.private.move_update(*update, self.store) and not self.store.has_update(
                *update
            ):
                lost.append(submission)
        if lost:
            self._train_again(history, current, lost)
        self._published = set(history.submissions[current.id])
        return bool(due)

    def _train_again(self, history: History, current: Round, lost: list[Submission]) -> None:
        """Make updates again that were submitted by a process that was killed, and whose files are gone."""
        jobs = self._jobs(history, current, [submission.participant for submission in lost])
        for submission, trained in zip(lost, self._crew.train(jobs), strict=True):
            if trained.sealed_root != submission.sealed_root:
                raise WorkerFailed(
                    f"the update of {submission.participant} in round {current.id} is lost, and training "
                    "again does not give the same one: start the simulation anew"
                )
            self.ground.private.move_update(submission.participant, submission.sealed_root, self.store)

    def _score(self, history: History, say: Callable[[Progress], None]) -> None:
        """Verify every model that is new, and judge it on the rows held out."""
        for round_id in sorted(history.postings.keys() - self.metrics.keys()):
            with self.phases.phase(round_id, Phase.VERIFY):
                lanes = self._models.model(round_id)
            with self.phases.phase(round_id, Phase.EVALUATE):
                metrics = self._judged(round_id, model_values(lanes, history.policy.fraction_bits))
            self.metrics[round_id] = metrics
            say(Progress(history.rounds[round_id].step, 0, 0, metrics))

    def _judged(self, round_id: int, values: Values) -> dict[str, float]:
        """Return a model's metrics on all rows held out, after judging it on each participant's own."""
        self._evaluator = self._evaluator or Trainer(self.ground)
        shares = self.ground.shares
        if self._judges_own:
            for who, name in self.names.items():
                rows = shares.own_held_out(name)
                if rows is not None and n_rows(rows):
                    self._of(who, round_id).update(self._evaluator.evaluate(values, rows))
        return self._evaluator.evaluate(values, shares.held_out())

    def _of(self, who: Address, round_id: int) -> dict[str, float]:
        return self.own.setdefault(who, {}).setdefault(round_id, {})


def parts_of(dimension: int) -> int:
    """Return in how many parts a round is submitted, so that the ledger takes some while others still train.

    A small model is trained in next to no time, and parts would only make more blocks. How long it really
    took may not count: blocks follow from the settings alone, and from blocks the ledger's randomness.

    Args:
        dimension: of the model.
    """
    return PARTS if dimension >= SLOW_DIMENSION else 1


@contextmanager
def open_simulation(
    folder: Path, settings: RunSettings, choices: SimulationChoices, *, force: bool = False
) -> Iterator[Simulation]:
    """Prepare a simulation in a folder, or go on with the one that stands there.

    Args:
        folder: takes everything that an audit needs.
        settings: what is trained.
        choices: who takes part, and what it is recorded on.
        force: replace another run in the folder.

    Raises:
        ConfigError: if the settings cannot be simulated.
        OutputExists: if the folder may not be replaced.
        StateInUse: if another process simulates there.
    """
    chosen = _verified_task(settings)
    keep_freed_memory()
    is_resumed = (folder / CHOICES_NAME).is_file() and not force
    if is_resumed and read_choices(folder) != (choices, settings):
        raise OutputExists(
            f"{folder} holds a simulation of other settings: choose another folder with --out, or replace it "
            "with --force"
        )
    if not is_resumed or not (folder / "run.json").is_file():
        prepare_folder(folder, force=force or is_resumed)
        write_choices(folder, choices, settings)
    with exclusive(folder / "aggregator"):
        task = build_task(chosen, settings.model)
        shares = shares_of(task, choices, settings.seed)
        store = Store([str(folder / "store")], is_durable=False)
        recorded = recorded_run(folder, settings, choices, shares.names, store)
        try:
            ground = Ground(
                folder=folder,
                run=recorded.ledger.run,
                policy=recorded.policy,
                shares=shares,
                dimension=recorded.ledger.definition().dimension,
                device=choices.device,
            )
            with collecting_seldom():
                crew = open_crew(ground, choices.jobs)
                try:
                    yield Simulation(folder, recorded, ground, crew)
                finally:
                    crew.close()
        finally:
            recorded.close()


def _verified_task(settings: RunSettings) -> TaskSettings:
    """Return the task of settings that can be simulated."""
    if settings.task is None:
        raise ConfigError("the settings name no task: add a [run.task] table, or start from `fl-chain init`")
    if settings.training.deadline_share is not None:
        raise ConfigError(
            "a simulation's clock stands still while a participant trains, so no deadline can cut training "
            "short: leave out deadline_share"
        )
    return settings.task


def _next_moment(history: History, now: int) -> float:
    """Return the next chain time at which something can become due."""
    policy, current = history.policy, active_round(history)
    moments = [
        posting.finalizable_at
        for round_id, posting in history.postings.items()
        if history.rounds[round_id].status is RoundStatus.POSTED
    ]
    if current is not None and current.status is RoundStatus.OPEN:
        moments.append(current.since + policy.submission_s)
    elif current is not None:
        waits = (policy.publication_s, policy.posting_s, policy.posting_s + policy.takeover_s)
        moments += [current.since + wait for wait in waits]
    return min((moment for moment in moments if moment > now), default=now + 1)
