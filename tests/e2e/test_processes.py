"""Processes that die: a worker for good, and the chain for longer than a deadline."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fl_chain.audit import audit_run
from fl_chain.config import RunSettings
from fl_chain.demo import Demo, demo_settings, start_demo
from fl_chain.errors import LedgerUnavailable
from fl_chain.ledger.events import RoundClosed, UpdateSubmitted
from fl_chain.ledger.history import History
from fl_chain.records import RoundStatus
from fl_chain.run.keeper import has_ended
from fl_chain.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SUBMISSION_S = 8
LONG_SUBMISSION_S = 20  # in which a round of those that are there is over, on a busy machine too


def settings(*, rounds: int, submission_s: int = SUBMISSION_S) -> RunSettings:
    run = demo_settings(seed=1, rounds=rounds)
    return run.model_copy(
        update={"policy": run.policy.model_copy(update={"submission_s": submission_s, "publication_s": 4})}
    )


def follow(demo: Demo, until: Callable[[History], bool], *, limit_s: float = 240.0) -> History:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            history = demo.run.ledger.sync()
        except LedgerUnavailable:
            continue
        if until(history):
            return history
        time.sleep(0.1)
    raise AssertionError(f"the run did not get there in time: {demo.run.ledger.sync().state}")


def run_to_its_end(demo: Demo) -> History:
    return follow(demo, lambda history: has_ended(history, demo.run.ledger.head().timestamp))


def assert_audit_passes(demo: Demo) -> None:
    report = audit_run(demo.run.ledger, Store([str(demo.folder / "store")]))
    assert report.findings == []


def closed_by_a_submission(demo: Demo) -> dict[int, bool]:
    """Return for each round whether its last expected submission closed it, or else its deadline."""
    events = demo.run.ledger.all_events()
    submissions = {one.place.transaction_hash for one in events if isinstance(one, UpdateSubmitted)}
    return {
        one.round: one.place.transaction_hash in submissions for one in events if isinstance(one, RoundClosed)
    }


@pytest.mark.long  # faults/test_deadlines.py has the same in one process
def test_a_dead_worker_costs_one_deadline(tmp_path: Path) -> None:
    with start_demo(
        tmp_path / "run", settings(rounds=3, submission_s=LONG_SUBMISSION_S), force=False
    ) as demo:
        demo.processes["participants/7"].kill()

        history = run_to_its_end(demo)

        assert history.state.latest == 3
        assert [history.rounds[i].submissions for i in (1, 2, 3)] == [4, 4, 4]
        assert all(history.rounds[i].status is RoundStatus.FINAL for i in (1, 2, 3))
        assert closed_by_a_submission(demo) == {1: False, 2: True, 3: True}
        assert_audit_passes(demo)


def test_a_chain_that_was_down_for_longer_than_a_deadline_goes_on(tmp_path: Path) -> None:
    with start_demo(tmp_path / "run", settings(rounds=4), force=False) as demo:
        follow(demo, lambda history: history.state.latest >= 2)
        before = demo.run.ledger.head()
        port = demo.node.name.rsplit(":", 1)[1].rstrip("/")
        demo.processes["devnet"].send_signal(signal.SIGKILL)
        demo.processes["devnet"].wait()
        time.sleep(SUBMISSION_S + 2)
        restarted = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fl_chain",
                "devnet",
                "--state",
                str(demo.folder / "chain"),
                "--port",
                port,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            history = run_to_its_end(demo)

            block = demo.node.request("eth_getBlockByNumber", hex(before.number), False)
            assert block["hash"] == "0x" + before.hash.hex()
            assert history.rounds[history.state.tip].step == 4
            assert_audit_passes(demo)
        finally:
            restarted.terminate()
            restarted.wait()
