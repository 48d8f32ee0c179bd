"""Every rule of the contract has its forge test: one file a function, every error and every event in it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from contract_rules import CONTRACTS, masked_rules, rules

from fl_chain.ledger.artifact import mask_challenges, secure_aggregation, training_ledger

TESTS = CONTRACTS / "test"
RULES = rules()
MASKED_RULES = masked_rules()
# A run in a token is deployed otherwise, so what only it can refuse has one file for all functions.
SHARED = "Token.t.sol"
# What becomes of a round whose posting fell takes several functions at once.
FALLS = "Fall.t.sol"
# Three that the masks have for the ledger alone share one file.
HOOKS = "MaskHooks.t.sol"
OF_THE_LEDGER = {"checkMember", "countOut", "beforePosting"}
# Wherever there is a kind that has no such challenge; `MaskedSums.t.sol` has it.
OF_SUMS = {"challengeRange", "challengeSum", "challengeApply"}
# What they refuse in a run of groups alone has one file for both.
OF_GROUPS = {"fixSurvivors", "drawGraph"}
OF_LIBRARIES = {"ReentrancyGuardReentrantCall", "SafeERC20FailedOperation"}
EXPECTED_ERROR = re.compile(
    r"(?:(?:expectError|refuse\w*)\(\s*abi\.encodeWithSelector\(\s*|expectRefusal\(\s*)"
    r"ITrainingLedger\.(\w+)\.selector"
)
EXPECTED_EVENT = re.compile(r"(?:expectEvent|vm\.expectEmit)\(\);\s*emit ITrainingLedger\.(\w+)\(")


@cache
def text(name: str) -> str:
    return (TESTS / name).read_text(encoding="utf-8")


def own_file(function: str) -> str:
    return f"{function[0].upper()}{function[1:]}.t.sol"


def shared_cases(function: str) -> str:
    """Return the tests of the shared file that call a function."""
    bodies = re.split(r"\n    function ", text(SHARED))
    cases = "\n".join(body for body in bodies if f"ledger.{function}" in body)
    return cases + text(FALLS) if function == "post" else cases


def declared(kind: str) -> set[str]:
    return {entry["name"] for entry in training_ledger().abi if entry["type"] == kind}


def inputs(function: str) -> list[Any]:
    (entry,) = (entry for entry in training_ledger().abi if function in (entry.get("name"), entry["type"]))
    return list(entry["inputs"])


def test_the_rules_read_from_the_source_are_all_that_the_interface_declares() -> None:
    reading = {
        entry["name"]
        for entry in training_ledger().abi
        if entry["type"] == "function" and entry["stateMutability"] in ("view", "pure")
    }
    assert set(RULES) - {"constructor"} == declared("function") - reading
    assert {error for rule in RULES.values() for error in rule.errors} == declared("error") - OF_LIBRARIES
    assert {event for rule in RULES.values() for event in rule.events} == declared("event")


@pytest.mark.parametrize("error", sorted(OF_LIBRARIES))
def test_each_error_of_a_library_is_expected_somewhere(error: str) -> None:
    assert f".{error}.selector" in text(SHARED)


@pytest.mark.parametrize("function", RULES)
def test_each_function_has_a_file(function: str) -> None:
    assert (TESTS / own_file(function)).is_file()


@pytest.mark.parametrize("function", RULES)
def test_each_error_that_a_function_can_revert_with_is_expected_in_its_file(function: str) -> None:
    expected = set(EXPECTED_ERROR.findall(text(own_file(function)) + shared_cases(function)))
    assert not RULES[function].errors - expected


@pytest.mark.parametrize("function", RULES)
def test_each_event_that_a_function_can_emit_is_expected_in_its_file(function: str) -> None:
    expected = set(EXPECTED_EVENT.findall(text(own_file(function))))
    assert not RULES[function].events - expected


@pytest.mark.parametrize("function", [name for name in RULES if inputs(name)])
def test_each_function_with_an_argument_is_fuzzed(function: str) -> None:
    assert re.search(r"function test\w+\(\w+ \w+", text(own_file(function)))


def masked_file(function: str) -> str:
    if function in OF_SUMS:
        return text("MaskedSums.t.sol") + text(own_file(function))
    if function in OF_GROUPS:
        return text("Groups.t.sol") + text(own_file(function))
    return text(HOOKS if function in OF_THE_LEDGER else own_file(function))


def test_the_masks_rules_are_all_that_their_interface_declares() -> None:
    abi = secure_aggregation().abi + mask_challenges().abi
    declared_errors = {entry["name"] for entry in abi if entry["type"] == "error"}
    of_masks = {error for rule in MASKED_RULES.values() for error in rule.errors}
    # An artifact lists what its own code reverts with, so the ledger's errors are among them.
    assert of_masks == declared_errors
    events = {entry["name"] for entry in abi if entry["type"] == "event"}
    assert {event for rule in MASKED_RULES.values() for event in rule.events} == events


@pytest.mark.parametrize("function", MASKED_RULES)
def test_each_error_of_the_masks_is_expected_where_its_function_is_tested(function: str) -> None:
    named = re.findall(r"\b(?:ITrainingLedger|ISecureAggregation)\.(\w+)\.selector", masked_file(function))
    assert not MASKED_RULES[function].errors - set(named)


@pytest.mark.parametrize("function", [name for name, rule in MASKED_RULES.items() if rule.events])
def test_each_event_of_the_masks_is_expected_where_its_function_is_tested(function: str) -> None:
    named = re.findall(
        r"vm\.expectEmit\(address\(masks\)\);\s*emit ISecureAggregation\.(\w+)\(", masked_file(function)
    )
    assert not MASKED_RULES[function].events - set(named)


@pytest.mark.parametrize("function", sorted(MASKED_RULES.keys() - OF_THE_LEDGER - OF_SUMS))
def test_each_function_of_the_masks_is_fuzzed(function: str) -> None:
    assert re.search(r"function test\w+\(\w+ \w+", masked_file(function))
