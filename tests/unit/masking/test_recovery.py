"""Who spoils rounds is found by halves, and nobody else is named."""

import hashlib

import pytest
from secure_rounds import participant

from fl_chain.masking.recovery import Suspicion, group
from fl_chain.records import Address


def named_after(
    count: int, spoilers: set[Address], quorum: int = 3, limit: int = 60
) -> tuple[Suspicion, int]:
    """Play rounds in which spoilers always spoil, until one is named."""
    people, suspicion = [participant(number) for number in range(count)], Suspicion()
    for number in range(limit):
        members = group(suspicion, people, quorum, hashlib.sha256(bytes([number])).digest())
        assert len(members) >= quorum
        suspicion = suspicion.after_spoilt(members) if spoilers & members else suspicion.after_posted(members)
        if suspicion.named:
            return suspicion, number + 1
    return suspicion, limit


@pytest.mark.parametrize("count", [4, 5, 6, 7, 8, 16, 40])
def test_a_spoiler_is_named_and_nobody_else(count: int) -> None:
    for number in range(count):
        suspicion, rounds = named_after(count, {participant(number)})
        assert suspicion.named == {participant(number)}
        # one to notice, one for each halving, one without the last suspect; small groups halve unevenly
        assert rounds <= 4 + count.bit_length()


def test_of_two_spoilers_no_honest_one_is_named() -> None:
    for first in range(6):
        for second in range(first):
            spoilers = {participant(first), participant(second)}
            assert named_after(6, spoilers)[0].named <= spoilers


def test_nobody_is_left_out_while_nothing_is_wrong() -> None:
    people = [participant(number) for number in range(5)]
    assert group(Suspicion(), people, 3, bytes(32)) == set(people)
    assert Suspicion().after_posted(people) == Suspicion()


def test_a_group_is_never_below_the_quorum() -> None:
    people = [participant(number) for number in range(4)]
    suspicion = Suspicion().after_spoilt(people)
    assert len(group(suspicion, people, 3, bytes(32))) == 3
    assert len(group(suspicion, people, 2, bytes(32))) == 2
    assert group(suspicion, people[:3], 3, bytes(32)) == set(people[:3])  # no choice is left


def test_who_was_named_stays_out() -> None:
    people = [participant(number) for number in range(5)]
    named = Suspicion(named=frozenset(people[:1]))
    assert group(named, people, 3, bytes(32)) == set(people[1:])


@pytest.mark.parametrize(
    ("count", "suspected", "stay_out"), [(64, 64, 32), (65, 65, 8), (256, 256, 32), (256, 20, 10)]
)
def test_of_a_large_round_an_eighth_stays_out_at_most(count: int, suspected: int, stay_out: int) -> None:
    people = [participant(number) for number in range(count)]
    suspicion = Suspicion(frozenset(people[:suspected]))
    members = group(suspicion, people, 3, bytes(32))
    assert count - len(members) == stay_out
    assert members.issuperset(people[suspected:])
