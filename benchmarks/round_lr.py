"""A round of logistic regression, ledger and commitments included, against Flower's without any of it.

Ten clients train for one epoch in batches of ten, in one torch thread each and as many processes as there are
cores; ours on the embedded py-evm ledger through the real contract, theirs by FedAvg in Flower's simulation.
A client has 60 rows in `round_lr`, where what surrounds training shows, and 600, as MNIST gives each of 100
clients, in `round_lr_600`. Both train by the same torch operations.
"""

from __future__ import annotations

from benchmarks.federated_round import compared
from benchmarks.harness import Result

CLIENTS = 10
TURNS = 5
ROUNDS = 10  # of a turn
KINDS = {"round_lr": "SmallLogistic", "round_lr_600": "Logistic"}
INSTALLS = True


def results() -> list[Result]:
    """Return the comparisons."""
    return [
        compared(name, kind, clients=CLIENTS, turns=TURNS, rounds=ROUNDS, installs=INSTALLS)
        for name, kind in KINDS.items()
    ]
