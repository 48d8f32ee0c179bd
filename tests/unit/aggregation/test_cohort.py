import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_chain.aggregation.cohort import cohort_rank, draw_cohort
from fl_chain.records import Address, address

PARTICIPANTS = [address(hashlib.sha256(b"%d" % number).digest()[:20]) for number in range(40)]


def test_the_rank_is_one_hash_of_seed_round_and_participant() -> None:
    who = PARTICIPANTS[0]
    material = b"fl_chain/cohort\x00" + b"s" * 32 + (7).to_bytes(8, "big") + bytes.fromhex(who[2:])
    assert cohort_rank(b"s" * 32, 7, who) == hashlib.sha256(material).digest()


@given(
    size=st.integers(1, 45),
    seed=st.binary(min_size=32, max_size=32),
    round_id=st.integers(1, 2**32),
    registered=st.permutations(PARTICIPANTS),
)
def test_the_lowest_ranks_are_drawn_whatever_the_order(
    size: int, seed: bytes, round_id: int, registered: list[Address]
) -> None:
    drawn = draw_cohort(registered, size, seed=seed, round_id=round_id)

    assert len(drawn) == min(size, len(PARTICIPANTS))
    left = set(PARTICIPANTS) - drawn
    ranks = {who: cohort_rank(seed, round_id, who) for who in PARTICIPANTS}
    assert all(ranks[inside] < ranks[outside] for inside in drawn for outside in left)
    assert drawn == draw_cohort(sorted(registered), size, seed=seed, round_id=round_id)


def test_every_round_and_every_seed_draws_anew_and_everybody_alike() -> None:
    counts = dict.fromkeys(PARTICIPANTS, 0)
    drawn = [draw_cohort(PARTICIPANTS, 10, seed=bytes(32), round_id=number) for number in range(1, 401)]
    for one in drawn:
        for who in one:
            counts[who] += 1
    assert len(set(drawn)) == 400
    # Binomial(400, 1/4): mean 100, standard deviation 8.7; five of them on either side.
    assert 56 < min(counts.values()) <= max(counts.values()) < 144
    assert draw_cohort(PARTICIPANTS, 10, seed=bytes(31) + b"\x01", round_id=1) != drawn[0]


def test_nobody_registered_is_nobody_drawn() -> None:
    assert draw_cohort([], 3, seed=bytes(32), round_id=1) == frozenset()


def test_a_round_number_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="round"):
        cohort_rank(bytes(32), -1, PARTICIPANTS[0])
