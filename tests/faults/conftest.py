"""The run that nobody disturbs, played once for all test processes."""

from __future__ import annotations

import fcntl
import os

import pytest
from stage import trial


@pytest.fixture(scope="session")
def undisturbed_root(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The final model's root of a run that nobody disturbs."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # what all its processes see
    root = shared / "undisturbed-root"
    with (shared / "undisturbed-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            with trial(tmp_path_factory.mktemp("undisturbed")) as run:
                run.run_to_the_end()
                run.verify(model_root=None)
                root.write_bytes(run.model_root())
    return root.read_bytes()
