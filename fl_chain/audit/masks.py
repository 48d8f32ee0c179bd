"""What masks add to the audit of a round: keys, seeds, terms, and that no single update is open to anyone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log2

from fl_chain.aggregation.quantise import verify_update
from fl_chain.audit.checks import CheckId
from fl_chain.audit.copies import Sought, read_copies
from fl_chain.audit.findings import Collection
from fl_chain.audit.kinds import Kind
from fl_chain.audit.missing import Role
from fl_chain.commitment.chunks import Lanes
from fl_chain.errors import SpoiltRound, StoreError, UpdateOutOfRange, VerificationError
from fl_chain.ledger import events as e
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import least_survivors, round_groups, seeds_by_owner
from fl_chain.masking.groups import Groups, least_groups
from fl_chain.masking.shares import seed_commitment
from fl_chain.masking.unmasking import is_of_round_key
from fl_chain.records import Address, Posting, Quantisation, Submission, VoidReason
from fl_chain.run.masked_rounds import (
    masking_context,
    release_blob,
    verify_sum,
    verify_whole,
    wrong_seeds,
)
from fl_chain.run.recovery import Recovery, derived_groups, is_noise, key_spoiler
from fl_chain.run.unmasking import joined_seeds
from fl_chain.store import Store

CERTAIN_BITS = 40  # an update is called plain where masks would look so once in 2^40 cases at most


def audit_seeds(history: History, events: Sequence[e.Event], notes: Collection) -> None:
    """Look for participants both of whose seeds of a round are known, whoever published them and when.

    Args:
        history: of the run.
        events: of the whole run: a list of seeds that another replaced was published all the same.
        notes: takes the findings.
    """
    published: dict[int, set[bytes]] = {}
    for event in events:
        if isinstance(event, e.SeedsPublished):
            published.setdefault(event.round, set()).update(map(seed_commitment, event.seeds))
    for round_id, commitments in sorted(published.items()):
        for who, keys in sorted(history.round_masks(round_id).by_member.items()):
            notes.count(CheckId.SECRECY)
            if not {keys.key_commitment, keys.mask_commitment} <= commitments:
                continue
            notes.add(
                Kind.UPDATE_OPEN,
                "both seeds of its masks were published: whoever has its masked update has the update",
                round=round_id,
                participant=who,
            )


class MaskAudit:
    """Audits the masks of one run, round by round."""

    def __init__(self, history: History, store: Store) -> None:
        self._history, self._store = history, store

    def follow(self, history: History) -> None:
        """Go on with a history that has grown."""
        self._history = history

    def audit(self, round_id: int, notes: Collection) -> None:
        """Audit what of a round's masks does not depend on a posting."""
        history = self._history
        if not history.is_masked:
            return
        for keys in history.round_masks(round_id).keys:
            self._read_shares(round_id, keys.participant, keys.shares_hash, notes)
        if history.round_masks(round_id).exclusions is not None:
            self._read_releases(round_id, notes)
        if history.voids.get(round_id) is VoidReason.NOT_POSTED:
            notes.count(CheckId.MASKS)
            reason = unmasked_reason(history, self._store, round_id)
            notes.add(Kind.MASKS_LEFT_ON, f"the round ended without a model: {reason}", round=round_id)

    def are_seeds_right(self, posting: Posting, notes: Collection) -> bool:
        """Check the seeds of a posting against the commitments; return whether terms follow from them."""
        history, masks = self._history, self._history.round_masks(posting.round)
        submissions, context = history.submissions[posting.round], masking_context(history, posting.round)
        wrong = set(wrong_seeds(history, posting.round, posting.poster))
        survivors, is_right = masks.stayed(submissions), not wrong
        for number, (owner, seed) in enumerate(seeds_by_owner(masks, posting.poster, submissions)):
            notes.count(CheckId.MASKS)
            if number in wrong:
                notes.add(
                    Kind.MASK_SEED_DIFFERS,
                    f"the seed that {posting.poster} published is not the one that was committed to",
                    round=posting.round,
                    participant=owner,
                )
            elif history.is_grouped:
                continue  # a round key that is not of its seed spoils a group, which the sums have
            elif number >= len(survivors) and not is_of_round_key(masks.by_member[owner], seed, context):
                is_right = False
                notes.add(
                    Kind.ROUND_SPOILT,
                    "its key seed does not give the round key that it published, and the round was posted",
                    round=posting.round,
                    participant=owner,
                )
        return is_right

    def audit_sum(self, posting: Posting, total: Lanes, notes: Collection) -> None:
        """Check that a posted sum is one of updates and not of noise."""
        notes.count(CheckId.MASKS)
        try:
            verify_sum(total, posting.included_weight, self._history.policy.quantisation)
        except SpoiltRound as error:
            notes.add(Kind.ROUND_SPOILT, f"the posted sum is noise: {error}", round=posting.round)

    def _read_shares(self, round_id: int, who: Address, shares_hash: bytes, notes: Collection) -> None:
        keys = self._history.round_masks(round_id).by_member[who]
        read_copies(
            notes,
            partial(self._store.read_shares, who, keys.shares_hash),
            partial(self._store.shares_copies, who, keys.shares_hash),
            Sought(
                f"the sealed shares of {who} in round {round_id}",
                Kind.SHARES_MISSING,
                Kind.SHARES_ALTERED,
                ((Role.PARTICIPANT, who),),
                round=round_id,
                participant=who,
            ),
            stores=len(self._store.urls),
        )

    def _read_releases(self, round_id: int, notes: Collection) -> None:
        """Check form and signature of what participants have released."""
        for who in sorted(self._history.identity_keys):
            blob = release_blob(self._history, round_id, who)
            try:
                if not self._store.has_release(who, blob.occasion):
                    continue
                notes.count(CheckId.BLOB_COPIES)
                self._store.read_release(blob)
            except StoreError:
                continue
            except VerificationError as error:
                notes.add(
                    Kind.RELEASE_ALTERED,
                    f"what the store has as released shares is not signed by its participant: {error}",
                    round=round_id,
                    participant=who,
                )


