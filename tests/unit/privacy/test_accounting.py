"""Budgets on the ledger against Google's accountant."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from dp_accounting import dp_event
from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism
from dp_accounting.rdp import RdpAccountant
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fl_chain.config import ClientPrivacySettings, RowPrivacySettings
from fl_chain.privacy.accounting import (
    budget_rho_micro,
    epsilon_of_rho,
    epsilon_of_rounds,
    round_rho_micro,
)


def test_epsilon_is_the_accountants_to_three_digits() -> None:
    # 60,000 rows in batches of 256 for 60 epochs at sigma 1.1: the setting of TensorFlow Privacy's tutorial.
    privacy = RowPrivacySettings(noise_multiplier=1.1, sampling_rate=256 / 60000, steps=234, delta=1e-5)
    found = epsilon_of_rounds(privacy, 60)
    step = from_gaussian_mechanism(1.1, sampling_prob=256 / 60000, pessimistic_estimate=True)
    assert found == pytest.approx(step.self_compose(60 * 234).get_epsilon_for_delta(1e-5), abs=0.0005)
    assert found == pytest.approx(2.380, abs=0.0005)
    by_divergences = RdpAccountant()
    event = dp_event.PoissonSampledDpEvent(256 / 60000, dp_event.GaussianDpEvent(1.1))
    by_divergences.compose(dp_event.SelfComposedDpEvent(event, 60 * 234))
    assert found < by_divergences.get_epsilon(1e-5)


def test_epsilon_of_the_gaussian_mechanism_is_the_closed_form() -> None:
    # Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018, theorem 8.
    privacy = RowPrivacySettings(noise_multiplier=2.0, sampling_rate=1.0, steps=4, delta=1e-5)
    mu = math.sqrt(3 * 4) / 2.0

    def delta_at(epsilon: float) -> float:
        def phi(value: float) -> float:
            return math.erfc(-value / math.sqrt(2)) / 2

        return phi(mu / 2 - epsilon / mu) - math.exp(epsilon) * phi(-mu / 2 - epsilon / mu)

    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_at(middle) > 1e-5 else (low, middle)
    assert epsilon_of_rounds(privacy, 3) == pytest.approx(high, rel=1e-3)


def test_no_round_gives_nothing_away() -> None:
    assert epsilon_of_rounds(RowPrivacySettings(), 0) == 0.0
    assert epsilon_of_rho(0, 1e-5) == 0.0


@settings(max_examples=8, deadline=None)
@given(
    sigma=st.floats(1, 20),
    rate=st.sampled_from((0.001, 0.05, 0.3, 0.9, 1.0)),
    steps=st.integers(1, 10),
    rounds=st.integers(1, 5),
    delta=st.sampled_from((1e-3, 1e-5, 1e-8)),
)
@example(sigma=20.0, rate=1.0, steps=1, rounds=1, delta=1e-3)
@example(sigma=1.0, rate=1.0, steps=10, rounds=5, delta=1e-8)
def test_the_ledgers_budget_is_never_below_the_accountants_word(
    sigma: float, rate: float, steps: int, rounds: int, delta: float
) -> None:
    privacy = RowPrivacySettings(noise_multiplier=sigma, sampling_rate=rate, steps=steps, delta=delta)
    kept = epsilon_of_rho(rounds * round_rho_micro(privacy), delta)
    assert kept >= epsilon_of_rounds(privacy, rounds)


@given(sigma=st.floats(0.3, 1000), steps=st.integers(1, 100_000), budget=st.floats(0, 1e9))
def test_a_rounds_cost_is_rounded_up_and_the_budget_down(sigma: float, steps: int, budget: float) -> None:
    privacy = RowPrivacySettings(noise_multiplier=sigma, steps=steps, rho_budget=budget)
    exact = Fraction(steps) / (2 * Fraction(repr(sigma)) ** 2)
    assert 0 <= Fraction(round_rho_micro(privacy), 10**6) - exact < Fraction(1, 10**6)
    assert 0 <= Fraction(repr(budget)) - Fraction(budget_rho_micro(privacy), 10**6) < Fraction(1, 10**6)
    assert round_rho_micro(privacy) < 2**64 > budget_rho_micro(privacy)


@settings(max_examples=25, deadline=None)
@given(
    sigma=st.floats(0.3, 1000), rounds=st.integers(1, 500), delta=st.sampled_from((1e-1, 1e-3, 1e-5, 1e-12))
)
@example(sigma=0.3, rounds=500, delta=1e-12)
@example(sigma=1000.0, rounds=1, delta=0.1)
def test_of_participants_too_the_budget_is_never_below_the_accountants_word(
    sigma: float, rounds: int, delta: float
) -> None:
    privacy = ClientPrivacySettings(noise_multiplier=sigma, delta=delta)
    kept = epsilon_of_rho(rounds * round_rho_micro(privacy), delta)
    assert kept >= epsilon_of_rounds(privacy, rounds)


def test_epsilon_of_participants_is_the_accountants_to_three_digits() -> None:
    # Eight rounds at sigma 4 are one at sigma sqrt(2): rho = 1/4.
    privacy = ClientPrivacySettings(noise_multiplier=4.0, delta=1e-5)
    accountant = RdpAccountant()  # its own orders
    accountant.compose(dp_event.SelfComposedDpEvent(dp_event.GaussianDpEvent(4.0), 8))
    assert epsilon_of_rounds(privacy, 8) == pytest.approx(accountant.get_epsilon(1e-5), abs=0.0005)
    assert round_rho_micro(privacy) == 31_250


def test_decimal_budgets_are_taken_as_they_are_written() -> None:
    assert budget_rho_micro(RowPrivacySettings(rho_budget=0.7)) == 700_000
    assert round_rho_micro(RowPrivacySettings(noise_multiplier=2.0, steps=8)) == 1_000_000
