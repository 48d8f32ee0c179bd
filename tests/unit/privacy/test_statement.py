"""What is said of a protection, and what a report may not say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from fl_chain.config import (
    ClientPrivacySettings,
    NumericColumn,
    RowPrivacySettings,
    RunSettings,
    TableTaskSettings,
)
from fl_chain.policy import run_policy
from fl_chain.privacy.statement import PrivacyStatement, privacy_statement
from fl_chain.report.schema import Privacy

TASK = TableTaskSettings(label="y", positive="1", numeric=(NumericColumn(name="x", mean=0.0, std=1.0),))


def stated(rounds: int, rho_budget: float = 10.0) -> PrivacyStatement:
    settings = RowPrivacySettings(noise_multiplier=4.0, sampling_rate=0.5, steps=5, rho_budget=rho_budget)
    policy = run_policy(RunSettings(task=TASK, privacy=settings))
    return privacy_statement(settings, policy.ledger, rounds)


def test_a_statement_is_what_a_report_takes() -> None:
    said = stated(4)
    assert Privacy.model_validate(said.to_json()).rho_micro_spent == 625_000
    assert "0.625 of 10 zCDP" in said.line
    assert said.line.endswith("declared, not proven")


def test_without_a_budget_it_says_that_there_is_none() -> None:
    said = stated(4, rho_budget=0.0)
    assert Privacy.model_validate(said.to_json()).ledger_epsilon_millionths is None
    assert "no budget on the ledger" in said.line


def test_before_the_first_round_nothing_is_given_away() -> None:
    said = stated(0)
    assert (said.epsilon_millionths, said.rho_micro_spent, said.ledger_epsilon_millionths) == (0, 0, 0)


def test_a_whole_participant_is_hidden_by_another_mechanism() -> None:
    settings = ClientPrivacySettings(noise_multiplier=4.0, max_update_norm=0.01, rho_budget=1.0)
    policy = run_policy(RunSettings(task=TASK, privacy=settings))
    said = privacy_statement(settings, policy.ledger, 3)
    assert said.line.startswith("discrete Gaussian noise hides every client: epsilon ")
    assert "0.09375 of 1 zCDP" in said.line
    assert Privacy.model_validate(said.to_json()).unit == "client"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ledger_epsilon_millionths": 1}, "below the accountant"),
        ({"ledger_epsilon_millionths": None}, "nothing says"),
        ({"rho_micro_spent": 624_999}, "have not spent"),
        ({"assurance": "proven"}, "assurance"),
        ({"unit": "everything"}, "unit"),
    ],
)
def test_a_report_that_says_more_than_is_so_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Privacy.model_validate({**replace(stated(4)).to_json(), **changes})
