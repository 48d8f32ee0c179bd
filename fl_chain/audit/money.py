"""Every reward computed again from policy, postings and weights."""

from __future__ import annotations

from fl_chain.audit.checks import CheckId
from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.ledger.history import History
from fl_chain.records import FallReason, LedgerPolicy, Posting, RewardSplit, RoundStatus, Submission


def reward_wei(policy: LedgerPolicy, posting: Posting, submission: Submission, *, bonus_wei: int = 0) -> int:
    """Return what an included submission earns in a final round, in wei.

    Args:
        policy: the run's rules.
        posting: of the round.
        submission: one that it includes.
        bonus_wei: what fallen bonds have added to the round's reward.
    """
    whole_wei = policy.reward_wei + bonus_wei
    if policy.reward_split is RewardSplit.EQUAL:
        return whole_wei // posting.included
    return whole_wei // posting.included_weight * submission.weight


def audit_rewards(history: History, report: AuditReport) -> None:
    """Compare what was paid with what was earned, and what became of the rest."""
    for round_id, settlement in history.settlements.items():
        posting, policy = history.postings[round_id], history.policy
        shares = posting.included if policy.reward_split is RewardSplit.EQUAL else posting.included_weight
        whole_wei = policy.reward_wei + history.bonus_wei(round_id)
        expected = (whole_wei, policy.aggregator_reward_wei, whole_wei % shares)
        actual = (settlement.reward_wei, settlement.aggregator_reward_wei, settlement.dust_wei)
        report.count(CheckId.ROUND_REWARDS)
        if expected != actual:
            report.add(
                Kind.REWARD_DIFFERS,
                "reward, aggregator's reward or dust of a final round is not what policy and lost bonds give",
                round=round_id,
                expected=str(expected),
                actual=str(actual),
            )
    _audit_claims(history, report)


def audit_lost_bonds(history: History, report: AuditReport) -> None:
    """Compare what became of the bonds of postings that fell with the policy."""
    policy = history.policy
    for fallen in history.fallen:
        expected = (policy.challenge_reward_wei, policy.bond_wei - policy.challenge_reward_wei)
        if fallen.reason is FallReason.OBJECTIONS:
            expected = (0, 0)
        actual = (fallen.challenge_reward_wei, fallen.bonus_wei)
        report.count(CheckId.LOST_BONDS)
        if expected != actual:
            report.add(
                Kind.REWARD_DIFFERS,
                "challenge reward or bonus of a posting that fell is not what the policy gives",
                round=fallen.posting.round,
                expected=str(expected),
                actual=str(actual),
            )


def _audit_claims(history: History, report: AuditReport) -> None:
    paid: set[tuple[int, str]] = set()
    for claim in history.claims:
        report.count(CheckId.CLAIMS)
        submission = next(
            (s for s in history.submissions.get(claim.round, ()) if s.participant == claim.participant), None
        )
        expected = None if submission is None else _earned_wei(history, submission)
        is_repeated = (claim.round, claim.participant) in paid
        paid.add((claim.round, claim.participant))
        if expected is None or is_repeated:
            report.add(
                Kind.REWARD_UNFOUNDED,
                "a reward was paid that was not earned, or was paid twice",
                round=claim.round,
                participant=claim.participant,
                actual=str(claim.amount_wei),
            )
            continue
        if expected != claim.amount_wei:
            report.add(
                Kind.REWARD_DIFFERS,
                "a participant was paid another amount than it earned",
                round=claim.round,
                participant=claim.participant,
                expected=str(expected),
                actual=str(claim.amount_wei),
            )


def _earned_wei(history: History, submission: Submission) -> int | None:
    """Return what a submission earned; None where it earned nothing that could be claimed.

    A final round pays those that its posting includes. A void one pays all of its submitters equal shares of
    what fallen bonds had added to its reward.
    """
    current, posting = history.rounds[submission.round], history.postings.get(submission.round)
    bonus_wei = history.bonus_wei(current.id)
    if current.status is RoundStatus.VOID and bonus_wei:
        return bonus_wei // current.submissions
    if current.status is not RoundStatus.FINAL or posting is None:
        return None
    if any(exclusion.index == submission.index for exclusion in posting.exclusions):
        return None
    return reward_wei(history.policy, posting, submission, bonus_wei=bonus_wei)
