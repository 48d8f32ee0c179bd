"""The Python twin of `challengeSeed`: wrong seeds are proven, right ones and what stands for none are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_chain.commitment.proofs import (
    Departed,
    ExcludedSubmission,
    LeafOpening,
    PostedMasks,
    PostedRound,
    SeedProof,
)
from fl_chain.commitment.seals import leaf
from fl_chain.errors import ProofRejected
from fl_chain.masking.challenges import verify_seed_proof
from fl_chain.masking.setup import set_up_digest
from fl_chain.masking.shares import seed_commitment
from fl_chain.records import Address, Digest, PublishedKeys, Quantisation, RunId

STAYS, LEFT, GONE = (Address("0x" + digit * 40) for digit in "abc")
ZERO = Digest(bytes(32))
SEEDS = {STAYS: b"s" * 16, LEFT: b"l" * 16, GONE: b"g" * 16}
NONE = bytes(16)  # stands for the seed of a member whose group does not stay


def keys_of(who: Address) -> PublishedKeys:
    """Return a set-up; of who stays the mask seed is committed to, of the others the key seed."""
    own, other = seed_commitment(SEEDS[who]), seed_commitment(b"o" * 16)
    key, mask = (other, own) if who == STAYS else (own, other)
    return PublishedKeys(who, bytes(32), key, mask, ZERO)


def posted_and_proof(number: int, seed: bytes) -> tuple[PostedRound, SeedProof]:
    """Return a round of three, of whom one is left out with its group and one never came, and a proof."""
    people = (STAYS, LEFT, GONE)
    keys = tuple(map(keys_of, people))
    departed = Departed((ExcludedSubmission(1, 3, 1, LEFT, ZERO),), (GONE,))
    seeds = [SEEDS[STAYS], NONE, SEEDS[GONE]]
    seeds[number] = seed
    digests = tuple(map(set_up_digest, keys))
    masks = PostedMasks(keys, digests, departed, 1, 0, tuple(seeds), left=frozenset({LEFT}))
    leaves = [leaf(ZERO, 1, STAYS), leaf(ZERO, 1, LEFT)]
    run, quantisation = RunId(1, Address("0x" + "d" * 40)), Quantisation(22, 16, 1, 10)
    roots = {"sums_hash": ZERO, "base_model_root": ZERO, "model_root": ZERO}
    posted = PostedRound(run, 1, 4, quantisation, leaves, frozenset({1}), 1, **roots, masks=masks)
    opening = LeafOpening(ZERO, 1, STAYS)
    return posted, SeedProof(number, tuple(seeds), departed, digests, keys[number], opening)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_wrong_seed_is_proven(number: int) -> None:
    posted, proof = posted_and_proof(number, b"w" * 16)
    verify_seed_proof(proof, posted)


@pytest.mark.parametrize(("number", "owner"), [(0, STAYS), (1, LEFT), (2, GONE)])
def test_a_right_seed_is_not(number: int, owner: Address) -> None:
    posted, proof = posted_and_proof(number, SEEDS[owner])
    with pytest.raises(ProofRejected, match="NothingWrong"):
        verify_seed_proof(proof, posted)


def test_zero_stands_for_the_seed_of_a_group_that_does_not_stay_and_for_no_other() -> None:
    posted, proof = posted_and_proof(1, NONE)
    with pytest.raises(ProofRejected, match="NothingWrong"):
        verify_seed_proof(proof, posted)
    for number in (0, 2):
        posted, proof = posted_and_proof(number, NONE)
        verify_seed_proof(proof, posted)


def test_what_is_not_of_the_posting_is_refused() -> None:
    posted, proof = posted_and_proof(1, NONE)
    for wrong, says in (
        (replace(proof, number=3), "IndexOutOfBounds"),
        (replace(proof, seeds=proof.seeds[1:]), "WrongSeeds"),
        (replace(proof, departed=Departed((), ())), "WrongDeparted"),
        (replace(proof, set_ups=proof.set_ups[1:]), "WrongRing"),
        (replace(proof, owner=keys_of(GONE)), "WrongMember"),
    ):
        with pytest.raises(ProofRejected, match=says):
            verify_seed_proof(wrong, posted)
    with pytest.raises(ProofRejected, match="NoSuchChallenge"):
        verify_seed_proof(proof, replace(posted, masks=None))
