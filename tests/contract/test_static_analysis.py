from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from analyse_contracts import EXPLANATIONS, Finding, analyse, explanations, unexplained, unfounded  # noqa: E402

ORIGIN = """
pragma solidity 0.8.37;
contract Vault {
    address internal immutable OWNER = msg.sender;
    function drain(address payable to) external {
        require(tx.origin == OWNER);
        to.transfer(address(this).balance);
    }
}
"""
A, B = Finding("timestamp", "Vault.a"), Finding("timestamp", "Vault.b")


def test_a_finding_without_an_explanation_is_told() -> None:
    assert unexplained([(A, "one"), (B, "two")], [A]) == [(B, "two")]
    assert unexplained([(A, "one"), (A, "again")], [A]) == [(A, "again")]
    assert unexplained([(A, "one")], [A, B]) == []


def test_an_explanation_without_a_finding_is_told() -> None:
    assert unfounded([(A, "one")], [A, B, A]) == [A, B]
    assert unfounded([(A, "one"), (B, "two")], [B, A]) == []


@pytest.mark.parametrize(("reason", "places"), [(" ", '"Vault.a"'), ("so", "")])
def test_an_explanation_says_why_and_where(reason: str, places: str) -> None:
    entry = f'[[accepted]]\ndetector = "timestamp"\nreason = "{reason}"\nat = [{places}]\n'
    with pytest.raises(SystemExit, match="no reason or no place"):
        explanations(entry)


def test_the_explanations_are_one_line_and_name_no_line_number() -> None:
    text = EXPLANATIONS.read_text(encoding="utf-8")
    accepted = explanations(text)
    # Constants of a contract have one place in common; anything else is explained once.
    singular = [one for one in accepted if not one.place.endswith(".slitherConstructorConstantVariables")]
    assert len(set(singular)) == len(singular)
    assert all("\n" not in entry["reason"] for entry in tomllib.loads(text)["accepted"])
    assert all("#" not in finding.place for finding in accepted)


@pytest.mark.node
@pytest.mark.slow
def test_slither_finds_what_is_wrong_and_where(tmp_path: Path) -> None:
    (tmp_path / "Vault.sol").write_text(ORIGIN)
    found = {finding for finding, _ in analyse({"Vault.sol": ORIGIN}, folder=tmp_path)}
    assert Finding("tx-origin", "Vault.drain: require(bool)(tx.origin == OWNER)") in found
    assert Finding("missing-zero-check", "Vault.drain.to") in found


@pytest.mark.node
def test_sources_that_do_not_compile_are_refused() -> None:
    with pytest.raises(SystemExit, match="slither failed"):
        analyse({"Vault.sol": "contract Vault { error }"})


def test_a_missing_program_is_told_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run `make slither`"):
        analyse({}, tmp_path / "slither")
