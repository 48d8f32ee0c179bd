"""What is said of a run's protection: in `status`, in reports and in the demonstration."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from fl_chain.config import PrivacySettings, RowPrivacySettings
from fl_chain.privacy.accounting import MICRO, epsilon_of_rho, epsilon_of_rounds
from fl_chain.records import LedgerPolicy

DECLARED = "declared, not proven"
NONE = "none: every auditor can read every update"
UNKNOWN = "not known: the policy document cannot be read"


@dataclass(frozen=True, slots=True)
class PrivacyStatement:
    """Which protection a run's policy asks for, and what its rounds have given away at most."""

    protection: str
    unit: str  # what is hidden
    assurance: str  # nobody can see whether a participant trained so
    delta: str
    epsilon_millionths: int  # of one participant's rows, or of a client, at delta; rounded up
    rounds: int  # that have opened, void ones included
    rho_micro_per_round: int  # as the ledger counts; 0: it keeps no budget
    rho_micro_spent: int
    rho_micro_budget: int
    ledger_epsilon_millionths: int | None  # of what the ledger counts, at delta; never below the other

    def to_json(self) -> dict[str, Any]:
        """Return the fields, as a report has them."""
        return asdict(self)

    @property
    def line(self) -> str:
        """The statement in one line."""
        budget = "no budget on the ledger"
        if self.rho_micro_per_round and self.ledger_epsilon_millionths is not None:
            budget = (
                f"{self.rho_micro_spent / MICRO:g} of {self.rho_micro_budget / MICRO:g} zCDP spent on the "
                f"ledger (epsilon {self.ledger_epsilon_millionths / MICRO:.3f})"
            )
        return (
            f"{self.protection} hides every {self.unit}: epsilon {self.epsilon_millionths / MICRO:.3f} at "
            f"delta {self.delta} after {self.rounds} rounds; {budget}; {self.assurance}"
        )


def privacy_statement(privacy: PrivacySettings, policy: LedgerPolicy, rounds: int) -> PrivacyStatement:
    """Return what can be said after so many rounds, void ones included."""
    spent = policy.spent_rho_micro(rounds)
    ledger_epsilon = epsilon_of_rho(spent, privacy.delta) if policy.rho_micro_per_round else None
    return PrivacyStatement(
        protection="DP-SGD" if isinstance(privacy, RowPrivacySettings) else "discrete Gaussian noise",
        unit=privacy.unit,
        assurance=DECLARED,
        delta=repr(privacy.delta),
        epsilon_millionths=math.ceil(MICRO * epsilon_of_rounds(privacy, rounds)),
        rounds=rounds,
        rho_micro_per_round=policy.rho_micro_per_round,
        rho_micro_spent=spent,
        rho_micro_budget=policy.rho_micro_budget,
        ledger_epsilon_millionths=None if ledger_epsilon is None else math.ceil(MICRO * ledger_epsilon),
    )
