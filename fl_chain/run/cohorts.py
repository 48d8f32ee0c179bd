"""The cohort of a round, from ledger and policy: what worker, aggregator, prover and audit agree on."""

from __future__ import annotations

from fl_chain.aggregation.cohort import draw_cohort
from fl_chain.commitment.encoding import u64
from fl_chain.ledger.history import History
from fl_chain.policy import RunPolicy
from fl_chain.records import Address


def cohort(history: History, policy: RunPolicy, round_id: int) -> frozenset[Address] | None:
    """Return who trains in a round; None where everyone does.

    The draw is from those who were registered when the round opened. The seed is that of the newest round
    that had closed by then, for the first rounds the manifest's hash; or the run's own seed, where the policy
    says so: everybody knows all cohorts in advance then.
    """
    settings = policy.cohort
    if settings is None or settings.size is None:
        return None
    if settings.randomness == "seed":
        seed = u64(policy.seed, "seed")
    else:
        last_closed = history.rounds[round_id].last_closed
        seed = history.seeds[last_closed] if last_closed else history.definition.manifest_hash
    return draw_cohort(history.registered_at[round_id], settings.size, seed=seed, round_id=round_id)


def follows_the_ledger(policy: RunPolicy) -> bool:
    """Return whether nobody knows a round's cohort before the ledger has closed the round before it."""
    settings = policy.cohort
    return settings is not None and settings.size is not None and settings.randomness != "seed"


def outsiders(history: History, policy: RunPolicy, round_id: int) -> frozenset[int]:
    """Return the submissions of a round, by index, whose participants are not in its cohort."""
    members = cohort(history, policy, round_id)
    if members is None:
        return frozenset()
    return frozenset(s.index for s in history.submissions[round_id] if s.participant not in members)


def participation(history: History, policy: RunPolicy, round_id: int) -> float:
    """Return the share of the registered participants that a round's cohort is."""
    members = cohort(history, policy, round_id)
    return 1.0 if members is None else len(members) / max(1, len(history.registered_at[round_id]))
