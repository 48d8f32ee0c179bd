"""Accuracy on MNIST against NIID-Bench as Flower reproduces it: FedAvg, ten clients, uneven classes.

Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos: An Experimental Study", ICDE 2022; the figures
are those of Flower's ``baselines/niid_bench``: 98.9 with each class shared out by a Dirichlet distribution of
concentration 0.5, 96.6 with two classes each. Network, batches, rates, rounds and the way in which both
divisions are drawn are theirs; here each client trains `LOCAL_EPOCHS` epochs a round instead of their ten,
so that two cores are enough. Every update is quantised and sealed, every round aggregated in integers and
examined from the sealed updates alone. The accuracy is that of the last round's model on the test set.

Each round's model is kept in `KEPT`, so that a run that was stopped goes on where it was. The data set is one
of the catalogue's; without it nothing is measured.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.harness import Result, cores, machine
from benchmarks.sealed_rounds import people, posted, sealed
from fl_chain.aggregation.quantise import declared_weight, model_lanes, model_values, quantise_update
from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.config import TrainingSettings, data_places
from fl_chain.data.partition import Partition
from fl_chain.data.reading import read_images
from fl_chain.errors import ConfigError, FlChainError
from fl_chain.learning.definition import ModelDefinition
from fl_chain.learning.task import Examples, OwnerData
from fl_chain.learning.training import derive_seed, train_sgd
from fl_chain.records import Quantisation

Labels = npt.NDArray[np.uint8]

PUBLISHED = {"dirichlet": 98.9, "two_classes": 96.6}  # percent, with ten local epochs
PUBLISHED_ROUNDS = 50
ROUNDS = {"dirichlet": 50, "two_classes": 50}
LOCAL_EPOCHS = 2
EXAMPLES = 60_000  # of the training set
CLIENTS, CLASSES = 10, 10
SEED = 42
EXAMPLES_PER_WEIGHT = 10
QUANTISATION = Quantisation(fraction_bits=22, scale_bits=18, clip_lanes=2**18, max_total_weight=6010)
PEOPLE = people(CLIENTS)
KEPT: Path | None = Path("runs/niid_bench")


def results() -> list[Result]:
    """Return `niid_bench` (the one that lies lower against its peer) and `niid_bench_<division>`."""
    try:
        images = read_images("mnist", data_places())
    except FlChainError as error:
        raise ConfigError(str(error)) from error
    labels = images.train_labels[:EXAMPLES]
    train = _examples(images.train_images[:EXAMPLES], labels)
    test = _examples(images.test_images, images.test_labels)
    found = []
    for name, divide in DIVISIONS.items():
        accuracy = 100 * _Run(name, train, test, divide(labels, np.random.default_rng(SEED))).accuracy()
        peer = (
            f"Flower's niid_bench, FedAvg, {PUBLISHED_ROUNDS} rounds of 10 local epochs; "
            f"ours {ROUNDS[name]} of {LOCAL_EPOCHS}"
        )
        ratio = round(accuracy / PUBLISHED[name], 4)
        unit = "% accuracy on MNIST's test set"
        found.append(
            Result(f"niid_bench_{name}", ratio, peer, round(accuracy, 2), PUBLISHED[name], unit, machine())
        )
    for name in DIVISIONS:
        if KEPT is not None:
            (KEPT / f"{name}.npz").unlink(missing_ok=True)
    low = min(found, key=lambda result: result.ratio)
    return [Result("niid_bench", low.ratio, low.peer, low.ours, low.theirs, low.unit, low.machine), *found]


def dirichlet(labels: Labels, rng: np.random.Generator) -> Partition:
    """Share out each class by a Dirichlet distribution, as NIID-Bench does.

    Whoever has its tenth of all rows already gets nothing of the next class; all is drawn again until each
    client has ten rows.
    """
    while True:
        own: list[npt.NDArray[np.intp]] = [np.empty(0, dtype=np.intp)] * CLIENTS
        for label in range(CLASSES):
            rows = np.flatnonzero(labels == label)
            rng.shuffle(rows)
            shares = rng.dirichlet(np.full(CLIENTS, 0.5))
            shares *= [len(part) < len(labels) / CLIENTS for part in own]
            cuts = (np.cumsum(shares / shares.sum()) * len(rows)).astype(np.intp)[:-1]
            own = [np.concatenate(pair) for pair in zip(own, np.split(rows, cuts), strict=True)]
        if min(len(part) for part in own) >= CLIENTS:
            return tuple(own)


def two_classes(labels: Labels, rng: np.random.Generator) -> Partition:
    """Give each client its own class and another at random, in equal parts to all that have a class."""
    held: list[list[int]] = []
    for client in range(CLIENTS):
        other = client
        while other == client:
            other = int(rng.choice(CLASSES, 1)[0])
        held.append([client, other])
    own: list[list[npt.NDArray[np.intp]]] = [[] for _ in range(CLIENTS)]
    for label in range(CLASSES):
        rows = np.flatnonzero(labels == label)
        rng.shuffle(rows)
        holders = [client for client in range(CLIENTS) if label in held[client]]
        for client, part in zip(holders, np.array_split(rows, len(holders)), strict=True):
            own[client].append(part)
    return tuple(np.concatenate(parts) for parts in own)


DIVISIONS: dict[str, Callable[[Labels, np.random.Generator], Partition]] = {
    "dirichlet": dirichlet,
    "two_classes": two_classes,
}


class _Task:
    """The network of two convolutions, for the model's definition."""

    def model(self, seed: int) -> nn.Module:
        # A maximum of rectified values is the rectified maximum, and four times fewer are rectified.
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=nn.Conv2d(1, 6, 5),
            pool1=nn.MaxPool2d(2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(6, 16, 5),
            pool2=nn.MaxPool2d(2),
            relu2=nn.ReLU(),
            flat=nn.Flatten(),
            fc1=nn.Linear(256, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, CLASSES),
        )
        return nn.Sequential(layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def load(self, owner: str, source: str | None) -> OwnerData:
        raise NotImplementedError("rows are handed over")

    def train(self, model: nn.Module, examples: Examples, settings: TrainingSettings, seed: int) -> float:
        return train_sgd(model, examples, nn.functional.cross_entropy, settings, seed=seed)

    def evaluate(self, model: nn.Module, examples: Examples) -> dict[str, float]:
        model.eval()
        with torch.no_grad():
            right = sum(
                int((model(examples.inputs[rows]).argmax(1) == examples.targets[rows]).sum())
                for rows in torch.arange(len(examples)).tensor_split(10)
            )
        return {"accuracy": right / len(examples)}


@dataclass(frozen=True, slots=True)
class _Local:
    """One client's training in one round."""

    base: npt.NDArray[np.float32]
    client: int
    round_id: int


class _Client:
    """Trains clients; one in each process."""

    def __init__(self, train: Examples, division: Partition, training: TrainingSettings) -> None:
        self._definition = ModelDefinition(_Task(), seed=SEED)
        self._train, self._division, self._training = train, division, training

    def local(self, work: _Local) -> npt.NDArray[np.float32]:
        rows = torch.from_numpy(self._division[work.client].astype(np.int64))
        examples = Examples(self._train.inputs[rows], self._train.targets[rows])
        seed = derive_seed(SEED, work.round_id, str(work.client))
        return self._definition.train(work.base, examples, self._training, seed=seed).values


class _Run:
    """One division from the first model to the last round's."""

    def __init__(self, name: str, train: Examples, test: Examples, division: Partition) -> None:
        self._test, self._division, self._train = test, division, train
        self._training = TrainingSettings(
            learning_rate=0.01, momentum=0.9, weight_decay=1e-5, batch_size=64, local_epochs=LOCAL_EPOCHS
        )
        self._definition = ModelDefinition(_Task(), seed=SEED)
        self._rounds = ROUNDS[name]
        self._path = None if KEPT is None else KEPT / f"{name}.npz"
        self._settings = json.dumps(
            [self._training.model_dump(), SEED, len(train), [len(own) for own in division]], sort_keys=True
        )

    def accuracy(self) -> float:
        """Return the accuracy of the last round's model."""
        bits = QUANTISATION.fraction_bits
        first, model = self._kept() or (1, model_lanes(self._definition.genesis_values(), bits))
        with ProcessPoolExecutor(
            cores(),
            mp_context=get_context("fork"),
            initializer=_begin,
            initargs=(self._train, self._division, self._training),
        ) as pool:
            for round_id in range(first, self._rounds + 1):
                base = model_values(model, bits)
                jobs = [_Local(base, client, round_id) for client in self._by_size()]
                found = dict(zip(self._by_size(), pool.map(_train, jobs), strict=True))
                submitted = []
                for client in range(CLIENTS):
                    weight = declared_weight(len(self._division[client]), EXAMPLES_PER_WEIGHT, 2**16)
                    lanes = quantise_update(found[client], base, weight, QUANTISATION)
                    submitted.append(sealed(round_id, client, PEOPLE[client], weight, lanes))
                model = posted(round_id, model, submitted, QUANTISATION)
                self._keep(round_id, model)
        return self._definition.evaluate(model_values(model, bits), self._test)["accuracy"]

    def _by_size(self) -> list[int]:
        """Return the clients, the largest first, so that no core waits long for the last."""
        return sorted(range(CLIENTS), key=lambda client: -len(self._division[client]))

    def _kept(self) -> tuple[int, Lanes] | None:
        if self._path is None or not self._path.is_file():
            return None
        with np.load(self._path) as content:
            if str(content["settings"]) != self._settings:
                return None
            return int(content["round"]) + 1, content["model"].astype(LANE)

    def _keep(self, round_id: int, model: Lanes) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix(".new.npz")
            np.savez(new, round=round_id, model=model, settings=self._settings)
            new.replace(self._path)


_client: list[_Client] = []


def _begin(train: Examples, division: Partition, training: TrainingSettings) -> None:
    _client.append(_Client(train, division, training))


def _train(work: _Local) -> npt.NDArray[np.float32]:
    return _client[-1].local(work)


def _examples(images: npt.NDArray[np.uint8], labels: Labels) -> Examples:
    pixels = images[:, np.newaxis].astype(np.float32) / 255
    return Examples(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64)))
