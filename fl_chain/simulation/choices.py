"""What a simulation is told besides the run's settings, and written down so that it can be resumed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fl_chain.commitment.canonical import verify_nesting
from fl_chain.config import RunSettings
from fl_chain.data.partition import Kind
from fl_chain.errors import ConfigError
from fl_chain.run.durable import write_durably

CHOICES_NAME = "simulation.json"
FORMAT = 1
LEDGERS = ("memory", "tester", "node")
DIVISIONS = ("owner", *(kind.value for kind in Kind))
MOST_NESTING = 8


@dataclass(frozen=True, slots=True)
class SimulationChoices:
    """How many take part, whose rows they have, and what they are recorded on.

    Attributes:
        n_participants: at least 1; 0 takes every owner that the task's table names.
        division: how rows come to participants: ``owner``, as the task gives them, or a kind of
            `fl_chain.data.partition`.
        concentration: of a Dirichlet distribution; above 0.
        shards_each: shards of classes for each participant.
        ledger: ``memory``, ``tester`` (the contract on eth-tester's machine), or ``node``.
        rpc: where the node is; empty for the others.
        source: the data file, or None for the task's own.
        device: what torch computes on.
        jobs: processes; 1 trains in this one.
    """

    n_participants: int = 0
    division: str = "owner"
    concentration: float = 0.5
    shards_each: int = 2
    ledger: str = "tester"
    rpc: str = ""
    source: str | None = None
    device: str = "cpu"
    jobs: int = 1

    def __post_init__(self) -> None:
        if self.n_participants < 0 or self.jobs < 1:
            raise ConfigError("a simulation has participants, and at least one process: raise the number")
        if self.ledger not in LEDGERS:
            raise ConfigError(f"there is no ledger {self.ledger!r}: take one of {', '.join(LEDGERS)}")
        if self.division not in DIVISIONS:
            raise ConfigError(f"rows are divided by one of {', '.join(DIVISIONS)}, not {self.division!r}")
        if self.division != "owner" and self.n_participants == 0:
            raise ConfigError(f"rows divided by {self.division} need a number of participants")
        if (self.ledger == "node") != bool(self.rpc):
            raise ConfigError("the ledger `node` needs the node's address, and no other takes one")


def write_choices(folder: Path, choices: SimulationChoices, settings: RunSettings) -> None:
    """Write what a simulation was told into its folder.

    Raises:
        StateUnwritable: if the disk does not take it.
    """
    content = {
        "version": FORMAT,
        "choices": asdict(choices),
        "settings": settings.model_dump(mode="json", exclude_none=True),
    }
    write_durably(folder / CHOICES_NAME, json.dumps(content, indent=2).encode() + b"\n")


def read_choices(folder: Path) -> tuple[SimulationChoices, RunSettings]:
    """Return what a simulation in a folder was told.

    Raises:
        ConfigError: if the folder holds none.
    """
    path = folder / CHOICES_NAME
    try:
        raw = path.read_bytes()
        verify_nesting(raw, MOST_NESTING)
        return _parsed(json.loads(raw))
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} holds no simulation to resume: start it without --resume") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is not what a simulation writes: {error!r}") from error


def _parsed(content: dict[str, Any]) -> tuple[SimulationChoices, RunSettings]:
    if content["version"] != FORMAT:
        raise ValueError("it is of a version that this release does not read")
    return SimulationChoices(**content["choices"]), RunSettings.model_validate(content["settings"])
