"""The processes of a run, each started from a server that has imported what is slow to import."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from clocks import ClockJump, jumping_clock, shift_wall_clock
from lines import PATIENCE_S
from points import FaultPoint, arm

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *("fl_chain.cli.main", "fl_chain.worker", "fl_chain.aggregator", "fl_chain.learning.participant"),
        *("fl_chain.learning.loading", "fl_chain.ledger.devnet.server"),
    ]
)


@dataclass(frozen=True, slots=True)
class Command:
    """What the command line of an actor runs with."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    clock_shift_s: float  # how wrong its clock is
    is_impatient: bool  # waits no longer for an answer than a late one takes


@dataclass(frozen=True, slots=True)
class Devnet:
    """What a devnet runs with."""

    folder: Path
    port: int
    jumps: Sequence[ClockJump]
    clock_shift_s: float
    started_at: float
    leaps: Path


def start(what: Command | Devnet, points: Sequence[FaultPoint], log: Path, struck: Path) -> BaseProcess:
    """Start a process that blows may be waiting for; it notes in ``struck`` those that it survives."""
    process = CONTEXT.Process(target=_run, args=(what, points, log, struck), daemon=True)
    process.start()
    return process


def _run(what: Command | Devnet, points: Sequence[FaultPoint], log: Path, struck: Path) -> None:
    _write_to(log)
    if isinstance(what, Command):
        _run_command(what, points, struck)
    else:
        _run_devnet(what, points, struck)


def _run_command(command: Command, points: Sequence[FaultPoint], struck: Path) -> None:
    os.environ.update(command.environment)
    sys.argv = ["fl-chain", *command.arguments]
    shift_wall_clock(command.clock_shift_s)
    if command.is_impatient:
        from fl_chain.ledger import providers

        providers.TIMEOUT_S = PATIENCE_S
    arm(points, struck)
    from fl_chain.cli import main

    main()


def _run_devnet(devnet: Devnet, points: Sequence[FaultPoint], struck: Path) -> None:
    from fl_chain.ledger.devnet.chain import open_chain
    from fl_chain.ledger.devnet.server import background_server

    arm(points, struck)
    clock = jumping_clock(
        devnet.jumps, devnet.clock_shift_s, started_at=devnet.started_at, leaps=devnet.leaps, struck=struck
    )
    with open_chain(devnet.folder, clock=clock) as chain, background_server(chain, devnet.port):
        time.sleep(3600)


def _write_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
