"""What is said of how a run hides single updates: in `status`, in reports and in the demonstration."""

from __future__ import annotations

from fl_chain.hiding import KeyCohort
from fl_chain.ledger.history import History
from fl_chain.masking.groups import LEAST_IN_GROUP

NONE = "none: everyone who audits can read every update"


def protection(history: History, cohort: KeyCohort | None = None) -> str:
    """Return in one line which protection ran.

    Args:
        history: of the run: masks are enforced by the contract.
        cohort: who holds the key of an encrypted run, which its policy document says.
    """
    if cohort is not None:
        return (
            f"homomorphic encryption: the {len(cohort.members)} members of the cohort hold the key and can "
            "read every update; aggregator, auditors and the store see ciphertexts, and sums in the clear"
        )
    if not history.is_masked:
        return NONE
    if history.is_grouped:
        drawn = [one.graph.reach for one in history.masks.values() if one.graph is not None]
        into = f"{drawn[0]} random groups" if drawn else "random groups"
        return (
            f"secure aggregation in {into} a round: of each only the sum is known, of {LEAST_IN_GROUP} "
            "participants at least; a robust rule compares the sums, single updates stay under masks"
        )
    return (
        "secure aggregation: of every round only the sum is known, of "
        f"{history.policy.quorum} participants at least; single updates stay under masks"
    )
