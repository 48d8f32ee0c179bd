"""Full disks, files that are half there, lines that break, clocks that jump; see the printed matrix."""

from collections.abc import Callable
from pathlib import Path

import pytest
from clocks import ClockJump
from disturbances import AGGREGATOR, WORKERS, Disturbances
from lines import Cut, EveryNth, How
from points import FaultPoint, Kind
from stage import verify_survival

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def disk(kind: Kind, *calls: str) -> list[FaultPoint]:
    return [FaultPoint(call, kind=kind) for call in calls]


def cuts(name: str, *hows: How) -> list[Cut]:
    return [Cut(how, name) for how in hows]


DISKS = Disturbances(
    faults={
        WORKERS[0]: [
            *disk("half written", "outbox update", "store updates"),
            *disk("torn file", "rename updates"),
            *disk("full disk", "outbox note"),
        ],
        WORKERS[1]: disk("full disk", "outbox update", "store updates"),
        WORKERS[2]: [
            *disk("half written", "outbox note"),
            *disk("torn file", "rename outbox note", "rename outbox update"),
        ],
        AGGREGATOR: [
            *disk("half written", "outbox note"),
            *disk("torn file", "rename outbox note"),
            *disk("half written", "store sums"),
            *disk("torn file", "rename sums"),
            *disk("half written", "store models"),
            *disk("torn file", "rename models"),
            *disk("full disk", "outbox note", "store sums", "store models"),
        ],
    },
)

WORKER_CALLS = ("register", "submit", "claim", "leave", "withdraw")
ALL: tuple[How, ...] = (
    "request lost",
    "answer lost",
    "half an answer",
    "answer too late",
    "line down after the answer is lost",
)

LINES = Disturbances(
    lines={
        WORKERS[0]: [cut for name in WORKER_CALLS for cut in cuts(name, *ALL[:2])],
        WORKERS[1]: [cut for name in WORKER_CALLS for cut in cuts(name, *ALL[2:4])],
        WORKERS[2]: [*(cut for name in WORKER_CALLS for cut in cuts(name, ALL[4])), EveryNth(5)],
        AGGREGATOR: [
            *cuts("openRound", *ALL[:4]),
            *cuts("post", *ALL),
            *(cut for name in ("depositBond", "finalize", "requestBond") for cut in cuts(name, *ALL[:3])),
            *cuts("withdraw", "request lost", "line down after the answer is lost"),
        ],
    },
)

CLOCKS = Disturbances(
    jumps=[
        ClockJump("register", 2, "after", -3600),
        ClockJump("submit", 2, "before", 3600, lasts_s=1),
        ClockJump("submit", 5, "after", 86400),
        ClockJump("post", 1, "before", 150),
        ClockJump("post", 1, "after", -90),
        ClockJump("claim", 1, "before", 7200, lasts_s=1),
        ClockJump("leave", 1, "after", -7200),
    ],
    clock_shifts_s={WORKERS[0]: 86400, WORKERS[1]: -86400, AGGREGATOR: 3600},
)

RUNS = {"disks": DISKS, "lines": LINES, "clocks": CLOCKS}


@pytest.mark.parametrize("disturbances", RUNS.values(), ids=RUNS.keys())
def test_a_run_survives_disturbances(
    tmp_path: Path,
    undisturbed_root: bytes,
    record_property: Callable[[str, object], None],
    disturbances: Disturbances,
) -> None:
    verify_survival(tmp_path, disturbances, undisturbed_root, record_property)
