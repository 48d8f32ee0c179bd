"""What a run's rounds give away at most: a bound that the ledger can keep, and a tight one for reports.

The ledger counts zero-concentrated differential privacy (Bun and Steinke, "Concentrated Differential Privacy:
Simplifications, Extensions, and Lower Bounds", TCC 2016): rho simply adds up. One step of noise of deviation
``sigma * C`` on a sum of terms of norm at most C costs ``1 / (2 sigma^2)``. That a step sees a random share
of the rows alone is not credited there: a mixture of steps that each keep rho keeps it too. An update that
hides its participant is one such step: discrete Gaussian noise costs what continuous noise does, in any
dimension (Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020).

The tight figure is Google's dp-accounting's: for rows its privacy loss distribution, which credits sampling;
for participants its Renyi accountant, as the loss distribution of discrete noise hangs on the dimension.
"""

from __future__ import annotations

import math
from fractions import Fraction

from fl_chain.config import ClientPrivacySettings, PrivacySettings, RowPrivacySettings

MICRO = 1_000_000


def round_rho_micro(privacy: PrivacySettings) -> int:
    """Return what a round costs whoever is protected, in millionths of rho, rounded up.

    It is exact: the settings' decimal numbers are taken as fractions.
    """
    return math.ceil(MICRO * _round_rho(privacy))


def _round_rho(privacy: PrivacySettings) -> Fraction:
    steps = privacy.steps if isinstance(privacy, RowPrivacySettings) else 1
    return steps / (2 * Fraction(repr(privacy.noise_multiplier)) ** 2)


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
    """Return the epsilon of so many rounds at the settings' delta, by dp-accounting.

    It compares one row or one group more or less; of a participant, its updates with ones that its rows have
    no part in. Rounding is pessimistic.

    Args:
        privacy: the run's settings.
        rounds: that have opened, void ones included.
    """
    if rounds == 0:
        return 0.0
    if isinstance(privacy, ClientPrivacySettings):
        return _epsilon_of_zcdp(float(rounds * _round_rho(privacy)), privacy.delta)
    # Slow to import, and needed by reports alone.
    from dp_accounting import NeighboringRelation, dp_event
    from dp_accounting.pld import PLDAccountant

    step = dp_event.GaussianDpEvent(privacy.noise_multiplier)
    sampled = dp_event.PoissonSampledDpEvent(privacy.sampling_rate, step)
    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    accountant.compose(dp_event.SelfComposedDpEvent(sampled, rounds * privacy.steps))
    return float(accountant.get_epsilon(privacy.delta))


def _epsilon_of_zcdp(rho: float, delta: float) -> float:
    from dp_accounting import NeighboringRelation, dp_event
    from dp_accounting.rdp import RdpAccountant

    best = math.sqrt(math.log(1 / delta) / rho)  # of the order less 1, for `epsilon_of_rho`
    orders = [1 + best * 2 ** (step / 8) for step in range(-16, 17)]
    accountant = RdpAccountant(orders, NeighboringRelation.REPLACE_SPECIAL)
    accountant.compose(dp_event.ZCDpEvent(rho))
    return float(accountant.get_epsilon(delta))
