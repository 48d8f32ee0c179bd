"""Rounds of Flower's own simulation, one at a time: the peer of the round benchmarks.

Runs in Flower's environment, which `benchmarks.flower` makes. A line on standard input starts the next round;
a line ``ROUND seconds`` on standard output ends it. A round is timed from the strategy's choice of clients to
the end of its aggregation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

from flower_clients import client_app, model
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation


class TimedFedAvg(FedAvg):
    """Flower's FedAvg, which waits for a line before each round and prints how long it took."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """See `FedAvg.configure_train`."""
        sys.stdin.readline()
        self.start_s = time.perf_counter()
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """See `FedAvg.aggregate_train`."""
        aggregated = super().aggregate_train(server_round, replies)
        seconds = time.perf_counter() - self.start_s
        if aggregated[0] is None:
            raise RuntimeError("Flower aggregated nothing")
        print(f"\nROUND {seconds!r}", flush=True)
        return aggregated


def main() -> None:
    """Run as many rounds as are asked for."""
    parser = argparse.ArgumentParser(description="Rounds of Flower's simulation, one for each line of input.")
    parser.add_argument("kind", choices=["Logistic", "SmallLogistic", "Cnn", "SmallCnn", "OneBatchCnn"])
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    chosen = parser.parse_args()
    server = ServerApp()

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        strategy = TimedFedAvg(
            fraction_evaluate=0.0, min_train_nodes=chosen.clients, min_available_nodes=chosen.clients
        )
        first = ArrayRecord(model(chosen.kind).state_dict())
        strategy.start(grid=grid, initial_arrays=first, num_rounds=chosen.rounds)

    run_simulation(
        server_app=server,
        client_app=client_app(chosen.kind, chosen.rows),
        num_supernodes=chosen.clients,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )


if __name__ == "__main__":
    main()
