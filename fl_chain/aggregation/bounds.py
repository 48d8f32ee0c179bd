"""The limits of the integer arithmetic, so that nothing can overflow whatever the participants send."""

from __future__ import annotations

from fl_chain.errors import ConfigError
from fl_chain.records import Quantisation

MIN_FRACTION_BITS = 8
MAX_FRACTION_BITS = 24
MAX_SCALE_BITS = 40
SUM_LIMIT = 2**31  # clip_lanes * max_total_weight stays below: a sum fits a signed lane
DIVISOR_LIMIT = 2**61  # max_total_weight * 2**scale_bits stays below: applying a sum fits int64


def verify_quantisation(quantisation: Quantisation) -> None:
    """Check the constants of the arithmetic.

    Raises:
        ConfigError: naming the field that is out of bounds.
    """
    _verify_between("fraction_bits", quantisation.fraction_bits, MIN_FRACTION_BITS, MAX_FRACTION_BITS)
    _verify_between("scale_bits", quantisation.scale_bits, 0, MAX_SCALE_BITS)
    _verify_between("max_total_weight", quantisation.max_total_weight, 1, SUM_LIMIT - 1)
    _verify_between("clip_lanes", quantisation.clip_lanes, 1, SUM_LIMIT - 1)
    if quantisation.clip_lanes * quantisation.max_total_weight >= SUM_LIMIT:
        raise ConfigError(
            f"clip_lanes is {quantisation.clip_lanes} and max_total_weight {quantisation.max_total_weight}: "
            "their product must be below 2^31, or a sum would overflow; lower one of them"
        )
    if quantisation.max_total_weight << quantisation.scale_bits >= DIVISOR_LIMIT:
        raise ConfigError(
            f"max_total_weight is {quantisation.max_total_weight} and scale_bits {quantisation.scale_bits}: "
            "max_total_weight * 2^scale_bits must be below 2^61; lower one of them"
        )


def verify_weight(weight: int, quantisation: Quantisation) -> None:
    """Check that a weight, or a sum of weights, is one that a round can have.

    Raises:
        ValueError: if it is not from 1 to ``max_total_weight``.
    """
    if not 1 <= weight <= quantisation.max_total_weight:
        raise ValueError(
            f"the weight {weight} is outside 1 to max_total_weight = {quantisation.max_total_weight}"
        )


def _verify_between(name: str, value: int, lowest: int, highest: int) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise ConfigError(f"{name} is {value!r}; it must be an integer from {lowest} to {highest}")
