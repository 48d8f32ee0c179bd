"""The aggregation rule of a run, and what it leaves out: what aggregator, prover and audit all call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from fl_chain.aggregation.rules.rule import Rule, SumRule
from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import VerificationError
from fl_chain.ledger.history import History
from fl_chain.masking.groups import Groups
from fl_chain.policy import parse_policy_document
from fl_chain.records import Exclusion, ExclusionReason, Quantisation, Submission
from fl_chain.run.spool import spooled
from fl_chain.store import Store


def read_rule(history: History, store: Store) -> Rule:
    """Return the rule that the run's policy document names.

    Raises:
        StoreError: if no copy of the document can be read.
        VerificationError: if it is another document, or its rule is of another kind than the ledger's.
        ConfigError: if its constants are out of bounds.
    """
    policy_hash = history.definition.policy_hash
    policy = parse_policy_document(store.read_document(policy_hash), policy_hash)
    if policy.rule.kind is not history.policy.aggregation:
        raise VerificationError(
            f"the policy document's rule {policy.rule.name!r} is of kind {policy.rule.kind.name}, the "
            f"contract's of kind {history.policy.aggregation.name}: do not take part, and ask the operator"
        )
    counts = {one.graph.reach for one in history.masks.values() if isinstance(one.graph, Groups)}
    if counts - {policy.groups}:
        raise VerificationError(
            f"the policy document says {policy.groups} groups, the contract draws {max(counts)}: do not take "
            "part, and ask the operator"
        )
    return policy.rule


def left_out_by_rule(
    rule: Rule,
    usable: Sequence[Submission],
    read: Callable[[Submission], Lanes],
    quantisation: Quantisation,
    dimension: int,
) -> frozenset[int]:
    """Return the indices of the usable submissions that a rule leaves out of its sum.

    Args:
        rule: the run's.
        usable: a round's submissions that can be read and are in range, in the ledger's order.
        read: returns a submission's lanes, shape (dimension,).
        quantisation: the run's constants.
        dimension: lanes of an update.

    Raises:
        Exception: whatever `read` raises.
    """
    if not isinstance(rule, SumRule) or not rule.selects or not usable:
        return frozenset()
    with spooled((read(one) for one in usable), len(usable), dimension) as updates:
        kept = rule.kept(updates, [one.weight for one in usable], quantisation)
    return frozenset(one.index for one in usable) - {usable[row].index for row in kept}


def usable_submissions(
    submissions: Sequence[Submission], exclusions: Sequence[Exclusion], outsiders: Collection[int]
) -> list[Submission]:
    """Return the submissions that a rule chooses from: of the round's cohort, all that somebody can use.

    Args:
        submissions: all of a round.
        exclusions: those that are left out by rule may be among them.
        outsiders: the submissions, by index, of participants who are not in the cohort.
    """
    unusable = {one.index for one in exclusions if one.reason is not ExclusionReason.BY_RULE}
    return [one for one in submissions if one.index not in unusable and one.index not in outsiders]


def is_selecting(rule: Rule) -> bool:
    """Return whether a rule leaves out updates that could be used."""
    return isinstance(rule, SumRule) and rule.selects
