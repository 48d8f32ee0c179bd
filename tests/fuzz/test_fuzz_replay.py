"""Every committed input of every target, and every past crash: none may show a defect. Needs no fuzzer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
from catalogue import FL_CHAIN, REASONS, reading_modules
from fuzzer import CORPUS_BYTES, HERE, inputs_of, target_names

NAMES = target_names()


def target(name: str) -> ModuleType:
    return import_module(f"fuzz_targets.{name}")


def functions_run(act: Callable[[], None]) -> set[str]:
    """Return the modules of fl_chain of which some function ran."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            files.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    inside = (Path(file) for file in files if file.startswith(str(FL_CHAIN)))
    return {".".join(path.relative_to(FL_CHAIN.parent).with_suffix("").parts) for path in inside}


@pytest.mark.parametrize("name", NAMES)
def test_no_input_shows_a_defect(name: str) -> None:
    module, paths = target(name), inputs_of(name)
    inputs = [path.read_bytes() for path in paths]
    assert inputs, "the corpus is empty: python tests/fuzz/fuzzer.py --keep"

    def replay() -> None:
        for content in [*module.seeds(), *inputs]:
            module.fuzz(content)

    # What a target says it covers is reached by its own inputs.
    missing = {one for one in module.COVERS if _has_functions(one)} - functions_run(replay)
    assert not missing


def _has_functions(module: str) -> bool:
    return module not in ("fl_chain.ledger.events",)  # records only


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_stays_small(name: str) -> None:
    assert sum(path.stat().st_size for path in (HERE / "corpus" / name).iterdir()) <= CORPUS_BYTES


def test_no_input_is_without_a_target() -> None:
    folders = {path.name for kind in ("corpus", "crashes") for path in (HERE / kind).iterdir()}
    assert folders <= set(NAMES)


def test_every_module_that_reads_bytes_of_others_is_fuzzed_or_has_a_reason() -> None:
    covered = {module for name in NAMES for module in target(name).COVERS}
    reading = reading_modules()
    uncovered = {name: signs for name, signs in reading.items() if name not in covered | REASONS.keys()}
    assert not uncovered, "write a target, or a reason in catalogue.py"


def test_reasons_are_about_modules_that_read_and_have_no_target() -> None:
    covered = {module for name in NAMES for module in target(name).COVERS}
    assert not REASONS.keys() - reading_modules().keys()
    assert not REASONS.keys() & covered


def test_a_module_that_reads_is_seen() -> None:
    reading = reading_modules()
    assert "defines parse_canonical_json" in reading["fl_chain.commitment.canonical"]
    assert "calls connect" in reading["fl_chain.ledger.devnet.database"]
    assert "fl_chain.errors" not in reading
