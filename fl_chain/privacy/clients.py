"""An update that hides the whole participant: clipped by its length, and discrete noise on every lane.

Client-level privacy is McMahan, Ramage, Talwar, Zhang, "Learning Differentially Private Recurrent Language
Models", ICLR 2018. That each participant adds integers of its own, so that no server has to be trusted, is
Kairouz, Liu, Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure
Aggregation", ICML 2021; here each update is hidden by its own noise alone, because each can be read.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_chain.commitment.chunks import LANE, Lanes
from fl_chain.config import ClientPrivacySettings
from fl_chain.errors import NonFiniteValue
from fl_chain.privacy.discrete import discrete_gaussian
from fl_chain.privacy.noise import SecretStream
from fl_chain.records import Quantisation

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]

WEIGHT = 1  # of everybody: a weight would say how many rows a participant has, and need as much more noise
DEVIATIONS_KEPT = 6  # so many of the noise's deviations lie inside a lane's range at least

_SHRINKING = 1.0 - 2.0**-40
_LOW_BITS = 31


def longest_lanes(privacy: ClientPrivacySettings, quantisation: Quantisation) -> int:
    """Return the length in lanes that no update is longer than before noise; rounded down, exact."""
    longest = Fraction(repr(privacy.max_update_norm))
    return math.floor(longest * (1 << quantisation.scale_bits))


def noise_lanes(privacy: ClientPrivacySettings, quantisation: Quantisation) -> int:
    """Return the noise's parameter sigma in lanes; rounded up, so that a round costs no more than is said."""
    multiplier = Fraction(repr(privacy.noise_multiplier))
    return math.ceil(multiplier * longest_lanes(privacy, quantisation))


def noisy_update(
    local: Floats, base: Floats, privacy: ClientPrivacySettings, quantisation: Quantisation, key: bytes
) -> Lanes:
    """Return a participant's update of weight 1, clipped as a whole, with noise on every lane.

    Lanes that the noise takes out of their range are put to its end. That is done to what is hidden already,
    so it gives nothing more away.

    Args:
        local: the trained model, shape (dimension,).
        base: the model that the training started from, shape (dimension,).
        privacy: the run's settings.
        quantisation: the run's constants.
        key: 32 secret bytes of this round and base alone.

    Returns:
        Big-endian lanes, shape (dimension,), two's complement.

    Raises:
        NonFiniteValue: if a value is NaN or infinite; carries its index.
        ValueError: if the shapes differ.
    """
    if local.shape != base.shape or local.ndim != 1:
        raise ValueError(f"the trained model has the shape {local.shape}, its base {base.shape}")
    change = local.astype(np.float64)
    change -= base.astype(np.float64)
    change *= 2.0**quantisation.scale_bits
    if not np.isfinite(change).all():
        index = int(np.argmin(np.isfinite(change)))
        raise NonFiniteValue(
            f"value {index} is {local[index]}; a model holds finite numbers only", index=index
        )
    clipped = clipped_to(change, longest_lanes(privacy, quantisation))
    noise = discrete_gaussian(SecretStream(key), noise_lanes(privacy, quantisation), change.size)
    lanes = np.clip(clipped + noise, -quantisation.clip_lanes, quantisation.clip_lanes)
    made: Lanes = lanes.astype(np.int32).view(np.uint32).astype(LANE)
    return made


def clipped_to(change: npt.NDArray[np.float64], longest: int) -> Integers:
    """Return a change in integers whose Euclidean length is at most ``longest``, whatever it was.

    Lanes are rounded towards zero, which lengthens nothing, and the length is checked in integers: what
    accounting rests on does not hang on how floating point rounds.

    Args:
        change: finite, shape (dimension,).
        longest: at least 1, below 2**31.
    """
    norm = math.sqrt(math.fsum(change * change))
    factor = 1.0 if norm <= longest else longest / norm
    while True:
        lanes: Integers = np.trunc(change * factor).astype(np.int64)
        if squared_length(lanes) <= longest**2:
            return lanes
        factor *= _SHRINKING


def squared_length(lanes: Integers) -> int:
    """Return the sum of squares of integers below 2**31 in magnitude, exactly."""
    squares = lanes * lanes
    high, low = squares >> _LOW_BITS, squares & (2**_LOW_BITS - 1)
    return (int(high.sum()) << _LOW_BITS) + int(low.sum())
