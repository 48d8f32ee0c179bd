"""A masked round as the ledger has it: what participants, aggregator, prover and audit all derive from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fl_chain.aggregation.quantise import SIGNED_LANE
from fl_chain.commitment.chunks import Lanes
from fl_chain.commitment.encoding import u64
from fl_chain.commitment.proofs import Departed, ExcludedSubmission, PostedMasks
from fl_chain.errors import GapInGraph, SpoiltRound, VerificationError
from fl_chain.ledger import masks as ledger_masks
from fl_chain.ledger.history import History
from fl_chain.ledger.masks import RoundMasks, seeds_by_owner
from fl_chain.ledger.messages import signer_for
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.graph import Graph
from fl_chain.masking.groups import Groups, staying, verify_groups
from fl_chain.masking.releases import occasion
from fl_chain.masking.setup import set_up_digest
from fl_chain.masking.unmasking import UnmaskingTerm, committed_kind, seed_to_release, term_lanes
from fl_chain.records import Address, Digest, Exclusion, PublishedKeys, Quantisation, Submission
from fl_chain.store import ReleaseBlob, SetUpBlob, SignedRelease, SignedSetUp


def masking_context(history: History, round_id: int) -> MaskingContext:
    """Return what every secret of a round is bound to."""
    return MaskingContext(history.run, round_id, history.base_model_roots[round_id])


def round_occasion(history: History, round_id: int) -> Digest:
    """Return what shares of a round are released for, once its survivors are fixed."""
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    members = masks.stayed(submissions), masks.departed(submissions)
    return occasion(masking_context(history, round_id), *members)


def round_terms(history: History, round_id: int) -> list[UnmaskingTerm]:
    """Return the terms of a round whose survivors are fixed, in the order of the posted list."""
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    return ledger_masks.round_terms(masks, history.vertices, submissions)


def masking_peers(history: History, round_id: int, who: Address) -> dict[Address, PublishedKeys]:
    """Return the keys of those with whom a member of a round shares masks."""
    masks = history.round_masks(round_id)
    by_member = masks.by_member
    return {peer: by_member[peer] for peer in ledger_masks.neighbours(masks, history.vertices, who)}


def verify_whole(history: History, round_id: int) -> None:
    """Check that only the sum of all survivors of a round, or of a group, can be unmasked, and not of some.

    Raises:
        GapInGraph: if of some row of the round's graph too few stay; see `fl_chain.masking.graph`.
        TooFewInGroups: if of a group, or of the groups, too few stay; see `fl_chain.masking.groups`.
    """
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    verify_fixable(masks, history.vertices, submissions, masks.exclusions or ())


def verify_fixable(
    masks: RoundMasks,
    vertices: Mapping[Address, int],
    submissions: Sequence[Submission],
    exclusions: Sequence[Exclusion],
) -> None:
    """Check that participants release shares for whom some exclusions leave; see `verify_whole`."""
    gone = tuple(ledger_masks.absentees(masks, submissions))
    fixed = replace(masks, exclusions=tuple(exclusions), absentees=gone)
    if isinstance(masks.graph, Groups):
        verify_groups(ledger_masks.round_groups(fixed, vertices, submissions))
        return
    verify_no_gap(masks, vertices, fixed.stayed(submissions))


def verify_no_gap(masks: RoundMasks, vertices: Mapping[Address, int], survivors: Iterable[Address]) -> None:
    """Check that survivors leave no gap in a round's graph; see `verify_whole`."""
    if not isinstance(masks.graph, Graph):
        return
    gap = masks.graph.gap({vertices[who] for who in survivors}, len(masks.keys))
    if gap is not None:
        place, staying = gap
        raise GapInGraph(
            f"of the {masks.graph.reach} participants from place {place} of the graph on only {staying} "
            "stay: so few could let the sum be taken apart, so the round ends without a model"
        )


def published_seeds(history: History, round_id: int, poster: Address) -> dict[Address, bytes]:
    """Return the seeds that an account published last for a round, by whose they are.

    Raises:
        KeyError: if it has published none.
    """
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    return dict(seeds_by_owner(masks, poster, submissions))


def wrong_seeds(history: History, round_id: int, poster: Address) -> list[int]:
    """Return the places of the seeds in a poster's list that are not the ones committed to."""
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    seeds = seeds_by_owner(masks, poster, submissions)
    is_right = seed_check(history, round_id)
    return [place for place, (owner, seed) in enumerate(seeds) if not is_right(owner, seed)]


def seed_check(history: History, round_id: int) -> Callable[[Address, bytes], bool]:
    """Return whether a seed is what may stand for a member of a round whose survivors are fixed.

    It is the seed committed to that the survivors call for, or zero where nobody of the member's group stays.
    """
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    survivors, keys = frozenset(masks.stayed(submissions)), masks.by_member
    left = ledger_masks.left_with_group(masks, history.vertices, submissions)

    def is_right(owner: Address, seed: bytes) -> bool:
        if owner in left and not any(seed):
            return True
        return committed_kind(keys[owner], seed) is seed_to_release(owner, survivors)

    return is_right


