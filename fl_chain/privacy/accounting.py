"""What a run's rounds give away at most: a bound that the ledger can keep, and a tight one for reports.

The ledger counts zero-concentrated differential privacy (Bun and Steinke, "Concentrated Differential Privacy:
Simplifications, Extensions, and Lower Bounds", TCC 2016): rho simply adds up. One step of noise of deviation
``sigma * C`` on a sum of terms of norm at most C costs ``1 / (2 sigma^2)``. That a step sees a random share
of the rows alone is not credited there: a mixture of steps that each keep rho keeps it too.

The tight figure is the privacy loss distribution of Google's dp-accounting, which does credit it.
"""

from __future__ import annotations

import math
from fractions import Fraction

from fl_chain.config import PrivacySettings

MICRO = 1_000_000


def round_rho_micro(privacy: PrivacySettings) -> int:
    """Return what a round costs whoever is protected, in millionths of rho, rounded up.

    It is exact: the settings' decimal numbers are taken as fractions.
    """
    sigma = Fraction(repr(privacy.noise_multiplier))
    return math.ceil(MICRO * privacy.steps / (2 * sigma**2))


def budget_rho_micro(privacy: PrivacySettings) -> int:
    """Return the run's budget in millionths of rho, rounded down; 0 where there is none."""
    return math.floor(MICRO * Fraction(repr(privacy.rho_budget)))


def epsilon_of_rho(rho_micro: int, delta: float) -> float:
    """Return an epsilon that holds at ``delta`` for so much rho: Bun and Steinke, proposition 1.3.

    Args:
        rho_micro: millionths of rho, at least 0.
        delta: in (0, 1).
    """
    rho = rho_micro / MICRO
    return rho + 2 * math.sqrt(rho * math.log(1 / delta))


def epsilon_of_rounds(privacy: PrivacySettings, rounds: int) -> float:
    """Return the epsilon of so many rounds at the settings' delta, by dp-accounting's loss distribution.

    One row or one group more or less is what it compares; its rounding is pessimistic.

    Args:
        privacy: the run's settings.
        rounds: that have opened, void ones included.
    """
    if rounds == 0:
        return 0.0
    # Slow to import, and needed by reports alone.
    from dp_accounting import NeighboringRelation, dp_event
    from dp_accounting.pld import PLDAccountant

    step = dp_event.GaussianDpEvent(privacy.noise_multiplier)
    sampled = dp_event.PoissonSampledDpEvent(privacy.sampling_rate, step)
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    accountant.compose(dp_event.SelfComposedDpEvent(sampled, rounds * privacy.steps))
    return float(accountant.get_epsilon(privacy.delta))
