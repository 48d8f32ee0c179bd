"""One process's part of a simulation: it trains participants one after the other, on one model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fl_chain.aggregation.quantise import model_values
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.native import kernels
from fl_chain.learning import ModelDefinition, derive_seed
from fl_chain.learning.work import RoundWork, Values
from fl_chain.policy import RunPolicy
from fl_chain.records import Address, Digest, Opening, RunId
from fl_chain.run.kept import KeptState
from fl_chain.run.updates import noise_key, private_work, sealed_update, weighted_update
from fl_chain.simulation.shares import Shares
from fl_chain.store import Store

COMPILED_LANES = 1 << 17  # from here on, loading the compiled hashing pays over a run's many updates


@dataclass(frozen=True, slots=True)
class Job:
    """One participant's training in one round."""

    participant: Address
    name: str
    round: int
    step: int  # of the round, from which its batches follow
    base_model_root: Digest
    weight_cap: int
    participation: float
    kept: tuple[int, Digest] | None  # round and base under which its own values are kept


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it; the update itself is in the participants' own store."""

    sealed_root: Digest
    weight: int
    n_examples: int
    loss: float


@dataclass(frozen=True, slots=True)
class Made:
    """An update that is not in the participants' store yet."""

    participant: Address
    round: int
    opening: Opening
    lanes: Lanes  # shape (dimension,)
    trained: Trained


@dataclass(frozen=True)
class Ground:
    """What every process of a simulation works from.

    Attributes:
        folder: of the run.
        run: which chain and ledger.
        policy: of the run.
        shares: the participants' rows.
        dimension: lanes of the model.
        device: what torch computes on.
    """

    folder: Path
    run: RunId
    policy: RunPolicy
    shares: Shares
    dimension: int
    device: str = "cpu"

    @property
    def private(self) -> Store:
        """Where updates lie that are not published yet."""
        return Store([str(self.folder / "outbox")], is_durable=False)

    @property
    def public(self) -> Store:
        """The run's blobs."""
        return Store([str(self.folder / "store")], is_durable=False)


class Trainer:
    """Trains whoever it is told to."""

    def __init__(self, ground: Ground) -> None:
        """Build the model once.

        Raises:
            ModelError: if it cannot be aggregated.
            ConfigError: if torch finds no such device.
        """
        policy = ground.policy
        self._ground = ground
        self._model = ModelDefinition(
            ground.shares.task, seed=policy.seed, training=policy.training, device=ground.device
        )
        self._private, self._public = ground.private, ground.public
        if ground.dimension >= COMPILED_LANES:
            kernels()
        self._base: tuple[Digest, Values] | None = None

    def train(self, job: Job) -> Trained:
        """Train, quantise, seal, and put the update into the participants' own store.

        Raises:
            As `made` and `write`.
        """
        made = self.made(job)
        self.write(made)
        return made.trained

    def made(self, job: Job) -> Made:
        """Train, quantise and seal.

        Raises:
            InputDataError: if the participant's rows cannot be read.
            ModelError: if the trained model cannot be represented.
            StoreError: if the base is not there.
        """
        policy, secret = self._ground.policy, participant_secret(self._ground.policy.seed, job.name)
        key = noise_key(policy, secret, self._ground.run, job.round, job.base_model_root)
        base = self._base_values(job.base_model_root)
        kept = self._kept(job) if self._keeps else None
        update = self._model.train(
            base,
            self._ground.shares.of(job.name).train,
            policy.training,
            seed=derive_seed(policy.seed, job.step, job.name),
            work=RoundWork(
                kept=None if kept is None or job.kept is None else kept.load(*job.kept),
                participation=job.participation,
                private=private_work(policy, key),
            ),
        )
        weight, lanes, root = weighted_update(policy, update, base, job.weight_cap, key)
        made = sealed_update(
            lanes,
            root,
            weight,
            job.round,
            job.base_model_root,
            secret,
            run=self._ground.run,
            identity=job.participant,
        )
        if kept is not None and update.kept is not None:
            kept.save(job.round, job.base_model_root, update.kept)
        trained = Trained(made.sealed_root, weight, update.n_examples, update.loss)
        return Made(job.participant, job.round, made.opening, lanes, trained)

    def write(self, made: Made) -> None:
        """Put an update into the participants' own store.

        Raises:
            StoreError: if the store does not take it.
        """
        self._private.write_update(
            made.participant,
            made.trained.sealed_root,
            made.opening,
            made.lanes,
            run=self._ground.run,
            round=made.round,
        )

    def evaluate(self, values: Values, rows: Any) -> dict[str, float]:
        """Return the metrics of a global model on rows."""
        return self._model.evaluate(values, rows)

    def _kept(self, job: Job) -> KeptState:
        return KeptState(self._ground.folder / "participants" / job.name, is_durable=False)

    @property
    def _keeps(self) -> bool:
        return not self._model.keeps_nothing

    def _base_values(self, root: Digest) -> Values:
        if self._base is None or self._base[0] != root:
            lanes = self._public.read_model(root, self._ground.dimension)
            self._base = (root, model_values(lanes, self._ground.policy.ledger.fraction_bits))
        return self._base[1]


def participant_secret(seed: int, name: str) -> bytes:
    """Return the secret from which a simulated participant's salts and noise follow: the same in every run.

    It is known to whoever knows the seed, so a simulation shows what privacy costs and gives none.
    """
    return hashlib.sha256(
        b"fl_chain/simulation secret\x00" + seed.to_bytes(8, "big") + name.encode()
    ).digest()
