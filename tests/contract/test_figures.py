from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "make_figures.py"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import make_figures

    return make_figures


def test_the_pages_are_current() -> None:
    check = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stderr


def test_every_figure_stands_on_a_page(figures: ModuleType) -> None:
    shown = [name for page in figures.pages() for _, name, _ in figures.BLOCK.findall(page.read_text())]
    assert sorted(shown) == sorted(figures.FIGURES)


@pytest.mark.node
def test_the_tests_on_the_page_are_those_that_forge_has(figures: ModuleType) -> None:
    npx = shutil.which("npx")
    assert npx, "npx is missing: install Node.js 20 or later, then run `npm ci` in contracts/"
    command = [npx, "--no-install", "forge", "test", "--list", "--json"]
    run = subprocess.run(
        command, cwd=ROOT / "contracts", capture_output=True, text=True, check=True, timeout=280
    )
    listed = json.loads(run.stdout[run.stdout.index("{") :])
    names = [name for contracts in listed.values() for tests in contracts.values() for name in tests]
    campaigns = names.count("invariant_holds")
    page = figures.forge()
    assert f"| tests | {len(names) - campaigns} |" in page
    assert f"| invariant campaigns | {campaigns} |" in page


def test_another_figure_makes_a_page_stale(
    figures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    gas = json.loads((ROOT / "contracts" / "gas.json").read_text(encoding="utf-8"))
    assert f"| `submit` | {gas['submit']:,} |" in page
    (tmp_path / "gas.json").write_text(json.dumps(gas | {"submit": gas["submit"] + 1}))
    monkeypatch.setattr(figures, "CONTRACTS", tmp_path)
    assert f"| `submit` | {gas['submit'] + 1:,} |" in figures.gas()
    assert figures.gas() not in page


def test_an_unknown_figure_is_refused(figures: ModuleType) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        figures.filled("<!-- figures: nonsense -->\n<!-- end -->")
