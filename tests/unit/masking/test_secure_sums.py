"""The secure sum is the plain sum of those who stayed; beyond the threshold there is none."""

from itertools import combinations

import numpy as np
import pytest
from secure_rounds import CONTEXT, SecureRound, participant

from fl_chain.errors import DigestMismatch, MalformedBlob, VerificationError
from fl_chain.masking.context import MaskingContext
from fl_chain.masking.setup import holders, key_set_up, verify_key_set_up
from fl_chain.masking.shares import seed_commitment, threshold
from fl_chain.masking.unmasking import (
    SeedKind,
    UnmaskingTerm,
    reconstructed_seed,
    seed_to_release,
    term_lanes,
)
from fl_chain.records import Address, Digest


def can_be_unmasked(round_: SecureRound, survivors: frozenset[Address]) -> bool:
    return all(
        sum(holder in survivors for holder in holders(owner, set_up.sealed))
        >= threshold(len(set_up.sealed) + 1)
        for owner, set_up in round_.set_ups.items()
    )


@pytest.mark.parametrize("count", range(2, 8))
def test_every_pattern_of_dropouts_up_to_seven_participants(count: int) -> None:
    round_ = SecureRound(count, 5)
    people = sorted(round_.set_ups)
    tried = refused = 0
    for stayed in range(1, count + 1):
        for chosen in combinations(people, stayed):
            survivors = frozenset(chosen)
            if can_be_unmasked(round_, survivors):
                assert round_.secure_sum(survivors) == round_.plain_sum(survivors)
                tried += 1
            else:
                with pytest.raises(MalformedBlob, match="shares are there, and"):
                    round_.secure_sum(survivors)
                refused += 1
    assert tried >= 1
    assert tried + refused == 2**count - 1


@pytest.mark.parametrize(
    ("count", "dropped"),
    [
        (20, 5),
        (100, 9),
        pytest.param(64, 20, marks=pytest.mark.long),
        pytest.param(65, 6, marks=pytest.mark.long),
    ],
)
def test_random_dropouts_of_many(count: int, dropped: int) -> None:
    round_ = SecureRound(count, 3)
    rng = np.random.default_rng(count)
    people = sorted(round_.set_ups)
    gone = {people[place] for place in rng.choice(count, dropped, replace=False)}
    survivors = frozenset(people) - gone
    assert can_be_unmasked(round_, survivors)
    assert round_.secure_sum(survivors) == round_.plain_sum(survivors)


def test_a_worker_that_was_shown_another_base_gives_noise_and_not_its_update() -> None:
    round_ = SecureRound(4, 64)
    victim = participant(0)
    other = MaskingContext(CONTEXT.run, CONTEXT.round, Digest(b"\x06" * 32))
    fooled = SecureRound(4, 64, context=other)
    survivors = frozenset(round_.set_ups)
    seeds = round_.seeds(survivors)
    total = fooled.masked(victim).astype(np.uint32)
    for who in survivors - {victim}:
        total = total + round_.masked(who).astype(np.uint32)
    for term in round_.terms(survivors):
        total = total + term_lanes(term, seeds[term.owner], CONTEXT, round_.set_ups, 64).astype(np.uint32)
    difference = (total - np.array(round_.plain_sum(survivors), dtype=np.uint32)).view(np.int32)
    assert np.median(np.abs(difference.astype(np.int64))) > 2**26


def test_one_seed_of_a_peer_is_released_and_never_the_other() -> None:
    stayed, gone = participant(1), participant(2)
    survivors = frozenset({stayed})
    assert seed_to_release(stayed, survivors) is SeedKind.MASK
    assert seed_to_release(gone, survivors) is SeedKind.KEY


def test_a_wrong_share_is_found_by_the_commitment() -> None:
    round_ = SecureRound(4, 2)
    owner = participant(0)
    set_up = round_.set_ups[owner]
    holders = sorted(set_up.sealed)
    shares = {holder: round_.share(owner, holder, SeedKind.MASK) for holder in holders}
    shares[holders[0]] = round_.share(owner, holders[0], SeedKind.KEY)
    with pytest.raises(DigestMismatch):
        reconstructed_seed(set_up, SeedKind.MASK, shares)


def test_a_wrong_seed_is_no_term() -> None:
    round_ = SecureRound(3, 2)
    owner = participant(0)
    with pytest.raises(DigestMismatch):
        term_lanes(UnmaskingTerm(owner, None), bytes(16), CONTEXT, round_.set_ups, 2)


def test_a_round_key_that_is_not_of_the_committed_seed_is_named() -> None:
    round_ = SecureRound(3, 2)
    owner, peer = participant(0), participant(1)
    honest = round_.set_ups[owner]
    seed = b"\x07" * 16
    spoilt = type(honest)(
        owner, honest.round_key, seed_commitment(seed), honest.mask_commitment, honest.sealed
    )
    with pytest.raises(VerificationError, match=owner):
        term_lanes(UnmaskingTerm(owner, peer), seed, CONTEXT, {**round_.set_ups, owner: spoilt}, 2)


def test_a_set_up_is_for_the_neighbours_and_whole() -> None:
    round_ = SecureRound(4, 2)
    owner = participant(0)
    set_up = round_.set_ups[owner]
    others = tuple(set_up.sealed)
    verify_key_set_up(set_up, others)
    with pytest.raises(MalformedBlob, match="others than its neighbours"):
        verify_key_set_up(set_up, others[1:])
    short = type(set_up)(
        owner, set_up.round_key, set_up.key_commitment, set_up.mask_commitment, dict.fromkeys(others, b"")
    )
    with pytest.raises(MalformedBlob, match="length"):
        verify_key_set_up(short, others)
    with pytest.raises(ValueError, match="somebody else"):
        key_set_up(round_.secrets[owner], round_.identity[owner], CONTEXT, owner, {})


def test_the_digest_of_a_set_up_covers_every_field() -> None:
    set_up = SecureRound(3, 2).set_ups[participant(0)]
    fields = {name: getattr(set_up, name) for name in set_up.__slots__}
    changed = {
        "participant": participant(9),
        "round_key": bytes(32),
        "key_commitment": Digest(bytes(32)),
        "mask_commitment": Digest(bytes(32)),
        "sealed": dict(list(set_up.sealed.items())[1:]),
    }
    digests = {set_up.digest()} | {
        type(set_up)(**{**fields, name: value}).digest() for name, value in changed.items()
    }
    assert len(digests) == 1 + len(changed)
