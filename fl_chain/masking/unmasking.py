"""Masking an update, and the terms that take the masks off the sum of those who stayed.

A term is a vector like an update: it joins the list of summands, so that partial sums and their challenges
know nothing of masks. For everyone who stayed it is its own mask with the sign turned; for everyone who
dropped out after the key set-up, one vector for each neighbour who stayed: the mask that the two share, as
that neighbour put it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from fl_chain.commitment.chunks import Lanes, verify_lanes
from fl_chain.errors import SpoiltRound
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.keys import public_key, round_private_key
from fl_chain.masking.masks import (
    Mask,
    add_masks,
    is_subtracted,
    native_lanes,
    pair_mask_key,
    self_mask_key,
    wire_lanes,
)
from fl_chain.masking.setup import KeySetUp, RoundSecrets, holders
from fl_chain.masking.shares import joined, seed_commitment, threshold, verify_seed
from fl_chain.records import Address, PublishedKeys

RoundKeys = KeySetUp | PublishedKeys
"""What both have is all that masks take: a round key and two commitments."""


class SeedKind(IntEnum):
    """Which of a participant's two seeds; its value is the place of the share in what is sealed."""

    KEY = 0  # of one who dropped out
    MASK = 1  # of one who stayed


def masked(
    lanes: Lanes,
    secrets: RoundSecrets,
    context: MaskingContext,
    participant: Address,
    set_ups: Mapping[Address, RoundKeys],
) -> Lanes:
    """Return an update under its masks: uniform in every lane to whoever lacks one of them.

    Args:
        lanes: the update, shape (dimension,), big-endian.
        secrets: the participant's own.
        context: the round, with the base model that this participant trained on.
        participant: whose update.
        set_ups: of the neighbours whose key set-up the ledger's root has.

    Raises:
        ValueError: if the lanes are of another form.
        MalformedBlob: if a neighbour's round key is none.
    """
    verify_lanes(lanes)
    total = native_lanes(lanes)
    private = round_private_key(secrets.key_seed, context)
    masks = [Mask(self_mask_key(secrets.mask_seed, context, participant))]
    for peer, set_up in sorted(set_ups.items()):
        key = pair_mask_key(private, set_up.round_key, context, (participant, peer))
        masks.append(Mask(key, is_subtracted(participant, peer)))
    add_masks(total, masks)
    return wire_lanes(total)


def seed_to_release(peer: Address, survivors: frozenset[Address]) -> SeedKind:
    """Return which seed of a peer its neighbours help to open, once the survivors are fixed: never both."""
    return SeedKind.MASK if peer in survivors else SeedKind.KEY


def reconstructed_seed(set_up: KeySetUp, kind: SeedKind, shares: Mapping[Address, bytes]) -> bytes:
    """Return a participant's seed from its neighbours' shares.

    Args:
        set_up: the participant's.
        kind: which seed.
        shares: by holder: its neighbours and itself.

    Raises:
        MalformedBlob: if there are fewer than the threshold, or one is no share.
        DigestMismatch: if they give another seed than the one committed to.
    """
    places = {who: place for place, who in enumerate(holders(set_up.participant, set_up.sealed))}
    commitment = set_up.key_commitment if kind is SeedKind.KEY else set_up.mask_commitment
    return joined({places[who]: share for who, share in shares.items()}, threshold(len(places)), commitment)


@dataclass(frozen=True, slots=True)
class UnmaskingTerm:
    """One summand that takes a mask off; fixed by the survivors before anybody posts."""

    owner: Address  # whose seed
    peer: Address | None  # the neighbour who stayed; None: the owner stayed, and this is its own mask


def unmasking_terms(
    neighbours: Mapping[Address, Sequence[Address]],
    survivors: Sequence[Address],
    departed: Sequence[Address],
) -> list[UnmaskingTerm]:
    """Return the terms of a round, in the order of the summands.

    Args:
        neighbours: with whom each of the departed shares masks, in the order of its terms.
        survivors: in the order of their submissions.
        departed: the others: whose submissions are left out, in their order, then who never submitted,
            ascending.
    """
    terms = [UnmaskingTerm(owner, None) for owner in survivors]
    staying = frozenset(survivors)
    for owner in departed:
        terms += [UnmaskingTerm(owner, peer) for peer in neighbours[owner] if peer in staying]
    return terms


def ring_terms(survivors: Sequence[Address], departed: Sequence[Address]) -> list[UnmaskingTerm]:
    """Return the terms of a round in which everyone masks with everyone of the ring.

    Args:
        survivors: in the order of their submissions.
        departed: see `unmasking_terms`.
    """
    own = [UnmaskingTerm(owner, None) for owner in survivors]
    return own + [UnmaskingTerm(owner, peer) for owner in departed for peer in survivors]


def committed_kind(keys: RoundKeys, seed: bytes) -> SeedKind | None:
    """Return which of a participant's seeds a seed is, by its commitments; None where it is neither."""
    commitment = seed_commitment(seed)
    if commitment == keys.mask_commitment:
        return SeedKind.MASK
    return SeedKind.KEY if commitment == keys.key_commitment else None


def is_of_round_key(keys: RoundKeys, seed: bytes, context: MaskingContext) -> bool:
    """Return whether a key seed gives the round key that its owner published."""
    return public_key(round_private_key(seed, context)) == keys.round_key


def term_lanes(
    term: UnmaskingTerm,
    seed: bytes,
    context: MaskingContext,
    set_ups: Mapping[Address, RoundKeys],
    dimension: int,
) -> Lanes:
    """Return a term's vector, from a published seed.

    Args:
        term: whose mask.
        seed: the owner's mask seed where it stayed, else its key seed; 16 bytes.
        context: the round.
        set_ups: of everyone in the round's key root.
        dimension: lanes.

    Raises:
        DigestMismatch: if the seed is not the one committed to.
        SpoiltRound: if a key seed does not give the round key that its owner published: such a
            participant has masked with something that nobody can take off, and spoilt the round.
    """
    owner = set_ups[term.owner]
    lanes = np.zeros(dimension, dtype=np.uint32)
    if term.peer is None:
        verify_seed(seed, owner.mask_commitment)
        add_masks(lanes, [Mask(self_mask_key(seed, context, term.owner), is_negative=True)])
        return wire_lanes(lanes)
    verify_seed(seed, owner.key_commitment)
    private = round_private_key(seed, context)
    if not is_of_round_key(owner, seed, context):
        raise SpoiltRound(
            f"the key seed of {term.owner} does not give the round key that it published: it has spoilt the "
            "round, which ends without a model; suspend it"
        )
    key = pair_mask_key(private, set_ups[term.peer].round_key, context, (term.owner, term.peer))
    add_masks(lanes, [Mask(key, is_negative=not is_subtracted(term.peer, term.owner))])
    return wire_lanes(lanes)
