"""What is said of how a run hides single updates: in `status`, in reports and in the demonstration."""

from __future__ import annotations

from fl_chain.ledger.history import History

NONE = "none: everyone who audits can read every update"


def protection(history: History) -> str:
    """Return in one line which protection ran, as the contract enforces it."""
    if not history.is_masked:
        return NONE
    return (
        "secure aggregation: of every round only the sum is known, of "
        f"{history.policy.quorum} participants at least; single updates stay under masks"
    )
