from pathlib import Path

import pytest
from command_line import run_command


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished demonstration: its folder and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "demo"
    result = run_command("demo", "--out", str(out))
    assert result.returncode == 0, result.stdout + result.stderr
    return out, result.stdout
