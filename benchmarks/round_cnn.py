"""A round of the 1,663,370-parameter CNN against Flower's: `benchmarks.round_lr` says how.

`round_cnn_overhead` is what the engine adds to a client beside training, quantising and sealing: the process
that it trains in, loading and reading the model, writing the update where the others find it. It is measured
with one batch a client in a pool of one process, against the same work without the engine. The peer is all
that Flower's round adds to a client's training, measured with one batch as well.
"""

from __future__ import annotations

from benchmarks.engine_overhead import overhead
from benchmarks.federated_round import compared
from benchmarks.harness import Result

CLIENTS = 10
TURNS = 5
ROUNDS = {"round_cnn": 3, "round_cnn_600": 1}  # of a turn
KINDS = {"round_cnn": "SmallCnn", "round_cnn_600": "Cnn"}
OVERHEAD_ROUNDS = 31  # a difference of two times that are twenty times as long
INSTALLS = True


def results() -> list[Result]:
    """Return the comparisons."""
    return [
        *(
            compared(name, kind, clients=CLIENTS, turns=TURNS, rounds=ROUNDS[name], installs=INSTALLS)
            for name, kind in KINDS.items()
        ),
        overhead("round_cnn_overhead", clients=CLIENTS, rounds=OVERHEAD_ROUNDS, installs=INSTALLS),
    ]
