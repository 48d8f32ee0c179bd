"""From the settings of ``[run.aggregation]`` to the rule that they name."""

from __future__ import annotations

from fractions import Fraction
from typing import assert_never

from fl_chain.aggregation.rules.adaptive import FedAdagrad, FedAdam, FedYogi
from fl_chain.aggregation.rules.centred_clipping import CentredClipping
from fl_chain.aggregation.rules.fedavg import FedAvg
from fl_chain.aggregation.rules.fedavgm import FedAvgM, factor
from fl_chain.aggregation.rules.multi_krum import MultiKrum
from fl_chain.aggregation.rules.norm_bound import NormBound
from fl_chain.aggregation.rules.order import Median, TrimmedMean
from fl_chain.aggregation.rules.rule import Rule
from fl_chain.config import (
    AggregationSettings,
    CentredClippingSettings,
    FedAdagradSettings,
    FedAdamSettings,
    FedAvgMSettings,
    FedAvgSettings,
    FedYogiSettings,
    MedianSettings,
    MultiKrumSettings,
    NormBoundSettings,
    TrimmedMeanSettings,
)


def rule_of(settings: AggregationSettings) -> Rule:  # noqa: PLR0911 - one line a rule
    """Return the rule that settings name, with its parameters."""
    match settings:
        case FedAvgSettings():
            return FedAvg()
        case FedAvgMSettings():
            return FedAvgM(factor(settings.momentum), factor(settings.learning_rate))
        case FedAdagradSettings():
            return FedAdagrad(settings.learning_rate, settings.beta1, settings.tau)
        case FedAdamSettings():
            return FedAdam(settings.learning_rate, settings.beta1, settings.tau, settings.beta2)
        case FedYogiSettings():
            return FedYogi(settings.learning_rate, settings.beta1, settings.tau, settings.beta2)
        case MedianSettings():
            return Median()
        case TrimmedMeanSettings():
            return TrimmedMean(Fraction(repr(settings.trim)))
        case MultiKrumSettings():
            return MultiKrum(settings.byzantine, settings.keep)
        case NormBoundSettings():
            return NormBound(settings.max_norm)
        case CentredClippingSettings():
            return CentredClipping(settings.radius, settings.iterations)
        case _:
            assert_never(settings)
