"""Whether a posting leaves out just what is unusable, outside the cohort, or not the rule's choice."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fl_chain.aggregation.quantise import verify_update
from fl_chain.aggregation.round import FEDAVG
from fl_chain.aggregation.rules.rule import Rule
from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import StoreError, UpdateOutOfRange, VerificationError
from fl_chain.records import Exclusion, ExclusionReason, Submission
from fl_chain.run.postings import PostingClaim, RoundBlobs, lane_out_of_range
from fl_chain.run.rule import is_selecting, left_out_by_rule, usable_submissions
from fl_chain.run.verdicts import Doubt, Hidden


def exclusion_doubts(
    claim: PostingClaim, blobs: RoundBlobs, seen_in_time: Collection[int] = (), rule: Rule = FEDAVG
) -> list[Doubt]:
    """Return what is doubtful about what a posting leaves out or not; see `examine` for the arguments."""
    doubts = inclusion_doubts(claim)
    of_cohort = [one for one in claim.exclusions if one.index not in claim.outsiders]
    if not is_selecting(rule):
        return doubts + wrongful_exclusions(claim, blobs, seen_in_time, of_cohort)
    unusable = [one for one in of_cohort if one.reason is not ExclusionReason.BY_RULE]
    doubts += wrongful_exclusions(claim, blobs, seen_in_time, unusable)
    return doubts + selection_doubts(claim, blobs, rule)


def inclusion_doubts(claim: PostingClaim) -> list[Doubt]:
    """Return a doubt for each included submission from outside the round's cohort."""
    return [
        Doubt(Hidden.INCLUSION, index, f"submission {index} is included, and its round's cohort has others")
        for index in sorted(claim.outsiders - claim.stored.excluded)
    ]


def selection_doubts(claim: PostingClaim, blobs: RoundBlobs, rule: Rule) -> list[Doubt]:
    """Return what is doubtful about what a posting leaves out by rule; see `examine` for the arguments."""
    stored = claim.stored
    by_rule = {one.index for one in claim.exclusions if one.reason is ExclusionReason.BY_RULE}
    by_rule -= claim.outsiders
    index: int | None = None

    def read(submission: Submission) -> Lanes:
        nonlocal index
        index = submission.index
        lanes = blobs.update(submission).lanes
        verify_update(lanes, submission.weight, stored.quantisation, stored.dimension)
        return lanes[: stored.dimension]

    usable = usable_submissions(claim.submissions, claim.exclusions, claim.outsiders)
    try:
        expected = left_out_by_rule(rule, usable, read, stored.quantisation, stored.dimension)
    except UpdateOutOfRange:
        detail = f"submission {index} takes part in the rule's choice, and is out of range"
        return [Doubt(Hidden.SELECTION, index, detail)]
    except (StoreError, VerificationError) as error:
        return [Doubt(Hidden.UPDATE, index, f"submission {index}, which the rule chooses from: {error}")]
    doubts = []
    for one in sorted(expected ^ by_rule):
        what = (
            "was left out, and the rule keeps it"
            if one in by_rule
            else "was kept, and the rule leaves it out"
        )
        doubts.append(Doubt(Hidden.SELECTION, one, f"submission {one} {what}"))
    return doubts


def wrongful_exclusions(
    claim: PostingClaim,
    blobs: RoundBlobs,
    seen_in_time: Collection[int],
    exclusions: Sequence[Exclusion],
) -> list[Doubt]:
    """Return a doubt for each valid update among exclusions of a posting; see `examine` for the arguments."""
    found = []
    for exclusion in exclusions:
        submission = claim.submissions[exclusion.index]
        may_be_late = exclusion.reason is ExclusionReason.UNREADABLE
        if may_be_late and exclusion.index not in seen_in_time:
            continue
        try:
            update = blobs.update(submission)
        except (StoreError, VerificationError):
            continue
        if lane_out_of_range(update, submission, claim.stored) is None:
            reason = exclusion.reason.name.lower().replace("_", " ")
            detail = f"submission {exclusion.index} was left out as {reason}, and is valid"
            found.append(Doubt(Hidden.EXCLUSION, exclusion.index, detail))
    return found
