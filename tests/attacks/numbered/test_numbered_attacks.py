"""Every numbered attack: stopped as it is said, and by nothing else than what is said to stop it."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest
import switchable
from contract_switches import NAMES, instrumented, mask
from proofs_of_rules import trial
from registry import Attack, Outcome, Stopped, Succeeded, Who, attacks

ROOT = Path(__file__).resolve().parents[3]
ALL = attacks()
NUMBERED = [pytest.param(one, id=f"{one.number} {one.title}") for one in ALL]
WITHOUT_RULES = [
    pytest.param(one, off, id=f"{one.number} {one.title}, {off} off")
    for one in ALL
    for off in range(1, len(one.layers) + 1)
]
ON_CHAIN = [
    pytest.param(one, id=f"{one.number} {one.title}")
    for one in ALL
    if one.layers and one.layers[0].rule.switches
]


@pytest.mark.parametrize("attack", NUMBERED)
def test_what_becomes_of_an_attack(attack: Attack) -> None:
    tried = trial(attack, 0)
    assert tried.is_as_said, tried.result
    assert isinstance(tried.result, Succeeded) == (attack.outcome is Outcome.UNDETECTED)


@pytest.mark.parametrize(("attack", "off"), WITHOUT_RULES)
def test_without_its_rules_an_attack_gets_further(attack: Attack, off: int) -> None:
    tried = trial(attack, off)
    assert tried.is_as_said, tried.result


@pytest.mark.parametrize("attack", ON_CHAIN)
def test_with_no_rule_off_the_instrumented_contract_stops_what_the_shipped_one_stops(
    attack: Attack, tmp_path: Path
) -> None:
    result = attack.outcome_with([], tmp_path, on_instrumented=True)
    assert isinstance(result, Stopped)
    assert attack.layers[0].says in result.by


def test_the_registry_is_whole() -> None:
    numbers = [one.number for one in ALL]
    assert len(set(numbers)) == len(numbers) >= 45
    assert len({one.title for one in ALL}) == len(ALL)
    assert set(Counter(one.who for one in ALL)) == set(Who)
    for one in ALL:
        assert bool(one.layers) != (one.outcome is Outcome.UNDETECTED), one.title
        assert bool(one.why) == (one.outcome is Outcome.UNDETECTED), one.title


def test_every_switch_is_thrown_by_some_attack() -> None:
    thrown = {name for one in ALL for layer in one.layers for name in layer.rule.switches}
    assert thrown == set(NAMES)


@pytest.mark.node
def test_the_instrumented_contract_is_made_from_the_shipped_one() -> None:
    committed = json.loads(switchable.COMPILED.read_text(encoding="utf-8"))
    current = switchable.source_hash(switchable.sources())
    assert committed["sources"] == current, "run `make contracts`"


@pytest.mark.node
def test_a_rule_that_is_no_longer_there_is_noticed() -> None:
    sources = {
        unit: text.replace("revert NotOperator", "revert NotTheOperator") for unit, text in _shipped().items()
    }
    with pytest.raises(ValueError, match="0 times instead of once"):
        instrumented(sources)


def _shipped() -> dict[str, str]:
    switchable.sources()
    import compile_contracts

    return compile_contracts.read_sources(*switchable.LEDGERS)


def test_switches_are_bits() -> None:
    assert mask([]) == 0
    assert mask([NAMES[0], NAMES[3]]) == 0b1001


def test_the_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("make_attacks", ROOT / "scripts" / "make_attacks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8") == module.page(), "run `make figures`"