def audit_secrecy(submission: Submission, lanes: Lanes, policy: Quantisation, notes: Collection) -> None:
    """Check that an included update of a masked round looks like one under masks.

    Args:
        submission: the update's.
        lanes: of the blob, shape (dimension,).
        policy: the run's constants.
        notes: takes the finding.
    """
    notes.count(CheckId.SECRECY)
    bits_a_lane = 32 - log2(2 * policy.clip_lanes * submission.weight + 1)
    if lanes.size * bits_a_lane < CERTAIN_BITS:
        return
    try:
        verify_update(lanes, submission.weight, policy, lanes.size)
    except UpdateOutOfRange:
        return
    notes.add(
        Kind.UPDATE_UNMASKED,
        "every lane is in the range of a plain update: it was published without masks",
        round=submission.round,
        participant=submission.participant,
    )


def unmasked_reason(history: History, store: Store, round_id: int) -> str:
    """Return why a masked round was not posted in time, as far as ledger and store tell."""
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    if masks.exclusions is None:
        needed = least_survivors(masks, history.policy.quorum)
        there = sum(store.has_update(one.participant, one.sealed_root) for one in submissions)
        reason = (
            f"its survivors were not fixed; of {len(masks.keys)} members {len(submissions)} submitted, "
            f"{there} updates are there, and {needed} have to stay"
        )
        groups = masks.graph.count if isinstance(masks.graph, Groups) else 0
        return f"{reason}, in {least_groups(groups)} of its {groups} groups" if groups else reason
    if not masks.seeds:
        try:
            verify_whole(history, round_id)
            joined_seeds(history, store, round_id)
        except (StoreError, VerificationError) as error:
            return f"its masks could not be taken off: {error}"
        return "its seeds can be put together, and nobody published them"
    return _unposted_reason(history, store, round_id)


def _unposted_reason(history: History, store: Store, round_id: int) -> str:
    """Return why a round whose seeds were published was not posted."""
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    spoiler = key_spoiler(history, round_id)
    if spoiler is not None and not history.is_grouped:
        return f"{spoiler} published a round key that is not of its seed: suspend it"
    try:
        if history.is_grouped:
            sums = derived_groups(history, store, round_id)
            count = len(round_groups(masks, history.vertices, submissions))
            if sums is not None and len(sums.kept) < least_groups(count):
                return "too many of its groups have no sum: " + "; ".join(one.why for one in sums.spoilt)
        elif is_noise(history, store, round_id):
            stayed = ", ".join(masks.stayed(submissions))
            return f"its sum is noise, since one of these has not masked as it said: {stayed}"
    except (StoreError, VerificationError) as error:
        return f"its seeds were published, and whether its sum is noise cannot be seen: {error}"
    return "its seeds were published, its sum is right, and nobody posted it"


def audit_spoilers(history: History, store: Store, notes: Collection) -> None:
    """Name who has spoilt rounds, where the rounds tell."""
    if not history.is_masked:
        return
    notes.count(CheckId.MASKS)
    for who in sorted(Recovery(store).suspicion(history).named):
        notes.add(
            Kind.PARTICIPANT_SPOILS,
            "rounds with it were spoilt and one without it was posted, or its round key was not of its seed",
            participant=who,
        )
