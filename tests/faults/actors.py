"""The processes of a run, each started from a server that has imported what is slow to import."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from points import ClockJump, FaultPoint, arm, jumping_clock, shift_wall_clock

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *("fl_chain.cli.main", "fl_chain.worker", "fl_chain.aggregator", "fl_chain.learning.participant"),
        *("fl_chain.learning.loading", "fl_chain.ledger.devnet.server", "torch._dynamo"),
    ]
)


def start_command(
    arguments: list[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    point: FaultPoint | None,
    clock_shift_s: float = 0.0,
) -> BaseProcess:
    """Start the command line as a process that a blow may be waiting for."""
    process = CONTEXT.Process(
        target=_command, args=(arguments, log, dict(environment), point, clock_shift_s), daemon=True
    )
    process.start()
    return process


def start_devnet(
    folder: Path, *, port: int, log: Path, point: FaultPoint | None, jumps: tuple[ClockJump, ...]
) -> BaseProcess:
    """Start a devnet whose wall clock jumps."""
    process = CONTEXT.Process(target=_devnet, args=(folder, port, log, point, jumps), daemon=True)
    process.start()
    return process


def _command(
    arguments: list[str],
    log: Path,
    environment: dict[str, str],
    point: FaultPoint | None,
    clock_shift_s: float,
) -> None:
    _write_to(log)
    os.environ.update(environment)
    sys.argv = ["fl-chain", *arguments]
    shift_wall_clock(clock_shift_s)
    arm(point)
    from fl_chain.cli import main

    main()


def _devnet(
    folder: Path, port: int, log: Path, point: FaultPoint | None, jumps: tuple[ClockJump, ...]
) -> None:
    from fl_chain.ledger.devnet.chain import open_chain
    from fl_chain.ledger.devnet.server import background_server

    _write_to(log)
    arm(point)
    with (
        open_chain(folder, clock=jumping_clock(jumps)) as chain,
        background_server(chain, port),
    ):
        time.sleep(3600)


def _write_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
