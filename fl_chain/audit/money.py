"""Every reward computed again from policy, postings and weights."""

from __future__ import annotations

from fl_chain.audit.findings import AuditReport, Kind
from fl_chain.ledger.history import History
from fl_chain.records import LedgerPolicy, Posting, RewardSplit, RoundStatus, Submission


def reward_wei(policy: LedgerPolicy, posting: Posting, submission: Submission) -> int:
    """Return what an included submission earns in a final round, in wei."""
    if policy.reward_split is RewardSplit.EQUAL:
        return policy.reward_wei // posting.included
    return policy.reward_wei // posting.included_weight * submission.weight


def audit_rewards(history: History, report: AuditReport) -> None:
    """Compare what was paid with what was earned, and what became of the rest."""
    for round_id, settlement in history.settlements.items():
        posting, policy = history.postings[round_id], history.policy
        shares = posting.included if policy.reward_split is RewardSplit.EQUAL else posting.included_weight
        expected = (policy.reward_wei, policy.aggregator_reward_wei, policy.reward_wei % shares)
        actual = (settlement.reward_wei, settlement.aggregator_reward_wei, settlement.dust_wei)
        report.count("rewards of final rounds")
        if expected != actual:
            report.add(
                Kind.REWARD_DIFFERS,
                "reward, aggregator's reward or dust of a final round is not what the policy gives",
                round=round_id,
                expected=str(expected),
                actual=str(actual),
            )
    _audit_claims(history, report)


def _audit_claims(history: History, report: AuditReport) -> None:
    paid: set[tuple[int, str]] = set()
    for claim in history.claims:
        report.count("claimed rewards")
        submission = next(
            (s for s in history.submissions.get(claim.round, ()) if s.participant == claim.participant), None
        )
        posting = history.postings.get(claim.round)
        excluded = {e.index for e in posting.exclusions} if posting else set()
        is_founded = (
            submission is not None
            and posting is not None
            and history.rounds[claim.round].status is RoundStatus.FINAL
            and submission.index not in excluded
            and (claim.round, claim.participant) not in paid
        )
        paid.add((claim.round, claim.participant))
        if not is_founded or submission is None or posting is None:
            report.add(
                Kind.REWARD_UNFOUNDED,
                "a reward was paid that was not earned, or was paid twice: audit against another node",
                round=claim.round,
                participant=claim.participant,
                actual=str(claim.amount_wei),
            )
            continue
        expected = reward_wei(history.policy, posting, submission)
        if expected != claim.amount_wei:
            report.add(
                Kind.REWARD_DIFFERS,
                "a participant was paid another amount than it earned: audit against another node",
                round=claim.round,
                participant=claim.participant,
                expected=str(expected),
                actual=str(claim.amount_wei),
            )