def unmasking_vectors(history: History, round_id: int, seeds: Mapping[Address, bytes]) -> Iterator[Lanes]:
    """Yield the vector of each term, in the order of the posted list, one at a time.

    Raises:
        DigestMismatch: if a seed is not the one committed to.
        SpoiltRound: if a key seed does not give the round key that its owner published.
    """
    keys, dimension = history.round_masks(round_id).by_member, history.definition.dimension
    context = masking_context(history, round_id)
    for term in round_terms(history, round_id):
        yield term_lanes(term, seeds[term.owner], context, keys, dimension)


def verify_sum(total: Lanes, included_weight: int, quantisation: Quantisation) -> None:
    """Check that a round's sum is one that honest updates can have.

    A sum that was unmasked wrongly is noise: each of its lanes is within the bound one time of four at most.

    Args:
        total: the sum, big-endian.
        included_weight: of the survivors.
        quantisation: the run's constants.

    Raises:
        SpoiltRound: if a lane is out of range.
    """
    bound = quantisation.clip_lanes * included_weight
    signed = total.view(SIGNED_LANE).astype(np.int64)
    outside = np.flatnonzero(np.abs(signed) > bound)
    if outside.size:
        lane = int(outside[0])
        raise SpoiltRound(
            f"{outside.size} of {total.size} lanes of the sum are out of its range, lane {lane} first "
            f"({signed[lane]}, at most {bound}): a participant has not masked as it said, or its update is "
            "out of range. The round ends without a model; docs/secure-aggregation.md says how to find out "
            "who it was"
        )


def release_blob(history: History, round_id: int, holder: Address) -> ReleaseBlob:
    """Return which blob has the shares that a participant releases in a round."""
    ledger, when = history.run.ledger, round_occasion(history, round_id)
    signer = history.participants[holder].signer

    def verify(signed: SignedRelease) -> None:
        actual = signer_for(ledger, signed.release.signed_content(when), signed.signature)
        if actual != signer:
            raise VerificationError(f"a release of {holder} is signed by {actual} instead of {signer}")

    return ReleaseBlob(holder, when, verify)


def set_up_content(history: History, round_id: int, keys: PublishedKeys) -> bytes:
    """Return what a participant signs of its keys of a round, for somebody else to bring to the ledger."""
    number, chain = u64(round_id, "the round"), u64(history.run.chain_id, "the chain id")
    return chain + number + set_up_digest(keys)


def set_up_blob(history: History, round_id: int, participant: Address, masks: Address) -> SetUpBlob:
    """Return which blob has the keys that a participant signed for a round.

    Args:
        history: of the run.
        round_id: the round.
        participant: who signed.
        masks: the contract that holds the run's keys.
    """
    signer = history.participants[participant].signer

    def verify(signed: SignedSetUp) -> None:
        actual = signer_for(masks, set_up_content(history, round_id, signed.keys), signed.signature)
        if actual != signer:
            raise VerificationError(f"a set-up of {participant} is signed by {actual} instead of {signer}")

    return SetUpBlob(participant, Digest(masking_context(history, round_id).digest()), verify)


def posted_masks(history: History, round_id: int, poster: Address) -> PostedMasks:
    """Return what the ledger stores of the masks of a posting, opened."""
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    excluded = []
    for one in masks.exclusions or ():
        own = submissions[one.index]
        excluded.append(
            ExcludedSubmission(one.index, int(one.reason), own.weight, own.participant, own.sealed_root)
        )
    return PostedMasks(
        keys=masks.keys,
        set_ups=tuple(map(set_up_digest, masks.keys)),
        departed=Departed(tuple(excluded), masks.absentees),
        survivors=masks.survivors,
        terms=masks.terms,
        seeds=masks.seeds[poster],
        pairs=_pairs(history, round_id),
        groups=_group_members(history, round_id),
        left=ledger_masks.left_with_group(masks, history.vertices, submissions),
    )


def _group_members(
    history: History, round_id: int
) -> tuple[tuple[tuple[Address, ...], tuple[Address, ...]], ...]:
    masks, submissions = history.round_masks(round_id), history.submissions[round_id]
    parts = staying(ledger_masks.round_groups(masks, history.vertices, submissions))
    return tuple((one.survivors, one.departed) for one in parts)


def _pairs(history: History, round_id: int) -> tuple[tuple[Address, Address], ...] | None:
    graph = history.round_masks(round_id).graph
    if not isinstance(graph, Graph):
        return None if graph is None else ()  # of groups no term is listed
    terms = round_terms(history, round_id)
    return tuple((one.owner, one.peer) for one in terms if one.peer is not None)
