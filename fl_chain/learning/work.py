"""What a round asks of local training beyond the settings: plain values, no torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_chain.config import RowPrivacySettings

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PrivateWork:
    """How a participant's rows are hidden in one round.

    Attributes:
        settings: the run's.
        key: 32 bytes that the participant tells nobody, of this round and base alone; sampling and noise
            follow from them, so training again gives the same update and nothing more away.
    """

    settings: RowPrivacySettings
    key: bytes


@dataclass(frozen=True, slots=True)
class RoundWork:
    """One participant's circumstances in one round.

    Attributes:
        kept: what this participant kept of its last included round: its control variate, its local tensors;
            None before the first.
        participation: the share of the registered participants that train in this round, in (0, 1].
        time_s: seconds that training may take; None for all epochs. One batch is trained on in any case.
        clock: seconds that only grow, by which ``time_s`` is measured.
        private: how the rows are hidden; None for not at all.
    """

    kept: Values | None = None
    participation: float = 1.0
    time_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    private: PrivateWork | None = None


@dataclass(frozen=True, slots=True)
class LocalUpdate:
    """What a participant learnt in one round, before it is quantised.

    Attributes:
        values: the trained model as the ledger's lanes stand for it, shape (dimension,), float32.
        n_examples: rows that it was trained on, each counted once: those of the batches that were finished.
        loss: mean training loss of the last local epoch, as the task reports it.
        kept: what the participant keeps for its next round; None where the algorithm keeps nothing.
    """

    values: Values
    n_examples: int
    loss: float
    kept: Values | None = None
