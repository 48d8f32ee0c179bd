"""For `make fuzz`: a short run of the real fuzzer on every target, and proof that it finds what is planted.

Each target runs in a process of its own, with limits of time and memory. The seed is fixed; how far a second
gets depends on the machine.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fuzzer import HERE, target_names

SLICE_S = 1
HAS_WHEEL = (
    sys.platform == "linux"
    and platform.machine() == "x86_64"
    and platform.python_implementation() == "CPython"
    and sys.version_info[:2] in ((3, 11), (3, 12), (3, 13))
)

needs_atheris = pytest.mark.skipif(
    not HAS_WHEEL and find_spec("atheris") is None, reason="atheris has no wheel for this platform"
)


def run_fuzzer(found: Path, *arguments: str, timeout_s: float) -> dict[str, dict[str, Any]]:
    """Run the fuzzer and return its outcomes by target."""
    report = found / "outcomes.json"
    command = [sys.executable, str(HERE / "fuzzer.py"), "--seconds", str(SLICE_S), "--seed", "7"]
    command += ["--found", str(found / "inputs"), "--json", str(report), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert report.is_file(), done.stderr[-4000:]
    return {outcome["target"]: outcome for outcome in json.loads(report.read_text())}


@needs_atheris
@pytest.mark.slow
def test_a_second_of_fuzzing_finds_no_defect(tmp_path: Path) -> None:
    outcomes = run_fuzzer(tmp_path, timeout_s=240)
    assert sorted(outcomes) == target_names()
    for name, outcome in outcomes.items():
        assert outcome["is_clean"], f"{name}: {outcome['inputs']}\n{outcome['detail']}"
        assert outcome["runs"] > 0
        # Instrumented code was reached: the fuzzer is guided, and not drawing bytes blindly.
        assert outcome["coverage"] > 5


@needs_atheris
def test_what_is_planted_is_found(tmp_path: Path) -> None:
    arguments = ("--package", "planted", "--seconds", "20", "--input-timeout", "1")
    outcomes = run_fuzzer(tmp_path, *arguments, "defect", "hang", "memory", "hard_crash", timeout_s=120)
    signs = {"defect": "KeyError", "hang": "Timeout", "memory": "MemoryError", "hard_crash": ""}
    assert sorted(outcomes) == sorted(signs)
    for name, outcome in outcomes.items():
        assert not outcome["is_clean"], name
        assert signs[name] in outcome["detail"]
    (path,) = outcomes["defect"]["inputs"]
    with pytest.raises(KeyError):
        import_module("planted.defect").fuzz(Path(path).read_bytes())
