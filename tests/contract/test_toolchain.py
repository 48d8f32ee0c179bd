from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
ADVICE = "forge is missing: install Node.js 20 or later, then run `npm ci` in contracts/"


@pytest.mark.node
@pytest.mark.parametrize(("option", "is_known"), [("--version", True), ("--no-such-option", False)])
def test_forge_tells_success_from_failure(option: str, is_known: bool) -> None:
    npx = shutil.which("npx")
    assert npx, ADVICE
    assert (CONTRACTS / "node_modules" / ".bin" / "forge").exists(), ADVICE
    run = subprocess.run(
        [npx, "--no-install", "forge", option], cwd=CONTRACTS, capture_output=True, check=False, timeout=60
    )
    assert (run.returncode == 0) is is_known


def test_no_file_names_where_packages_come_from() -> None:
    lock = (CONTRACTS / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
